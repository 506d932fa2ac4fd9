"""Straight lines."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Proportional(SympyExpert):
    """A line through the origin, y = slope t.

    ======== =========== ======== ========================
    name     unit        bounds   meaning
    ======== =========== ======== ========================
    slope    {y}/{t}     none     change of y per t
    ======== =========== ======== ========================

    Valid for: the first, elastic part of a curve; the lines of Trask et al. 2022, §3.1.
    """

    name, t, formula = "proportional", "t", "slope * t"
    parameters = (Parameter("slope", unit="{y}/{t}", description="change of y per t"),)
    example = Example(t=(0, 1), parameters={"slope": 3})


class Affine(SympyExpert):
    """A line, y = slope t + intercept.

    ========= =========== ======== ========================
    name      unit        bounds   meaning
    ========= =========== ======== ========================
    slope     {y}/{t}     none     change of y per t
    intercept {y}         none     y at t = 0
    ========= =========== ======== ========================

    Valid for: anything close to linear over the measured range.
    """

    name, t, formula = "affine", "t", "slope * t + intercept"
    parameters = (
        Parameter("slope", unit="{y}/{t}", description="change of y per t"),
        Parameter("intercept", unit="{y}", description="y at t = 0"),
    )
    example = Example(t=(0, 1), parameters={"slope": 3, "intercept": -1})
