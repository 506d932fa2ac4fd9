r"""Steady creep: strain rate against stress."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Norton(SympyExpert):
    r"""Power-law creep.

    .. math:: \dot\varepsilon = A \sigma^n

    ==== ========== ============ ===================
    name unit       bounds       meaning
    ==== ========== ============ ===================
    A    {y}/{t}**n A >= 0       rate at unit stress
    n    1          1 <= n <= 20 stress exponent
    ==== ========== ============ ===================

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
