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
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ExpertError, OptionError
from ..contract.bounds import Bounds
from ..contract.example import Example
from ..contract.inputs import unpack
from ..contract.parameters import Parameter
from ..formulas.codegen import generated, numba_source
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

_CURVE = """

@njit(void(float64[::1], float64[::1], float64[::1], float64[:, ::1]), cache={cache}, error_model="numpy")
def total(t, theta, value, jacobian):
    n, V, P, first, sign = value.size, {inputs}, {parameters}, {first}, {sign}
    E = {modulus}
    known, own = np.empty(V), np.empty(P + 1)
    stress, slopes = np.empty(1), np.empty((1, P + 1))
    own[:P] = theta[first:]
    for k in range(n):
        for v in range(1, V):
            known[v - 1] = t[v * n + k]
        stretch = 1.0 + sign * t[k]
        strain = sign * math.log(stretch) if sign != 0.0 else t[k]
        own[P] = 0.0
        curve(known, own, stress, slopes)
        plastic = 0.0
        if E * strain > stress[0]:
            low, high = 0.0, strain
            own[P] = strain
            curve(known, own, stress, slopes)
            plastic = strain - stress[0] / E
            if not low < plastic < high:
                plastic = 0.5 * high
            for _ in range({steps}):
                own[P] = plastic
                curve(known, own, stress, slopes)
                over = stress[0] - E * (strain - plastic)
                if over > 0.0:
                    high = plastic
                else:
                    low = plastic
                step = over / (slopes[0, P] + E)
                moved = plastic - step
                if not low < moved < high:
                    moved = 0.5 * (low + high)
                if abs(moved - plastic) <= {same} * strain:
                    break
                plastic = moved
            share = E / (slopes[0, P] + E)
            for i in range(P):
                jacobian[k, first + i] = share * slopes[0, i] / stretch
            if first:
                jacobian[k, 0] = (1.0 - share) * (strain - plastic) / stretch
        else:
            jacobian[k] = 0.0
            if first:
                jacobian[k, 0] = strain / stretch
        value[k] = E * (strain - plastic) / stretch
"""


def _source(program: Program, *, cache: bool = True, **numbers: float | str) -> str:
    """A module with the law over one point, its strain the last parameter, as ``curve``, and what solves for it."""
    text = numba_source(program, cache=cache).replace("import math\n", "import math\n\nimport numpy as np\n", 1)
    return text + _CURVE.format(cache=cache, steps=_STEPS, same=_SAME, **numbers)


@functools.lru_cache(maxsize=128)
def _compiled(program: Program, inputs: int, parameters: int, modulus: float | None, sign: float) -> Callable[..., None]:
    numbers = {"inputs": inputs, "parameters": parameters, "first": int(modulus is None), "sign": sign}
    text = "theta[0]" if modulus is None else repr(modulus)
    return generated(functools.partial(_source, program, modulus=text, **numbers)).total


