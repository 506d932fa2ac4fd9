"""Every check finds the expert that is broken in its way, and none of the others does."""

import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError
from pima_toolkit.testing import CHECKS, CheckResult, Outcome, Report, check_expert, conformance
from pima_toolkit.testing.conformance import Check, ConformanceCase, with_expectation

from .broken_experts import BROKEN, Sound
from .torch_experts import Cooling, Detached, Unbatched

# A broken expert may overflow on its way to being found.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def test_the_sound_one_passes_and_every_check_has_its_broken_one():
    report = check_expert(Sound)
    assert report.passed, str(report)
    assert {r.check: r.reason for r in report.of(Outcome.NOT_APPLICABLE)} == {"covariates": "it declares no covariates"}
    assert report.ran == report.applicable == len(CHECKS) - 2  # covariates; the thorough one
    assert all(r.compared > 0 for r in report.of(Outcome.PASSED))
    assert set(BROKEN) == {check.name for check in CHECKS}
    assert all(check.question.endswith(".") and check.advice for check in CHECKS)


@pytest.mark.parametrize("name", BROKEN)
def test_only_its_check_finds_the_broken_expert(name):
    thorough = next(check for check in CHECKS if check.name == name).thorough
    report = check_expert(BROKEN[name], thorough=thorough)
    failed = report.of(Outcome.FAILED)
    assert [r.check for r in failed] == [name], str(report)
    assert failed[0].reason
    assert failed[0].advice in str(report)
    assert not report.passed
    # Without a usable example nothing else can be asked, and that is counted.
    assert len(report.of(Outcome.NOT_RUN)) == (report.applicable - 1 if name == "example" else 0)


def test_a_differential_equation_conforms():
    report = check_expert(Cooling)
    assert report.passed, str(report)
    assert {r.check for r in report.of(Outcome.NOT_APPLICABLE)} == {
        *("linear_parameters", "covariates", "torch_equals_compiled", "jacobian_equals_torch")
    }
    assert report.ran == report.applicable == len(CHECKS) - 5  # these; the thorough one


@pytest.mark.parametrize(
    ("expert", "check"), [(Detached, "jacobian_equals_differences"), (Unbatched, "shapes"), (Unbatched, "vmap")]
)
def test_a_differential_equation_that_is_broken_is_found(expert, check):
    (broken,) = (c for c in CHECKS if c.name == check)
    result = ConformanceCase(expert()).run(broken)
    assert result.outcome is Outcome.FAILED
    assert result.reason


def test_an_expected_failure_is_none_and_one_that_passes_is():
    expected = {"vmap": "it asks for numbers"}
    report = check_expert(BROKEN["vmap"], expected_failures=expected)
    assert report.passed
    (result,) = report.of(Outcome.EXPECTED)
    assert result.reason.startswith("it asks for numbers (RuntimeError: vmap")
    report = check_expert(Sound, expected_failures=expected)
    (failed,) = report.of(Outcome.FAILED)
    assert "was expected to fail (it asks for numbers) but is passed" in failed.reason
    assert not report.passed
    stale = with_expectation(CheckResult("covariates", Outcome.NOT_APPLICABLE, "none"), "why")
    assert stale.outcome is Outcome.FAILED


@pytest.mark.parametrize(
    ("expected", "words"),
    [({"vmpa": "a slip"}, "'vmpa', which is no check: use docstring"), ({"vmap": " "}, "no reason for 'vmap'")],
)
def test_expected_failures_are_of_checks_and_have_reasons(expected, words):
    with pytest.raises(OptionError, match=words):
        check_expert(Sound, expected_failures=expected)


def test_a_check_that_compares_nothing_or_is_skipped_from_inside_has_not_run(monkeypatch):
    def nothing(case):
        return 0

    def skips(case):
        pytest.skip("not today")

    def leaves(case):
        raise SystemExit

    monkeypatch.setattr(conformance, "CHECKS", tuple(Check(f, "advice") for f in (nothing, skips)))
    report = check_expert(Sound)
    assert [r.outcome for r in report.results] == [Outcome.NOT_RUN] * 2
    assert (report.ran, report.applicable, report.passed) == (0, 2, False)
    assert "0 of 2 checks that apply ran" in str(report)
    assert ConformanceCase(Sound()).run(Check(leaves, "advice")).outcome is Outcome.FAILED


def test_a_report_without_checks_is_not_passed():
    assert not Report("x", ()).passed


def test_ctrl_c_stops():
    def stop(case):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ConformanceCase(Sound()).run(Check(stop, "advice"))


def test_a_report_reads_well_and_raises_on_demand():
    good, bad = check_expert(Sound), check_expert(BROKEN["docstring"])
    assert good.raise_for_failures() is good
    with pytest.raises(ExpertError, match=r"'sound' does not conform: 21 of 21 .*1 failed.*\n.*docstring: failed"):
        bad.raise_for_failures()
    assert "<td>docstring</td><td>failed</td>" in bad._repr_html_()


def test_what_is_no_expert_is_told():
    with pytest.raises(ExpertError, match="not an expert"):
        check_expert(int)


def test_an_example_that_cannot_be_made_is_told_once():
    report = check_expert(pima.SympyExpert("log(a * (t - 2))"))
    (failed,) = report.of(Outcome.FAILED)
    assert failed.check == "example"
    assert "not finite for t between" in failed.reason
