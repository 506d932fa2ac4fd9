r"""What a physics expert is tuned by: named parameters, their bounds, and the unbounded coordinates of those bounds.

A parameter :math:`\theta` between bounds has an unbounded twin :math:`\varphi` (MODEL.md §4), in which specimens
scatter:

=====================  ==============================================  ==============================
bounds                 :math:`\varphi(\theta)`                         :math:`d\theta/d\varphi`
=====================  ==============================================  ==============================
none                   :math:`\theta`                                  :math:`1`
lower only             :math:`\log(\theta-l)`                          :math:`\theta-l`
upper only             :math:`-\log(u-\theta)`                         :math:`u-\theta`
both                   :math:`\log\frac{\theta-l}{u-\theta}`           :math:`(\theta-l)(u-\theta)/(u-l)`
=====================  ==============================================  ==============================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, isnan

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ExpertError, ShapeError

#: How names may look, in formulas as in Parameter.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")

#: Distance kept from a bound where the unbounded coordinate must be finite: of the width of a two-sided box, of a
#: bound's own size, and of a bound at zero, which has no size (parameters of 1e-40, as in creep laws, must still fit
#: above it).
_HAIR_OF_WIDTH, _HAIR_OF_BOUND, _HAIR_AT_ZERO = 1e-9, 1e-12, 1e-100


@dataclass(frozen=True)
class Parameter:
    """One parameter of an expert.

    Args:
        name: Letters, digits and underscores, at most 32, a letter first.
        unit: Unit, ``"1"`` for none; may hold ``{y}`` and ``{t}``, the units of the data: ``"{y}/{t}"``.
        lower: Lower bound, in ``unit``; ``-inf`` for none.
        upper: Upper bound, in ``unit``; ``inf`` for none.
        description: A few words for tables.
        log: Solve for its logarithm: for what may be 1e-20 as well as 1e20, such as the factor of a creep law. It is
            positive; the lower bound is 0 unless another one is given.

    Raises:
        ExpertError: If the name or the bounds are unusable.
    """

    name: str
    unit: str = "1"
    lower: float = -inf
    upper: float = inf
    description: str = ""
    log: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name) or "__" in self.name:
            raise ExpertError(
                f"a parameter cannot be called {self.name!r}: use a letter, then letters, digits or single"
                f" underscores (at most 32)"
            )
        if not isinstance(self.unit, str) or not self.unit.strip():
            raise ExpertError(f"parameter {self.name!r} has the unit {self.unit!r}: give a text, '1' for none")
        try:
            lower, upper = float(self.lower), float(self.upper)
        except (TypeError, ValueError):
            raise ExpertError(
                f"parameter {self.name!r} has the bounds {self.lower!r} and {self.upper!r}: give two numbers"
            ) from None
        if isnan(lower) or isnan(upper) or lower == inf or upper == -inf or not lower < upper:
            raise ExpertError(
                f"parameter {self.name!r} has the lower bound {lower:g} and the upper bound {upper:g}: lower must"
                f" be below upper"
                " (to hold a parameter at one value pass fixed={name: value} to fit)"
            )
        if self.log and lower == -inf:
            lower = 0.0
        if self.log and not 0.0 <= lower < upper:
            raise ExpertError(
                f"parameter {self.name!r} is solved for in its logarithm (log=True) and has the bounds {lower:g} and"
                f" {upper:g}: it needs 0 <= lower < upper"
            )
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    def to_dict(self) -> dict[str, object]:
        """The parameter as JSON-able values; an absent bound is None."""
        return {
            "name": self.name,
            "unit": self.unit,
            "lower": self.lower if isfinite(self.lower) else None,
            "upper": self.upper if isfinite(self.upper) else None,
            "description": self.description,
            "log": self.log,
        }

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Parameter:
        """The inverse of :meth:`to_dict`.

        Raises:
            ExpertError: If an entry is missing, unknown or of a wrong kind.
        """
        known = {"name", "unit", "lower", "upper", "description", "log"}
        if not isinstance(values, dict) or "name" not in values or not set(values) <= known:
            raise ExpertError(f"a saved parameter must be a table with the entries {sorted(known)}, got {values!r}")
        filled = {"unit": "1", "lower": None, "upper": None, "description": "", "log": False, **values}
        return cls(
            name=filled["name"],
            unit=filled["unit"],
            lower=-inf if filled["lower"] is None else filled["lower"],
            upper=inf if filled["upper"] is None else filled["upper"],
            description=str(filled["description"]),
            log=bool(filled["log"]),
        )


def resolve_unit(unit: str, y_unit: str, t_unit: str) -> str:
    """Put the units of the data into a parameter's unit.

    Args:
        unit: Unit with the placeholders ``{y}`` and ``{t}``, such as ``"{y}/{t}"``.
        y_unit: Unit of the curve, ``"1"`` for none.
        t_unit: Unit of the independent variable, ``"1"`` for none.

    Returns:
        The unit, factors of one left out: ``resolve_unit("{y}/{t}", "MPa", "1")`` is ``"MPa"``.
    """
    if "{" not in unit:
        return unit
    values = {"{y}": y_unit.strip() or "1", "{t}": t_unit.strip() or "1"}
    pieces = [piece.strip() for piece in re.split(r"(\{y\}|\{t\}|\*\*|\([^()]*\)|[*/])", unit) if piece.strip()]
    above: list[str] = []
    below: list[str] = []
    side, raised = above, False
    for piece in pieces:
        if piece == "**":
            raised = True
        elif piece in {"*", "/"}:
            side = below if piece == "/" else above
        elif raised:
            if side and side[-1] != "1":
                side[-1] = f"{side[-1]}**{piece}"
            raised = False
        else:
            value = values.get(piece, piece)
            compound = piece in values and re.search(r"[*/ ]", value) is not None
            side.append(f"({value})" if compound and len(pieces) > 1 else value)
    for factor in [factor for factor in above if factor in below and factor != "1"]:
        above.remove(factor)
        below.remove(factor)
    above = [factor for factor in above if factor != "1"] or ["1"]
    below = [factor for factor in below if factor != "1"]
    return "/".join(["*".join(above), *below])


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of P parameters and their unbounded coordinates.

    Args:
        lower: Lower bounds, shape (P,), in the parameters' units; ``-inf`` for none.
        upper: Upper bounds, shape (P,); ``inf`` for none.

    Raises:
        ShapeError: If the two differ in length.
        ExpertError: If a lower bound is not below its upper one.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    def __post_init__(self) -> None:
        lower = np.array(self.lower, dtype=np.float64).reshape(-1)
        upper = np.array(self.upper, dtype=np.float64).reshape(-1)
        if lower.shape != upper.shape:
            raise ShapeError(f"bounds need as many lower as upper bounds, got {lower.size} and {upper.size}")
        if not np.all(lower < upper):
            bad = np.flatnonzero(~(lower < upper))[0]
            raise ExpertError(
                f"bounds of parameter number {bad} are reversed or empty: lower {lower[bad]:g}, upper {upper[bad]:g}"
            )
        lower.setflags(write=False)
        upper.setflags(write=False)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def of(cls, parameters: Sequence[Parameter]) -> Bounds:
        """The bounds that the parameters declare."""
        return cls(np.array([p.lower for p in parameters]), np.array([p.upper for p in parameters]))

    def narrowed(self, number: int, lower: float, upper: float) -> Bounds:
        """These bounds with one parameter held between two more.

        Args:
            number: Of the parameter.
            lower: Lower bound; these stay where it is higher.
            upper: Upper bound.

        Raises:
            ExpertError: If nothing is left between them.
        """
        lowers, uppers = self.lower.copy(), self.upper.copy()
        lowers[number], uppers[number] = max(lowers[number], lower), min(uppers[number], upper)
        return Bounds(lowers, uppers)

    @property
    def _hairs(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The smallest distances kept from the lower and from the upper bound, each (P,)."""
        both = np.isfinite(self.lower) & np.isfinite(self.upper)
        width = np.where(both, np.where(both, self.upper, 0.0) - np.where(both, self.lower, 0.0), 0.0) * _HAIR_OF_WIDTH

        def hair(bound: NDArray[np.float64]) -> NDArray[np.float64]:
            size = np.where(np.isfinite(bound), np.abs(bound), 0.0)
            return np.where(both, width, np.maximum(size * _HAIR_OF_BOUND, _HAIR_AT_ZERO))

        return hair(self.lower), hair(self.upper)

    def clip(self, theta: ArrayLike, margin: float = 0.0) -> NDArray[np.float64]:
        """Move parameters into the bounds.

        Args:
            theta: Parameters, shape (..., P).
            margin: Distance kept from both bounds, as a share of the width where both exist (0 to 0.5).
        """
        width = np.where(np.isfinite(self.upper) & np.isfinite(self.lower), self.upper - self.lower, 0.0) * margin
        return np.clip(np.asarray(theta, dtype=np.float64), self.lower + width, self.upper - width)

    def at_bound(self, theta: ArrayLike) -> NDArray[np.bool_]:
        """Whether each parameter sits on a bound, (..., P): within 1e-6 of the width, or a hair if one is open."""
        theta = np.asarray(theta, dtype=np.float64)
        low, high = self._hairs
        both = np.isfinite(self.lower) & np.isfinite(self.upper)
        low, high = np.where(both, 1e3 * low, 2 * low), np.where(both, 1e3 * high, 2 * high)
        return (theta <= self.lower + low) | (theta >= self.upper - high)

    def to_unbounded(self, theta: ArrayLike) -> NDArray[np.float64]:
        """The unbounded coordinates of parameters, shape (..., P); values on a bound are first moved a hair inside."""
        theta = np.asarray(theta, dtype=np.float64)
        hair_low, hair_high = self._hairs
        has_low, has_high = np.isfinite(self.lower), np.isfinite(self.upper)
        above = np.maximum(theta - np.where(has_low, self.lower, 0.0), hair_low)
        below = np.maximum(np.where(has_high, self.upper, 0.0) - theta, hair_high)
        log_above = np.where(has_low, np.log(np.where(has_low, above, 1.0)), 0.0)
        log_below = np.where(has_high, np.log(np.where(has_high, below, 1.0)), 0.0)
        return np.where(has_low | has_high, log_above - log_below, theta)

    def from_unbounded(self, phi: ArrayLike) -> NDArray[np.float64]:
        """The parameters of unbounded coordinates, shape (..., P); the inverse of :meth:`to_unbounded`."""
        phi = np.asarray(phi, dtype=np.float64)
        has_low, has_high = np.isfinite(self.lower), np.isfinite(self.upper)
        lower, upper = np.where(has_low, self.lower, 0.0), np.where(has_high, self.upper, 0.0)
        grown = np.exp(np.clip(np.where(has_high & ~has_low, -phi, phi), -700.0, 700.0))
        share = np.exp(-np.logaddexp(0.0, -phi))  # the logistic function, without overflow
        both = lower + (upper - lower) * share
        return np.where(
            has_low & has_high, both, np.where(has_low, lower + grown, np.where(has_high, upper - grown, phi))
        )

    def slope(self, theta: ArrayLike) -> NDArray[np.float64]:
        """The derivative of each parameter by its unbounded coordinate, shape (..., P); not negative."""
        theta = np.asarray(theta, dtype=np.float64)
        has_low, has_high = np.isfinite(self.lower), np.isfinite(self.upper)
        above = np.maximum(theta - np.where(has_low, self.lower, 0.0), 0.0)
        below = np.maximum(np.where(has_high, self.upper, 0.0) - theta, 0.0)
        width = np.where(has_low & has_high, self.upper - self.lower, 1.0)
        return np.where(
            has_low & has_high, above * below / width, np.where(has_low, above, np.where(has_high, below, 1.0))
        )
