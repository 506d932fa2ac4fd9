"""The section on how the files were read: the account of the folder, file by file."""

from __future__ import annotations

from ...data import read_entries, what_was_read
from ..findings import Findings
from ..page import ROWS, Section, Table


def files(findings: Findings) -> Section | None:
    """Tell of each file which lines and columns were read, in which units, and what was done; nothing without files."""
    entries = [] if findings.data is None else [e for e in read_entries(findings.data) if e.status == "used"]
    if not entries:
        return None
    table = Table(["file", "what was read", "what was done"], [])
    for entry in entries[:ROWS]:
        read = what_was_read(entry) or entry.modality or "table of settings"
        table.rows.append([entry.file, read, entry.note or "–"])
    table.more = max(len(entries) - ROWS, 0)
    words = "What became of every file is in the table “files” of the exported tables, and in pima.reading_log(data)."
    return Section("How the files were read", [words], [table])
