"""The public names of a package: loaded on first use, and what those of earlier versions are called now.

A face is an ``__init__.py`` that says where its names live instead of importing them, so that ``import pima_toolkit``
costs no torch. It repeats the names under ``TYPE_CHECKING`` for editors and type checkers; a test compares.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

#: Module, or class in small letters -> its names before 0.2 -> the new ones.
RENAMED: dict[str, dict[str, str]] = {
    "pima_toolkit": {
        "Images": "ImageFiles",
        "Curves": "CurveFiles",
        "Scalars": "ScalarColumns",
        "account": "reading_log",
    },
    "pima_toolkit.experts": {"Box": "Bounds"},
    "pima_toolkit.runs": {"Outcome": "RunResult"},
    "pima_toolkit.testing": {"Result": "CheckResult"},
    "fit": {"experts": "parameters"},
    "manager": {"experts": "given", "add_expert": "add"},
    "solution": {
        "shown": "parameters",
        "shown_std_errors": "parameters",
        "reported": "parameters",
        "reported_std_errors": "parameters",
        "std_errors": "parameters",
    },
    "expert": {
        "shown": "reported",
        "show": "to_reported",
        "show_jacobian": "reported_jacobian",
        "shown_formulas": "reported_formulas",
        "box": "bounds",
        "curve": "compiled_curve",
        "guess_rows": "initial_guess",
        "trials": "search_grid",
    },
}


def renamed(owner: str, name: str) -> str | None:
    """The sentence that says a name's new name, or None for a name that never was.

    Args:
        owner: A key of :data:`RENAMED`.
        name: What was asked of it.
    """
    new = RENAMED.get(owner, {}).get(name)
    return None if new is None else f"{owner}.{name} is called {owner}.{new} since 0.2"


def attribute_of(module: str) -> Callable[[str], object]:
    """The ``__getattr__`` of a module that loads its names at once: it only says what old ones are called now."""

    def attribute(name: str) -> object:
        raise AttributeError(renamed(module, name) or f"module {module!r} has no attribute {name!r}")

    return attribute


def face(
    module: str, homes: Mapping[str, str], namespace: dict[str, Any]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a module whose names load on first use.

    Args:
        module: The module's ``__name__``.
        homes: Public name -> module that holds it, as ``importlib.import_module`` takes it: ``".api.pima"`` is relative
            to ``module``. With a dot at its end it is the package of a module of that name.
        namespace: The module's ``globals()``, where what was loaded stays.
    """
    unknown = attribute_of(module)

    def attribute(name: str) -> object:
        if name not in homes:
            return unknown(name)
        home = homes[name]
        if home.endswith("."):
            value = importlib.import_module(home + name, module)
        else:
            value = getattr(importlib.import_module(home, module), name)
        namespace[name] = value
        return value

    return attribute, lambda: sorted(namespace["__all__"])


def tells_new_names(cls: type[T]) -> type[T]:
    """Give a class of :data:`RENAMED` an ``__getattr__`` that says what its old attributes are called now."""
    owner = cls.__name__.lower()

    def __getattr__(self: object, name: str) -> object:  # noqa: N807 - it becomes the class's own
        if (sentence := renamed(owner, name)) is not None:
            raise AttributeError(sentence, name=name, obj=self)
        return object.__getattribute__(self, name)  # raises once more what led here, in its own words

    setattr(cls, "__getattr__", __getattr__)  # noqa: B010 - a type checker shall not see it
    return cls
