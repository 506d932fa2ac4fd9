"""Files out of the panels: a fit as one writer of the toolkit writes it, and the row that asks which and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import ipywidgets as ipw

from .panel import row

if TYPE_CHECKING:
    import xarray as xr

    from pima_toolkit import Fit

    from .panel import Panel

#: What can be saved of a fit -> the name that is proposed.
SAVES = {
    "everything": "results",
    "fit": "fit.pima",
    "report": "report.html",
    "tables (CSV)": "tables",
    "tables (Excel)": "tables",
    "figures (PNG)": "figures",
    "figures (SVG)": "figures",
    "figures (PDF)": "figures",
}
_EXPORTS = {
    "everything": {"formats": ("csv", "xlsx"), "figures": ("png", "svg", "pdf")},
    "tables (CSV)": {"formats": ("csv",), "figures": ()},
    "tables (Excel)": {"formats": ("xlsx",), "figures": ()},
    **{f"figures ({kind.upper()})": {"formats": (), "figures": (kind,)} for kind in ("png", "svg", "pdf")},
}


def write_fit(fit: Fit, data: xr.Dataset, kind: str, path: Path) -> list[Path]:
    """Write a fit, or a part of what it says.

    Args:
        fit: The fit.
        data: The specimens of its training; one that was stopped answers for none.
        kind: A key of :data:`SAVES`.
        path: The file, or for tables, figures and everything a folder.

    Returns:
        The files.

    Raises:
        PimaError: If a file cannot be written, or the data are not those of the training.
    """
    known = None if fit.interrupted else data
    if kind == "fit":
        return [fit.save(path)]
    if kind == "report":
        return [fit.save_report(path, known)]
    if kind != "everything":
        return fit.export(path, known, **_EXPORTS[kind])
    whole = [fit.save(path / SAVES["fit"]), fit.save_report(path / SAVES["report"], known)]
    return [*whole, *fit.export(path / "tables", known, **_EXPORTS[kind])]


class SaveRow(ipw.Box):
    """A row that asks what is to be saved, and where.

    Args:
        panel: Says what was written, and what went wrong.
        kinds: What can be saved -> the name that is proposed.
        write: Takes one of the kinds and a full path, and returns the files it has written.
    """

    def __init__(self, panel: Panel, kinds: Mapping[str, str], write: Callable[[str, Path], list[Path]]) -> None:
        self._panel, self._write = panel, write
        self.kind = ipw.Dropdown(options=list(kinds), description="save")
        self.path = ipw.Text(value=next(iter(kinds.values())), description="as")
        for box in (self.kind, self.path):
            box.layout.width = "240px"
        self.kind.observe(lambda change: setattr(self.path, "value", kinds[change["new"]]), "value")
        self.button = panel.button("Save", self.save, icon="save")
        like = row(self.kind, self.path, self.button)
        super().__init__(like.children, layout=like.layout)

    def save(self) -> list[Path]:
        """Write what is chosen to where it is typed.

        Raises:
            PimaError: If it cannot be written.
        """
        target = Path(self.path.value).expanduser().resolve()
        written = self._write(str(self.kind.value), target)
        self._panel.say(f"written: {written[0]}" if len(written) == 1 else f"{len(written)} files written to {target}")
        return written
