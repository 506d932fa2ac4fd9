"""The section on what every report of a tension test has: E, Rp0.2, Rm, Ag and A of each measured curve."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from ...data import few, population_names
from ...units import value_with_error
from ..findings import Findings
from ..page import ROWS, Section, Table

_WORDS = (
    "From each measured curve, as ISO 6892-1 defines them: E is the slope from 10 to 40 % of Rp0.2, Rp0.2 the stress at"
    " a plastic strain of 0.2 %, Rm the largest stress, Ag and A the plastic strain at Rm and at fracture."
    " Of compression only E and Rp0.2 mean anything. “–” stands where a curve does not give a quantity; the reasons are"
    " below."
)


def tensile(findings: Findings) -> Section | None:
    """Show the quantities by population and by specimen, and why some are missing; nothing where none was had."""
    specimens = findings.specimens
    if "tensile_value" not in specimens or not np.isfinite(specimens["tensile_value"].values).any():
        return None
    value = specimens["tensile_value"].transpose("specimen", "tensile_quantity").values
    error = specimens["tensile_std_error"].transpose("specimen", "tensile_quantity").values
    about = specimens["tensile_about"].transpose("specimen", "tensile_quantity").values
    names = specimens["tensile_quantity"].values.astype(str).tolist()
    titles = [f"{n} [{u}]" for n, u in zip(names, specimens["tensile_unit"].values.tolist(), strict=True)]
    labels, clusters = specimens["specimen"].values, specimens["cluster"].values
    populations = population_names(specimens)
    section = Section("What every test report has", [_WORDS])
    section.tables.append(_by_population(titles, value, clusters, populations))
    rows = []
    for k in np.flatnonzero(np.isfinite(value).any(1))[:ROWS]:
        cells = [_cell(v, e) for v, e in zip(value[k], error[k], strict=True)]
        rows.append([str(labels[k]), *cells])
    more = max(int(np.isfinite(value).any(1).sum()) - ROWS, 0)
    lines = [f"each of the {len(rows) + more} specimens: fit.specimens, and the table test_report of fit.export"]
    section.tables.append(Table(["specimen", *titles], rows, more, lines))
    reasons = Table(["quantity", "specimens with it", "of the others"], [])
    for j, name in enumerate(names):
        there = np.isfinite(value[:, j])
        if not there.all():
            said = _reasons(about[~there, j].astype(str).tolist(), labels[~there].astype(str).tolist())
            reasons.rows.append([name, f"{there.sum()} of {there.size}", said])
    if reasons.rows:
        section.tables.append(reasons)
    return section


def _by_population(titles: list[str], value: np.ndarray, clusters: np.ndarray, names: list[str]) -> Table:
    table = Table(["mean ± standard deviation", *titles], [])
    for c in np.unique(clusters):
        mine = value[clusters == c]
        cells = []
        for column in mine.T:
            known = column[np.isfinite(column)]
            spread = f"{known.mean():.4g} ± {known.std(ddof=1):.2g} ({known.size})" if known.size > 1 else "–"
            cells.append(_cell(known[0], np.nan) + " (1)" if known.size == 1 else spread)
        table.rows.append([names[c] if c >= 0 else "of no population", *cells])
    return table


def _cell(value: float, error: float) -> str:
    if not np.isfinite(value):
        return "–"
    return value_with_error(value, error) if np.isfinite(error) else f"{value:.4g}"


def _reasons(reasons: list[str], labels: list[str]) -> str:
    """The reasons, alike but for their numbers, each with one in full and the specimens."""
    kinds = [re.sub(r"\d[\d.e+\-]*", "#", reason) for reason in reasons]
    said = []
    for kind, times in Counter(kinds).most_common(3):
        mine = [k for k, own in enumerate(kinds) if own == kind]
        said.append(f"{reasons[mine[0]]} ({times}: {few(labels[k] for k in mine)})")
    return "; ".join(said)
