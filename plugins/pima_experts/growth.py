r"""Growth, wear-out and power laws."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class PowerLaw(SympyExpert):
    r"""A power of t.

    .. math:: y = A t^p

    Valid for: t above zero (from zero where p is positive).
    Source: none; a straight line in double logarithms.
    """

    name, t, formula = "power_law", "t", "A * t**p"
    parameters = (
        Parameter("A", unit="{y}/{t}**p", lower=0.0, description="y at t = 1"),
        Parameter("p", description="exponent"),
    )
    example = Example(t=(1, 100), parameters={"A": 3, "p": 0.7}, log=True)


class Paris(SympyExpert):
    r"""Growth of a fatigue crack, per cycle.

    .. math:: \frac{da}{dN} = C\, \Delta K^m

    Valid for: long cracks between the threshold and fast fracture, one load ratio.
    Source: Paris & Erdogan 1963, J. Basic Eng. 85, 528.
    """

    name, t, formula = "paris", "stress_intensity_range", "C * stress_intensity_range**m"
    parameters = (
        Parameter("C", unit="{y}/{t}**m", lower=0.0, description="growth at unit stress intensity"),
        Parameter("m", lower=0.5, upper=15.0, description="exponent; 2 to 4 for metals"),
    )
    example = Example(
        t=(5, 60),
        parameters={"C": 6.9e-9, "m": 3},
        y="crack growth",
        y_unit="mm/cycle",
        t_unit="MPa*m**0.5",
        log=True,
    )


class Logistic(SympyExpert):
    r"""Growth up to a limit.

    .. math:: y = \frac{L}{1 + e^{-k (t - t_0)}}

    Valid for: growth limited by itself; the time of half growth lies within what was measured.
    Source: Verhulst 1838, Corresp. Math. Phys. 10, 113.
    """

    name, t, formula = "logistic", "time", "L / (1 + exp(-k * (time - t_0)))"
    parameters = (
        Parameter("L", unit="{y}", lower=0.0, description="limit"),
        Parameter("k", unit="1/{t}", lower=0.0, description="rate of growth at first"),
        Parameter("t_0", unit="{t}", description="time of half growth"),
    )
    within = ("t_0",)
    example = Example(t=(0, 10), parameters={"L": 5, "k": 1.2, "t_0": 4}, y="size", y_unit="mm", t_unit="d")


class Weibull(SympyExpert):
    r"""Share of specimens that failed below a stress: the weakest link of a chain.

    .. math:: F = 1 - e^{-(\sigma/\sigma_0)^m}

    Valid for: brittle solids of one size, one kind of flaw; also lifetimes, with time in place of stress.
    Source: Weibull 1951, J. Appl. Mech. 18, 293.
    """

    name, t, formula = "weibull", "stress", "1 - exp(-(stress / sigma_0)**m)"
    parameters = (
        Parameter("sigma_0", unit="{t}", lower=0.0, description="stress at which 63.2 % have failed"),
        Parameter("m", lower=0.1, upper=100.0, description="Weibull modulus"),
    )
    example = Example(t=(200, 600), parameters={"sigma_0": 400, "m": 9}, y="share failed", t_unit="MPa")
