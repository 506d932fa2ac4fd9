"""The report of a fit as one HTML file that needs nothing else: to read, to print, to send.

It has the sections of :func:`~pima_toolkit.report.text.text_report`, with figures kept inside the file. It opens
without a network and holds no script.
"""

from __future__ import annotations

from pathlib import Path

from ..data import count
from .findings import Findings
from .page import write_page
from .sections import sections_of


def save_report(findings: Findings, path: Path) -> Path:
    """Write the report as one HTML file, see :meth:`pima_toolkit.Fit.save_report`."""
    counts = ", ".join(
        (
            count(findings.specimens.sizes["specimen"], "specimen"),
            count(findings.populations.sizes["cluster"], "population"),
        )
    )
    return write_page(
        path,
        title=findings.title or "a PIMA fit",
        subtitle=counts + (" · synthetic data, generated, not measured" if findings.synthetic else ""),
        cautions=findings.cautions,
        sections=sections_of(findings),
    )
