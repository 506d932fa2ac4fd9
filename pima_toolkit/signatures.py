"""What a function's signature says of its arguments, in words: a wrong one is named, not met somewhere inside."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np

from .errors import OptionError, PimaError

Thing = TypeVar("Thing", bound=Callable[..., Any])

#: Name in an annotation -> the classes that fit, or a word for what does, and what they are called in sentences.
_KINDS: dict[str, tuple[Any, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "str": (str, "text"),
    "bool": (bool, "true or false"),
    "tuple": ((list, tuple), "a list"),
    "Sequence": ((list, tuple), "a list"),
    "Mapping": (Mapping, "a table"),
    "Path": ((str, os.PathLike), "a path"),
    "PathLike": ((str, os.PathLike), "a path"),
    "dict": (Mapping, "a table"),
    "None": (type(None), "None"),
    "Iterable": (Iterable, "a list"),
    "Dataset": ("Dataset", "an xarray.Dataset"),
    "ArrayLike": ("numbers", "numbers"),
}
#: Whole numbers beyond are those of no library.
_WHOLE = 2**63
#: What a value of a wrong type ends in, inside a function that did not expect it.
_MET_INSIDE = (TypeError, ValueError, AttributeError, LookupError, ArithmeticError, RuntimeError, OSError)


def misfit(annotation: str, value: object, *, plain: bool = False) -> str | None:
    """Say what was expected in place of a value.

    Args:
        annotation: As in the source, ``"Sequence[str] | None"``.
        value: An argument.
        plain: Whether it is plain data, as in a file: classes of other names are then not among it.

    Returns:
        ``"a list or None"``; None where the value fits, or may.
    """
    literals = [one for text in re.findall(r"Literal\[(.*?)\]", annotation) for one in re.findall(r"\w+", text)]
    if isinstance(value, str) and value in literals:
        return None
    outer = re.sub(r"Literal\[.*?\]", "", annotation)
    while re.search(r"\[[^\[\]]*\]", outer):
        outer = re.sub(r"\[[^\[\]]*\]", "", outer)
    words = [word.rpartition(".")[2] for word in re.findall(r"[\w.]+", outer)]
    known = [word for word in dict.fromkeys(words) if word in _KINDS and not (plain and word == "None")]
    if not (known or literals) or (len(known) < len(set(words)) and not plain):
        return None
    if any(_fits(word, value) for word in known):
        return _misfit_inside(annotation, value)
    return " or ".join([*dict.fromkeys(_KINDS[word][1] for word in known), *map(repr, literals)])


def _misfit_inside(annotation: str, value: object) -> str | None:
    """Say what the items of a list should have been, where one of them is something else."""
    inner = re.search(r"(?:Sequence|Iterable|tuple)\[([^\[\]]*)\]", annotation)
    words = re.findall(r"\w+", inner[1]) if inner is not None else []
    items = value if isinstance(value, list | tuple) else ()
    if not words or not set(words) <= set(_KINDS) or all(any(_fits(w, v) for w in words) for v in items):
        return None
    return f"a list, each of it {' or '.join(dict.fromkeys(_KINDS[word][1] for word in words))}"


def _fits(word: str, value: object) -> bool:
    if isinstance(value, Integral) and not isinstance(value, bool) and abs(int(value)) >= _WHOLE:
        return False
    if word == "Dataset" or type(value).__name__ == "Dataset":  # which is a Mapping too; without xarray's import
        return type(value).__name__ == word
    if word == "ArrayLike":
        return _are_numbers(value)
    return isinstance(value, _KINDS[word][0]) and (word == "bool" or not isinstance(value, bool))


def _are_numbers(value: object) -> bool:
    try:
        return value is not None and np.asarray(value).size > 0 and np.asarray(value, dtype=np.float64).size > 0
    except (TypeError, ValueError, OverflowError):
        return False


def tells_misfits(thing: Thing) -> Thing:
    """Decorate a function, or a class for all its public functions: what breaks on a wrong type names the argument.

    Nothing is asked of arguments that work. An error that no argument's type explains stays what it is.
    """
    if isinstance(thing, type):
        for name, member in list(vars(thing).items()):
            if inspect.isfunction(member) and (name == "__init__" or not name.startswith("_")):
                setattr(thing, name, tells_misfits(member))
        return thing  # pyright: ignore[reportReturnType] - the same class

    @functools.wraps(thing)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return thing(*args, **kwargs)
        except PimaError:
            raise
        except _MET_INSIDE as error:
            sentence = _wrong_argument(thing, args, kwargs)
            if sentence is None:
                raise
            raise OptionError(sentence) from error

    return told  # pyright: ignore[reportReturnType] - the same signature


def _wrong_argument(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> str | None:
    """The sentence about the first argument that is none of what its annotation says."""
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:  # a misspelt name, which is Python's own error
        return None
    for name, value in given.items():
        parameter = signature.parameters[name]
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        expected = misfit(str(parameter.annotation), value)
        if name == "seed" and isinstance(value, Integral) and value < 0:
            expected = "a whole number of at least 0"
        if expected is not None:
            return f"{name}={_shown(value)}: expected {expected}"
    return None


def _shown(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:60]}..."
