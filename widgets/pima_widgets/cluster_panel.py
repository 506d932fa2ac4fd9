"""Look into the populations and change them: `ClusterPanel(fit, data)`."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as ipw
import numpy as np
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import OptionError
from pima_toolkit.report import population_names

from .canvas import COLOURS, LatentView
from .curves_and_pictures import image_names, pictures_html
from .grouping import Grouping
from .panel import Panel, heading, row
from .refit import Refit, indicator

if TYPE_CHECKING:
    from pima_toolkit import Fit

#: How many pictures of a selection are shown.
_PICTURES = 24


class ClusterPanel(Panel):
    """Panel of the latent map, the specimens selected in it, the physics of each group, and the groups themselves.

    Args:
        fit: A fit.
        data: The specimens to look at: those of the training, or others the fit can answer for.
        answer: ``fit.infer(data, predict=())`` where it is known already.

    Attributes:
        selection: Numbers of the selected specimens.
        result: The last :class:`pima_toolkit.Solution`, of a group or of the selection.
        expert: The expert fitted to the curves shown.
        grouping: The present groups.
    """

    title = "Clusters"
    needs_fit = True

    def __init__(self, fit: Fit, data: xr.Dataset, *, answer: xr.Dataset | None = None) -> None:
        super().__init__()
        self.fit, self.data = fit, data
        self.answer = fit.infer(data, predict=()) if answer is None else answer
        self.names = [str(name) for name in data["specimen"].values]
        self._earlier: list[Grouping] = []
        self._later: list[Grouping] = []
        # About the specimens of its training a fit knows more than it can infer.
        specimens = fit.specimens
        self._of_training = np.array_equal(specimens["specimen"].values, data["specimen"].values)
        known = specimens if self._of_training else self.answer
        self.grouping = Grouping.of(known["responsibilities"].values, population_names(known))
        self._colours = self._colour_choices()
        self.view = LatentView(fit, self.answer, self.names)
        self.x_axis, self.y_axis, self.map = self.view.x_axis, self.view.y_axis, self.view.map
        self.colour = ipw.Dropdown(options=list(self._colours), value="group", description="colour")
        self.colour.layout.width = "200px"
        self.pictures = ipw.HTML()
        self.pictures.add_class("pima-pictures")
        self.table = ipw.HTML()
        self.table.add_class("pima-table")
        self.refit = Refit(fit, data, self.guarded) if fit.model.options.physics else None
        self._build()
        self.colour.observe(lambda _: self._paint(), "value")
        self.map.observe(lambda change: self.select(change["new"]), "selection")
        self._regrouped()
        self.select([])

    def _build(self) -> None:
        self.target = ipw.Dropdown(description="group")
        self.other = ipw.Dropdown(description="with")
        self.new_name = ipw.Text(placeholder="name", tooltip="name of a group")
        self.note = ipw.Text(placeholder="note on the group", tooltip="note on the group", continuous_update=False)
        self.path = ipw.Text(value="selection.csv", description="file")
        for box in (self.target, self.other, self.new_name, self.path):
            box.layout.width = "220px"
        self.note.layout.width = "min(446px, 100%)"
        self.move_button = self.button("Move selection here", lambda: self.move(self.target.value))
        self.new_button = self.button(
            "New group of the selection", lambda: self.move(self.new_name.value or "new group")
        )
        self.merge_button = self.button("Merge", lambda: self.merge(self.target.value, self.other.value))
        self.split_button = self.button("Split", lambda: self.split(self.target.value), hint="Part the group in two")
        self.rename_button = self.button("Rename", lambda: self.rename(self.target.value, self.new_name.value))
        self.undo_button = self.button("Undo", self.undo, icon="undo")
        self.redo_button = self.button("Redo", self.redo, icon="repeat")
        self.note_button = self.button("Note", lambda: self.annotate(self.target.value, self.note.value))
        self.export_button = self.button("Export selection", lambda: self.export(self.path.value), icon="save")
        self.select_button = self.button("Select group", lambda: self.select_group(self.target.value))
        parts = [
            row(self.x_axis, self.y_axis, self.colour, self.status),
            self.map,
            self.error,
            self.pictures,
            heading("Groups"),
            self.table,
            row(self.target, self.select_button, self.move_button, self.split_button),
            row(self.other, self.merge_button, self.undo_button, self.redo_button),
            row(self.new_name, self.new_button, self.rename_button),
            row(self.note, self.note_button),
            row(self.path, self.export_button),
        ]
        if self.refit is not None:
            self.refit_button = self.button("Refit group", lambda: self.refit_group(self.target.value), style="primary")
            self.refit_selection_button = self.button("Fit selection", self.refit_selection, style="primary")
            reset = self.button("Reset", self._reset, hint="Forget refits, bounds and what is held")
            for box in (self.refit.choice, self.refit.modality):
                box.observe(self._retabulate, "value")
            parts += [heading("Physics"), row(self.refit_button, self.refit_selection_button, reset), self.refit.widget]
        self.children = parts

    # ---------------------------------------------------------------- the map

    def _colour_choices(self) -> dict[str, xr.DataArray | None]:
        """List what the map can be coloured by: groups, coordinates of the data, each specimen's own parameters."""
        choices: dict[str, xr.DataArray | None] = {"group": None}
        for name, coordinate in self.data.coords.items():
            if coordinate.dims == ("specimen",) and name != "specimen" and coordinate.dtype.kind in "biufUO":
                choices[str(name)] = coordinate
        specimens = self.fit.specimens
        if self._of_training:
            for parameter in specimens["parameter"].values:
                one = specimens["value"].sel(parameter=parameter)
                unit = str(specimens["unit"].sel(parameter=parameter).item())
                choices[f"{parameter} [{unit}]"] = one
        choices["typicality"] = self.answer["typicality"]
        return choices

    def _paint(self) -> None:
        chosen = self._colours[self.colour.value]
        if chosen is None:
            groups = self.grouping
            self.map.paint(groups.best.astype(np.float64), "group", groups.names, groups.number)
            return
        values = chosen.values
        if values.dtype.kind == "f" or (values.dtype.kind in "iu" and len(np.unique(values)) > 12):
            self.map.paint(values.astype(np.float64), self.colour.value)
        else:
            kinds, places = np.unique(values.astype(str), return_inverse=True)
            self.map.paint(places.astype(np.float64), self.colour.value, kinds.tolist())

    def select(self, specimens: list[int]) -> None:
        """Select specimens, as the lasso does.

        Args:
            specimens: Their numbers; none clears the selection.
        """
        with self.guarded():
            chosen = sorted({int(k) for k in specimens})
            if chosen and not 0 <= chosen[0] <= chosen[-1] < len(self.names):
                raise OptionError(f"specimens are numbered 0 to {len(self.names) - 1}, got {chosen[0]} to {chosen[-1]}")
            self.selection = self.picked = chosen
            self.map.selection = chosen
            shown = [str(self.names[k]) for k in chosen[:3]]
            more = f" and {len(chosen) - 3} more" if len(chosen) > 3 else ""
            self.say(f"{len(chosen)} selected: {', '.join(shown)}{more}" if chosen else f"{len(self.names)} specimens")
            self._show_pictures()
            if self.refit is not None:
                self.refit.show(chosen, self.grouping)

    def select_group(self, name: str) -> None:
        """Select the specimens of a group.

        Args:
            name: Name of the group.
        """
        self.select(np.flatnonzero(self.grouping.best == self.grouping.place(name)).tolist())

    def _show_pictures(self) -> None:
        chosen = self.selection[:_PICTURES]
        titles = [self.names[k] for k in chosen]
        names = image_names(self.data) if chosen else []
        parts = [pictures_html(self.data[name].isel(specimen=chosen), titles) for name in names]
        rest = len(self.selection) - len(chosen)
        self.pictures.value = "".join(parts) + (f"<small>and {rest} more</small>" if parts and rest else "")

    # ---------------------------------------------------------------- the groups

    def _change(self, to: Grouping) -> Grouping:
        self._earlier.append(self.grouping)
        self._later.clear()
        return self._set(to)

    def _set(self, to: Grouping) -> Grouping:
        self.grouping = to
        self._regrouped()
        self.revision += 1
        return to

    def _regrouped(self) -> None:
        names, kept = self.grouping.names, self.target.value
        self.target.options = self.other.options = names
        self.target.value = kept if kept in names else names[0]
        self.other.value = next((name for name in names if name != self.target.value), names[0])
        self.undo_button.disabled, self.redo_button.disabled = not self._earlier, not self._later
        self._paint()
        self._retabulate()
        if self.refit is not None:
            self.refit.show(self.selection or [], self.grouping)

    def _retabulate(self, _: object = None) -> None:
        self.table.value = self._table()

    def _reset(self) -> None:
        self.refit.reset()
        self._retabulate()

    def _table(self) -> str:
        """Write groups, their notes and parameters: of the fit for untouched clusters, of the last refit for others."""
        weight = self.grouping.responsibilities.sum(0)
        physics = self.refit.table(self.grouping) if self.refit is not None else [[] for _ in weight]
        head = "".join(
            f"<th>{escape(h)}</th>" for h in ("group", "specimens", *(self.refit.heads if self.refit else ()), "")
        )
        rows = "".join(
            f'<tr><th><span style="color:{COLOURS[number % len(COLOURS)]}" aria-hidden="true">■ </span>'
            f"{escape(name)}</th>"
            f"{''.join(f'<td>{escape(cell)}</td>' for cell in (_count(w), *cells, note))}</tr>"
            for name, number, w, cells, note in zip(
                self.grouping.names, self.grouping.number, weight, physics, self.grouping.notes, strict=True
            )
        )
        return f"<table><tr>{head}</tr>{rows}</table>"

    def move(self, to: str) -> Grouping:
        """Move the selected specimens into a group.

        Args:
            to: Name of the group; a new name makes a new group.

        Raises:
            OptionError: If no specimens are selected.
        """
        return self._change(self.grouping.move(self.selection, to))

    def merge(self, first: str, second: str) -> Grouping:
        """Make one group of two, which keeps the name of the first."""
        return self._change(self.grouping.merge(first, second))

    def split(self, name: str) -> Grouping:
        """Divide a group in two, by the specimens' own parameters where they have any, else by their latent place.

        Args:
            name: Name of the group.

        Raises:
            OptionError: If fewer than four of its specimens can be told apart.
        """
        features = self.answer["posterior_mean"].values
        specimens = self.fit.specimens
        if self._of_training and specimens.sizes["parameter"]:
            own = specimens["value"].values
            features = own if np.isfinite(own).all(1).sum() >= 4 else features
        return self._change(self.grouping.split(name, features))

    def rename(self, old: str, new: str) -> Grouping:
        """Give a group another name."""
        return self._change(self.grouping.rename(old, new))

    def annotate(self, name: str, note: str) -> Grouping:
        """Say something of a group; it stands in the table and in what is exported."""
        return self._change(self.grouping.annotate(name, note))

    def undo(self) -> Grouping:
        """Take the last change back.

        Raises:
            OptionError: If there was none.
        """
        if not self._earlier:
            raise OptionError("there is nothing to undo")
        self._later.append(self.grouping)
        return self._set(self._earlier.pop())

    def redo(self) -> Grouping:
        """Make the change again that was taken back last.

        Raises:
            OptionError: If none was, or another was made since.
        """
        if not self._later:
            raise OptionError("there is nothing to do again")
        self._earlier.append(self.grouping)
        return self._set(self._later.pop())

    def edits(self) -> xr.Dataset | None:
        """Return the groups, where a person changed them."""
        return self.assignment() if self._earlier else None

    def take(self, edits: xr.Dataset) -> None:
        """Go on with groups that a person made of these specimens; undo shows the populations of the fit."""
        taken = Grouping.read(edits, self.names)
        self._change(taken.numbered_like(self.grouping.responsibilities))
        self.say("your groups are kept; Undo shows the populations of the fit")

    # ---------------------------------------------------------------- physics and export

    def offer(self, expert: pima.Expert) -> None:
        """Let a registered expert be chosen for the refits."""
        if self.refit is not None:
            self.refit.offer(expert)

    def refit_group(self, name: str) -> pima.Solution:
        """Fit the expert to a group, each specimen weighted by its responsibility.

        Args:
            name: Name of the group.
        """
        place = self.grouping.place(name)
        self.result = self.refit.fit(self.grouping.responsibilities[:, place], name)
        self._retabulate()
        return self.result

    def refit_selection(self) -> pima.Solution:
        """Fit the expert to the selected specimens.

        Raises:
            OptionError: If none are selected.
        """
        if not self.selection:
            raise OptionError("no specimens are selected: draw a lasso around some in the map, or click one")
        self.result = self.refit.fit(indicator(self.selection, len(self.names)), "the selection")
        return self.result

    def assignment(self) -> xr.Dataset:
        """Tabulate every specimen's group, note and responsibilities, with the coordinates of the data."""
        return self.grouping.table(self.data["specimen"])

    def export(self, path: str | Path) -> Path:
        """Write the selected specimens, or all if none are selected, to a file.

        Args:
            path: The file: ``.csv`` or ``.xlsx`` for the groups, ``.nc`` or ``.zarr`` for all data with the groups.

        Returns:
            The full path.

        Raises:
            OptionError: If the ending is none of these.
        """
        target = Path(path).expanduser().resolve()
        chosen = self.selection or list(range(len(self.names)))
        table = self.assignment().isel(specimen=chosen)
        if target.suffix in (".nc", ".zarr"):
            table = self.data.isel(specimen=chosen).assign_coords(group=table["group"], note=table["note"])
        (written,) = pima.runs.write_answer(table, target)
        self.say(f"{len(chosen)} specimens written to {written}")
        return written


def _count(weight: float) -> str:
    """Write a sum of responsibilities: as a whole number if it is one to two decimals, else with one decimal."""
    return f"{weight:.0f}" if abs(weight - round(weight)) < 0.005 else f"{weight:.1f}"
