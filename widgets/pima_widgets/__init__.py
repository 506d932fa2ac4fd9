"""Notebook panels for pima_toolkit: fit, look into the populations, write a formula.

Each is usable alone: ``FitPanel(data)``, ``ClusterPanel(fit, data)``, ``ExpertPanel(data)``. They draw the xarray
datasets that a fit returns and use public names of ``pima_toolkit`` only; the toolkit never imports this package.
"""

from .cluster_panel import ClusterPanel
from .expert_panel import ExpertPanel
from .fit_panel import FitPanel

__all__ = ["ClusterPanel", "ExpertPanel", "FitPanel"]
