"""The report of a fit in words, with the sections of the HTML report, without its figures."""

from __future__ import annotations

from collections.abc import Iterator

from ..data import count
from .findings import Findings
from .page import Section, Table
from .sections import sections_of


def text_report(findings: Findings) -> str:
    """Write the report as text, see :meth:`pima_toolkit.Fit.report`; what to be careful about stands at its end."""
    lines = ["PIMA fit" + (f" of {findings.title}" if findings.title else "")]
    if findings.synthetic:
        lines.append("(synthetic data, generated, not measured)")
    sizes = findings.populations.sizes
    lines.append(
        f"{count(findings.specimens.sizes['specimen'], 'specimen')}, {count(sizes['cluster'], 'population')},"
        f" {count(sizes['latent'], 'latent dimension')}, seed {findings.seed}, {findings.seconds:.0f} s on"
        f" {findings.device}"
    )
    epochs = findings.history.sizes["epoch"]
    if epochs:
        lines.append(f"ELBO {float(findings.history['elbo'][-1]):.5g} nats per specimen after {epochs} epochs")
    for section in sections_of(findings):
        lines += _section(section)
    return "\n".join([*lines, "", *findings.cautions])


def _section(section: Section) -> Iterator[str]:
    """Lines of a section and of the sections within it, each after an empty line."""
    yield ""
    yield section.title
    yield from section.words
    for formula in section.formulas:
        yield from (formula.typed, f"LaTeX: {formula.latex}")
    yield from (f"  {line}".rstrip() for line in section.program.splitlines())
    for table in section.tables:
        yield from (f"  {line}" for line in table.lines or _columns(table))
        if table.more:
            yield f"  and {table.more} more"
    for part in section.parts:
        yield from _section(part)


def _columns(table: Table) -> Iterator[str]:
    """Rows with their columns side by side, the names of the columns above them where they have any."""
    rows = [table.head, *table.rows] if any(table.head) else table.rows
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
