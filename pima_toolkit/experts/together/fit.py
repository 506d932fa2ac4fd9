"""Fit several tests of one material with parameters in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import ArrayLike

from ...errors import ExpertError, OptionError, ShapeError
from ..contract.inputs import Inputs, variable
from ..kinds.expert import Expert
from ..noise.base import CurveNoise
from ..noise.blocks import BlockMisfit, BlockNoise
from ..noise.misfit import MisfitNoise
from ..noise.robust import RobustNoise
from ..noise.table import noise_named
from ..registry import get_expert
from ..regression.fit import fit, names_given, precision, read_curves, units_given
from ..regression.priors import Given
from ..regression.solution import Solution
from .joined import JoinedLaw, TestCurve
from .solution import TogetherSolution

#: A test as a person gives it: its law or the name of it, its inputs, and what was measured.
Test = tuple[str | Expert | type[Expert], Inputs, ArrayLike]


def fit_together(
    tests: Mapping[str, Test],
    share: Sequence[str] | None = None,
    *,
    noise: str | CurveNoise = "constant",
    noise_std: Mapping[str, ArrayLike] | None = None,
    start: ArrayLike | Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    priors: Given | None = None,
) -> TogetherSolution:
    """Fit several tests of one material, each with its own law, with one set of parameters.

    Every test weighs by its noise, which is learned from it, and not by its number of points or the size of its curve.
    A parameter that is not shared is each test's own, ``E`` of the test ``tension`` is ``E_tension``.

    Args:
        tests: By name: the law, an expert or its name; its inputs, as ``expert.fit`` takes them; and the curve (T,).
        share: Fitted parameters that all tests have in common; by default those whose names two laws have.
        noise: How points scatter about their curve, of each test with numbers of its own: ``"constant"``,
            ``"proportional"``, ``"autocorrelated"`` or ``"misfit"``.
        noise_std: Known standard deviation of the noise of every test, by its name: a number, or one per point.
        start: Fitted parameters to start from, by name or as an array.
        fixed: Fitted parameters to hold, by name.
        priors: Mean and standard deviation of parameters, by name.

    Returns:
        The parameters with intervals, as of one curve, and :attr:`~TogetherSolution.conflict`: whether the tests agree.

    Raises:
        ExpertError: If there are fewer than two tests, too little to fit, or nothing that could be shared.
        ShapeError: If the arrays of a test do not fit together.
        OptionError: If the noise is none of these, or not that of every test.
    """
    if not isinstance(tests, Mapping) or len(tests) < 2:
        raise ExpertError(
            'fit_together needs two tests at least, by name: {"tension": (law, strain, stress), "shear": (...)}; one'
            " curve is fitted by expert.fit"
        )
    if noise_std is not None and (noise != "constant" or set(noise_std) != set(tests)):
        raise OptionError(
            f"noise_std must name every test ({', '.join(map(repr, tests))}) and nothing else, and goes with"
            ' noise="constant" only: it says how the points scatter'
        )
    kind = noise_named(noise)
    if isinstance(kind, RobustNoise):
        raise OptionError(
            f'noise={kind.name!r} cannot be weighed between tests: use "constant", "proportional", "autocorrelated" or'
            ' "misfit"'
        )
    curves = [_read_test(str(name), test, (noise_std or {}).get(name)) for name, test in tests.items()]
    law = JoinedLaw(curves, _shared(curves, share))
    y = np.concatenate([test.y for test in curves])
    options = {"start": start, "fixed": fixed, "priors": priors}
    if noise_std is None:
        own = (BlockMisfit if isinstance(kind, MisfitNoise) else BlockNoise).of(
            kind, law.tests, tuple(test.y.size for test in curves)
        )
        weights = np.concatenate([np.full(test.y.size, test.size**-2) for test in curves])
        found = fit(law, law.joined(curves), y, weights, noise=own, **options)
    else:
        std = np.concatenate([test.noise_std for test in curves if test.noise_std is not None])
        found = fit(law, law.joined(curves), y, None, noise_std=std, **options)
    of_one_curve = {field.name: getattr(found, field.name) for field in fields(Solution)}

    def refit(kept: Sequence[str]) -> TogetherSolution:
        known = None if noise_std is None else {name: noise_std[name] for name in kept}
        left = [test for test in curves if test.name in kept]
        owners = [p.name for test in left for p in test.law.parameters]
        common = [name for name in law.share if owners.count(name) > 1]
        options = {"noise": noise, "noise_std": known, "fixed": fixed, "priors": priors}
        return fit_together({name: test for name, test in tests.items() if str(name) in kept}, common, **options)

    return TogetherSolution(**of_one_curve, tests=tuple(curves), kind=kind, refit=refit)


def _read_test(name: str, test: Test, noise_std: ArrayLike | None) -> TestCurve:
    """A test, checked."""
    if not isinstance(test, Sequence) or isinstance(test, str) or len(test) != 3:
        raise ExpertError(f"test {name!r} must be a law, its inputs and a curve: (law, strain, stress)")
    law, x, measured = get_expert(test[0]), test[1], test[2]
    try:
        y, t = read_curves(law, x, measured)
        if len(y) > 1 or t.ndim != 1 or variable(law, t).shape != y.shape[1:]:
            raise ShapeError(
                f"y has the shape {np.shape(measured)} and {law.t} {np.shape(variable(law, t))}: expected one curve,"
                " (T,) each; give every specimen as a test of its own, or their mean"
            )
        if not np.isfinite(t).all() or np.isinf(y).any() or not np.isfinite(y).any():
            raise ExpertError("values are missing or infinite: only y may hold NaN, where nothing was measured")
        units = units_given(law, x, measured, None, None)
        law.check_units(variable(law, t), {law.t: units["t_unit"]}, units["y_unit"])
        law.check_quantity(*names_given(law, x, measured), stacklevel=4)
        known = None if noise_std is None else precision(noise_std, y.shape)[0] ** -0.5
    except (ExpertError, ShapeError) as error:
        raise type(error)(f"test {name!r}: {error}") from error
    return TestCurve(name, law, t, y[0], **units, noise_std=known)


def _shared(tests: Sequence[TestCurve], share: Sequence[str] | None) -> tuple[str, ...]:
    """The names to be shared, checked."""
    if isinstance(share, str):
        raise ExpertError(f"share must be a list of names: [{share!r}]")
    if share is not None:
        return tuple(dict.fromkeys(share))
    every = [p.name for test in tests for p in test.law.parameters]
    common = tuple(name for name in dict.fromkeys(every) if every.count(name) > 1)
    if not common:
        raise ExpertError(
            f"the tests have no parameter of one name to share ({', '.join(dict.fromkeys(every))}): call what is the"
            " same alike, or fit each test by itself"
        )
    return common
