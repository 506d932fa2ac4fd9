r"""Hyperelasticity: one strain energy, and the law of every test that follows from it.

An incompressible body is deformed by

.. math:: F = \begin{pmatrix} a & \gamma & 0 \\ 0 & b & 0 \\ 0 & 0 & 1/(ab) \end{pmatrix}

and the stress that goes with a measure of deformation is the derivative of the energy W along it, whatever else is
free: :math:`P = \mathrm dW/\mathrm d\lambda` in tension, :math:`\tau = \mathrm dW/\mathrm d\gamma` in shear. All tests
are paths of :math:`(a, b, \gamma)`, so that sympy derives each by the chain rule from the energy alone. Stresses are
nominal (first Piola-Kirchhoff) where not said otherwise. Source: Holzapfel 2000, Nonlinear Solid Mechanics, ch. 6.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import sympy
from sympy import Expr, Rational, Symbol, sqrt

from ...errors import ExpertError, FormulaError, OptionError
from ..contract.example import Example
from ..contract.parameters import Parameter
from ..formulas.parser import names_in, read_expression
from .formula_expert import SympyExpert

_STRETCH, _STRETCH_2, _SHEAR = (Symbol(name, real=True) for name in ("stretch", "stretch_2", "shear"))
#: What an energy is a formula of: the invariants of Cauchy and Green, and the principal stretches.
_I1, _I2, _L1, _L2, _L3 = MEASURES = tuple(Symbol(name, real=True) for name in ("I1", "I2", "l1", "l2", "l3"))
#: Of the difference of principal stretches, so that its root has a slope where a stretched body is not sheared yet.
_BLUR = Rational(1, 10**12)


@dataclass(frozen=True)
class Loading:
    """A test: the path of deformation along its measure, and how its stress follows from the derivatives of W.

    Args:
        words: What is measured.
        a: Stretch along 1.
        b: Stretch along 2.
        shear: Amount of shear in the plane of 1 and 2.
        slopes: The stress as a sum of derivatives of W: along what, and times what.
    """

    words: str
    a: Expr = sympy.S.One
    b: Expr = sympy.S.One
    shear: Expr = sympy.S.Zero
    slopes: tuple[tuple[Symbol, Expr], ...] = ((_STRETCH, sympy.S.One),)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The measured deformation, then what else is known of it."""
        there = set().union(*(part.free_symbols for part in (self.a, self.b, self.shear)))
        return tuple(s.name for s in (_SHEAR, _STRETCH, _STRETCH_2) if s in there)

    def measures(self) -> dict[Symbol, Expr]:
        """Invariants and principal stretches along the path."""
        a, b, g, third = self.a, self.b, self.shear, 1 / (self.a * self.b)
        one, two = a, b
        if g != 0:
            # At a = b the root is the shear itself, which may change its sign: the stretches then change places.
            apart = g if a == b else sqrt((a - b) ** 2 + g**2 + _BLUR)
            whole = sqrt((a + b) ** 2 + g**2)
            one, two = (whole + apart) / 2, (whole - apart) / 2
        plane = a**2 + b**2 + g**2
        invariants = plane + third**2, (a * b) ** 2 + third**2 * plane
        return dict(zip(MEASURES, (*map(sympy.expand, invariants), one, two, third), strict=True))


#: The tests that are known, by name.
LOADINGS: Mapping[str, Loading] = {
    "uniaxial": Loading("nominal stress of tension and compression", _STRETCH, 1 / sqrt(_STRETCH)),
    "equibiaxial": Loading(
        "nominal stress, the same in two directions", _STRETCH, _STRETCH, slopes=((_STRETCH, Rational(1, 2)),)
    ),
    "planar": Loading("nominal stress of tension at constant width (pure shear)", _STRETCH),
    "simple_shear": Loading("shear stress over the amount of shear", shear=_SHEAR, slopes=((_SHEAR, sympy.S.One),)),
    "stretched_shear": Loading(
        "shear stress of a body that was stretched in the direction 1 before, its sides free",
        _STRETCH,
        1 / sqrt(_STRETCH),
        _SHEAR,
        ((_SHEAR, sympy.S.One),),
    ),
    "biaxial": Loading("nominal stress 11 at two stretches", _STRETCH, _STRETCH_2),
    "biaxial_2": Loading(
        "nominal stress 22 at two stretches", _STRETCH, _STRETCH_2, slopes=((_STRETCH_2, sympy.S.One),)
    ),
    "biaxial_difference": Loading(
        "true stress 11 minus 22 at two stretches",
        _STRETCH,
        _STRETCH_2,
        slopes=((_STRETCH, _STRETCH), (_STRETCH_2, -_STRETCH_2)),
    ),
}


def _modulus(name: str = "mu", words: str = "shear modulus") -> Parameter:
    return Parameter(name, unit="{y}", lower=0.0, description=words)


def _neo_hooke() -> tuple[str, tuple[Parameter, ...]]:
    return "mu/2 * (I1 - 3)", (_modulus(),)


