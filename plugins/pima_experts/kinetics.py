r"""Reactions and transformations."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Avrami(SympyExpert):
    r"""Share transformed by nucleation and growth (Johnson, Mehl, Avrami, Kolmogorov).

    .. math:: X = 1 - e^{-(k t)^n}

    Valid for: crystallisation, recrystallisation and phase changes at one temperature, nuclei spread at random.
    Source: Avrami 1939, J. Chem. Phys. 7, 1103.
    """

    name, t, formula = "avrami", "time", "1 - exp(-(k * time)**n)"
    parameters = (
        Parameter("k", unit="1/{t}", lower=0.0, description="rate of the transformation"),
        Parameter("n", lower=0.5, upper=4.0, description="Avrami exponent: dimension of growth and way of nucleation"),
    )
    example = Example(t=(0, 300), parameters={"k": 0.01, "n": 2.5}, y="share transformed", t_unit="s")


class MichaelisMenten(SympyExpert):
    r"""Rate of a reaction whose sites saturate.

    .. math:: v = \frac{V_{max}\, c}{K_m + c}

    Valid for: initial rates of one substrate on one enzyme or catalyst, without cooperation or inhibition.
    Source: Michaelis & Menten 1913, Biochem. Z. 49, 333.
    """

    name, t, formula = "michaelis_menten", "concentration", "V_max * concentration / (K_m + concentration)"
    parameters = (
        Parameter("V_max", unit="{y}", lower=0.0, description="rate at saturation"),
        Parameter("K_m", unit="{t}", lower=0.0, description="concentration of half that rate"),
    )
    example = Example(t=(0, 10), parameters={"V_max": 2, "K_m": 1.5}, y="rate", y_unit="mmol/L/s", t_unit="mmol/L")


class Hill(SympyExpert):
    r"""Saturation of sites that cooperate.

    .. math:: v = \frac{V_{max}\, c^n}{K^n + c^n}

    Valid for: binding and dose response with cooperation; n is an empirical steepness, not a number of sites.
    Source: Hill 1910, J. Physiol. 40, iv.
    """

    name, t, formula = "hill", "concentration", "V_max * concentration**n / (K**n + concentration**n)"
    parameters = (
        Parameter("V_max", unit="{y}", lower=0.0, description="value at saturation"),
        Parameter("K", unit="{t}", lower=0.0, description="concentration of half that value"),
        Parameter("n", lower=0.1, upper=10.0, description="Hill coefficient"),
    )
    example = Example(
        t=(0, 10), parameters={"V_max": 2, "K": 3, "n": 2.5}, y="rate", y_unit="mmol/L/s", t_unit="mmol/L"
    )
