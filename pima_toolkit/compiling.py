"""Compiled functions that are kept on disk where there is a place for it, and compiled anew where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from numba import cfunc, njit
from numba.core.ccallback import CFunc
from numba.core.errors import NumbaWarning


def compiled(*signature: Any, **options: Any) -> Callable[[Callable], Callable]:
    """Decorate a function as ``numba.njit`` does, kept in numba's cache.

    Where nothing can be cached numba raises an error instead of going without: a node of a cluster without a home, an
    installation that nobody may write into.

    Args:
        signature: Of numba, or a list of them; with it the function is compiled at once.
        options: Of ``numba.njit``.
    """
    return _kept(partial(njit, *signature, **options))


def callback(signature: Any) -> Callable[[Callable], CFunc]:
    """Decorate a function that compiled ones call by its address, so that it is no part of them; kept as above.

    Args:
        signature: Of numba.
    """
    return _kept(partial(cfunc, signature))


def _kept(decorator: Callable[..., Callable]) -> Callable[[Callable], Any]:
    def decorate(function: Callable) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NumbaWarning)
            try:
                return decorator(cache=True)(function)
            except Exception:  # noqa: BLE001 - no folder, or a damaged file; a mistake of our own is raised again
                return decorator()(function)

    return decorate
