"""Several laws as one: every point belongs to a test, and every test takes its own parameters from one set.

The joined law is an expert as any other, whose one curve is the curves of all tests one after the other: what fits one
curve fits several tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ExpertError
from ..contract.bounds import Bounds
from ..contract.inputs import by_name, pack, unpack, variable
from ..contract.parameters import NAME, Parameter, resolve_unit
from ..kinds.expert import Expert
from ..solvers.least_squares import evaluate

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TestCurve:
    """One test, as it was measured.

    Args:
        name: What people call it.
        law: Its law.
        t: Packed inputs of the law, (V T,).
        y: What was measured, (T,); NaN where nothing was.
        y_unit: Unit of y.
        t_unit: Unit of the law's independent variable.
        noise_std: Known standard deviation of each point's noise, (T,); None where it is to be learned.
    """

    __test__ = False  # no test of pytest's

    name: str
    law: Expert
    t: Array
    y: Array
    y_unit: str
    t_unit: str
    noise_std: Array | None = None

    @property
    def x(self) -> Array:
        """The law's independent variable, (T,)."""
        return variable(self.law, self.t)

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The law's inputs by name."""
        return by_name(self.law.inputs, self.t)

    @property
    def size(self) -> float:
        """Root mean square of what was measured."""
        return float(np.sqrt(np.nanmean(np.square(self.y)))) or 1.0


#: Name of the input that says which test a point is of.
_NUMBER = "number of the test"


