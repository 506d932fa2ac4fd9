r"""Adsorption at one temperature."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Langmuir(SympyExpert):
    r"""One layer on equal sites.

    .. math:: q = \frac{q_m K p}{1 + K p}

    Valid for: adsorption up to one layer on equal, independent sites.
    Source: Langmuir 1918, J. Am. Chem. Soc. 40, 1361.
    """

    name, t, formula = "langmuir", "pressure", "q_m * K * pressure / (1 + K * pressure)"
    parameters = (
        Parameter("q_m", unit="{y}", lower=0.0, description="amount in a full layer"),
        Parameter("K", unit="1/{t}", lower=0.0, description="equilibrium constant"),
    )
    example = Example(t=(0, 10), parameters={"q_m": 4, "K": 0.5}, y="amount adsorbed", y_unit="mmol/g", t_unit="bar")


class Freundlich(SympyExpert):
    r"""A surface of unequal sites.

    .. math:: q = K p^{1/n}

    Valid for: adsorption at moderate pressure or concentration on heterogeneous surfaces; it never saturates.
    Source: Freundlich 1906, Z. Phys. Chem. 57U, 385.
    """

    name, t, formula = "freundlich", "pressure", "K * pressure**(1 / n)"
    parameters = (
        Parameter("K", unit="{y}/{t}**(1/n)", lower=0.0, description="amount adsorbed at unit pressure"),
        Parameter("n", lower=1.0, description="heterogeneity of the surface"),
    )
    example = Example(t=(0, 10), parameters={"K": 1.5, "n": 2.5}, y="amount adsorbed", y_unit="mmol/g", t_unit="bar")
