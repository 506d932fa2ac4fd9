"""The checks, one line each, and how they are run."""

from __future__ import annotations

import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..errors import ExpertError, OptionError
from ..experts import Expert, get_expert
from . import behaviour, declarations, fits, forms
from .case import Case, without_compiled_form
from .report import CheckResult, Outcome, Report


def _always(_: Expert) -> None:
    return None


@dataclass(frozen=True)
class Check:
    """One question to an expert.

    Args:
        function: Takes a case and returns how much it compared; raises where the answer is wrong.
        advice: What to do then.
        unless: Why the question does not apply to an expert, or None where it does.
        thorough: Whether it is slow and only asked on demand.
    """

    function: Callable[[Case], int]
    advice: str
    unless: Callable[[Expert], str | None] = _always
    thorough: bool = False

    @property
    def name(self) -> str:
        """Name of the check: that of its function."""
        return self.function.__name__

    @property
    def question(self) -> str:
        """The question in one line."""
        return (self.function.__doc__ or "").partition("\n")[0]


#: Every check; adding one is adding a line here, and a broken expert for it to the tests of the kit.
CHECKS = (
    Check(
        declarations.docstring,
        "write a docstring: what it is, 'Valid for:', a source",
        declarations.made_from_text,
    ),
    Check(declarations.parameters, "correct parameters, reported or bounds(): Parameter('K', unit='{y}', lower=0)"),
    Check(declarations.example, "give it example = Example(t=(first, last), parameters={...}) inside its bounds"),
    Check(
        declarations.reported_parameters,
        "let to_reported() return (..., Q), and reported_jacobian() its derivative (..., Q, P)",
    ),
    Check(
        declarations.linear_parameters,
        "leave out of linear what also moves a kink or multiplies another of them",
        declarations.not_linear,
    ),
    Check(
        declarations.json_round_trip, "let to_dict() hold only texts, numbers, lists and tables; keep no other state"
    ),
    Check(forms.shapes, "write predict with theta[..., i].unsqueeze(-1) against t, and keep the dtype of theta"),
    Check(
        forms.covariates,
        "take the inputs apart with experts.unpack(t, V), and leave out a covariate that does nothing",
        forms.without_covariates,
    ),
    Check(forms.torch_equals_compiled, "let both forms compute the same expression", without_compiled_form),
    Check(
        forms.jacobian_equals_torch,
        "correct the compiled derivative, or what cuts torch's (detach, numpy, round)",
        without_compiled_form,
    ),
    Check(forms.jacobian_equals_differences, "correct the derivative: both forms may share the same mistake"),
    Check(
        forms.finite_on_the_grid,
        "guard 0/0, log(0) and 0**n with torch.where on the argument as well as on the result, or begin the example"
        " where the law begins",
    ),
    Check(forms.finite_at_the_bounds, "narrow the bounds to where the law is defined", forms.without_bounds),
    Check(forms.vmap, "use torch operations only: no .item(), no `if` on values, nothing in place"),
    Check(behaviour.deterministic, "take out random numbers and state"),
    Check(behaviour.thread_safe, "keep intermediate results in local variables, not in the object"),
    Check(behaviour.no_global_random_state, "use numpy.random.default_rng(seed) or torch.Generator of your own"),
    Check(behaviour.inputs_unchanged, "copy before changing: np.array(t), theta.clone()"),
    Check(
        fits.guess_inside_bounds,
        "end guess() with self.bounds(t).clip(...), or write initial_guess() and leave guess()",
    ),
    Check(fits.zero_weights_ignored, "multiply by the weights wherever the data enter initial_guess()"),
    Check(fits.order_does_not_matter, "treat every row of initial_guess() by itself, and do not rely on their order"),
    Check(
        fits.recovers_its_parameters,
        "hold or remove a parameter the curve does not determine, choose an example that shows all of them, or write"
        " initial_guess()",
    ),
    Check(fits.usable_in_pima, "see the error: some form fails for many specimens at once", thorough=True),
)


