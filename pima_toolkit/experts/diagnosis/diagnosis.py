"""A diagnosis: what speaks against a fit, each finding in one sentence with its evidence, its remedy and its figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from ...errors import ExpertError, require
from .checks import CHECKS, Look
from .curves import PopulationCurves
from .panels import draw_finding, draw_overview

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: Chance of any false alarm in a diagnosis of curves with which nothing is wrong.
LEVEL = 0.05


@dataclass(frozen=True)
class Finding:
    """One look at the curves, and what it gave.

    Args:
        name: What to ask for its figure by.
        title: What was looked at.
        population: Of which population; empty where there is one.
        sentence: What is wrong, or that nothing is.
        wrong: Whether chance does not explain it.
        evidence: -log10 of the probability of anything as odd in the whole diagnosis, were nothing wrong: 1.3 is 5 %,
            from which it is called wrong. NaN of a look that only describes.
        remedy: What to do, by arguments that exist; empty where there is nothing to do.
    """

    name: str
    title: str
    population: str
    sentence: str
    wrong: bool
    evidence: float
    remedy: str

    def __str__(self) -> str:
        where = f"{self.population}: " if self.population else ""
        return f"{where}{self.sentence}" + (f" What helps: {self.remedy}." if self.remedy else "")


@dataclass(frozen=True)
class Diagnosis:
    """What a diagnosis found, worst first.

    Args:
        findings: All looks at all populations.
        curves: What was looked at, by population.
    """

    findings: tuple[Finding, ...]
    curves: dict[str, PopulationCurves]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings that chance does not explain."""
        return tuple(finding for finding in self.findings if finding.wrong)

    @property
    def evidence(self) -> float:
        """The strongest evidence that something is wrong, as in :class:`Finding`."""
        return max((f.evidence for f in self.findings if np.isfinite(f.evidence)), default=0.0)

    def __getitem__(self, name: str) -> Finding:
        """The finding of a name; of several populations the worst."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise ExpertError(f"a diagnosis has no finding {name!r}: use {', '.join(CHECKS)}")

    def to_dataframe(self) -> pd.DataFrame:
        """The findings as a table of pandas, a row each."""
        columns = ("population", "name", "wrong", "evidence", "sentence", "remedy")
        rows = [[getattr(finding, column) for column in columns] for finding in self.findings]
        return require("pandas", "tables").DataFrame(rows, columns=list(columns))

    def plot(self, name: str | None = None, population: str | None = None) -> Figure:
        """Draw one finding, or all of a population, each under its sentence.

        Args:
            name: Of the finding; all of them by default.
            population: Which; by default the one where that, or anything, is worst.

        Raises:
            ExpertError: If there is no such finding or population.
        """
        finding = self.findings[0] if name is None else self[name]
        label = finding.population if population is None else population
        if label not in self.curves:
            raise ExpertError(f"there is no population {label!r}: use {', '.join(map(repr, self.curves))}")
        told = {f.name: f for f in self.findings if f.population == label}
        if name is not None:
            return draw_finding(self.curves[label], name, _words(told[name]))
        words = {key: (_words(told[key]), told[key].wrong) for key in CHECKS}
        return draw_overview(self.curves[label], words)

    def __str__(self) -> str:
        wrong = self.wrong
        head = "Nothing was found that speaks against this fit." if not wrong else f"{len(wrong)} things are wrong:"
        lines = [head, *(f"- {finding}" for finding in wrong)]
        also = [f for f in self.findings if not f.wrong and f.remedy]
        return "\n".join([*lines, *(["Also to know:"] if also else []), *(f"- {finding}" for finding in also)])

    def __repr__(self) -> str:
        return f"<Diagnosis: {len(self.wrong)} of {len(self.findings)} findings are wrong>\n{self}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{escape(' '.join(filter(None, (f.population, f.title))))}</th>"
            f"<td>{'<b>' if f.wrong else ''}{escape(f.sentence)}{'</b>' if f.wrong else ''}</td>"
            f"<td>{f'{f.evidence:.1f}' if np.isfinite(f.evidence) else ''}</td><td>{escape(f.remedy)}</td></tr>"
            for f in self.findings
        )
        head = "<tr><th></th><th>what was found</th><th>evidence</th><th>remedy</th></tr>"
        return f"<table><caption>{escape(str(self).splitlines()[0])}</caption>{head}{rows}</table>"


def _words(finding: Finding) -> str:
    return f"{finding.title}: {finding.sentence}"


def diagnose(populations: Iterable[PopulationCurves]) -> Diagnosis:
    """Look at every population in every way; chance is allowed for by Holm's method over all looks.

    Raises:
        ExpertError: If there is no population with more points than parameters.
    """
    curves = {one.label: one for one in populations}
    if not curves:
        raise ExpertError("there is nothing to diagnose: no curve has more points than the law has parameters")
    looked = [(name, label, check(one)) for label, one in curves.items() for name, (_, check) in CHECKS.items()]
    adjusted = _holm([check.log_p for _, _, check in looked])
    found = [_finding(*parts, value) for parts, value in zip(looked, adjusted, strict=True)]
    found.sort(key=lambda one: (not one.wrong, -np.nan_to_num(one.evidence), not one.remedy))
    return Diagnosis(tuple(found), curves)


def _finding(name: str, label: str, check: Look, log_p: float) -> Finding:
    describes = check.log_p is None
    wrong = not describes and bool(log_p < np.log10(LEVEL))
    odd = wrong or check.told
    words = check.wrong if odd else check.right
    sentence = f"{words[:1].upper()}{words[1:]}".rstrip(".") + "."
    evidence = np.nan if describes else abs(float(log_p))
    return Finding(name, CHECKS[name][0], label, sentence, wrong, evidence, check.remedy if odd else "")


def _holm(logs: Sequence[float | None]) -> list[float]:
    """Log10 of p-values adjusted by Holm's method, at most 0; what only describes is not counted."""
    tested = [k for k, value in enumerate(logs) if value is not None]
    out, highest = [0.0] * len(logs), -np.inf
    for rank, k in enumerate(sorted(tested, key=lambda k: logs[k] or 0.0)):
        highest = max(highest, (logs[k] or 0.0) + float(np.log10(len(tested) - rank)))
        out[k] = min(highest, 0.0)
    return out
