"""All panels, linked: `app(data)` to fit, `app(fit, data)` to look into a fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import ipywidgets as ipw
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError, require

from .panel import Panel, row
from .session import Session

if TYPE_CHECKING:
    from pima_toolkit import Expert, Fit

    from .cluster_panel import ClusterPanel
    from .crossmodal_panel import CrossModalPanel
    from .expert_panel import ExpertPanel
    from .fit_panel import FitPanel

#: Name of a panel's class -> the module that defines it, or the class itself, in the order of the tabs. A panel loads
#: when it is first shown. A new one is a file and a line here; from outside, :func:`add_panel` writes the line.
PANELS: dict[str, str | type[Panel]] = {
    "FitPanel": "pima_widgets.fit_panel",
    "ClusterPanel": "pima_widgets.cluster_panel",
    "CrossModalPanel": "pima_widgets.crossmodal_panel",
    "ExpertPanel": "pima_widgets.expert_panel",
}
#: Shown in the tab of a panel that needs a fit while there is none.
_NO_FIT = "There is no fit yet: choose and press <b>Fit</b> in the first tab."


def load_panel(name: str) -> type[Panel]:
    """Load the class of a panel.

    Args:
        name: A key of :data:`PANELS`.
    """
    kind = PANELS[name]
    return getattr(require(kind, "the panels"), name) if isinstance(kind, str) else kind


def add_panel(kind: type[Panel]) -> type[Panel]:
    """Give a panel a tab in every app opened from now on, after those there are; usable as a decorator.

    Args:
        kind: A subclass of :class:`Panel` with a ``title`` of its own.

    Returns:
        The class.

    Raises:
        OptionError: If it is no panel, has no title, or its name or title is taken.
    """
    if not (isinstance(kind, type) and issubclass(kind, Panel)):
        raise OptionError(f"expected a subclass of pima_widgets.Panel, got {kind!r}")
    if not kind.title:
        raise OptionError(f"the panel {kind.__name__} has no title: set the class attribute title, the text of its tab")
    if kind.__name__ in PANELS:
        raise OptionError(f"there is a panel {kind.__name__} already: give the class another name")
    if kind.title in (titles := [load_panel(name).title for name in PANELS]):
        raise OptionError(f"the title {kind.title!r} is taken: there are {', '.join(titles)}")
    PANELS[kind.__name__] = kind
    return kind


class App(Panel):
    """The panels of :data:`PANELS` in tabs: a finished fit fills those that need one, a registered expert is offered.

    Args:
        data: The specimens.
        fit: A fit to begin with.
        session: Folder that keeps every fit made here and what was made of it, as it goes; one that is there already
            is gone on with. None: nothing is kept until somebody names one.

    Attributes:
        result: The fit the panels show; None until there is one.
        selection: Numbers of the specimens picked last in one of the panels.
        expert: The expert registered last, else that of the fit's first physics modality.
        session: Where fits and edits are kept as they are made; None: nowhere.
        panels: Name of the class -> the panel in its tab; None where it cannot be opened, or not yet.
    """

    def __init__(self, data: xr.Dataset, fit: Fit | None = None, session: str | Path | None = None) -> None:
        super().__init__()
        self.data = data
        self.session: Session | None = None
        self._kinds = {name: load_panel(name) for name in PANELS}
        self.panels: dict[str, Panel | None] = dict.fromkeys(self._kinds)
        for name, kind in self._kinds.items():
            if not kind.needs_fit and kind.lacks(data) is None:
                self.panels[name] = self._linked(kind(data))
        self.tabs = ipw.Tab(self._in_tabs(), titles=[kind.title for kind in self._kinds.values()])
        self.tabs.add_class("pima-tabs")
        self.selection = []
        self.expert = self.fit_panel.expert
        self.say(f"{data.sizes['specimen']} specimens: {', '.join(map(str, data.data_vars))}")
        self.folder = ipw.Text(placeholder="folder to keep this session in", tooltip="folder of the session")
        self.path = ipw.Text(placeholder="saved fit (.pima) or run", tooltip="saved fit or run")
        files = row(
            *(self.folder, self.button("Keep session", lambda: self.keep_in(self.folder.value), icon="save")),
            *(self.path, self.button("Open fit", lambda: self.open_fit(self.path.value), icon="folder-open")),
        )
        self.children = [self.status, files, self.error, self.tabs]
        if fit is not None:
            self._begin_with(fit)
        if session is not None:
            with self.guarded(self.folder):
                self._go_on(Session(session))

    def _begin_with(self, fit: Fit) -> None:
        self.show(fit)
        for panel in self._open():
            panel.adopt(fit)
        self.turn_to("Clusters")

    # ---------------------------------------------------------------- what is kept

    def open_fit(self, path: str | Path) -> Fit:
        """Show a saved fit.

        Args:
            path: The file, or the folder of a run or a session.

        Returns:
            The fit.

        Raises:
            PimaError: If it cannot be read, or cannot answer for the data.
        """
        fit = pima.runs.open_fit(path)
        self._begin_with(fit)
        if self.session is not None:
            self.session.keep_fit(fit)
        return fit

    def keep_in(self, folder: str | Path) -> Path:
        """Keep this session in a folder from now on.

        Args:
            folder: Made where it is missing; what it holds of another session is replaced.

        Returns:
            Its full path.

        Raises:
            OptionError: If no folder is named.
            StorageError: If it cannot be written.
        """
        session = Session(folder)
        if self.result is not None:
            session.keep_fit(self.result)
        for name, panel in self.panels.items():
            if panel is not None:
                session.keep_edits(name, panel.edits())
        self._keeps_in(session)
        self.say(f"this session is kept in {session.folder}")
        return session.folder

    def _keeps_in(self, session: Session) -> None:
        self.session, self.folder.value = session, str(session.folder)

    def _go_on(self, session: Session) -> None:
        """Open what a session has kept, and keep it there from now on.

        Raises:
            PimaError: If it is damaged or of other data; then nothing is kept, so that nothing is lost.
        """
        if (fit := session.fit()) is not None:
            self._begin_with(fit)
        kept = {name: edits for name in self.panels if (edits := session.edits(name)) is not None}
        for name, edits in kept.items():
            if (panel := self.panels[name]) is not None:
                panel.take(edits)
        self._keeps_in(session)
        if fit is not None or kept:
            self.say(f"gone on with the session kept in {session.folder}")

    @property
    def fit_panel(self) -> FitPanel:
        """The tab Fit."""
        return cast("FitPanel", self.panels["FitPanel"])

    @property
    def cluster_panel(self) -> ClusterPanel | None:
        """The tab Clusters, once there is a fit."""
        return cast("ClusterPanel | None", self.panels["ClusterPanel"])

    @property
    def crossmodal_panel(self) -> CrossModalPanel | None:
        """The tab Predict, once there is a fit."""
        return cast("CrossModalPanel | None", self.panels["CrossModalPanel"])

    @property
    def expert_panel(self) -> ExpertPanel | None:
        """The tab Expert; None where the data have no curves."""
        return cast("ExpertPanel | None", self.panels["ExpertPanel"])

    def _open(self) -> Iterator[Panel]:
        return (panel for panel in self.panels.values() if panel is not None)

    def _linked(self, panel: Panel) -> Panel:
        """Listen to what a panel makes that others show."""
        panel.observe(lambda change: self._fitted(change["new"]), "new_fit")
        panel.observe(lambda change: self._picked(panel, change["new"]), "picked")
        panel.observe(lambda change: self.offer(change["new"]), "registered")
        panel.observe(lambda _: self._edited(panel), "revision")
        return panel

    def _edited(self, panel: Panel) -> None:
        with self.guarded(self.folder):
            if self.session is not None:
                self.session.keep_edits(type(panel).__name__, panel.edits())

    def _in_tabs(self) -> list[ipw.Widget]:
        """Return the panels in the order of the tabs, a sentence where there is none."""
        return [self.panels[name] or ipw.HTML(kind.lacks(self.data) or _NO_FIT) for name, kind in self._kinds.items()]

    def turn_to(self, tab: str) -> None:
        """Bring a tab to the front.

        Args:
            tab: Its title.

        Raises:
            OptionError: If there is none of that title.
        """
        if tab not in self.tabs.titles:
            raise OptionError(f"there is no tab {tab!r}: {', '.join(self.tabs.titles)}")
        self.tabs.selected_index = self.tabs.titles.index(tab)

    def _fitted(self, fit: Fit | None) -> None:
        if fit is not None:
            with self.guarded():
                self.show(fit)
                if self.session is not None:
                    self.session.keep_fit(fit)

    def show(self, fit: Fit) -> None:
        """Open the panels that need a fit, with this one.

        Args:
            fit: A fit that can answer for the data.

        Raises:
            PimaError: If it cannot; the panels stay as they are.
        """
        answer = fit.infer(self.data, predict=())
        made = {
            name: kind(fit, self.data, answer=answer)
            for name, kind in self._kinds.items()
            if kind.needs_fit and kind.lacks(self.data) is None
        }
        for name, panel in made.items():
            before = self.panels[name]
            if before is not None and (edits := before.edits()) is not None:
                panel.take(edits)
        self.panels |= {name: self._linked(panel) for name, panel in made.items()}
        self.tabs.children = self._in_tabs()
        physics = list(fit.model.options.physics.values())
        self.selection = []
        self.expert = physics[0].expert if physics else None
        self.say(f"{len(self.data.specimen)} specimens in {fit.model.options.clusters} populations")
        self.result = fit

    def _picked(self, source: Panel, specimens: list[int]) -> None:
        self.selection = specimens
        with self.guarded():
            for panel in self._open():
                if panel is not source:
                    panel.follow(specimens)

    def offer(self, expert: Expert) -> None:
        """Let an expert be chosen in every panel that fits one; the tab Fit chooses it where its input is measured."""
        for panel in self._open():
            panel.offer(expert)
        self.expert = expert


def app(data_or_fit: xr.Dataset | Fit, data: xr.Dataset | None = None, *, session: str | Path | None = None) -> App:
    """Open all panels for a dataset, or for a fit and its data.

    Args:
        data_or_fit: A dataset with a ``specimen`` dim, or a fit.
        data: With a fit: the specimens to look at, such as those of the training.
        session: Folder that keeps fits and edited groups as they are made; one that is there is gone on with.

    Raises:
        DataError: If a fit comes without data, or neither is given.
    """
    if isinstance(data_or_fit, xr.Dataset):
        return App(data_or_fit, session=session)
    if not isinstance(data_or_fit, pima.Fit):
        raise DataError(f"expected a dataset or a fit, got {type(data_or_fit).__name__}: pima.app(data)")
    if data is None:
        raise DataError("a fit does not hold the measurements it was made of: pima.app(fit, data)")
    return App(data, data_or_fit, session)


def open_app(
    source: str | Path,
    data: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    session: str | Path | None = None,
) -> App:
    """Open all panels for what lies on the disk, as ``pima app`` does.

    Args:
        source: The folder of a run, a saved fit (``.pima``), a dataset (``.nc``, ``.zarr``) or a folder of files.
        data: With a fit whose training data are not where the run found them: the data.
        plugins: Python files with experts.
        session: Folder that keeps fits and edited groups as they are made; one that is there is gone on with.

    Raises:
        PimaError: If it cannot be read, or a fit comes without data.
    """
    path = Path(source).expanduser()
    for file in plugins:
        pima.load_plugin(file)
    fit = pima.runs.open_fit(path) if path.suffix == ".pima" or (path / "run.json").exists() else None
    if fit is not None and data is None:
        specimens = pima.runs.training_data(path)
    else:
        specimens = pima.runs.read_source(Path(path if data is None else data)).data
    if specimens is None:
        raise DataError(f"the training data of {path} are not there or have changed: give them, --data PATH")
    return App(specimens, fit, session)