class JoinedLaw(Expert):
    """The laws of several tests with parameters in common.

    Its inputs are the measured variable, the number of the test, and the covariates of all tests by name.

    Args:
        tests: What was measured; the laws are taken from it, and the bounds where these depend on the data.
        share: Names of the fitted parameters that tests have in common.

    Raises:
        ExpertError: If a name is no parameter of two tests, or what is shared differs in unit or in bounds.
    """

    #: Names with spaces, which no input of a law can have.
    t = "measured x"

    def __init__(self, tests: Sequence[TestCurve], share: Sequence[str]) -> None:
        self.laws = tuple(test.law for test in tests)
        self.tests = tuple(test.name for test in tests)
        self.name = " + ".join(self.tests)
        self.covariates = (_NUMBER, *dict.fromkeys(c for law in self.laws for c in law.covariates))
        self.share = tuple(share)
        _check_shared(tests, share)
        #: Of each test the numbers of its law's parameters among all.
        self.own: tuple[list[int], ...] = ()
        parameters: list[Parameter] = []
        limits: list[tuple[float, float]] = []
        for test in tests:
            bounds, numbers = test.law.bounds(test.x), []
            for k, p in enumerate(test.law.parameters):
                made = self._named(p, test)
                names = [one.name for one in parameters]
                number = names.index(made.name) if made.name in names else len(names)
                low, high = bounds.lower[k], bounds.upper[k]
                if number == len(names):
                    parameters.append(made)
                    limits.append((low, high))
                elif p.name not in share:
                    raise ExpertError(f"two tests have names too alike to tell {made.name!r} apart: rename one")
                else:
                    limits[number] = _both(parameters[number], made, limits[number], (low, high), test.name)
                numbers.append(number)
            self.own = (*self.own, numbers)
        self.parameters = tuple(parameters)
        self.limits = Bounds(*np.array(limits).T)
        self.linear = tuple(
            p
            for p in range(len(parameters))
            if all(p not in own or own.index(p) in law.linear for own, law in self._parts())
        )
        self._reported = self._report_rows(tests)

    def _parts(self) -> list[tuple[list[int], Expert]]:
        return list(zip(self.own, self.laws, strict=True))

    def _named(self, p: Parameter, test: TestCurve) -> Parameter:
        """A test's parameter as one of all: with its unit, and with the test's name where it is the test's own."""
        name = p.name if p.name in self.share else f"{p.name}_{_word(test.name)}"
        if not NAME.fullmatch(name):
            raise ExpertError(
                f"the parameter {p.name!r} of test {test.name!r} would be called {name!r}: shorten the name"
            )
        return replace(p, name=name, unit=resolve_unit(p.unit, test.y_unit, test.t_unit))

    def _report_rows(self, tests: Sequence[TestCurve]) -> list[tuple[int, int, Parameter]]:
        """What is reported: of each row the test and the number that its law reports it by; what is shared once."""
        rows: dict[str, tuple[int, int, Parameter]] = {}
        middle = self.limits.from_unbounded(np.full((1, len(self.parameters)), 0.3))[0]
        for k, (test, own) in enumerate(zip(tests, self.own, strict=True)):
            made_of = test.law.reported_jacobian(middle[own]) != 0
            for q, p in enumerate(test.law.reported):
                causes = [test.law.parameters[i].name for i in np.flatnonzero(made_of[q])]
                shared = all(name in self.share for name in causes)
                name = p.name if shared else f"{p.name}_{_word(test.name)}"
                unit = resolve_unit(p.unit, test.y_unit, test.t_unit)
                rows.setdefault(name, (k, q, replace(p, name=name, unit=unit)))
        return list(rows.values())

    @property
    def reported(self) -> tuple[Parameter, ...]:
        """What the laws report, once where it is shared."""
        return tuple(p for _, _, p in self._reported)

    @property
    def reported_by_all(self) -> tuple[Parameter, ...]:
        """Those of them that are made of shared parameters alone."""
        return tuple(p for k, q, p in self._reported if p.name == self.laws[k].reported[q].name)

    def to_reported(self, theta: ArrayLike) -> Array:
        """Turn fitted parameters (..., P) into reported ones, shape (..., Q)."""
        theta = np.asarray(theta, dtype=np.float64)
        every = [law.to_reported(theta[..., own]) for own, law in self._parts()]
        return np.stack([every[k][..., q] for k, q, _ in self._reported], axis=-1)

    def reported_jacobian(self, theta: ArrayLike) -> Array:
        """Derivative of :meth:`to_reported` by the fitted parameters, shape (..., Q, P)."""
        theta = np.asarray(theta, dtype=np.float64)
        every = [law.reported_jacobian(theta[..., own]) for own, law in self._parts()]
        out = np.zeros((*theta.shape[:-1], len(self._reported), theta.shape[-1]))
        for row, (k, q, _) in enumerate(self._reported):
            out[..., row, self.own[k]] = every[k][..., q, :]
        return out

    def bounds(self, t: ArrayLike) -> Bounds:  # noqa: ARG002 - those of every test on its own data
        """The narrowest bounds of all tests."""
        return self.limits

    def joined(self, tests: Sequence[TestCurve]) -> dict[str, Array]:
        """The inputs of tests by name, one after the other."""
        made = {name: [] for name in self.inputs}
        for number, test in enumerate(tests):
            named = {**test.inputs, self.t: test.x, _NUMBER: np.full(test.x.shape, float(number))}
            for name, parts in made.items():
                parts.append(named.get(name, np.zeros(test.x.shape)))
        return {name: np.concatenate(parts) for name, parts in made.items()}

    def _grids(self, t: Array) -> list[tuple[NDArray[np.int64], Array]]:
        """Points of each test in a packed grid (V T,), and its law's own packed inputs."""
        rows = by_name(self.inputs, t)
        found = []
        for number, law in enumerate(self.laws):
            at = np.flatnonzero(rows[_NUMBER] == number)
            named = {name: rows[name if name in law.covariates else self.t][at] for name in law.inputs}
            found.append((at, pack(law, named, (1, len(at))) if len(at) else np.zeros(0)))
        return found

    def compiled_curve(self) -> None:
        """None: the laws' own compiled forms are called one after the other."""
        return

    def values_and_slopes(self, t: Array, theta: Array) -> tuple[Array, Array]:
        """Values (R, G, T) and Jacobians (R, G, T, P) on packed grids (G, V T) at parameters (R, P)."""
        R, P = theta.shape
        value = np.zeros((R, len(t), t.shape[-1] // len(self.inputs)))
        slopes = np.zeros((*value.shape, P))
        for g, grid in enumerate(t):
            for (at, own_grid), (own, law) in zip(self._grids(grid), self._parts(), strict=True):
                if at.size:
                    one, jacobian = evaluate(law, own_grid[None], np.ascontiguousarray(theta[:, own]))
                    value[:, g, at] = one[:, 0]
                    slopes[:, g, at[:, None], own] = jacobian[:, 0]
        return value, slopes

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch, differentiably; shapes as in :meth:`Law.predict`."""
        number = unpack(t, len(self.inputs))[1]
        out = torch.zeros_like(t[..., : number.shape[-1]] + theta[..., :1])
        for k, (own, law) in enumerate(self._parts()):
            rows = by_name(self.inputs, t)
            inputs = [rows[name if name in law.covariates else self.t] for name in law.inputs]
            # Where another test was made, the law is asked about a point of its own, which does not count.
            mine = number == k
            if not mine.any():
                continue
            safe = [torch.where(mine, row, row[mine][0]) for row in inputs]
            out = torch.where(mine, law.predict(torch.cat(safe, -1), theta[..., own]), out)
        return out

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.laws, self.tests, self.share)


def _word(name: str) -> str:
    """A test's name as a part of a parameter's."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "test"


def _check_shared(tests: Sequence[TestCurve], share: Sequence[str]) -> None:
    """Refuse to share what is not there.

    Raises:
        ExpertError: If a name is a parameter of fewer than two tests.
    """
    for name in share:
        owners = [test.name for test in tests if name in [p.name for p in test.law.parameters]]
        if len(owners) < 2:
            every = ", ".join(dict.fromkeys(p.name for test in tests for p in test.law.parameters))
            what = f"only the law of {owners[0]!r} fits it" if owners else "no law fits it"
            raise ExpertError(f"{name!r} cannot be shared, {what}: the fitted parameters are {every}")


def _both(
    first: Parameter, second: Parameter, one: tuple[float, float], other: tuple[float, float], test: str
) -> tuple[float, float]:
    """Bounds that hold in both tests.

    Raises:
        ExpertError: If units differ, or nothing lies in both.
    """
    if first.unit != second.unit or first.log != second.log:
        raise ExpertError(
            f"the shared parameter {first.name!r} is in {second.unit} in test {test!r} and in {first.unit} before:"
            " convert the data, nothing is converted here"
        )
    low, high = max(one[0], other[0]), min(one[1], other[1])
    if not low < high:
        raise ExpertError(
            f"the shared parameter {first.name!r} has the bounds {one[0]:g} to {one[1]:g} and, in test {test!r},"
            f" {other[0]:g} to {other[1]:g}, which do not meet: do not share it"
        )
    return low, high
