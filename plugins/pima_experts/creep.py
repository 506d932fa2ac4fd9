r"""Steady creep: strain rate against stress."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Norton(SympyExpert):
    r"""Power-law creep.

    .. math:: \dot\varepsilon = A \sigma^n

    Valid for: secondary creep by dislocations at moderate stress (n of 3 to 8) or by diffusion (n = 1).
    Source: Norton 1929, The Creep of Steel at High Temperatures (McGraw-Hill).
    """

    name, t, formula = "norton", "stress", "A * stress**n"
    parameters = (
        Parameter("A", unit="{y}/{t}**n", lower=0.0, description="rate at unit stress"),
        Parameter("n", lower=1.0, upper=20.0, description="stress exponent"),
    )
    example = Example(
        t=(20, 200), parameters={"A": 1e-19, "n": 5}, y="strain rate", y_unit="1/s", t_unit="MPa", log=True
    )


class Garofalo(SympyExpert):
    r"""Power-law creep at low stress, exponential at high stress.

    .. math:: \dot\varepsilon = A \sinh(\alpha \sigma)^n

    Valid for: secondary creep and hot working over many decades of rate, through power-law breakdown.
    Source: Garofalo 1963, Trans. AIME 227, 351.
    """

    name, t, formula = "garofalo", "stress", "A * sinh(alpha * stress)**n"
    parameters = (
        Parameter("A", unit="{y}", lower=0.0, log=True, description="rate where sinh is 1"),
        Parameter(
            "alpha", unit="1/{t}", lower=0.0, log=True, description="inverse of the stress of power-law breakdown"
        ),
        Parameter("n", lower=1.0, upper=10.0, description="stress exponent at low stress"),
    )
    example = Example(
        t=(5, 60), parameters={"A": 1e-4, "alpha": 0.04, "n": 4}, y="strain rate", y_unit="1/s", t_unit="MPa", log=True
    )
