"""The section with the map of the latent space."""

from __future__ import annotations

from ..findings import Findings
from ..page import Picture, Section
from ..plots.plots import plot_latent


def latent_map(findings: Findings) -> Section | None:
    """Show where the training specimens lie; nothing without the training data."""
    answer = findings.answer
    if answer is None:
        return None
    words = "Each point is a specimen; specimens that look and behave alike lie together."
    figure = Picture(lambda: plot_latent(answer, findings.populations), "specimens in latent space")
    return Section("Latent map", [words], figures=[figure])
