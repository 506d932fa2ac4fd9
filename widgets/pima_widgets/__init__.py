"""Notebook panels for pima_toolkit: fit, look into the populations, predict, write a formula.

``app(data)`` shows all of them, linked. Each is usable alone: ``FitPanel(data)``, ``ClusterPanel(fit, data)``,
``CrossModalPanel(fit, data)``, ``ExpertPanel(data)``. They draw the xarray datasets that a fit returns and use public
names of ``pima_toolkit`` only; the toolkit never imports this package but for ``pima.app``.
"""

from pima_toolkit.errors import require

for _needed in ("ipywidgets", "anywidget"):
    require(_needed, "the panels")

from .app import App, app, open_app  # noqa: E402 - a missing library is told before the panels need it
from .cluster_panel import ClusterPanel  # noqa: E402
from .crossmodal_panel import CrossModalPanel  # noqa: E402
from .expert_panel import ExpertPanel  # noqa: E402
from .fit_panel import FitPanel  # noqa: E402

__all__ = ["App", "ClusterPanel", "CrossModalPanel", "ExpertPanel", "FitPanel", "app", "open_app"]
