"""The section on how far to trust the fit."""

from __future__ import annotations

import numpy as np

from ...data import population_names
from ..findings import Findings
from ..page import ROWS, Picture, Section, Table
from ..plots.plots import plot_history


def trust(findings: Findings) -> Section:
    """Tell how sure the populations are, how far restarts agree, what bands hold, and which specimens are odd."""
    gamma = findings.specimens["responsibilities"].values
    best = gamma.max(1)
    sure = int((best >= findings.sure).sum())
    words = (
        f"{sure} of {len(best)} specimens belong to one population with at least {100 * findings.sure:.0f} %"
        " probability, given all that was measured of them."
    )
    section = Section("How far to trust it", [words, findings.restarts])
    for name in findings.physics:
        section.words.append(
            f"Bands of {name}: the model's own 90 % band held {100 * findings.modalities[name].band:.1f} % of the"
            " training points; the bands shown are recalibrated so that they hold what they say there. On specimens"
            " unlike the training ones they may hold less."
        )
    labels = findings.specimens["specimen"].values
    doubt = np.argsort(best, kind="stable")[: int((best < findings.sure).sum())]
    if len(doubt):
        rows = [[str(labels[d]), *(f"{100 * g:.0f} %" for g in gamma[d])] for d in doubt[:ROWS]]
        head = ["specimens in doubt", *population_names(findings.specimens)]
        section.tables.append(Table(head, rows, max(len(doubt) - ROWS, 0)))
    if findings.answer is not None:
        strange = np.flatnonzero(findings.answer["out_of_population"].values)
        typicality = findings.answer["typicality"].values
        rows = [[str(labels[d]), f"{float(typicality[d]):.1e}"] for d in strange[:ROWS]]
        if rows:
            head = ["specimens unlike every population", "typicality"]
            section.tables.append(Table(head, rows, max(len(strange) - ROWS, 0)))
        else:
            section.words.append("No training specimen is unlike every population.")
    epochs = findings.history.sizes["epoch"]
    if epochs:
        elbo = float(findings.history["elbo"][-1])
        section.words.append(f"Training ended after {epochs} epochs at an ELBO of {elbo:.5g} nats per specimen.")
        words = "how the training went, epoch by epoch"
        section.figures.append(Picture(lambda: plot_history(findings.history), words))
    return section
