"""The section on how the fit was made, for who wants to make it again."""

from __future__ import annotations

from ..findings import Findings
from ..page import Section, Table


def making(findings: Findings) -> Section:
    """List versions, time, data, options and settings."""
    words = ["The same data, options, seed, versions and machine give the same numbers."]
    return Section("How it was made", words, [Table(["", ""], [list(row) for row in findings.made])])