class ElasticPlastic(Expert):
    """A law of hardening over the total strain, with an elastic modulus; made by :func:`elastic_plastic`.

    Args:
        law: The law of hardening, a formula of the plastic strain.
        E: Elastic modulus where it is known, in the unit of the stress over that of the strain; None: fitted.
        engineering: ``"tension"`` or ``"compression"``: the curve is one of engineering stress and strain; None: true.

    Raises:
        ExpertError: If the law is no formula, or has a parameter ``E`` itself.
        OptionError: If an option is none of these.
    """

    def __init__(self, law: SympyExpert, E: float | None = None, engineering: str | None = None) -> None:
        if not isinstance(law, SympyExpert):
            raise ExpertError(f"{law.name!r} is no formula: elastic strain can be added to formulas of plastic strain")
        if any(name == "E" for name in (*law.inputs, *(p.name for p in (*law.parameters, *law.reported)))):
            raise ExpertError(f"the law {law.name!r} has an E of its own: it is one of total strain already")
        if E is not None and not (isinstance(E, int | float) and 0 < E < math.inf):
            raise OptionError(f"E={E!r}: expected the elastic modulus, a number above zero, or None to fit it")
        if engineering is not None and engineering not in _SIGNS:
            raise OptionError(f"engineering={engineering!r}: expected 'tension', 'compression' or None, of true stress")
        self.law, self.E, self.engineering = law, None if E is None else float(E), engineering
        self.t, self.covariates = law.t, law.covariates
        own = () if E is not None else (Parameter("E", unit="{y}/{t}", lower=0.0, description="elastic modulus"),)
        self.parameters, self.reported = (*own, *law.parameters), (*own, *law.reported)
        names = [p.name for p in own]
        formulas = law.reported_formulas or tuple(p.name for p in law.reported)
        self.reported_formulas = (*names, *formulas) if law.reported_formulas else ()
        self.reported_bounds = (*("" for _ in own), *law.reported_bounds) if law.reported_bounds else ()
        text = f"elastic({'E' if E is None else format(self.E, 'g')}) + {law.name}"
        self.name = text if engineering is None else f"engineering({text}, {engineering})"
        kind = "true" if engineering is None else "engineering"
        self.quantity = f"{kind} stress over {kind} strain"
        self.example = self._example()

    @property
    def _first(self) -> int:
        """Number of the law's first parameter: 1 where E is fitted."""
        return int(self.E is None)

    def compiled_curve(self) -> Callable[..., None]:
        """The solution with its derivatives, compiled, or taken from the cache."""
        names = (*(p.name for p in self.law.parameters), self.law.t)
        plain = lower(self.law.expression, self.covariates, names)
        sign = 0.0 if self.engineering is None else _SIGNS[self.engineering]
        program = with_jacobian(plain, len(names))
        return _compiled(program, len(self.inputs), len(names) - 1, self.E, sign)

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """The compiled form in torch, differentiable once; shapes as in :meth:`Law.predict`."""
        return evaluated(self, t, theta)

    def bounds(self, t: ArrayLike) -> Bounds:
        """The law's own bounds, and those of E."""
        own = self.law.bounds(t)
        first = [0.0] * self._first
        return Bounds(np.append(first, own.lower), np.append([math.inf] * self._first, own.upper))

    @property
    def guesses(self) -> bool:
        """The slope at the beginning gives E, and what is left is the law's to guess."""
        return True

    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """E from the steepest mean slope from the origin; the law by its own guess of the plastic part."""
        strain, *known = unpack(np.broadcast_to(t, (len(y), t.shape[-1])), len(self.inputs))
        sign = 0.0 if self.engineering is None else _SIGNS[self.engineering]
        stretch = np.maximum(1.0 + sign * strain, 1e-6)
        strain, stress = (sign * np.log(stretch) if sign else strain), y * stretch
        order = np.argsort(strain, axis=1)
        along, up, w = (np.take_along_axis(part, order, 1) for part in (strain, stress, weights))
        w = np.where(along > 0.0, w, 0.0)
        moment, square = np.cumsum(w * along * up, 1), np.cumsum(w * along**2, 1)
        slope = np.where(square > 0.0, moment / np.where(square > 0.0, square, 1.0), 0.0).max(1)
        E = np.where(slope > 0.0, slope, 1.0) if self.E is None else np.full(len(y), self.E)
        plastic = strain - stress / E[:, None]
        floor = _PLASTIC * np.max(np.abs(strain), axis=1, keepdims=True)
        kept = np.where(plastic > floor, weights, 0.0)
        enough = (kept > 0.0).sum(1, keepdims=True) > len(self.law.parameters)
        packed = np.concatenate([np.maximum(plastic, 0.0), *known], axis=1)
        law = self.law.initial_guess(packed, stress, np.where(enough, kept, weights))
        return np.concatenate([E[:, None], law], axis=1) if self.E is None else law

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


def elastic_plastic(
    law: SympyExpert, E: float | None = None, engineering: str | None = None
) -> ElasticPlastic: ...
