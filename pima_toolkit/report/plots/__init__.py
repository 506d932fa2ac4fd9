"""Figures of data, answers and fits, drawn from plain xarray with matplotlib.

Each ``plot_*`` takes datasets as a fit returns them and gives a new ``matplotlib.figure.Figure``; no window opens.
Clusters keep one colour and one marker in every figure: six colours of Okabe and Ito and four darker ones, told apart
with any colour vision. Units come from ``attrs["units"]``; a dataset whose ``attrs["synthetic"]`` is set has that
written in its figure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...faces import face

if TYPE_CHECKING:
    from .calibration_plot import plot_calibration
    from .expert_plot import plot_expert
    from .plots import plot_confusion, plot_curves, plot_history, plot_images, plot_latent, plot_prediction
    from .settings_plot import plot_settings

#: Figure -> file of this folder, which is loaded when the figure is first asked for.
_HOME = {
    "plot_calibration": ".calibration_plot",
    "plot_confusion": ".plots",
    "plot_curves": ".plots",
    "plot_expert": ".expert_plot",
    "plot_history": ".plots",
    "plot_images": ".plots",
    "plot_latent": ".plots",
    "plot_prediction": ".plots",
    "plot_settings": ".settings_plot",
}

__all__ = [
    "plot_calibration",
    "plot_confusion",
    "plot_curves",
    "plot_expert",
    "plot_history",
    "plot_images",
    "plot_latent",
    "plot_prediction",
    "plot_settings",
]

if not TYPE_CHECKING:  # a type checker reads the imports above, and refuses what is not there
    __getattr__, __dir__ = face(__name__, _HOME, globals())