class ConformanceCase:
    """An expert and its case, made when first needed; a case that cannot be made is told once.

    Args:
        expert: The expert.
    """

    def __init__(self, expert: Expert) -> None:
        self.expert = expert
        self._made: Case | BaseException | None = None

    def case(self) -> Case:
        """Return the case.

        Raises:
            Exception: Whatever making it raised, every time.
        """
        if self._made is None:
            try:
                self._made = Case(self.expert)
            except Exception as error:  # noqa: BLE001 - a stranger's bounds() or example: kept, and raised below
                self._made = error
        if isinstance(self._made, BaseException):
            raise self._made
        return self._made

    def run(self, check: Check) -> CheckResult:
        """Run one check; whatever an expert raises is in the result, only Ctrl-C gets out."""
        reason = check.unless(self.expert)
        if reason is not None:
            return CheckResult(check.name, Outcome.NOT_APPLICABLE, reason)
        try:
            case = self.case()
        except Exception as error:  # noqa: BLE001 - as above
            asks_for_it = check.function is declarations.example
            return CheckResult(
                check.name,
                Outcome.FAILED if asks_for_it else Outcome.NOT_RUN,
                _sentence(error) if asks_for_it else "there is no usable example: see the check 'example'",
                check.advice if asks_for_it else "",
                error=error,
            )
        try:
            compared = check.function(case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a stranger's code raises, pytest.skip and sys.exit too
            skipped = isinstance(error, unittest.SkipTest) or type(error).__name__ == "Skipped"
            return CheckResult(
                check.name,
                Outcome.NOT_RUN if skipped else Outcome.FAILED,
                f"skipped from inside: {error}" if skipped else _sentence(error),
                check.advice,
                error=error,
            )
        if not compared:
            return CheckResult(
                check.name, Outcome.NOT_RUN, "it found nothing to compare: no finite values", check.advice
            )
        return CheckResult(check.name, Outcome.PASSED, compared=compared)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, AssertionError | ExpertError) else f"{type(error).__name__}: {text}"[:500]


def with_expectation(result: CheckResult, expected: str | None) -> CheckResult:
    """Turn a failure that was expected into an expected one, and one that did not happen into a failure.

    Args:
        result: Result of the check.
        expected: Why it was expected to fail, or None.
    """
    if expected is None:
        return result
    if result.outcome is Outcome.FAILED:
        return CheckResult(result.check, Outcome.EXPECTED, f"{expected} ({result.reason})", error=result.error)
    return CheckResult(
        result.check,
        Outcome.FAILED,
        f"was expected to fail ({expected}) but is {result.outcome}",
        "take it out of expected_failures",
        result.compared,
    )


def checks_of(thorough: bool) -> tuple[Check, ...]:
    """Return the quick checks, or all of them."""
    return tuple(check for check in CHECKS if thorough or not check.thorough)


def check_expectations(expected: Mapping[str, str], thorough: bool) -> Mapping[str, str]:
    """Check a table of expected failures, and return it.

    Raises:
        OptionError: If one names no check of this level, or gives no reason.
    """
    names = [check.name for check in checks_of(thorough)]
    for name, reason in expected.items():
        if name not in names:
            raise OptionError(f"expected_failures names {name!r}, which is no check: use {', '.join(names)}")
        if not isinstance(reason, str) or not reason.strip():
            raise OptionError(f"expected_failures gives no reason for {name!r}: write why it may fail")
    return expected


def check_expert(
    expert: str | Expert | type[Expert],
    *,
    expected_failures: Mapping[str, str] | None = None,
    thorough: bool = False,
) -> Report:
    """Put an expert to every check.

    Args:
        expert: A name, an expert, or a class of one.
        expected_failures: Reasons by name of the checks that may fail; one that does not fail then is a failure.
        thorough: Also train a small model with it, seconds.

    Returns:
        The report: ``report.passed``, ``report.results``; ``report.raise_for_failures()`` in a program.

    Raises:
        ExpertError: If it is no expert at all.
        OptionError: If an expected failure names no check.
    """
    expected = check_expectations(expected_failures or {}, thorough)
    made = ConformanceCase(get_expert(expert))
    results = tuple(with_expectation(made.run(check), expected.get(check.name)) for check in checks_of(thorough))
    return Report(made.expert.name, results)
