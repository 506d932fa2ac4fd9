"""The section on what was measured: the modalities, their laws, and the files that could not be used."""

from __future__ import annotations

from ...data import read_entries
from ..findings import Findings
from ..page import ROWS, Section, Table, TypesetLaw


def measured(findings: Findings) -> Section:
    """Describe each modality, how many specimens have it, and what became of the files."""
    table = Table(["modality", "kind", "described by", "size", "unit", "specimens with it"], [])
    words = ["These data are synthetic: generated, not measured."] if findings.synthetic else []
    formulas = []
    for name, modality in findings.modalities.items():
        network = modality.expert is None
        expert = f"the law {modality.expert}" + ("" if modality.origin is None else f" of {modality.origin}")
        unit = "–" if modality.unit == "1" else modality.unit
        present = f"{modality.present} of {findings.specimens.sizes['specimen']}"
        described = "a neural network" if network else expert
        table.rows.append([name, modality.kind, described, modality.size, unit, present])
        table.lines.append(
            f"{name} [{modality.unit}]: {modality.kind}, {'neural' if network else f'physics, {expert}'};"
            f" {modality.size}; {present} specimens have it"
        )
        if modality.law:
            formulas.append(TypesetLaw(name, modality.law, modality.latex, modality.mathml))
    section = Section("What was measured", words, [table], formulas=formulas)
    entries = [] if findings.data is None else read_entries(findings.data)
    if entries:
        used, rest = sum(e.status == "used" for e in entries), [e for e in entries if e.status == "unusable"]
        section.words.append(
            f"{used} files were read, {len(rest)} could not be used." if rest else f"{used} files were read."
        )
        rows = [[entry.file, entry.specimen or "–", entry.modality or "–", entry.note] for entry in rest[:ROWS]]
        if rows:
            head = ["file that could not be used", "specimen", "modality", "why"]
            section.tables.append(Table(head, rows, max(len(rest) - ROWS, 0)))
    return section
