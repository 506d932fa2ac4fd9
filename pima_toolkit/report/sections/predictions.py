"""The section on new specimens: what they are, and what is predicted of them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ...data import population_names
from ..findings import Findings
from ..page import ROWS, Picture, Section, Table
from ..plots.plots import plot_curves, plot_prediction


def predictions(findings: Findings) -> Section | None:
    """Give the population and the remark of each new specimen, and their curves; nothing where there are none."""
    answer = findings.predictions
    if answer is None:
        return None
    head = ["specimen", *population_names(answer), "typicality", "remark"]
    table = Table(head, [], max(answer.sizes["specimen"] - ROWS, 0))
    for d in range(min(answer.sizes["specimen"], ROWS)):
        one = answer.isel(specimen=d)
        numbers = [f"{100 * float(g):.0f} %" for g in one["responsibilities"].values]
        numbers.append(f"{float(one['typicality']):.2g}")
        known = np.isfinite(one["typicality"].item())
        table.rows.append(
            [str(one["specimen"].item()), *(numbers if known else ["–"] * len(numbers)), str(one["remark"].item())]
        )
    section = Section(f"Predictions for {answer.sizes['specimen']} new specimens", tables=[table])
    section.figures += [_curves(findings, answer, name) for name in findings.curves]
    return section


def _curves(findings: Findings, answer: xr.Dataset, name: str) -> Picture:
    new, words = findings.new, f"{name} of the new specimens"
    if new is not None and name in new:
        return Picture(lambda: plot_prediction(new, answer, name), words)
    return Picture(lambda: plot_curves(answer, findings.populations, name), words)
