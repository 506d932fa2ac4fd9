"""All panels, linked: `app(data)` to fit, `app(fit, data)` to look into a fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as ipw
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError

from .cluster_panel import ClusterPanel
from .crossmodal_panel import CrossModalPanel
from .data import curve_names
from .expert_panel import ExpertPanel
from .fit_panel import FitPanel
from .panel import Panel

if TYPE_CHECKING:
    from pima_toolkit import Expert, Fit

_TABS = ("Fit", "Clusters", "Predict", "Expert")


class App(Panel):
    """Four panels in tabs: a finished fit fills Clusters and Predict, a registered expert can be chosen in Fit.

    Args:
        data: The specimens.
        fit: A fit to begin with.

    Attributes:
        result: The fit the panels show; None until there is one.
        selection: Numbers of the specimens selected in Clusters.
        expert: The expert registered last, else that of the fit's first physics modality.
        fit_panel: The tab Fit.
        cluster_panel: The tab Clusters, once there is a fit.
        crossmodal_panel: The tab Predict, once there is a fit.
        expert_panel: The tab Expert; None where the data have no curves.
    """

    def __init__(self, data: xr.Dataset, fit: Fit | None = None) -> None:
        super().__init__()
        self.data = data
        self.fit_panel = FitPanel(data)
        self.cluster_panel: ClusterPanel | None = None
        self.crossmodal_panel: CrossModalPanel | None = None
        self.expert_panel = ExpertPanel(data) if curve_names(data) else None
        wait = ipw.HTML("There is no fit yet: choose and press <b>Fit</b> in the first tab.")
        none = ipw.HTML("The data hold no curves, so there is nothing to write a formula for.")
        self.tabs = ipw.Tab([self.fit_panel, wait, wait, self.expert_panel or none], titles=_TABS)
        self.tabs.add_class("pima-tabs")
        self.selection = []
        self.expert = self.fit_panel.expert
        self.say(f"{data.sizes['specimen']} specimens: {', '.join(map(str, data.data_vars))}")
        self.children = [self.status, self.error, self.tabs]
        self.fit_panel.observe(lambda change: self._fitted(change["new"]), "result")
        if self.expert_panel is not None:
            self.expert_panel.observe(lambda change: self.offer(change["new"]), "registered")
        if fit is not None:
            self.show(fit)
            self.fit_panel.adopt(fit)
            self.turn_to("Clusters")

    def turn_to(self, tab: str) -> None:
        """Bring a tab to the front.

        Raises:
            OptionError: If there is none of that name.
        """
        if tab not in _TABS:
            raise OptionError(f"there is no tab {tab!r}: {', '.join(_TABS)}")
        self.tabs.selected_index = _TABS.index(tab)

    def _fitted(self, fit: Fit | None) -> None:
        if fit is not None:
            with self.guarded():
                self.show(fit)

    def show(self, fit: Fit) -> None:
        """Fill the panels with a fit.

        Args:
            fit: A fit that can answer for the data.

        Raises:
            PimaError: If it cannot; the panels stay as they are.
        """
        clusters = ClusterPanel(fit, self.data)
        predict = CrossModalPanel(fit, self.data, answer=clusters.answer)
        self.cluster_panel, self.crossmodal_panel = clusters, predict
        clusters.observe(lambda change: self._selected(change["new"]), "selection")
        self.tabs.children = [self.fit_panel, clusters, predict, self.tabs.children[3]]
        physics = list(fit.model.options.physics.values())
        self.selection = []
        self.expert = physics[0].expert if physics else None
        self.say(f"{len(self.data.specimen)} specimens in {fit.model.options.clusters} clusters")
        self.result = fit

    def _selected(self, chosen: list[int]) -> None:
        self.selection = chosen
        if len(chosen) == 1:
            with self.guarded():
                self.crossmodal_panel.choose(chosen[0])

    def offer(self, expert: Expert) -> None:
        """Let an expert be chosen in every panel that fits one; the tab Fit chooses it where its input is measured."""
        self.fit_panel.offer(expert)
        if self.cluster_panel is not None and self.cluster_panel.refit is not None:
            self.cluster_panel.refit.offer(expert)
        self.expert = expert


def app(data_or_fit: xr.Dataset | Fit, data: xr.Dataset | None = None) -> App:
    """All panels for a dataset, or for a fit and its data.

    Args:
        data_or_fit: A dataset with a ``specimen`` dim, or a fit.
        data: With a fit: the specimens to look at, such as those of the training.

    Raises:
        DataError: If a fit comes without data, or neither is given.
    """
    if isinstance(data_or_fit, xr.Dataset):
        return App(data_or_fit)
    if not isinstance(data_or_fit, pima.Fit):
        raise DataError(f"expected a dataset or a fit, got {type(data_or_fit).__name__}: pima.app(data)")
    if data is None:
        raise DataError("a fit does not hold the measurements it was made of: pima.app(fit, data)")
    return App(data, data_or_fit)


def open_app(source: str | Path, data: str | Path | None = None, plugins: Sequence[str | Path] = ()) -> App:
    """All panels for what lies on the disk; what ``pima app`` shows.

    Args:
        source: The folder of a run, a saved fit (``.pima``), a dataset (``.nc``, ``.zarr``) or a folder of files.
        data: With a fit whose training data are not where the run found them: the data.
        plugins: Python files with experts.

    Raises:
        PimaError: If it cannot be read, or a fit comes without data.
    """
    path = Path(source).expanduser()
    for file in plugins:
        pima.load_plugin(file)
    fit = pima.runs.open_fit(path) if path.suffix == ".pima" or (path / "run.json").exists() else None
    if fit is not None and data is None:
        found = pima.runs.training_data(path)
    else:
        found = pima.runs.read_source(Path(path if data is None else data)).data
    if found is None:
        raise DataError(f"the training data of {path} are not there or have changed: give them, --data PATH")
    return App(found, fit)
