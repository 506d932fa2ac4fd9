"""Parameters of experts: names, units, bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf, isfinite, isnan

from ...errors import ExpertError

#: How names may look, in formulas as in Parameter.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")


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
        if not isinstance(self.log, bool):
            raise ExpertError(f"parameter {self.name!r} has log={self.log!r}: expected True or False")
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
        """Give the parameter as JSON-able values; an absent bound is None."""
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
        """Read what :meth:`to_dict` gave.

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
