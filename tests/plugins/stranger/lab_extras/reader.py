"""Curves as the machine for abrasion writes them: a line of names, then numbers between bars."""

import numpy as np

from pima_toolkit.ingest import ColumnReader, Columns


class Abrasion(ColumnReader):
    """Files ``.abr``: ``time [s]|depth [mm]``, then a row a line."""

    suffixes = (".abr",)

    def read(self, path, sheet=None):  # noqa: ARG002 - the format has no sheets
        head, *rows = path.read_text(encoding="utf-8").splitlines()
        names, units = zip(*(part.rstrip("]").split(" [") for part in head.split("|")), strict=True)
        return Columns(names, units, np.array([[float(cell) for cell in row.split("|")] for row in rows]))
