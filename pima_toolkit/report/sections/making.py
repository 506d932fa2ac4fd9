"""The section on how the fit was made, for who wants to make it again."""

from __future__ import annotations

from ..findings import Findings
from ..page import Section, Table


def making(findings: Findings) -> Section:
    """Give the lines that make it again; list versions, time, data, options and settings."""
    how = findings.how
    installed = " ".join(f"{name}=={number.partition('+')[0]}" for name, number in how.versions.items())
    words = (
        "The same data, options, seed, versions and machine give the same numbers. A run is repeated by pima fit"
        " --options RUN/options.toml -o again, a fit by these lines, with the path of the data:"
    )
    rows = [list(row) for row in findings.made]
    program = f"# pip install {installed}\n{how.program}"
    return Section("How it was made", [words], [Table(["", ""], rows)], program=program)
