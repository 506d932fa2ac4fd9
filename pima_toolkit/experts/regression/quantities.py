r"""Quantities read off a fitted curve: offset yield, resilience, toughness, ultimate stress; or any formula.

A quantity q is a formula of the reported parameters, or a measure of the curve. Its error is that of the parameters,

.. math:: \mathrm{var}(q) = \nabla q^\top \mathrm{cov}(\theta)\, \nabla q,

with exact derivatives of formulas, and central differences over a hundredth of a standard error for measures of curves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, OptionError
from ..contract.law import Law
from ..contract.parameters import resolve_unit
from ..formulas.derived import Quantity

__all__ = ["CurveQuantity", "offset_yield", "resilience", "toughness", "ultimate"]

Array = NDArray[np.float64]
Curve = Callable[[ArrayLike], Array]

#: Points on which a curve is searched or integrated.
_POINTS = 4001
#: The slope at zero is that over this share of the range.
_START = 1e-6
#: Steps of central differences, in standard errors.
_STEP = 1e-2


@dataclass(frozen=True)
class CurveQuantity:
    """A measure of a curve y(t) from 0 to a largest t.

    Args:
        measure: Takes the curve, a function of t, and the largest t measured; gives a number, NaN where there is none.
        unit: With ``{y}`` and ``{t}`` for those of the data.
        description: A few words.
        missing: Why a curve may have none, in words.
    """

    measure: Callable[[Curve, float], float]
    unit: str
    description: str
    missing: str = "the curve has none"


def offset_yield(offset: float = 0.002, *, modulus: float | None = None) -> CurveQuantity:
    """Stress where the curve meets the elastic line moved by a plastic strain: Rp0.2 for 0.002.

    Args:
        offset: Plastic strain, above zero, in the unit of the strains.
        modulus: Slope of the elastic line, stress over strain; the slope of the law at zero by default.

    Raises:
        OptionError: If the offset is not above zero.
    """
    _above_zero("offset", offset)
    words = f"stress at a plastic strain of {offset:g}"
    return CurveQuantity(
        lambda curve, reach: _offset_point(curve, reach, offset, modulus)[0], "{y}", words, _never_met(offset)
    )


def resilience(offset: float = 0.002, *, modulus: float | None = None) -> CurveQuantity:
    """Elastic energy per volume given back from the offset yield stress, its square over twice the modulus.

    Args:
        offset: As in :func:`offset_yield`.
        modulus: As in :func:`offset_yield`.
    """
    _above_zero("offset", offset)

    def measure(curve: Curve, reach: float) -> float:
        stress, slope = _offset_point(curve, reach, offset, modulus)
        return stress**2 / (2 * slope)

    words = f"elastic energy at a plastic strain of {offset:g}"
    return CurveQuantity(measure, "{y}*{t}", words, _never_met(offset))


def toughness(to: float | None = None) -> CurveQuantity:
    """Energy per volume, the area under the curve.

    Args:
        to: Strain up to which; the largest one measured by default.
    """
    if to is not None:
        _above_zero("to", to)

    def measure(curve: Curve, reach: float) -> float:
        t = np.linspace(0.0, reach if to is None else to, _POINTS)
        return float(scipy.integrate.trapezoid(curve(t), t))

    return CurveQuantity(measure, "{y}*{t}", "area under the curve" + ("" if to is None else f" to {to:g}"))


def ultimate(to: float | None = None) -> CurveQuantity:
    """Largest stress of the curve.

    Args:
        to: Strain up to which; the largest one measured by default.
    """
    if to is not None:
        _above_zero("to", to)

    def measure(curve: Curve, reach: float) -> float:
        return float(np.max(curve(np.linspace(0.0, reach if to is None else to, _POINTS))))

    return CurveQuantity(measure, "{y}", "largest value of the curve" + ("" if to is None else f" to {to:g}"))


def _never_met(offset: float) -> str:
    return f"the curve does not meet the elastic line moved by {offset:g} before it ends: measure further, or move less"


def _above_zero(name: str, value: float) -> None:
    if not isinstance(value, int | float) or not 0 < value < np.inf:
        raise OptionError(f"{name}={value!r}: expected a number above zero")


def _offset_point(curve: Curve, reach: float, offset: float, modulus: float | None) -> tuple[float, float]:
    """Stress at the offset and the slope of the elastic line; NaN where the curve ends before."""
    slope = modulus
    if slope is None:
        near = curve(np.array([0.0, _START * reach, 10 * _START * reach]))
        slope, wider = (near[1] - near[0]) / (_START * reach), (near[2] - near[0]) / (10 * _START * reach)
        if abs(near[0]) > 1e-6 * abs(near[2]) or not (np.isfinite(slope) and 0 < slope < 1.5 * wider):
            raise ExpertError(
                "this law has no elastic line through zero, from which an offset could be counted: give its modulus,"
                " as in offset_yield(modulus=200e3)"
            )

    def above(t: ArrayLike) -> Array:
        return curve(t) - slope * (np.asarray(t) - offset)

    t = np.linspace(min(offset, reach), reach, _POINTS)
    crossed = np.flatnonzero(above(t) <= 0)
    if offset >= reach or not crossed.size:
        return np.nan, float(slope)
    first = max(int(crossed[0]), 1)
    t = scipy.optimize.brentq(lambda x: float(above(np.array([x]))[0]), t[first - 1], t[first], xtol=1e-15, rtol=1e-13)
    return float(curve(np.array([t]))[0]), float(slope)


def derive(
    expert: Law,
    theta: Array,
    covariance: Array,
    quantities: Mapping[str, str | CurveQuantity],
    units: Mapping[str, str] | None,
    *,
    reach: float,
    y_unit: str,
    t_unit: str,
    at: Mapping[str, float] | None,
    freedom: Array,
    level: float,
) -> xr.Dataset:
    """Quantities of every row of parameters, with errors.

    Args:
        expert: The physics.
        theta: Fitted parameters, (C, P).
        covariance: Of the fitted parameters, (C, P, P); not finite where it is not known.
        quantities: A formula of reported parameters or a measure of the curve, by the name it shall have.
        units: Units of the formulas, by name.
        reach: Largest t measured.
        y_unit: Unit of the curves.
        t_unit: Unit of the independent variable.
        at: Values of the covariates, for measures of the curve.
        freedom: Degrees of freedom of each row's errors, (C,).
        level: Share of the intervals that hold the truth.

    Returns:
        ``value``, ``std_error``, ``low``, ``high`` and ``reason``, why there is no value, empty where there is one,
        along (cluster, quantity), with ``unit``.

    Raises:
        FormulaError: If a formula cannot be read.
        OptionError: If a unit is of no quantity, or a quantity is neither text nor measure.
        ExpertError: If a measure does not go with the law.
    """
    if not isinstance(quantities, Mapping) or not quantities:
        raise OptionError(f"quantities={quantities!r}: expected formulas by name, {{'energy': 'sigma_y**2/(2*E)'}}")
    stray = [name for name in units or {} if name not in quantities]
    if stray:
        raise OptionError(f"units are given for {stray[0]!r}, which is no quantity asked for: {', '.join(quantities)}")
    names = [p.name for p in expert.reported]
    known = np.all(np.isfinite(covariance), axis=(1, 2))
    safe = np.where(known[:, None, None], covariance, 0.0)
    values, errors, labels, reasons = [], [], [], []
    for name, asked in quantities.items():
        if isinstance(asked, CurveQuantity):
            value, gradient = _measured(expert, theta, safe, asked, reach, at or {})
            labels.append((units or {}).get(name, resolve_unit(asked.unit, y_unit, t_unit)))
        elif isinstance(asked, str):
            value, by_shown = Quantity(asked, names).value_and_gradient(expert.to_reported(theta))
            gradient = np.einsum("cq,cqp->cp", by_shown, expert.reported_jacobian(theta))
            labels.append((units or {}).get(name, ""))
        else:
            raise OptionError(f"the quantity {name!r} is {asked!r}: expected a formula or one of pima.quantities")
        variance = np.einsum("cp,cpq,cq->c", gradient, safe, gradient)
        missing = asked.missing if isinstance(asked, CurveQuantity) else "the formula has no value there"
        reasons.append(np.where(np.isnan(value), missing, ""))
        values.append(value)
        errors.append(np.where(known & (variance > 0), np.sqrt(np.maximum(variance, 0.0)), np.nan))
    dims = ("cluster", "quantity")
    value, error = np.stack(values, 1), np.stack(errors, 1)
    half = scipy.stats.t.ppf(0.5 * (1.0 + level), freedom)[:, None] * error
    return xr.Dataset(
        {
            "value": (dims, value),
            "std_error": (dims, error, {"long_name": "standard error"}),
            "low": (dims, value - half, {"long_name": "lower end of the interval"}),
            "high": (dims, value + half, {"long_name": "upper end of the interval"}),
            "reason": (dims, np.stack(reasons, 1), {"long_name": "why there is no value"}),
        },
        attrs={"level": level, "method": "propagated errors of the parameters, Student's t"},
        coords={
            "cluster": np.arange(len(theta)),
            "quantity": list(quantities),
            "unit": ("quantity", labels),
            "of": ("quantity", [q if isinstance(q, str) else q.description for q in quantities.values()]),
        },
    )


def _measured(
    expert: Law, theta: Array, covariance: Array, asked: CurveQuantity, reach: float, at: Mapping[str, float]
) -> tuple[Array, Array]:
    """A measure of every row's curve and its derivatives by the fitted parameters."""
    variable, *covariates = expert.inputs
    missing = [name for name in covariates if name not in at]
    if missing:
        raise OptionError(f"expert {expert.name!r} depends on {', '.join(missing)}: give at={{{missing[0]!r}: ...}}")

    def of(row: Array) -> float:
        def curve(t: ArrayLike) -> Array:
            t = np.asarray(t, dtype=np.float64)
            return expert.value_and_jacobian({variable: t, **{n: float(at[n]) for n in covariates}}, row)[0]

        return asked.measure(curve, reach)

    value = np.array([of(row) for row in theta])
    gradient = np.zeros_like(theta)
    for c, p in np.argwhere(np.diagonal(covariance, axis1=1, axis2=2) > 0):
        step = np.zeros(theta.shape[1])
        step[p] = _STEP * np.sqrt(covariance[c, p, p])
        gradient[c, p] = (of(theta[c] + step) - of(theta[c] - step)) / (2 * step[p])
    return value, gradient
