"""Straight lines."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Proportional(SympyExpert):
    r"""A line through the origin.

    .. math:: y = s\, t

    Valid for: the first, elastic part of a curve.
    Source: Hooke 1678, De potentia restitutiva; the lines of Trask et al. 2022, §3.1.
    """

    name, t, formula = "proportional", "t", "slope * t"
    parameters = (Parameter("slope", unit="{y}/{t}", description="change of y per t"),)
    example = Example(t=(0, 1), parameters={"slope": 3})


class Affine(SympyExpert):
    r"""A line.

    .. math:: y = s\, t + c

    Valid for: anything close to linear over the measured range.
    Source: Trask et al. 2022, §3.1.
    """

    name, t, formula = "affine", "t", "slope * t + intercept"
    parameters = (
        Parameter("slope", unit="{y}/{t}", description="change of y per t"),
        Parameter("intercept", unit="{y}", description="y at t = 0"),
    )
    example = Example(t=(0, 1), parameters={"slope": 3, "intercept": -1})
