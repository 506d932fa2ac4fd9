"""Experts: the physics of a modality (eqs. 13, 14, 17).

In this order each file may import those before it: parameters, inputs, syntax, reader, formula, program, derivatives,
codegen, consistency, shown, derived, quantities, lmfit_bridge, profiles, intervals, uncertainty, solution, drivers,
torch_solver, levenberg_marquardt, least_squares, statistics, starting, search, priors, covariance, reduction,
regression, example, expert, card, declared, symbolic, torch_expert, callback, lmfit_formulas, lmfit_experts, scatter,
hooks, manager, plugins. Names load on first use, so that a plugin can import ``hookimpl`` without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .card import Card, card_of
    from .example import Example, example_of
    from .expert import Expert, Origin
    from .formula import read_formula
    from .hooks import hookimpl
    from .inputs import pack, unpack, with_covariates
    from .least_squares import solve
    from .lmfit_bridge import lmfit_result
    from .lmfit_experts import LmfitExpert
    from .manager import Manager, PluginRecord
    from .parameters import Box, Parameter, resolve_unit
    from .plugins import expert_from_dict, experts, get_expert, load_plugin, plugin_records, register, use_manager
    from .priors import Priors
    from .quantities import CurveQuantity, derive
    from .solution import Solution
    from .statistics import CurveStatistics
    from .symbolic import SympyExpert
    from .torch_expert import TorchExpert
    from .uncertainty import inverse_information, unidentified

_HOME = {
    "Box": "parameters",
    "Card": "card",
    "card_of": "card",
    "CurveQuantity": "quantities",
    "CurveStatistics": "statistics",
    "Example": "example",
    "Expert": "expert",
    "Manager": "manager",
    "Origin": "expert",
    "PluginRecord": "manager",
    "example_of": "example",
    "LmfitExpert": "lmfit_experts",
    "Parameter": "parameters",
    "Priors": "priors",
    "Solution": "solution",
    "SympyExpert": "symbolic",
    "TorchExpert": "torch_expert",
    "derive": "quantities",
    "expert_from_dict": "plugins",
    "experts": "plugins",
    "get_expert": "plugins",
    "inverse_information": "uncertainty",
    "hookimpl": "hooks",
    "lmfit_result": "lmfit_bridge",
    "load_plugin": "plugins",
    "plugin_records": "plugins",
    "read_formula": "formula",
    "register": "plugins",
    "resolve_unit": "parameters",
    "solve": "least_squares",
    "own_lines": "scatter",
    "pack": "inputs",
    "unidentified": "uncertainty",
    "unpack": "inputs",
    "variable": "inputs",
    "use_manager": "plugins",
    "with_covariates": "inputs",
}

__all__ = [
    "Box",
    "Card",
    "CurveQuantity",
    "CurveStatistics",
    "Example",
    "Expert",
    "LmfitExpert",
    "Manager",
    "Origin",
    "Parameter",
    "PluginRecord",
    "Priors",
    "Solution",
    "SympyExpert",
    "TorchExpert",
    "card_of",
    "derive",
    "example_of",
    "expert_from_dict",
    "experts",
    "get_expert",
    "hookimpl",
    "inverse_information",
    "lmfit_result",
    "load_plugin",
    "own_lines",
    "pack",
    "plugin_records",
    "read_formula",
    "register",
    "resolve_unit",
    "solve",
    "unidentified",
    "unpack",
    "use_manager",
    "with_covariates",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
