"""The report of the conformance kit: every check with its outcome, a reason, and what to do."""

from __future__ import annotations

import html
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from ..errors import ExpertError


class Outcome(StrEnum):
    """How one check ended."""

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED = "expected failure"
    NOT_APPLICABLE = "not applicable"
    #: It applies but compared nothing, or was skipped from inside: never as good as passed.
    NOT_RUN = "not run"


@dataclass(frozen=True)
class CheckResult:
    """The result of one check of one expert.

    Args:
        check: Name of the check.
        outcome: How it ended.
        reason: Why, where it did not simply pass.
        advice: What to do, where there is something to do.
        compared: Numbers or declarations it compared.
        error: The exception, where there was one.
    """

    check: str
    outcome: Outcome
    reason: str = ""
    advice: str = ""
    compared: int = 0
    error: BaseException | None = None

    def __str__(self) -> str:
        parts = [f"{self.check}: {self.outcome}"]
        if self.reason:
            parts.append(self.reason)
        if self.advice and self.outcome in (Outcome.FAILED, Outcome.NOT_RUN):
            parts.append(f"do: {self.advice}")
        return " - ".join(parts)


@dataclass(frozen=True)
class Report:
    """The results of all checks of one expert.

    A battery that shrinks stays green unless somebody counts: ``passed`` wants every check that applies to have run,
    and to have compared something.

    Args:
        expert: Name of the expert.
        results: One per check of the kit, in its order.
    """

    expert: str
    results: tuple[CheckResult, ...]

    def of(self, outcome: Outcome) -> list[CheckResult]:
        """Return the results with one outcome."""
        return [result for result in self.results if result.outcome is outcome]

    @property
    def applicable(self) -> int:
        """How many checks apply to this expert."""
        return len(self.results) - len(self.of(Outcome.NOT_APPLICABLE))

    @property
    def ran(self) -> int:
        """How many of them ran."""
        return self.applicable - len(self.of(Outcome.NOT_RUN))

    @property
    def passed(self) -> bool:
        """Whether none failed, and all that apply ran."""
        return not self.of(Outcome.FAILED) and self.ran == self.applicable > 0

    def raise_for_failures(self) -> Report:
        """Return the report where it passed.

        Raises:
            ExpertError: Where it did not, with the failures.
        """
        if not self.passed:
            raise ExpertError(str(self))
        return self

    def _head(self) -> str:
        counts = Counter(result.outcome for result in self.results)
        parts = ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])
        verdict = "conforms" if self.passed else "does not conform"
        return f"expert {self.expert!r} {verdict}: {self.ran} of {self.applicable} checks that apply ran; {parts}"

    def __str__(self) -> str:
        plain = [r for r in self.results if r.outcome is not Outcome.PASSED]
        return "\n".join([self._head(), *(f"  {result}" for result in plain)])

    def _repr_html_(self) -> str:
        rows = ""
        for r in self.results:
            cells = r.check, r.outcome, r.reason, r.advice if r.outcome in (Outcome.FAILED, Outcome.NOT_RUN) else ""
            rows += f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        heads = "".join(f"<th>{head}</th>" for head in ("check", "outcome", "why", "what to do"))
        return f"<table><caption>{html.escape(self._head())}</caption><tr>{heads}</tr>{rows}</table>"
