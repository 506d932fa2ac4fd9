r"""Elastoplastic stress-strain curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pima_toolkit import Example, Parameter, SympyExpert
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import Bounds

#: Number of yield strains that a guess tries.
_SCAN = 64


def kinks(name: str, t: ArrayLike) -> tuple[float, float]:
    """Find where a kink has points on either side of it: from the first positive strain to the last but one.

    Args:
        name: Name of the expert, for the message.
        t: Strains, any shape.

    Raises:
        ExpertError: If fewer than two strains are positive.
    """
    strain = np.unique(np.asarray(t, dtype=np.float64))
    strain = strain[strain > 0]
    if strain.size < 2:
        raise ExpertError(
            f"{name} needs at least two positive values of strain, got {strain.size}: give compression as positive"
            f" strain"
        )
    return float(strain[0]), float(strain[-2] if strain.size > 2 else strain[-1])


class LinearHardening(SympyExpert):
    r"""Linear elasticity up to a yield stress, then linear hardening.

    .. math:: \sigma = E\,[\min(\varepsilon, \varepsilon_y) + h \max(\varepsilon - \varepsilon_y, 0)]

    Fitted as (E, eps_y, h), the yield strain boxed inside the measured range: fitted as (E, yield stress, H) two fits
    of five start where the yield point lies outside the data and its derivative is zero, and never come back.

    Valid for: monotone loading, strain from zero upwards.
    Source: Jones 2009, Deformation Theory of Plasticity (Bull Ridge); Trask et al. 2022, §3.2.
    """

    name, t = "linear_hardening", "strain"
    formula = "E * (min(strain, eps_y) + h * max(strain - eps_y, 0))"
    parameters = (
        Parameter("E", unit="{y}/{t}", lower=0.0, description="elastic modulus"),
        Parameter("eps_y", unit="{t}", lower=0.0, description="yield strain"),
        Parameter("h", unit="1", lower=0.0, upper=1.0, description="hardening modulus over elastic modulus"),
    )
    reported = (
        Parameter("E", unit="{y}/{t}", lower=0.0, description="elastic modulus"),
        Parameter("sigma_y", unit="{y}", lower=0.0, description="yield stress"),
        Parameter("H", unit="{y}/{t}", lower=0.0, description="hardening modulus"),
    )
    reported_formulas = ("E", "E * eps_y", "E * h")
    reported_bounds = ("", "", "0 <= H <= E")
    example = Example(t=(0, 0.1), parameters={"E": 800, "eps_y": 0.04, "h": 0.2}, y="stress", y_unit="MPa")

    def bounds(self, t: ArrayLike) -> Bounds:
        """Narrow the bounds so that the yield strain has measured points on either side."""
        return super().bounds(t).narrowed(1, *kinks(self.name, t))

    def initial_guess(
        self, t: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Scan the yield strain and take the best; at each, (E, H) by least squares under 0 <= H <= E."""
        bounds = self.bounds(t)
        knots = np.linspace(bounds.lower[1], bounds.upper[1], _SCAN)
        size = 4096 if t.ndim == 1 else 256
        guess = np.empty((y.shape[0], 3))
        for first in range(0, y.shape[0], size):
            part = slice(first, first + size)
            guess[part] = _scan(t if t.ndim == 1 else t[part], y[part], weights[part], knots)
        return guess


class ElasticPerfectlyPlastic(SympyExpert):
    r"""Linear elasticity up to a yield stress, which then stays.

    .. math:: \sigma = \min(E \varepsilon, \sigma_y)

    Fitted as (E, eps_y) like :class:`LinearHardening`.

    Valid for: monotone loading of metals that hardly harden, strain from zero upwards.
    Source: Prandtl 1924, Proc. 1st Int. Congr. Appl. Mech., Delft, 43.
    """

    name, t, formula = "elastic_perfectly_plastic", "strain", "E * min(strain, eps_y)"
    parameters = LinearHardening.parameters[:2]
    reported = LinearHardening.reported[:2]
    reported_formulas = ("E", "E * eps_y")
    example = Example(t=(0, 0.02), parameters={"E": 7e4, "eps_y": 0.005}, y="stress", y_unit="MPa")

    def bounds(self, t: ArrayLike) -> Bounds:
        """Narrow the bounds so that the yield strain has measured points on either side."""
        return super().bounds(t).narrowed(1, *kinks(self.name, t))


