"""Predict one measurement from another, and walk through the latent space: `CrossModalPanel(fit, data)`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError

from .canvas import LatentView
from .panel import Panel, heading, row
from .prediction_view import PredictionView, held_out
from .uploads import ACCEPTED, UploadReader, levels_of

if TYPE_CHECKING:
    from pima_toolkit import Fit

#: How many of the nearest specimens are shown.
_NEAR = 6
#: How many positions the walk between two populations has.
_STEPS = 41
#: How many names are offered while one types; more would slow the page.
_OFFERED = 2000


class CrossModalPanel(Panel):
    """Panel that predicts a curve from a photograph, or both from a place in the latent map.

    Args:
        fit: A fit.
        data: The measured specimens: those of the training, or others the fit can answer for.
        answer: ``fit.infer(data, predict=())`` where it is known already.

    Attributes:
        result: The last answer of ``fit.infer`` or ``fit.decode``, for one specimen.
        selection: Number of the specimen shown, in a list; empty for a file or a place in the map.
        expert: The expert of the curve shown, or None.
        position: The place in the latent space shown, shape (latent,).

    Raises:
        DataError: If the data hold none of the fit's modalities.
    """

    title = "Predict"
    needs_fit = True

    def __init__(self, fit: Fit, data: xr.Dataset, *, answer: xr.Dataset | None = None) -> None:
        super().__init__()
        self.fit, self.data = fit, data
        known = fit.infer(data, predict=()) if answer is None else answer
        self.names = [str(name) for name in data["specimen"].values]
        self.reader = UploadReader(fit, data)
        self.view = LatentView(fit, known, self.names, height=360)
        self.map = self.view.map
        best = known["responsibilities"].values.argmax(1).astype(np.float64)
        self.map.paint(best, "population", self.view.populations)
        weight = fit.clusters["weight"].values
        self.position: NDArray[np.float64] = weight @ self.view.mean
        self.prediction = PredictionView(self.reader, data, self.names, self.view.populations, held_out(fit))
        self._walk: tuple[tuple[str, ...], xr.Dataset] | None = None
        self._quiet = False
        self._action: Callable[[], object] = lambda: None
        self._build(self.view.populations)
        self.selection = []
        self._set_expert()
        with self.guarded(self.specimen):
            self.choose(self.names[0])

    def _build(self, populations: list[str]) -> None:
        options = self.fit.model.options
        here = [name for name in options.modalities if name in self.data.data_vars]
        neural = [name for name in here if name in options.neural]
        self.used = {
            name: ipw.Checkbox(value=name in (neural or here), description=name, indent=False) for name in here
        }
        for box in self.used.values():
            box.layout.width = "max-content"
        self.specimen = ipw.Combobox(
            options=self.names[:_OFFERED], value="", placeholder="name of a specimen", description="specimen",
            continuous_update=False,
        )  # fmt: skip
        self.files = ipw.FileUpload(accept=ACCEPTED, multiple=True, description="Upload picture or curve")
        self.files.layout.width = "max-content"
        self.covariates = {name: self._box(name) for one in options.physics.values() for name in one.expert.covariates}
        low, high = levels_of(self.data[self.reader.pictures[0]]) if self.reader.pictures else (0.0, 1.0)
        self.black, self.white = (
            ipw.FloatText(value=low, description="black is"),
            ipw.FloatText(value=high, description="white is"),
        )
        for box in (self.black, self.white):
            box.layout.width = "160px"
            box.tooltip = "brightness of the training pictures that black and white of an uploaded one become"
        self.walk_from = ipw.Dropdown(options=populations, value=populations[0], description="from")
        self.walk_to = ipw.Dropdown(options=populations, value=populations[-1], description="to")
        for box in (self.walk_from, self.walk_to):
            box.layout.width = "200px"
        self.player = ipw.Play(min=0, max=_STEPS - 1, value=0, interval=150, show_repeat=False)
        self.slider = ipw.IntSlider(min=0, max=_STEPS - 1, value=0, readout=False, description="on the way")
        ipw.jslink((self.player, "value"), (self.slider, "value"))
        self.path = ipw.Text(value="prediction.csv", description="file")
        self.path.layout.width = "240px"
        self.save_button = self.button("Save prediction", self.save, icon="save")
        inputs = (*self.used.values(), *self.covariates.values(), self.black, self.white, self.prediction.curve)
        for box in inputs:
            box.observe(lambda change: self._again(change["owner"]), "value")
        self.specimen.observe(lambda change: self._typed(change["new"]), "value")
        self.files.observe(lambda change: self._uploaded(change["new"]), "value")
        self.map.observe(lambda change: self._picked(change["new"]), "selection")
        self.map.observe(lambda change: self._clicked(change["new"]), "spot")
        self.slider.observe(lambda _: self._slid(), "value")
        self.prediction.curve.observe(self._set_expert, "value")
        self.children = self._layout()

    def _box(self, name: str) -> ipw.FloatText:
        mean = float(self.data[name].mean()) if name in self.data.variables else 0.0
        box = ipw.FloatText(value=float(f"{mean:.4g}"), description=name, tooltip="of files and places in the map")
        box.layout.width = "220px"
        return box

    def _layout(self) -> list[ipw.Widget]:
        shown = self.prediction
        believe = [heading("To be believed?"), shown.belief]
        axes = row(self.view.x_axis, self.view.y_axis)
        left = ipw.VBox([self.map, axes, heading("Populations"), shown.bars, *believe])
        right = ipw.VBox([shown.curve, shown.chart, shown.pictures, shown.numbers])
        for box in (left, right):
            box.layout.flex, box.layout.min_width = "1 1 380px", "0"
        files = [self.files, *([self.black, self.white] if self.reader.pictures else [])]
        return [
            heading("Predict from"),
            row(self.specimen, *self.used.values()),
            row(*files, *self.covariates.values()),
            heading("or click anywhere in the map, or walk from one population to another"),
            row(self.walk_from, self.walk_to, self.player, self.slider),
            self.status,
            self.error,
            ipw.Box([left, right], layout=ipw.Layout(display="flex", flex_flow="row wrap", grid_gap="18px")),
            heading("Nearest measured specimens · latent distance"),
            shown.near,
            row(self.path, self.save_button),
        ]

    def _set_expert(self, _: object = None) -> None:
        physics = self.fit.model.options.physics.get(self.prediction.curve.value)
        self.expert = None if physics is None else physics.expert

    # ---------------------------------------------------------------- specimens

    def choose(self, specimen: str | int) -> xr.Dataset:
        """Predict a measured specimen from the modalities that are ticked.

        Args:
            specimen: Its name or number.

        Returns:
            The answer of ``fit.infer``.

        Raises:
            OptionError: If there is no such specimen, or no modality is ticked.
            DataError: If no ticked modality was measured of it.
        """
        name = specimen if isinstance(specimen, str) else None
        if name is not None and name not in self.names:
            raise OptionError(f"there is no specimen {name!r}: the first is {self.names[0]!r}")
        k = self.names.index(name) if name is not None else int(specimen)
        if not 0 <= k < len(self.names):
            raise OptionError(f"specimens are numbered 0 to {len(self.names) - 1}, got {k}")
        self._action = lambda: self.choose(k)
        used = [one for one, box in self.used.items() if box.value]
        if not used:
            raise OptionError("nothing to predict from: tick at least one modality")
        one = self.data.isel(specimen=[k])
        measured = [name for name in used if one[name].notnull().any()]
        if not measured:
            raise DataError(f"{self.names[k]} was not measured in {', '.join(used)}: tick another modality")
        covariates = [name for name in self.covariates if name in one.data_vars]
        answer = self.fit.infer(one[[*measured, *covariates]])
        self._show(answer, one, f"{self.names[k]} from {' and '.join(measured)}", chosen=k)
        return answer

    def follow(self, specimens: list[int]) -> None:
        """Predict the specimen that another panel selected; several at once are left alone."""
        if len(specimens) == 1:
            with self.guarded(self.specimen):
                self.choose(specimens[0])

    def _again(self, changed: ipw.Widget) -> None:
        """Answer the last question again, as a box it depends on has changed; where there is no answer now, it goes."""
        if self._quiet:
            return
        with self.guarded(changed):
            try:
                self._action()
            except Exception:
                self._clear()
                raise

    def _clear(self) -> None:
        self.prediction.clear()
        self.selection, self.result = [], None
        self.say("no prediction")

    def _typed(self, name: str) -> None:
        if name and not self._quiet:
            with self.guarded(self.specimen):
                self.choose(name)

    def _picked(self, chosen: list[int]) -> None:
        if chosen and not self._quiet:
            with self.guarded(self.map):
                self.choose(chosen[0])

    # ---------------------------------------------------------------- files

    def upload(self, *files: str | Path | tuple[str, bytes]) -> xr.Dataset:
        """Predict a new specimen from files: a picture, a curve, or both.

        Args:
            files: Paths, or pairs of name and content.

        Returns:
            The answer of ``fit.infer``.

        Raises:
            DataError: If a file cannot be read, or is no modality of this fit.
            OptionError: If no file is given.
        """
        if not files:
            raise OptionError("no file was given: choose a picture or a table with a curve")
        pairs = [one if isinstance(one, tuple) else (Path(one).name, Path(one).read_bytes()) for one in files]
        parts: dict[str, xr.DataArray] = {}
        for name, content in pairs:
            variable = self.reader.read(
                name, content, modality=self.prediction.curve.value, levels=(self.black.value, self.white.value)
            )
            if variable.name in parts:
                raise DataError(f"{name} is a second {variable.name!r}: give one file of each modality")
            parts[str(variable.name)] = variable.reset_coords(drop=True).drop_vars("specimen", errors="ignore")
        given = xr.Dataset(parts).assign_coords(specimen=[Path(pairs[0][0]).stem])
        given = given.assign_coords({name: ("specimen", [box.value]) for name, box in self.covariates.items()})
        answer = self.fit.infer(given)
        self._action = lambda: self.upload(*pairs)
        self._show(answer, given, f"{' and '.join(name for name, _ in pairs)} as {' and '.join(parts)}")
        return answer

    def _uploaded(self, files: Sequence[dict]) -> None:
        if files:
            pairs = [(str(one["name"]), bytes(one["content"])) for one in files]
            with self.guarded(self.files):
                self.upload(*pairs)
            self.files.value = ()  # the same file, brought again, is a change again

    # ---------------------------------------------------------------- places

    def generate(self, position: ArrayLike) -> xr.Dataset:
        """Show what lies at a place of the latent space.

        Args:
            position: Coordinates, dimensionless, shape (latent,); or of the two dimensions that the map shows, the
                others staying where they are.

        Returns:
            The answer of ``fit.decode``.

        Raises:
            ShapeError: If there are more or fewer coordinates than latent dimensions.
            DataError: If a coordinate is not finite.
        """
        place = np.atleast_1d(np.asarray(position, dtype=np.float64))
        if place.shape == (2,) and len(self.position) != 2:
            whole = self.position.copy()
            whole[self.view.shown] = place
            place = whole
        answer = self.fit.decode(place[None], at={name: box.value for name, box in self.covariates.items()})
        self._action = lambda: self.generate(place)
        self._show(answer, None, f"generated at ({', '.join(f'{v:.2f}' for v in place)})")
        return answer

    def _clicked(self, spot: list[float]) -> None:
        if len(spot) == 2 and not self._quiet:
            with self.guarded(self.map):
                self.generate(spot if len(self.position) > 1 else spot[:1])

    def traverse(self, first: str, second: str, share: float) -> xr.Dataset:
        """Show a place on the straight way between two populations.

        Args:
            first: Name of the population where the way begins, ``"population 0"``.
            second: Name of the population where it ends.
            share: Share of the way, from 0 at the first to 1 at the second.

        Returns:
            The answer of ``fit.decode`` at the nearest of the 41 places on the way.

        Raises:
            OptionError: If there is no such population, or the share is not from 0 to 1.
        """
        for name in (first, second):
            if name not in self.walk_from.options:
                raise OptionError(f"there is no population {name!r}: {', '.join(self.walk_from.options)}")
        if not 0.0 <= share <= 1.0:
            raise OptionError(f"share={share}: expected a number from 0, at {first}, to 1, at {second}")
        step = round(share * (_STEPS - 1))
        self.walk_from.value, self.walk_to.value = first, second
        self._quiet = True
        try:
            self.slider.value = step
        finally:
            self._quiet = False
        at = {name: box.value for name, box in self.covariates.items()}
        key = (first, second, repr(at))
        if self._walk is None or self._walk[0] != key:
            ends = [self.view.mean[self.walk_from.options.index(name)] for name in (first, second)]
            way = np.linspace(0.0, 1.0, _STEPS)[:, None]
            self._walk = key, self.fit.decode((1 - way) * ends[0] + way * ends[1], at=at)
        answer = self._walk[1].isel(specimen=[step])
        words = f"{100 * step / (_STEPS - 1):.0f} % of the way from {first} to {second}"
        self._action = lambda: self.traverse(first, second, share)
        self._show(answer, None, words, walk=self._walk[1])
        return answer

    def _slid(self) -> None:
        if not self._quiet:
            with self.guarded(self.slider):
                self.traverse(self.walk_from.value, self.walk_to.value, self.slider.value / (_STEPS - 1))

    def play(self) -> None:
        """Start the walk in the open page, from where the slider stands; its own buttons pause and stop it."""
        self.player.playing = True

    def pause(self) -> None:
        """Stop the walk where it is."""
        self.player.playing = False

    # ---------------------------------------------------------------- what is shown

    def _show(
        self,
        answer: xr.Dataset,
        given: xr.Dataset | None,
        words: str,
        *,
        chosen: int | None = None,
        walk: xr.Dataset | None = None,
    ) -> None:
        """Show an answer.

        Args:
            answer: The answer, for one specimen.
            given: What was measured of it; None where nothing was.
            words: Where the answer comes from, for the status line.
            chosen: Number of the specimen; None where it is not one of the data.
            walk: The answers of the walk it is a part of; the chart's range stays as wide as they need.
        """
        name = "latent_position" if "latent_position" in answer else "posterior_mean"
        self.position = answer[name].values[0]
        distance = np.linalg.norm(self.view.position - self.position, axis=1)
        if chosen is not None:
            distance[chosen] = np.inf
        near = np.argsort(distance, kind="stable")[: min(_NEAR, np.isfinite(distance).sum())]
        self.prediction.hold(walk)
        self.prediction.show(answer, given, near, distance[near])
        self._quiet = True
        try:
            with self.map.hold_sync():
                self.map.selection = [] if chosen is None else [chosen]
                self.map.spot = [float(v) for v in self.position[self.view.shown]]
            self.specimen.value = "" if chosen is None else self.names[chosen]
        finally:
            self._quiet = False
        self.selection = [] if chosen is None else [chosen]
        gamma = answer["responsibilities"].values[0]
        remark = str(answer["remark"].values[0]) if "remark" in answer else ""
        warning = f"; {remark}: do not rely on it" if remark else ""
        self.say(f"{words}: {self.view.populations[gamma.argmax()]} with {100 * gamma.max():.1f} %{warning}")
        self.result = answer

    def save(self, path: str | Path | None = None) -> list[Path]:
        """Write the answer shown: NetCDF or Zarr with everything, CSV or Excel as tables.

        Args:
            path: The file, whose ending says which; the one in the box by default.

        Returns:
            The files written.

        Raises:
            OptionError: If there is no answer yet, or the ending is another.
        """
        if self.result is None:
            raise OptionError("there is no prediction yet: choose a specimen, upload a file or click in the map")
        written = pima.runs.write_answer(
            self.result, Path(path or self.path.value).expanduser().resolve(), "predictions"
        )
        self.say(f"written: {', '.join(map(str, written))}")
        return written
