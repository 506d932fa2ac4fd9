"""Notebook panels for pima_toolkit: fit, look into the populations, predict, write a formula.

``app(data)`` shows all of them, linked. Each is usable alone: ``FitPanel(data)``, ``ClusterPanel(fit, data)``,
``CrossModalPanel(fit, data)``, ``ExpertPanel(data)``. They draw the xarray datasets that a fit returns and use public
names of ``pima_toolkit`` only; the toolkit never imports this package except for ``pima.app``.

A panel of your own is a subclass of ``Panel``; ``add_panel(MyPanel)`` gives it a tab beside ours.
"""

from typing import TYPE_CHECKING

from pima_toolkit.errors import require

for _needed in ("ipywidgets", "anywidget"):
    require(_needed, "the panels")

from .app import PANELS, App, add_panel, app, load_panel, open_app  # noqa: E402 - needs the libraries checked above
from .panel import Panel  # noqa: E402

if TYPE_CHECKING:  # the panels load on first use, by the table PANELS; this tells editors their names
    from .cluster_panel import ClusterPanel
    from .crossmodal_panel import CrossModalPanel
    from .expert_panel import ExpertPanel
    from .fit_panel import FitPanel

__all__ = [
    "PANELS",
    "App",
    "ClusterPanel",
    "CrossModalPanel",
    "ExpertPanel",
    "FitPanel",
    "Panel",
    "add_panel",
    "app",
    "open_app",
]


def __getattr__(name: str) -> type[Panel]:
    if name not in PANELS:
        raise AttributeError(f"module 'pima_widgets' has no attribute {name!r}")
    return load_panel(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *PANELS})
