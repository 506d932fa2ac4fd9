r"""Elastic and plastic strain together: a law of hardening as it meets measured curves, which are of total strain.

A law of hardening says the true stress over the plastic strain, :math:`\sigma = f(p)`. A test measures the total
strain, of which :math:`\sigma / E` is elastic, so that the curve is the solution of

.. math:: \sigma = f(\varepsilon - \sigma / E), \qquad \sigma = E\,\varepsilon \text{ where } E\,\varepsilon \le f(0),

found for each point by Newton's method between brackets, with derivatives of the implicit function. Engineering curves
are not converted: the law is, at constant volume, so that noise stays as it was measured,

.. math:: s(e) = \frac{\sigma(\pm\ln(1 \pm e))}{1 \pm e},

with + for tension and - for compression, both counted positive; up to necking.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numba import float64, int64, njit, void
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...compiling import compiled
from ...errors import ExpertError, OptionError
from ..contract.bounds import Bounds
from ..contract.example import Example
from ..contract.inputs import unpack
from ..contract.parameters import Parameter
from ..formulas.codegen import CURVE, compile_curve
from ..formulas.program import Program, lower, with_jacobian
from .evaluated import evaluated
from .expert import Expert
from .formula_expert import SympyExpert

Array = NDArray[np.float64]

#: Signs of the strain by the way in which engineering curves are measured.
_SIGNS = {"tension": 1.0, "compression": -1.0}
#: Most steps of Newton's method or of halving for one point, and plastic strains that are the same, of the total one.
_STEPS, _SAME = 200, 1e-15
#: Where a law's guess begins: plastic strain, of the largest strain.
_PLASTIC = 0.02

#: Arguments of :func:`_total`.
_SIGNATURE = void(CURVE, int64, float64, float64, float64[::1], float64[::1], float64[::1], float64[:, ::1])


def _total(law, inputs, modulus, sign, t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled: see _SIGNATURE
    """Solve for the stress at every point; the law is one over a point, its strain the last parameter.

    A modulus that is no number is the first parameter; sign is 0 for true curves.
    """
    n, first = value.size, 1 if np.isnan(modulus) else 0
    P = theta.size - first
    E = theta[0] if first else modulus
    known, own, stress, slopes = np.empty(inputs), np.empty(P + 1), np.empty(1), np.empty((1, P + 1))
    own[:P] = theta[first:]
    for k in range(n):
        for v in range(1, inputs):
            known[v - 1] = t[v * n + k]
        stretch = 1.0 + sign * t[k]
        strain = t[k] if sign == 0.0 else sign * np.log(stretch)
        own[P] = plastic = 0.0
        law(known, own, stress, slopes)
        share = 1.0
        jacobian[k] = 0.0
        if E * strain > stress[0]:
            low, high = 0.0, strain
            own[P] = strain
            law(known, own, stress, slopes)
            plastic = strain - stress[0] / E
            for _ in range(_STEPS):
                if not low < plastic < high:
                    plastic = 0.5 * (low + high)
                own[P] = plastic
                law(known, own, stress, slopes)
                over = stress[0] - E * (strain - plastic)
                if over > 0.0:
                    high = plastic
                else:
                    low = plastic
                step = over / (slopes[0, P] + E)
                if abs(step) <= _SAME * strain or high - low <= _SAME * strain:
                    break
                plastic -= step
            share = slopes[0, P] / (slopes[0, P] + E)
            for i in range(P):
                jacobian[k, first + i] = (1.0 - share) * slopes[0, i] / stretch
        if first:
            jacobian[k, 0] = share * (strain - plastic) / stretch
        value[k] = E * (strain - plastic) / stretch


@functools.cache
def _solver() -> Callable[..., None]:
    return compiled(_SIGNATURE)(_total)


@functools.lru_cache(maxsize=128)
def _compiled(program: Program, inputs: int, modulus: float, sign: float) -> Callable[..., None]:
    solver, law = _solver(), compile_curve(program)

    # Compiled in each process, in a moment: what it calls is compiled already.
    @njit(CURVE.signature)
    def curve(t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled
        solver(law, inputs, modulus, sign, t, theta, value, jacobian)

    return curve


class ElasticPlastic(Expert):
    """A law of hardening over the total strain, with an elastic modulus; ``pima.elastic_plastic`` makes it.

    Valid for: monotone loading, one plastic mechanism that begins where the elastic line meets the law, no necking.
    Source: Prandtl 1924, Proc. 1st Int. Congr. Appl. Mech., Delft, 43, for the split of the strain.

    Args:
        law: The law of hardening, a formula of the plastic strain.
        E: Elastic modulus where it is known, in the unit of the stress over that of the strain; None: fitted.
        engineering: ``"tension"`` or ``"compression"``: the curve is one of engineering stress and strain; None: true.

    Raises:
        ExpertError: If the law is no formula, or has a parameter ``E`` itself.
        OptionError: If an option is none of these.
    """

    reported: tuple[Parameter, ...] = ()
    law: SympyExpert
    E: float | None
    engineering: str | None

    def __init__(self, law: Expert, E: float | None = None, engineering: str | None = None) -> None:
        if not isinstance(law, SympyExpert):
            raise ExpertError(f"{law.name!r} is no formula: elastic strain can be added to formulas of plastic strain")
        if any(name == "E" for name in (*law.inputs, *(p.name for p in (*law.parameters, *law.reported)))):
            raise ExpertError(f"the law {law.name!r} has an E of its own: it is one of total strain already")
        if E is not None and not (isinstance(E, int | float) and 0 < E < math.inf):
            raise OptionError(f"E={E!r}: expected the elastic modulus, a number above zero, or None to fit it")
        if engineering is not None and engineering not in _SIGNS:
            raise OptionError(f"engineering={engineering!r}: expected 'tension', 'compression' or None, of true stress")
        own = () if E is not None else (Parameter("E", unit="{y}/{t}", lower=0.0, description="elastic modulus"),)
        formulas = tuple(p.name for p in own) + (law.reported_formulas or tuple(p.name for p in law.reported))
        text = f"elastic({'E' if E is None else format(E, '.10g')}) + {law.name}"
        kind = "true" if engineering is None else "engineering"
        for key, value in {
            "law": law,
            "E": None if E is None else float(E),
            "engineering": engineering,
            "t": law.t,
            "covariates": law.covariates,
            "parameters": (*own, *law.parameters),
            "reported": (*own, *law.reported),
            "reported_formulas": formulas if law.reported_formulas else (),
            "reported_bounds": (*("" for _ in own), *law.reported_bounds) if law.reported_bounds else (),
            "within": law.within,
            "name": text if engineering is None else f"engineering({text}, {engineering})",
            "quantity": f"{kind} stress over {kind} strain",
        }.items():
            object.__setattr__(self, key, value)
        object.__setattr__(self, "example", self._example())

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    @property
    def _first(self) -> int:
        """Number of the law's first parameter: 1 where E is fitted."""
        return int(self.E is None)

    @property
    def _sign(self) -> float:
        """Sign of the strain of engineering curves, 0 for true ones."""
        return 0.0 if self.engineering is None else _SIGNS[self.engineering]

    def compiled_curve(self) -> Callable[..., None]:
        """The solution with its derivatives, compiled, or taken from the cache."""
        names = (*(p.name for p in self.law.parameters), self.law.t)
        plain = lower(self.law.expression, self.covariates, names)
        modulus = math.nan if self.E is None else self.E
        return _compiled(with_jacobian(plain, len(names)), len(self.inputs), modulus, self._sign)

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """The compiled form in torch, differentiable once; shapes as in :meth:`Law.predict`."""
        return evaluated(self, t, theta)

    def bounds(self, t: ArrayLike) -> Bounds:
        """The law's own bounds, and those of E."""
        own = self.law.bounds(t)
        first = [0.0] * self._first
        return Bounds(np.append(first, own.lower), np.append([math.inf] * self._first, own.upper))

    @property
    def parts(self) -> tuple[Expert, ...]:
        """The law of hardening, and what that is made of."""
        return (self.law, *self.law.parts)

    @property
    def guesses(self) -> bool:
        """The slope at the beginning gives E, and what is left is the law's to guess."""
        return True

    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """E from the steepest mean slope from the origin; the law by its own guess of the plastic part."""
        strain, *known = unpack(t, len(self.inputs))
        stretch = np.maximum(1.0 + self._sign * strain, 1e-6)
        strain, stress = (self._sign * np.log(stretch) if self._sign else strain), y * stretch
        along = np.broadcast_to(strain, y.shape)
        order = np.argsort(np.where(weights > 0.0, along, np.inf), axis=1)
        x, up, w = (np.take_along_axis(part, order, 1) for part in (along, stress, weights))
        w = np.where(x > 0.0, w, 0.0)
        square = np.cumsum(w * x**2, 1)
        slope = np.where(square > 0.0, np.cumsum(w * x * up, 1) / np.where(square > 0.0, square, 1.0), 0.0).max(1)
        E = np.where(slope > 0.0, slope, 1.0) if self.E is None else np.full(len(y), self.E)
        # Counted from where the line of E leaves them, plastic strains are nearly total ones: near enough for a guess.
        reach = np.max(np.where(weights > 0.0, np.abs(along), 0.0), axis=1, keepdims=True)
        kept = np.where(along - stress / E[:, None] > _PLASTIC * reach, weights, 0.0)
        enough = (kept > 0.0).sum(1, keepdims=True) > len(self.law.parameters)
        packed = np.concatenate([np.maximum(strain, 0.0), *known], axis=-1)
        law = self.law.initial_guess(packed, stress, np.where(enough, kept, weights))
        return np.concatenate([E[:, None], law], axis=1) if self.E is None else law

    def check_units(self, t: ArrayLike, units: Mapping[str, str], y_unit: str) -> None:
        """Refuse data whose units contradict the law's, and engineering strains that are no plain numbers.

        Args:
            t: Independent variable, any shape.
            units: Units of the inputs, by name.
            y_unit: Unit of the curves.

        Raises:
            ExpertError: If they do.
        """
        unit = units.get(self.t, "1")
        if self.engineering is not None and unit != "1":
            raise ExpertError(
                f"expert {self.name!r} takes the logarithm of one and the strain, and {self.t} is in {unit!r}: convert"
                " it to a plain number, '1'"
            )
        self.law.check_units(t, units, y_unit)

    def to_reported(self, theta: ArrayLike) -> Array:
        """E, and the law's reported parameters, shape (..., Q)."""
        theta = np.asarray(theta, dtype=np.float64)
        first = self._first
        return np.concatenate([theta[..., :first], self.law.to_reported(theta[..., first:])], axis=-1)

    def reported_jacobian(self, theta: ArrayLike) -> Array:
        """Derivative of :meth:`to_reported` by the fitted parameters, shape (..., Q, P)."""
        theta, first = np.asarray(theta, dtype=np.float64), self._first
        law = self.law.reported_jacobian(theta[..., first:])
        out = np.zeros((*theta.shape[:-1], len(self.reported), len(self.parameters)))
        out[..., :first, :first] = np.eye(first)
        out[..., first:, first:] = law
        return out

    def _example(self) -> Example | None:
        example = self.law.example
        if example is None:
            return None
        values = dict(example.parameters)
        high = self.law.value_and_jacobian(example.inputs(self.law), example.theta(self.law.parameters))[0].max()
        if self.E is None:
            values["E"] = 200.0 * high  # yields at half a per cent, as metals do
        return replace(example, parameters=values, y=self.quantity.split(" over ")[0])

    def fixed(self, **values: float) -> ElasticPlastic:
        """Hold parameters at known values, E or the law's; see :meth:`SympyExpert.fixed`."""
        E = values.pop("E", self.E)
        return ElasticPlastic(self.law.fixed(**values) if values else self.law, E, self.engineering)

    def tied(self, **formulas: str) -> ElasticPlastic:
        """Give some of the law's parameters by formulas of others; see :meth:`SympyExpert.tied`."""
        return ElasticPlastic(self.law.tied(**formulas), self.E, self.engineering)

    def related(self, *relations: str) -> ElasticPlastic:
        """Keep relations between the law's parameters; see :meth:`SympyExpert.related`."""
        return ElasticPlastic(self.law.related(*relations), self.E, self.engineering)

    def to_dict(self) -> dict[str, object]:
        """Give the law and what was made of it as JSON-able values."""
        made = {"law": self.law.to_dict(), "E": self.E, "engineering": self.engineering}
        return {"kind": "elastic_plastic", "name": self.name, **made}

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.law, self.E, self.engineering)
