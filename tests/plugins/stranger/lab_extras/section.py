"""A section of the report."""

from pima_toolkit.report import Findings, Section


def wear(findings: Findings) -> Section | None:
    return Section("Wear of the grips", [f"{findings.specimens.sizes['specimen']} specimens and no scratch."])