def _mooney_rivlin() -> tuple[str, tuple[Parameter, ...]]:
    constants = [Parameter(name, unit="{y}", description="constant") for name in ("C_10", "C_01")]
    return "C_10 * (I1 - 3) + C_01 * (I2 - 3)", tuple(constants)


def _yeoh(terms: int = 3) -> tuple[str, tuple[Parameter, ...]]:
    names = [f"C_{k}" for k in range(1, terms + 1)]
    first = _modulus(names[0], "half the shear modulus")
    further = [Parameter(name, unit="{y}", description="constant") for name in names[1:]]
    return " + ".join(f"{name} * (I1 - 3)**{k}" for k, name in enumerate(names, 1)), (first, *further)


def _ogden(terms: int = 1) -> tuple[str, tuple[Parameter, ...]]:
    numbers = [""] if terms == 1 else [f"_{k}" for k in range(1, terms + 1)]
    energy = [f"2*mu{k}/alpha{k}**2 * (l1**alpha{k} + l2**alpha{k} + l3**alpha{k} - 3)" for k in numbers]
    pairs = [
        (
            _modulus(f"mu{k}", "shear modulus" if terms == 1 else "its part of the shear modulus"),
            Parameter(f"alpha{k}", lower=-60.0, upper=60.0, description="exponent"),
        )
        for k in numbers
    ]
    return " + ".join(energy), tuple(p for pair in pairs for p in pair)


def _gent() -> tuple[str, tuple[Parameter, ...]]:
    limit = Parameter("J_m", lower=0.0, description="I1 - 3 at which the chains are stretched out")
    return "-mu*J_m/2 * log(1 - (I1 - 3)/J_m)", (_modulus(), limit)


def _arruda_boyce() -> tuple[str, tuple[Parameter, ...]]:
    factors = ("1/2", "1/20", "11/1050", "19/7000", "519/673750")
    series = [f"{f}*(I1**{i} - 3**{i})/lambda_m**{2 * i - 2}" for i, f in enumerate(factors, 1)]
    limit = Parameter("lambda_m", lower=1.0, description="stretch at which the chains are stretched out")
    return f"mu * ({' + '.join(series)})", (_modulus(words="shear modulus of long chains"), limit)


def _demiray() -> tuple[str, tuple[Parameter, ...]]:
    return "mu/(2*b) * (exp(b*(I1 - 3)) - 1)", (_modulus(), Parameter("b", lower=0.0, description="stiffening"))


#: The energies that are known by a name, and those that are a sum of terms.
ENERGIES = {
    "neo_hooke": _neo_hooke,  # Treloar 1943
    "mooney_rivlin": _mooney_rivlin,  # Mooney 1940, Rivlin 1948
    "yeoh": _yeoh,  # Yeoh 1993
    "ogden": _ogden,  # Ogden 1972
    "gent": _gent,  # Gent 1996
    "arruda_boyce": _arruda_boyce,  # Arruda & Boyce 1993, five terms of the series
    "demiray": _demiray,  # Demiray 1972, after Fung
}
_SUMS = {"yeoh", "ogden"}
#: Plausible values of their parameters, of rubber in MPa.
_TYPICAL = {"mu": 0.4, "C_10": 0.15, "C_01": 0.05, "C_1": 0.2, "C_2": -0.002, "C_3": 1e-4, "alpha": 2.5, "J_m": 60.0}
_TYPICAL |= {"lambda_m": 4.0, "b": 0.2, "mu_1": 0.3, "alpha_1": 1.5, "mu_2": 0.05, "alpha_2": 4.0}
#: Terms of a sum at most: more than any data determine.
_MOST = 6


