"""Physics-informed multimodal autoencoders: populations, physics and cross-modal prediction from what you measured.

Names in the order a datum meets them. Everything loads on first use: ``import pima_toolkit`` costs no torch, and a
plugin that needs only ``hookimpl`` pays for nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faces import face

if TYPE_CHECKING:
    from pima_widgets import app

    from . import datasets, errors, experts, metrics, runs
    from .answers.baselines.baselines import baselines
    from .answers.laws.comparison import compare_experts
    from .api.pima import PIMA, Fit, load
    from .api.selection import Selection, select_clusters
    from .data import open_data, reading_details, reading_log, save_data, split, summary
    from .errors import PimaError, PimaWarning
    from .experts import (
        Diagnosis,
        Example,
        Expert,
        Finding,
        Hyperelastic,
        LmfitExpert,
        OdeExpert,
        Parameter,
        Solution,
        SympyExpert,
        TogetherSolution,
        TorchExpert,
        elastic_plastic,
        find_peaks,
        fit_together,
        get_expert,
        hookimpl,
        hyperelastic,
        load_plugin,
        peaks,
        principal_curves,
        register,
    )
    from .experts.regression import quantities
    from .fitting import trackers
    from .fitting.speakers.base import Learned, Lesson, Speaker
    from .ingest import CurveFiles, ImageFiles, ScalarColumns, from_folder, geometry
    from .metrics.tensile import tensile_quantities
    from .model.encoders.base import EncoderKind
    from .model.modality import Neural, Physics
    from .model.noise.base import NoiseModel
    from .report import plots
    from .report.plots.canvas import save_figure
    from .units import interval_text, value_with_error

__version__ = "0.1.0"

#: Public name -> module, as seen from this package; a module's has a dot at its end. The panels are a package
#: beside this one, which only the one who asks for them loads.
_HOME = {
    "datasets": ".",
    "split": ".data",
    "from_folder": ".ingest",
    "ImageFiles": ".ingest",
    "CurveFiles": ".ingest",
    "ScalarColumns": ".ingest",
    "geometry": ".ingest",
    "reading_details": ".data",
    "reading_log": ".data",
    "summary": ".data",
    "open_data": ".data",
    "save_data": ".data",
    "Neural": ".model.modality",
    "Physics": ".model.modality",
    "NoiseModel": ".model.noise.base",
    "EncoderKind": ".model.encoders.base",
    "Speaker": ".fitting.speakers.base",
    "Lesson": ".fitting.speakers.base",
    "Learned": ".fitting.speakers.base",
    "Parameter": ".experts",
    "Expert": ".experts",
    "Example": ".experts",
    "SympyExpert": ".experts",
    "TorchExpert": ".experts",
    "TogetherSolution": ".experts",
    "Hyperelastic": ".experts",
    "hyperelastic": ".experts",
    "elastic_plastic": ".experts",
    "peaks": ".experts",
    "find_peaks": ".experts",
    "fit_together": ".experts",
    "LmfitExpert": ".experts",
    "OdeExpert": ".experts",
    "Solution": ".experts",
    "Diagnosis": ".experts",
    "Finding": ".experts",
    "quantities": ".experts.regression.",
    "experts": ".",
    "principal_curves": ".experts",
    "get_expert": ".experts",
    "register": ".experts",
    "load_plugin": ".experts",
    "hookimpl": ".experts",
    "baselines": ".answers.baselines.baselines",
    "compare_experts": ".answers.laws.comparison",
    "PIMA": ".api.pima",
    "Fit": ".api.pima",
    "load": ".api.pima",
    "select_clusters": ".api.selection",
    "Selection": ".api.selection",
    "runs": ".",
    "trackers": ".fitting.",
    "metrics": ".",
    "tensile_quantities": ".metrics.tensile",
    "plots": ".report.",
    "save_figure": ".report.plots.canvas",
    "interval_text": ".units",
    "value_with_error": ".units",
    "app": "pima_widgets",
    "errors": ".",
    "PimaError": ".errors",
    "PimaWarning": ".errors",
}

__all__ = [
    "PIMA",
    "CurveFiles",
    "Diagnosis",
    "EncoderKind",
    "Example",
    "Expert",
    "Finding",
    "Fit",
    "Hyperelastic",
    "ImageFiles",
    "Learned",
    "Lesson",
    "LmfitExpert",
    "Neural",
    "NoiseModel",
    "OdeExpert",
    "Parameter",
    "Physics",
    "PimaError",
    "PimaWarning",
    "ScalarColumns",
    "Selection",
    "Solution",
    "Speaker",
    "SympyExpert",
    "TogetherSolution",
    "TorchExpert",
    "__version__",
    "app",
    "baselines",
    "compare_experts",
    "datasets",
    "elastic_plastic",
    "errors",
    "experts",
    "find_peaks",
    "fit_together",
    "from_folder",
    "geometry",
    "get_expert",
    "hookimpl",
    "hyperelastic",
    "interval_text",
    "load",
    "load_plugin",
    "metrics",
    "open_data",
    "peaks",
    "plots",
    "principal_curves",
    "quantities",
    "reading_details",
    "reading_log",
    "register",
    "runs",
    "save_data",
    "save_figure",
    "select_clusters",
    "split",
    "summary",
    "tensile_quantities",
    "trackers",
    "value_with_error",
]

if not TYPE_CHECKING:  # a type checker reads the imports above, and refuses what is not there
    __getattr__, __dir__ = face(__name__, _HOME, globals())
