"""Figures of data, answers and fits, drawn from plain xarray with matplotlib.

Each ``plot_*`` takes datasets as a fit returns them and gives a new ``matplotlib.figure.Figure``; no window opens.
Clusters keep one colour and one marker in every figure: the eight colours of Okabe and Ito, told apart with any colour
vision, each with its own marker, so ten clusters and more stay distinct. Units come from ``attrs["units"]``; a dataset
whose ``attrs["synthetic"]`` is set has that written in its figure.
"""

from .calibration_plot import plot_calibration
from .expert_plot import plot_expert
from .plots import plot_confusion, plot_curves, plot_history, plot_images, plot_latent, plot_prediction
from .setting_plots import plot_settings

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
