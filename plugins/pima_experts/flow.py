r"""Fluids that yield: shear stress against shear rate."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class HerschelBulkley(SympyExpert):
    r"""A fluid that flows above a yield stress.

    .. math:: \tau = \tau_y + K \dot\gamma^n

    Valid for: steady shear of pastes, gels and suspensions, once they flow. Bingham's fluid has n = 1.
    Source: Herschel & Bulkley 1926, Kolloid-Z. 39, 291.
    """

    name, t, formula = "herschel_bulkley", "shear_rate", "tau_y + K * shear_rate**n"
    parameters = (
        Parameter("tau_y", unit="{y}", lower=0.0, description="yield stress"),
        Parameter("K", unit="{y}/{t}**n", lower=0.0, description="consistency"),
        Parameter("n", lower=0.0, upper=2.0, description="flow index: below 1 thinning, above 1 thickening"),
    )
    example = Example(
        t=(0, 100), parameters={"tau_y": 12, "K": 4, "n": 0.5}, y="shear stress", y_unit="Pa", t_unit="1/s"
    )
