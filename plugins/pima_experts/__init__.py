"""The built-in experts, one file a field. They come through the same door as anybody's plugin."""

from __future__ import annotations

from types import ModuleType

from pima_toolkit import Expert, hookimpl

from . import (
    adsorption,
    cellular,
    creep,
    decay,
    flow,
    growth,
    hardening,
    kinetics,
    lines,
    peaks,
    plasticity,
    rubber,
    thermal,
    voigt,
)

PIMA_API = (1, 0)

#: The files, in the order people see them.
MECHANICS = (lines, plasticity, hardening, cellular, rubber, creep, flow)
OTHERS = (decay, thermal, kinetics, adsorption, growth, peaks, voigt)


def _of(field: ModuleType) -> list[type[Expert]]:
    """The expert classes written in a file; a name with an underscore is a tool of the others."""
    found = [value for value in vars(field).values() if isinstance(value, type) and issubclass(value, Expert)]
    return [cls for cls in found if cls.__module__ == field.__name__ and not cls.__name__.startswith("_")]


@hookimpl
def pima_experts() -> list[type[Expert]]:
    """The experts of this distribution."""
    return [expert for field in (*MECHANICS, *OTHERS) for expert in _of(field)]
