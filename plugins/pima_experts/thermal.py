r"""Temperature: rates and viscosities."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pima_toolkit import Example, Parameter, SympyExpert
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import Bounds

#: Gas constant in J/(mol K), exact since 2019.
GAS_CONSTANT = 8.31446261815324


class Arrhenius(SympyExpert):
    r"""A thermally activated rate.

    .. math:: k = A\, e^{-E_a / R T}

    Valid for: one rate-controlling barrier, temperatures in kelvin.
    Source: Arrhenius 1889, Z. Phys. Chem. 4U, 226.
    """

    name, t, formula = "arrhenius", "temperature", f"A * exp(-E_a / ({GAS_CONSTANT} * temperature))"
    parameters = (
        Parameter("A", unit="{y}", lower=0.0, description="rate without a barrier"),
        Parameter("E_a", unit="J/mol", lower=0.0, upper=1e6, description="activation energy"),
    )
    example = Example(t=(500, 800), parameters={"A": 1e13, "E_a": 1.2e5}, y="rate", y_unit="1/s", t_unit="K", log=True)


class VogelFulcherTammann(SympyExpert):
    r"""Logarithm of the viscosity of a liquid that turns to glass.

    .. math:: \log \eta = A + \frac{B}{T - T_0}

    Valid for: the logarithm (of any base) of a viscosity or relaxation time above the glass transition, in kelvin; T_0
    stays between 0 K and the lowest temperature measured.
    Source: Vogel 1921, Phys. Z. 22, 645; Fulcher 1925, J. Am. Ceram. Soc. 8, 339.
    """

    name, t, formula = "vft", "temperature", "A + B / (temperature - T_0)"
    parameters = (
        Parameter("A", unit="{y}", description="limit at high temperature"),
        Parameter("B", unit="{y}*{t}", lower=0.0, description="how fast the logarithm falls"),
        Parameter("T_0", unit="{t}", lower=0.0, description="temperature of the divergence"),
    )
    reported_bounds = ("", "", "0 <= T_0 < T")
    example = Example(
        t=(800, 1700), parameters={"A": -1.5, "B": 4000, "T_0": 530}, y="log10 of viscosity in Pa s", t_unit="K"
    )

    def bounds(self, t: ArrayLike) -> Bounds:
        """Keep T_0 below the lowest temperature, by a thousandth of the range so that nothing is infinite.

        Raises:
            ExpertError: If a temperature is not above zero.
        """
        low, high = float(np.min(t)), float(np.max(t))
        if low <= 0:
            raise ExpertError(
                f"vft needs temperatures in kelvin, above zero, got {low:g}: add 273.15 to degrees Celsius"
            )
        return super().bounds(t).narrowed(2, 0.0, low - 1e-3 * (high - low))
