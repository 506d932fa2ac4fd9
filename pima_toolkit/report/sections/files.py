"""The section on how the files were read: the account of the folder, file by file."""

from __future__ import annotations

from ...data import read_files
from ..findings import Findings
from ..page import ROWS, Section, Table


def files(findings: Findings) -> Section | None:
    """Tell of each file which lines and columns were read, in which units, and what was done; nothing without files."""
    entries = None if findings.data is None else read_files(findings.data)
    if not entries:
        return None
    table = Table(["file", "what was read", "units, before and after", "points", "what was done"], [])
    for entry in entries[:ROWS]:
        told = entry.details
        if not told:
            table.rows.append([entry.file, entry.modality or "table of settings", "–", "–", entry.note or "–"])
            continue
        where = f"{entry.specimen}: {told['y']} against {told['x']}" + (f", {told['place']}" if told["place"] else "")
        units = "; ".join(
            f"{told[f'{axis}_unit'] or 'none'} → {told[f'{axis}_unit_after'] or 'none'}" for axis in ("y", "x")
        )
        kept = f"{told['points_kept']} of {told['points_read']}"
        table.rows.append([entry.file, where, units, kept, entry.note or "–"])
    table.more = max(len(entries) - ROWS, 0)
    words = "What became of every file is in the table “files” of the exported tables, and in pima.reading_log(data)."
    return Section("How the files were read", [words], [table])
