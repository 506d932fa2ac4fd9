r"""Relaxation and damping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pima_toolkit import Example, Parameter, SympyExpert


class ExponentialDecay(SympyExpert):
    r"""Decay to a constant.

    .. math:: y = A\, e^{-t/\tau} + c

    Valid for: a process of first order whose end value is not zero: cooling, discharge, luminescence on a background.
    Source: Newton 1701, Phil. Trans. R. Soc. 22, 824 (cooling).
    """

    name, t, formula = "exponential_decay", "time", "A * exp(-time / tau) + c"
    parameters = (
        Parameter("A", unit="{y}", description="fall from the start to the end"),
        Parameter("tau", unit="{t}", lower=0.0, description="time constant"),
        Parameter("c", unit="{y}", description="end value"),
    )
    example = Example(t=(0, 10), parameters={"A": 60, "tau": 2, "c": 20}, y="temperature", y_unit="K", t_unit="s")


class Maxwell(SympyExpert):
    r"""Stress relaxation of a viscoelastic liquid: a spring and a dashpot in series.

    .. math:: G = G_0\, e^{-t/\tau}

    Valid for: small strains held constant, one relaxation time, a liquid (it relaxes to nothing).
    Source: Maxwell 1867, Phil. Trans. R. Soc. 157, 49.
    """

    name, t, formula = "maxwell", "time", "G_0 * exp(-time / tau)"
    parameters = (
        Parameter("G_0", unit="{y}", lower=0.0, description="modulus at once"),
        Parameter("tau", unit="{t}", lower=0.0, description="relaxation time"),
    )
    example = Example(t=(0, 10), parameters={"G_0": 1.2, "tau": 2.5}, y="relaxation modulus", y_unit="MPa", t_unit="s")


class Prony(SympyExpert):
    r"""Stress relaxation with two relaxation times: the first two terms of a Prony series.

    .. math:: E = E_\infty + E_1 e^{-t/\tau_1} + E_2 e^{-t/\tau_2}, \qquad \tau_2 > \tau_1

    Fitted with tau_2 = tau_1 ratio, so that the two terms do not change places.

    Valid for: linear viscoelastic solids at small strain, over about four decades of time.
    Source: Prony 1795, J. Ecole Polytech. 1, 24; as a model of solids Wiechert 1893, Ann. Phys. 286, 335.
    """

    name, t = "prony", "time"
    formula = "E_inf + E_1 * exp(-time / tau_1) + E_2 * exp(-time / (tau_1 * ratio))"
    parameters = (
        Parameter("E_inf", unit="{y}", lower=0.0, description="modulus in the end"),
        Parameter("E_1", unit="{y}", lower=0.0, description="modulus of the fast term"),
        Parameter("tau_1", unit="{t}", lower=0.0, description="fast relaxation time"),
        Parameter("E_2", unit="{y}", lower=0.0, description="modulus of the slow term"),
        Parameter("ratio", lower=1.0, upper=1e4, description="slow over fast relaxation time"),
    )
    reported = (
        *parameters[:4],
        Parameter("tau_2", unit="{t}", lower=0.0, description="slow relaxation time"),
    )
    reported_formulas = ("E_inf", "E_1", "tau_1", "E_2", "tau_1 * ratio")
    reported_bounds = ("", "", "", "", "tau_2 >= tau_1")
    example = Example(
        t=(0, 100),
        parameters={"E_inf": 1, "E_1": 0.8, "tau_1": 2, "E_2": 0.6, "ratio": 15},
        y="relaxation modulus",
        y_unit="MPa",
        t_unit="s",
    )


class StretchedExponential(SympyExpert):
    r"""Relaxation with a spread of times (Kohlrausch, Williams, Watts).

    .. math:: y = A\, e^{-(t/\tau)^\beta}

    Valid for: relaxation of glasses, polymers and dielectrics; t from zero upwards.
    Source: Kohlrausch 1854, Ann. Phys. 167, 56; Williams & Watts 1970, Trans. Faraday Soc. 66, 80.
    """

    name, t, formula = "stretched_exponential", "time", "A * exp(-(time / tau)**beta)"
    parameters = (
        Parameter("A", unit="{y}", description="value at the start"),
        Parameter("tau", unit="{t}", lower=0.0, description="relaxation time"),
        Parameter("beta", lower=0.0, upper=1.0, description="narrowness of the spread of times"),
    )
    example = Example(t=(0, 20), parameters={"A": 1, "tau": 4, "beta": 0.6}, y="relaxation function", t_unit="s")


class DampedOscillation(SympyExpert):
    r"""A struck spring, slowed by friction.

    .. math:: y = A\, e^{-g t} \cos(\omega t + \varphi)

    Fitted as e^(-g t) [a cos(omega t) - b sin(omega t)], which is linear in a = A cos(phi) and b = A sin(phi).

    Valid for: free vibration, damping in proportion to velocity; more than half a period measured, and at least two
    points a period.
    Source: Rayleigh 1877, The Theory of Sound, vol. 1, §45.
    """

    name, t = "damped_oscillation", "time"
    formula = "exp(-g * time) * (a * cos(omega * time) - b * sin(omega * time))"
    parameters = (
        Parameter("a", unit="{y}", description="A cos(phi), the value at time 0"),
        Parameter("b", unit="{y}", description="A sin(phi)"),
        Parameter("g", unit="1/{t}", lower=0.0, description="damping rate"),
        Parameter("omega", unit="1/{t}", lower=0.0, description="angular frequency"),
    )
    reported = (
        Parameter("A", unit="{y}", lower=0.0, description="amplitude"),
        Parameter("g", unit="1/{t}", lower=0.0, description="damping rate"),
        Parameter("omega", unit="1/{t}", lower=0.0, description="angular frequency"),
        Parameter("phi", description="phase in radians"),
    )
    reported_formulas = (
        "sqrt(a**2 + b**2)",
        "g",
        "omega",
        "2 * atan(b / (sqrt(a**2 + b**2) + a)) if b > 0 or b < 0 else (0 if a >= 0 else pi)",
    )
    reported_bounds = ("", "", "", "-pi < phi <= pi")
    example = Example(
        t=(0, 10), parameters={"a": 0.8, "b": 0.5, "g": 0.25, "omega": 4}, y="displacement", y_unit="mm", t_unit="s"
    )

    def search_grid(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Try frequencies so close that none is missed, up to two points a period, with six damping rates."""
        grid = np.unique(t)
        span, step = np.ptp(grid) or 1.0, np.median(np.diff(grid)) if grid.size > 1 else 1.0
        omega = np.linspace(0, np.pi / step, int(np.clip(4 * span / step, 16, 400)))[1:]
        g = np.array([0.01, 0.3, 1.0, 3.0, 10.0, 30.0]) / span
        both = np.stack(np.meshgrid(g, omega, indexing="ij"), axis=-1).reshape(-1, 2)
        return np.concatenate([np.zeros_like(both), both], axis=1)
