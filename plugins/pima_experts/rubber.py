r"""Rubber in uniaxial tension: nominal stress against stretch."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class NeoHookean(SympyExpert):
    r"""Rubber as a network of Gaussian chains.

    .. math:: P = \mu\, (\lambda - \lambda^{-2})

    Valid for: incompressible rubber in uniaxial tension or compression, stretches of about 0.5 to 1.5.
    Source: Rivlin 1948, Phil. Trans. R. Soc. A 240, 459.
    """

    name, t, formula = "neo_hookean", "stretch", "mu * (stretch - 1 / stretch**2)"
    parameters = (Parameter("mu", unit="{y}", lower=0.0, description="shear modulus"),)
    example = Example(t=(1, 2), parameters={"mu": 0.4}, y="nominal stress", y_unit="MPa")


class MooneyRivlin(SympyExpert):
    r"""Rubber, with a second term for the softening at moderate stretch.

    .. math:: P = 2 \left(C_{10} + \frac{C_{01}}{\lambda}\right) (\lambda - \lambda^{-2})

    Fitted as (C_sum, C_01) with C_sum = C_10 + C_01 > 0, half the shear modulus, while C_01 may be negative.

    Valid for: incompressible rubber in uniaxial tension, stretches up to about 2.
    Source: Mooney 1940, J. Appl. Phys. 11, 582; Rivlin 1948, Phil. Trans. R. Soc. A 241, 379.
    """

    name, t = "mooney_rivlin", "stretch"
    formula = "2 * (C_sum - C_01 + C_01 / stretch) * (stretch - 1 / stretch**2)"
    parameters = (
        Parameter("C_sum", unit="{y}", lower=0.0, description="C_10 + C_01, half the shear modulus"),
        Parameter("C_01", unit="{y}", description="second constant"),
    )
    reported = (
        Parameter("C_10", unit="{y}", description="first constant"),
        Parameter("C_01", unit="{y}", description="second constant"),
    )
    reported_formulas = ("C_sum - C_01", "C_01")
    reported_bounds = ("C_10 >= -C_01", "")
    example = Example(t=(1, 2.5), parameters={"C_sum": 0.25, "C_01": 0.1}, y="nominal stress", y_unit="MPa")
