r"""Relations between parameters, kept by fitting others in their place.

A relation, :math:`\tau_1 < \tau_2` or :math:`w_1 + w_2 = 1`, is solved for one parameter in which it is linear. An
equation gives it. An inequality says where it begins or ends, at a limit :math:`L` that the others give, and what is
fitted in its place is how far it is from there: its distance, or, where it has a bound :math:`u` on the other side,
its share of the way,

.. math:: \tau_2 = L + d,\ d > 0, \qquad\text{or}\qquad \tau_2 = L + (u - L)\,s,\ 0 < s < 1,

so that plain bounds are all that a solver, a prior or a population has to keep. Whatever must hold of the others that
there is room at all, :math:`L < u`, is a relation with one parameter less, and is kept in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import sympy
from sympy import Basic, Expr, Pow, Symbol
from sympy.printing.str import StrPrinter

from ...errors import ExpertError, FormulaError
from ..contract.parameters import Parameter
from .parser import read_expression

_SIGNS = re.compile(r"<=|>=|==|<|>|=")
#: End of the name of what is fitted in the place of a parameter: its distance from a limit, or its share of the way.
_GAP, _SHARE = "_gap", "_share"
#: Most terms that a side of a relation may have when it is multiplied out.
_MOST_TERMS = 200
#: Most parameters whose bounds are tried in all combinations.
_MOST_CORNERS = 8


class _Printer(StrPrinter):
    """Formulas as the parser reads them, with every digit of their numbers."""

    def _print_Float(self, expr: sympy.Float) -> str:  # noqa: N802 - sympy's name
        return repr(float(expr))

    def _print_Max(self, expr: sympy.Max) -> str:  # noqa: N802 - sympy's name
        return f"max({self.stringify(expr.args, ', ')})"

    def _print_Min(self, expr: sympy.Min) -> str:  # noqa: N802 - sympy's name
        return f"min({self.stringify(expr.args, ', ')})"


def _text(form: Basic) -> str:
    return _Printer().doprint(form)


def _exact(number: Expr | float) -> Expr:
    return sympy.nsimplify(number, rational=True)


def _terms(form: sympy.Basic) -> float:
    """Terms of a form when it is multiplied out, at most: high powers of sums would take hours."""
    parts = [_terms(part) for part in form.args] or [1.0]
    if isinstance(form, sympy.Pow) and form.exp.is_number:
        return min(parts[0], 1e6) ** min(abs(float(form.exp)), 50.0) if parts[0] > 1 else 1.0
    return math.prod(parts) if form.is_Mul else sum(parts)


def _power(base: float, exponent: float) -> float:
    return math.inf if base == 0 and exponent < 0 else base**exponent


@dataclass(frozen=True)
class Substitute:
    """What is fitted in the place of a parameter.

    Args:
        of: The parameter whose place it takes.
        formula: What it is, a formula of the parameters that there were before.
        share: Whether it is a share of the way between a limit and a bound, or a distance.
    """

    of: str
    formula: str
    share: bool


@dataclass(frozen=True)
class Related:
    """Parameters that keep relations.

    Args:
        parameters: What is fitted, in the order of what there was before.
        given: Formulas of what is fitted, by name of each parameter that is not: held, tied or given by relations.
        substitutes: What took its place, by the new name; none where an equation gives it.
    """

    parameters: tuple[Parameter, ...]
    given: Mapping[str, str]
    substitutes: Mapping[str, Substitute]


def relate(parameters: Sequence[Parameter], known: Mapping[str, str], relations: Sequence[str]) -> Related:
    """Find what to fit so that relations hold.

    Args:
        parameters: What would be fitted without them.
        known: Numbers and formulas, by name, of what is held or tied, or reported and not fitted.
        relations: ``"a < b"``, ``"a < b < c"``, ``"a + b = 1"``, ``"H <= 0.5*E"``.

    Raises:
        FormulaError: If a relation cannot be read, or names something else.
        ExpertError: If one cannot be kept: it contradicts the bounds, or is linear in no parameter of known sign.
    """
    kept = _Kept({p.name: p for p in parameters})
    for name, text in known.items():
        kept.given[Symbol(name, real=True)] = _exact(read_expression(text)[0])
    names = [*(p.name for p in parameters), *known]
    pairs = [(form, equal, text) for text in relations for form, equal in _read(text, names)]
    # Bounds of single parameters first, then the ends of chains: the limits of others are simpler then.
    for form, equal, text in sorted(pairs, key=lambda pair: len(pair[0].free_symbols) > 1):
        (kept.equate if equal else kept.impose)(form, text)
    order = [kept.places.get(p.name, p.name) for p in parameters]
    return Related(
        tuple(kept.free[name] for name in order if name in kept.free),
        {str(s): _text(form) for s, form in kept.given.items()},
        kept.substitutes,
    )


def _read(text: str, names: Sequence[str]) -> Iterator[tuple[Expr, bool]]:
    """The comparisons of a chain: what is above zero or, as the flag says, zero."""
    if not isinstance(text, str) or not _SIGNS.search(text):
        raise FormulaError(f"a relation must be text with one of < > <= >= =, such as 'tau_1 < tau_2', got {text!r}")
    sides = []
    for side in _SIGNS.split(text):
        form, found = read_expression(side)
        unknown = [name for name in found if name not in names]
        if unknown:
            raise FormulaError(
                f"the relation {text!r} names {unknown[0]!r}, which is no fitted parameter: use {', '.join(names)}"
            )
        if _terms(form) > _MOST_TERMS:
            raise FormulaError(
                f"the relation {text[:60]!r} has more than {_MOST_TERMS} terms when multiplied out: write a simpler"
                " one, that is linear in some parameter"
            )
        sides.append(_exact(form))
    for left, sign, right in zip(sides, _SIGNS.findall(text), sides[1:], strict=False):
        yield left - right if sign.startswith(">") else right - left, sign in ("=", "==")


@dataclass(frozen=True)
class _Solved:
    """A relation solved for one parameter: it begins at a limit (``below``) or ends there."""

    parameter: Parameter
    limit: Expr
    below: bool
    #: Whether the parameter's own bound on the side of the limit may be the nearer one, and whether there is room.
    bent: bool
    room: bool


@dataclass
class _Kept:
    """The relations kept so far."""

    free: dict[str, Parameter]
    given: dict[Symbol, Basic] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    substitutes: dict[str, Substitute] = field(default_factory=dict)

    def impose(self, form: Expr, text: str) -> None:
        """Keep ``form > 0``."""
        form, under = sympy.fraction(sympy.cancel(form.xreplace(self.given)))
        if self.sure(-under):
            form, under = -form, -under
        if self.sure(form) and self.sure(under):
            return
        form = form if self.sure(under) else form / under
        if self.sure(-form):
            raise ExpertError(f"{text!r} contradicts the bounds of its parameters: change one of them")
        solved = min(self.ways(form), key=lambda way: (way.bent, not way.room), default=None)
        if solved is None:
            raise ExpertError(
                f"{text!r} is linear in no parameter that it could be solved for: write it another way, or give"
                " parameters bounds that tell the sign of what they are multiplied by"
            )
        self.keep(solved, text)

    def equate(self, form: Expr, text: str) -> None:
        """Keep ``form = 0``."""
        form = sympy.cancel(form.xreplace(self.given))
        ways = list(self.solutions(form))
        if not ways:
            raise ExpertError(f"{text!r} is linear in no parameter that it could be solved for: write it another way")
        parameter, value = ways[0]
        for bound, side in ((parameter.lower, 1), (parameter.upper, -1)):
            if math.isfinite(bound):
                self.impose(side * (value - _exact(bound)), text)
        self.give(parameter, value.xreplace(self.given))

    def solutions(self, form: Expr) -> Iterator[tuple[Parameter, Expr]]:
        """Parameters in which a form is linear, the last first, and where it is zero."""
        for parameter in reversed(self.free.values()):
            symbol = Symbol(parameter.name, real=True)
            slope = form.diff(symbol)
            if symbol in form.free_symbols and symbol not in sympy.cancel(slope).free_symbols:
                yield parameter, sympy.cancel(-form.subs(symbol, 0) / slope)

    def ways(self, form: Expr) -> Iterator[_Solved]:
        """What ``form > 0`` may be solved for."""
        for parameter, limit in self.solutions(form):
            slope = sympy.cancel(form.diff(Symbol(parameter.name, real=True)))
            if not (self.sure(slope) or self.sure(-slope)):
                continue
            below = self.sure(slope)
            side = 1 if below else -1
            near, far = (parameter.lower, parameter.upper)[::side]
            bent = math.isfinite(near) and not limit.is_number and not self.sure(side * (limit - _exact(near)))
            room = not math.isfinite(far) or self.sure(side * (_exact(far) - limit))
            yield _Solved(parameter, limit, below, bent, room)

    def keep(self, solved: _Solved, text: str) -> None:
        """Fit the distance from a limit, or the share of the way, in the place of a parameter."""
        p, side = solved.parameter, 1 if solved.below else -1
        if solved.limit.is_number:
            ends = {"lower": max(p.lower, float(solved.limit))} if solved.below else {}
            ends |= {} if solved.below else {"upper": min(p.upper, float(solved.limit))}
            self.free[p.name] = replace(p, **ends)
            return
        near, far = (_exact(bound) if math.isfinite(bound) else None for bound in (p.lower, p.upper)[::side])
        if not solved.room:
            self.impose(side * (far - solved.limit), text)
        limit = solved.limit.xreplace(self.given)
        if solved.bent:
            limit = (sympy.Max if solved.below else sympy.Min)(limit, near)
        share = far is not None
        name = self.new_name(p.name, _SHARE if share else _GAP)
        what = "share of the way" if share else "distance"
        ends = "from its limit to its bound" if share else "from its limit"
        made = Parameter(
            name,
            unit="1" if share else p.unit,
            lower=0.0,
            upper=1.0 if share else math.inf,
            description=f"{what} of {p.name} {ends}, {text}",
            log=p.log and not share,
        )
        symbol, old = Symbol(name, real=True), Symbol(p.name, real=True)
        formula = (old - limit) / (far - limit) if share else side * (old - limit)
        self.substitutes[name] = Substitute(p.name, _text(formula), share)
        self.places[next((first for first, last in self.places.items() if last == p.name), p.name)] = name
        self.give(p, limit + ((far - limit) * symbol if share else side * symbol), made)

    def give(self, parameter: Parameter, value: Basic, place: Parameter | None = None) -> None:
        """Take a parameter out of those that are fitted."""
        symbol = Symbol(parameter.name, real=True)
        self.given = {s: form.subs(symbol, value) for s, form in self.given.items()} | {symbol: value}
        del self.free[parameter.name]
        if place is not None:
            self.free[place.name] = place

    def new_name(self, name: str, end: str) -> str:
        """A name that nothing has yet."""
        taken = {*self.free, *map(str, self.given)}
        made = f"{name[: 30 - len(end)]}{end}"
        while made in taken:
            made = f"{made[:30]}2"
        return made

    def sure(self, form: Expr) -> bool:
        """Whether a form cannot be negative whatever the parameters inside their bounds are."""
        whole = sympy.expand(form)
        return any(self.span(one)[0] >= 0 for one in (form, whole, sympy.factor(form))) or self.positive(whole)

    def positive(self, form: Expr) -> bool:
        """Whether a form that is linear in each of a few parameters is not negative where their bounds meet.

        Its least value inside a box is in a corner; where a bound is missing it must not fall on that side.
        """
        symbols = sorted(form.free_symbols, key=str)
        if not symbols:
            return bool(form.is_number and form >= 0)
        symbol, p = symbols[0], self.free[str(symbols[0])]
        slope = form.diff(symbol)
        if len(symbols) > _MOST_CORNERS or symbol in slope.free_symbols or not form.is_polynomial(*symbols):
            return False
        ends = [form.subs(symbol, _exact(bound)) for bound in (p.lower, p.upper) if math.isfinite(bound)]
        sides = [sign * slope for bound, sign in ((p.lower, -1), (p.upper, 1)) if not math.isfinite(bound)]
        return all(self.positive(sympy.expand(part)) for part in (*(ends or [form.subs(symbol, 0)]), *sides))

    def span(self, form: Basic) -> tuple[float, float]:
        """Interval in which a form lies, by interval arithmetic; wider than need be where a name occurs twice."""
        if isinstance(form, Expr) and form.is_number:
            return float(form), float(form)
        if isinstance(form, Symbol):
            p = self.free[form.name]
            return p.lower, p.upper
        parts = [self.span(part) for part in form.args]
        if form.is_Add:
            return sum(low for low, _ in parts), sum(high for _, high in parts)
        if form.is_Mul:
            low, high = parts[0]
            for one, other in parts[1:]:
                ends = [0.0 if 0.0 in (a, b) else a * b for a in (low, high) for b in (one, other)]
                low, high = min(ends), max(ends)
            return low, high
        if isinstance(form, Pow) and form.exp.is_number and parts[0][0] >= 0:
            ends = [_power(base, float(form.exp)) for base in parts[0]]
            return min(ends), max(ends)
        if isinstance(form, sympy.Max | sympy.Min):
            choose = max if isinstance(form, sympy.Max) else min
            return choose(low for low, _ in parts), choose(high for _, high in parts)
        return -math.inf, math.inf
