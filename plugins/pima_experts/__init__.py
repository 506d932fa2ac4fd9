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


def _experts_in(field: ModuleType) -> list[type[Expert]]:
    """List the expert classes written in a file, without those that only help others: ``_Slopes``."""
    classes = [value for value in vars(field).values() if isinstance(value, type) and issubclass(value, Expert)]
    return [cls for cls in classes if cls.__module__ == field.__name__ and not cls.__name__.startswith("_")]


@hookimpl
def pima_experts() -> list[type[Expert]]:
    """Give the experts that come with the toolkit."""
    return [expert for field in (*MECHANICS, *OTHERS) for expert in _experts_in(field)]