class RambergOsgood(SympyExpert):
    r"""Strain as an elastic part and a power of stress: a round yield.

    .. math:: \varepsilon = \frac{\sigma}{E} + \alpha \frac{\sigma_0}{E} \left(\frac{\sigma}{\sigma_0}\right)^n

    On one curve only the product of the factors of the power is determined, so the reference stress is taken as the
    0.2 % proof stress, where the plastic strain is 0.002: alpha sigma_0 / E = 0.002. Fitted as (C, sigma_0, n) with
    C = 1/E.

    Valid for: strain against stress, monotone loading, small strains. Give the stress as the independent variable.
    Source: Ramberg & Osgood 1943, NACA Technical Note 902; with the proof stress Hill 1944, NACA TN 927.
    """

    name, t, formula = "ramberg_osgood", "stress", "C * stress + 0.002 * (stress / sigma_0)**n"
    parameters = (
        Parameter("C", unit="{y}/{t}", lower=0.0, description="elastic compliance, 1/E"),
        Parameter("sigma_0", unit="{t}", lower=0.0, description="0.2 % proof stress"),
        Parameter("n", lower=1.0, upper=100.0, description="exponent; large for a sharp yield"),
    )
    reported = (
        Parameter("E", unit="{t}/{y}", lower=0.0, description="elastic modulus"),
        Parameter("sigma_0", unit="{t}", lower=0.0, description="0.2 % proof stress"),
        Parameter("n", lower=1.0, upper=100.0, description="exponent; large for a sharp yield"),
        Parameter("alpha", lower=0.0, description="yield offset, 0.002 E / sigma_0"),
    )
    reported_formulas = ("1 / C", "sigma_0", "n", "0.002 / (C * sigma_0)")
    reported_bounds = ("E > 0", "", "", "")
    example = Example(t=(0, 540), parameters={"C": 1.4e-5, "sigma_0": 500, "n": 15}, y="strain", t_unit="MPa")

    def initial_guess(
        self, t: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Guess by a form linear in two parameters, C stress + b stress^n, stress in units of the largest."""
        top = np.max(np.abs(t)) or 1.0
        C, b, n = _LINEAR.initial_guess(t / top, y, weights).T
        b = np.maximum(b, 1e-6 * np.max(np.abs(y), axis=1) + 1e-300)
        return np.stack([C / top, top * (0.002 / b) ** (1 / n), n], axis=-1)


#: Ramberg-Osgood with a free factor of the power, for its guess.
_LINEAR = SympyExpert("C * x + b * x**n", t="x", bounds={"C": (0, None), "b": (0, None), "n": (1, 100)})


def _scan(
    t: NDArray[np.float64], y: NDArray[np.float64], w: NDArray[np.float64], knots: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Find the best (E, eps_y, h) of every row over the knots; t (T,) or (N, T), y and w (N, T), result (N, 3)."""
    below = np.minimum(t[..., None, :], knots[:, None])
    above = np.maximum(t[..., None, :] - knots[:, None], 0.0)

    def moment(a: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over the points, shape (N, knots); the basis is (knots, T), or (N, knots, T) with one grid per row."""
        return a @ basis.T if basis.ndim == 2 else (basis @ a[..., None])[..., 0]

    aa, ab, bb = moment(w, below**2), moment(w, below * above), moment(w, above**2)
    ay, by = moment(w * y, below), moment(w * y, above)
    determinant = aa * bb - ab**2
    determinant = np.where(determinant > 1e-12 * aa * bb, determinant, np.inf)
    line = (ay + by) / np.maximum(aa + 2 * ab + bb, 1e-300)
    flat = ay / np.maximum(aa, 1e-300)
    free = (bb * ay - ab * by) / determinant, (aa * by - ab * ay) / determinant
    inside = (free[0] > 0) & (free[1] >= 0) & (free[1] <= free[0])

    def gain(E: NDArray[np.float64], H: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * (E * ay + H * by) - (E**2 * aa + 2 * E * H * ab + H**2 * bb)

    flat, line = np.maximum(flat, 0.0), np.maximum(line, 0.0)
    options = [
        (flat, np.zeros_like(flat)),
        (line, line),
        (np.where(inside, free[0], flat), np.where(inside, free[1], 0.0)),
    ]
    gains = np.stack([gain(*option) for option in options])
    which = np.argmax(gains, axis=0)
    k = np.argmax(np.max(gains, axis=0), axis=1)
    n = np.arange(y.shape[0])
    E = np.stack([option[0] for option in options])[which[n, k], n, k]
    H = np.stack([option[1] for option in options])[which[n, k], n, k]
    return np.stack([E, knots[k], np.where(E > 0, H / np.where(E > 0, E, 1.0), 0.0)], axis=-1)
