"""Pytest items for the checks: one per expert and check, so that a failure has a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..errors import OptionError, require
from ..experts import Expert, get_expert
from .conformance import Check, ConformanceCase, check_expectations, checks_of, with_expectation
from .report import Outcome

Expected = Mapping[str, str] | Callable[[Expert], Mapping[str, str]]


class Item:
    """One check of one expert, called in a test as ``check(expert)``.

    Args:
        check: The check.
        case: The expert's case, shared by its checks.
        expected: Why it may fail, or None.
    """

    def __init__(self, check: Check, case: ConformanceCase, expected: str | None) -> None:
        self.check, self.case, self.expected = check, case, expected

    def __call__(self, expert: Expert) -> None:
        """Run it: fails, is an expected failure, is skipped as not applicable, or passes.

        Args:
            expert: The expert it was made for.
        """
        pytest = require("pytest", "conformance tests")
        case = self.case if expert is self.case.expert else ConformanceCase(expert)
        result = with_expectation(case.run(self.check), self.expected)
        if result.outcome is Outcome.NOT_APPLICABLE:
            pytest.skip(f"not applicable: {result.reason}")
        if result.outcome is Outcome.EXPECTED:
            pytest.xfail(result.reason)
        if result.outcome is not Outcome.PASSED:
            raise AssertionError(f"{expert.name}, {result}\n({self.check.question})") from result.error

    def __repr__(self) -> str:
        return self.check.name


def parametrize_with_checks(
    experts: Sequence[str | Expert | type[Expert]],
    *,
    expected_failures: Expected | None = None,
    thorough: bool = False,
) -> Callable:
    """Decorate ``def test_it_conforms(expert, check): check(expert)``: one test per expert and check.

    Args:
        experts: Names, experts, or classes.
        expected_failures: Reasons by name of the checks that may fail, for every expert, or a function from an expert
            to such a table; a check that does not fail although it is named there is a failure.
        thorough: Also train a small model with each, seconds.

    Returns:
        The decorator.

    Raises:
        ExpertError: If one is no expert at all.
        OptionError: If an expected failure names no check, or there are no experts.
    """
    pytest = require("pytest", "conformance tests")
    parameters = []
    for given in experts:
        expert = get_expert(given)
        table = expected_failures(expert) if callable(expected_failures) else expected_failures or {}
        table, case = check_expectations(table, thorough), ConformanceCase(expert)
        parameters += [
            pytest.param(expert, Item(check, case, table.get(check.name)), id=f"{expert.name}-{check.name}")
            for check in checks_of(thorough)
        ]
    if not parameters:
        raise OptionError("parametrize_with_checks was given no experts: a test of nothing would pass")
    return pytest.mark.parametrize(("expert", "check"), parameters)