class Hyperelastic(Mapping[str, SympyExpert]):
    """An incompressible hyperelastic material: the laws of its tests by name, all with the same parameters.

    ``material["uniaxial"]`` is an expert as any other, of ``stretch``; those of shear are of ``shear``, and of a second
    number, ``stretch`` or ``stretch_2``, where the test has one.

    Args:
        name: How the material is called.
        energy: Strain energy of the reference volume, a formula of ``I1`` and ``I2`` or of ``l1``, ``l2``, ``l3``.
        parameters: Its parameters, in the wanted order; as the formula has them, without bounds, by default.

    Raises:
        FormulaError: If the energy cannot be read, or its parameters are not these.
        ExpertError: If it is no energy of a deformation.
    """

    def __init__(self, name: str, energy: str, parameters: tuple[Parameter, ...] | None = None) -> None:
        form, names = read_expression(energy)
        measured = {str(m) for m in MEASURES}
        taken = sorted({"stretch", "stretch_2", "shear"} & set(names))
        if taken:
            raise FormulaError(
                f"an energy is a formula of I1 and I2, or of l1, l2 and l3, not of {taken[0]!r}", names[taken[0]]
            )
        if not measured & set(names):
            raise ExpertError(
                f"the energy {energy!r} has no deformation in it: write it with I1 and I2, or with the principal"
                " stretches l1, l2 and l3, as 'mu/2 * (I1 - 3)'"
            )
        if any(form.subs(dict(zip((_L1, _L2, _L3), turn, strict=True)), simultaneous=True) != form for turn in _TURNS):
            raise ExpertError(
                f"the energy {energy!r} changes when l1, l2 and l3 change places: an isotropic one treats them alike"
            )
        given = tuple(Parameter(n) for n in names if n not in measured) if parameters is None else parameters
        self.name, self.energy, self.form = name, energy, form
        self.parameters = given
        self._laws: dict[str, SympyExpert] = {}

    def __getitem__(self, test: str) -> SympyExpert:
        if test not in LOADINGS:
            raise OptionError(f"there is no test {test!r}: use one of {', '.join(LOADINGS)}")
        if test not in self._laws:
            self._laws[test] = self._law(test)
        return self._laws[test]

    def __iter__(self) -> Iterator[str]:
        return iter(LOADINGS)

    def __len__(self) -> int:
        return len(LOADINGS)

    def __hash__(self) -> int:
        return hash((self.name, self.energy, self.parameters))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hyperelastic) and hash(self) == hash(other)

    def _law(self, test: str) -> SympyExpert:
        t, *covariates = LOADINGS[test].inputs
        along = (0.0, 0.5) if t == "shear" else (1.0, 2.0)
        known = {p.name: _TYPICAL.get(p.name, 1.0) for p in self.parameters}
        return SympyExpert(
            self.formula(test),
            t,
            covariates=tuple(covariates),
            name=f"{self.name}, {test}",
            parameters=self.parameters,
            example=Example(along, known, covariates=dict.fromkeys(covariates, 1.2), y="stress", y_unit="MPa"),
        )

    def formula(self, test: str) -> str:
        """The stress of a test as a formula, derived from the energy; measures of deformation are named parts."""
        loading, stress = LOADINGS[test], sympy.S.Zero
        measures = loading.measures()
        for along, factor in loading.slopes:
            stress += sum(factor * self.form.diff(m) * path.diff(along) for m, path in measures.items())
        # Stretches that are the same, or no more than a name or a number, need no part of their own.
        first = {path: m for m, path in reversed(measures.items())}
        stress = stress.subs([(m, path if path.is_Atom else first[path]) for m, path in measures.items()])
        named = [f"{m} = {path}" for m, path in measures.items() if m in stress.free_symbols]
        text = "; ".join([*named, str(sympy.factor_terms(stress))])
        # A stretch beforehand is told also where it changes nothing, so that all materials take the same inputs.
        return text + "".join(f" + 0*{name}" for name in loading.inputs if name not in names_in(text))

    def __repr__(self) -> str:
        return f"<hyperelastic material {self.name!r}: W = {self.energy}; tests {', '.join(self)}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{test}</td><td>{html.escape(loading.words)}</td></tr>" for test, loading in LOADINGS.items()
        )
        return f"<b>{html.escape(self.name)}</b> W = {html.escape(self.energy)}<table>{rows}</table>"


#: Two changes of places from which all others follow.
_TURNS = ((_L2, _L1, _L3), (_L2, _L3, _L1))


def hyperelastic(
    energy: str, *, terms: int | None = None, parameters: tuple[Parameter, ...] | None = None
) -> Hyperelastic:
    """Make the laws of an incompressible hyperelastic material, one for each test, from its strain energy.

    Args:
        energy: ``"neo_hooke"``, ``"mooney_rivlin"``, ``"yeoh"``, ``"ogden"``, ``"gent"``, ``"arruda_boyce"``,
            ``"demiray"`` (exponential, of soft tissue), or a formula of the invariants ``I1``, ``I2`` or of the
            principal stretches ``l1``, ``l2``, ``l3``: ``"C*(I1 - 3) + D*log(I2/3)"``.
        terms: How many, of ``"ogden"`` (1 by default) and ``"yeoh"`` (3).
        parameters: Parameters of a formula, with units and bounds.

    Raises:
        OptionError: If ``terms`` is given for what is no sum, or is no number of terms.
        FormulaError: If the formula cannot be read, or its parameters are not these.
        ExpertError: If it is no energy of a deformation.
    """
    if energy not in ENERGIES:
        if terms is not None:
            raise OptionError(f"terms={terms!r} goes with {' and '.join(sorted(_SUMS))}, not with {energy!r}")
        return Hyperelastic(energy, energy, parameters)
    if parameters is not None:
        raise OptionError(f"{energy!r} has its own parameters: give parameters= with a formula only")
    if terms is None:
        text, own = ENERGIES[energy]()
        return Hyperelastic(energy, text, own)
    if energy not in _SUMS or isinstance(terms, bool) or not isinstance(terms, int) or not 1 <= terms <= _MOST:
        raise OptionError(
            f"terms={terms!r} with {energy!r}: expected 1 to {_MOST} terms of {' or '.join(sorted(_SUMS))}"
        )
    text, own = ENERGIES[energy](terms)
    return Hyperelastic(f"{energy} of {terms} terms" if terms > 1 else energy, text, own)
