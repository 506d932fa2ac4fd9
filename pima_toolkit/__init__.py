"""Physics-informed multimodal autoencoders: populations, physics and cross-modal prediction from what you measured.

Names in the order a datum meets them. Everything loads on first use: ``import pima_toolkit`` costs no torch, and a
plugin that needs only ``hookimpl`` pays for nothing else.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

#: Public name -> module, relative to this package; a name of its own module is the module. The panels are a package
#: beside this one, which only the one who asks for them loads.
_HOME = {
    "datasets": "datasets",
    "split": "data",
    "from_folder": "ingest",
    "ImageFiles": "ingest",
    "CurveFiles": "ingest",
    "ScalarColumns": "ingest",
    "reading_log": "data",
    "summary": "data",
    "open_data": "data",
    "save_data": "data",
    "Neural": "model.modality",
    "Physics": "model.modality",
    "Parameter": "experts",
    "Expert": "experts",
    "Example": "experts",
    "SympyExpert": "experts",
    "TorchExpert": "experts",
    "LmfitExpert": "experts",
    "Solution": "experts",
    "quantities": "experts.regression.quantities",
    "experts": "experts",
    "get_expert": "experts",
    "register": "experts",
    "load_plugin": "experts",
    "hookimpl": "experts",
    "compare_experts": "answers.laws.comparison",
    "PIMA": "api.pima",
    "Fit": "api.pima",
    "load": "api.pima",
    "select_clusters": "api.selection",
    "Selection": "api.selection",
    "runs": "runs",
    "trackers": "fitting.trackers",
    "metrics": "metrics",
    "plots": "report.plots",
    "save_figure": "report.plots.canvas",
    "value_with_error": "units",
    "app": "pima_widgets",
    "errors": "errors",
    "PimaError": "errors",
    "PimaWarning": "errors",
}

#: Names of 0.1 that are called otherwise now.
_RENAMED = {
    "Images": "ImageFiles",
    "Curves": "CurveFiles",
    "Scalars": "ScalarColumns",
    "account": "reading_log",
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> object:
    if name in _RENAMED:
        raise AttributeError(f"pima_toolkit.{name} is called pima_toolkit.{_RENAMED[name]} since 0.2")
    if name not in _HOME:
        raise AttributeError(f"module 'pima_toolkit' has no attribute {name!r}")
    home = _HOME[name]
    module = importlib.import_module(home if home == "pima_widgets" else f".{home}", __name__)
    value = module if home.rpartition(".")[2] == name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
