"""A session in a folder: the fit made last, and what was made of it by hand, kept as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pima_toolkit as pima
from pima_toolkit.errors import OptionError

if TYPE_CHECKING:
    import xarray as xr

    from pima_toolkit import Fit


class Session:
    """Folder of a session: ``fit.pima``, and ``<name of a panel>.nc`` with what was edited there.

    Args:
        folder: Made when there is something to keep.

    Raises:
        OptionError: If no folder is named.
    """

    def __init__(self, folder: str | Path) -> None:
        if not str(folder).strip():
            raise OptionError("no folder was named: type one, such as my_session")
        self.folder = Path(folder).expanduser().resolve()

    def _edits_file(self, panel: str) -> Path:
        return self.folder / f"{panel}.nc"

    def fit(self) -> Fit | None:
        """Read the fit; None where none was kept."""
        file = self.folder / "fit.pima"
        return pima.load(file) if file.exists() else None

    def edits(self, panel: str) -> xr.Dataset | None:
        """Read what was edited in a panel; None where nothing was kept.

        Args:
            panel: Name of its class.
        """
        file = self._edits_file(panel)
        return pima.open_data(file) if file.exists() else None

    def keep_fit(self, fit: Fit) -> None:
        """Keep a fit in place of the one before."""
        fit.save(self.folder / "fit.pima")

    def keep_edits(self, panel: str, edits: xr.Dataset | None) -> None:
        """Keep what was edited in a panel; None where nothing is any more.

        Args:
            panel: Name of its class.
            edits: What :meth:`.panel.Panel.edits` returned.
        """
        if edits is None:
            self._edits_file(panel).unlink(missing_ok=True)
        else:
            pima.save_data(edits, self._edits_file(panel))
