"""Checks of an expert's declarations: words, parameters, units, files. Each returns how much it compared."""

from __future__ import annotations

import inspect
import json

import numpy as np

from ..experts import Expert, OdeExpert, Parameter, SympyExpert, expert_from_dict, resolve_unit
from .case import Case, Failure, close, finite_difference

#: Units of a curve and of its variable to resolve parameters' units with.
_UNITS = (("1", "1"), ("MPa", "1"), ("N/mm**2", "s"))


def made_from_text(expert: Expert) -> str | None:
    """Tell why there is no docstring to look at; None where there is."""
    return "a formula without a class has no docstring" if type(expert) in (SympyExpert, OdeExpert) else None


def not_linear(expert: Expert) -> str | None:
    """Tell why there is no linearity to look at; None where there is."""
    return None if expert.linear else "it declares no parameters it is linear in"


def docstring(case: Case) -> int:
    """The class says in words what it is, and where it holds."""
    cls = type(case.expert)
    text = inspect.cleandoc(cls.__doc__ or "")
    if not text.strip():
        raise Failure(f"the class {cls.__name__} has no docstring")
    if "Valid for" not in text:
        raise Failure(f"the docstring of {cls.__name__} does not say 'Valid for:'")
    return len(text.split())


def parameters(case: Case) -> int:
    """Parameters have names of their own, bounds that hold on the grid, and units that resolve."""
    expert, bounds = case.expert, case.bounds
    if not (isinstance(expert.t, str) and expert.t.isidentifier()):
        raise Failure(f"the independent variable is called {expert.t!r}, which is no name")
    for what, listed in (("fitted", expert.parameters), ("reported", expert.reported)):
        wrong = [p for p in listed if not isinstance(p, Parameter)]
        if wrong:
            raise Failure(f"the {what} parameter {wrong[0]!r} is no Parameter")
        names = [p.name for p in listed]
        twice = [name for name in names if names.count(name) > 1 or name == expert.t]
        if twice:
            raise Failure(f"the name {twice[0]!r} of a {what} parameter is taken")
        for p in listed:
            for y_unit, t_unit in _UNITS:
                unit = resolve_unit(p.unit, y_unit, t_unit)
                if "{" in unit or "}" in unit or not unit.strip():
                    raise Failure(f"the unit {p.unit!r} of {p.name!r} becomes {unit!r}, which is no unit")
    P = len(expert.parameters)
    if bounds.lower.shape != (P,):
        raise Failure(f"bounds() has {bounds.lower.size} parameters, declared are {P}")
    for i, p in enumerate(expert.parameters):
        if bounds.lower[i] < p.lower or bounds.upper[i] > p.upper:
            raise Failure(
                f"bounds() lets {p.name!r} be {bounds.lower[i]:g} to {bounds.upper[i]:g}, declared {p.lower:g} to"
                f" {p.upper:g}"
            )
    if not all(isinstance(i, int) and 0 <= i < P for i in expert.linear):
        raise Failure(f"linear is {expert.linear}, expected numbers of parameters from 0 to {P - 1}")
    return P + len(expert.reported)


def example(case: Case) -> int:
    """There is an example, inside the bounds, and its curve is not zero everywhere."""
    curve = case.values[0]
    if not np.any(curve):
        raise Failure("the curve of the example is zero everywhere")
    return curve.size


def json_round_trip(case: Case) -> int:
    """Written as JSON and read again it is equal, and predicts the same."""
    expert = case.expert
    text = json.dumps(expert.to_dict(), allow_nan=False)
    again = expert_from_dict(json.loads(text), installed={one.name: one for one in (expert, *expert.parts)})
    if again != expert or hash(again) != hash(expert):
        raise Failure(f"what came back is not equal: {again!r}")
    values = again.value_and_jacobian(case.t, case.thetas)[0]
    return close("what came back predicts otherwise", values, case.values, relative=case.precision)


def reported_parameters(case: Case) -> int:
    """What people see has the shape of ``reported``, and the derivative it says."""
    expert, thetas = case.expert, case.thetas
    reported, jacobian = expert.to_reported(thetas), expert.reported_jacobian(thetas)
    V, P = thetas.shape
    Q = len(expert.reported)
    if np.shape(reported) != (V, Q) or np.shape(jacobian) != (V, Q, P):
        raise Failure(
            f"to_reported and reported_jacobian have the shapes {np.shape(reported)} and {np.shape(jacobian)}, expected"
            f" {(V, Q)} and {(V, Q, P)}"
        )
    compared = 0
    for theta, slope in zip(thetas, jacobian, strict=True):
        steps = 1e-6 * np.where(theta == 0, 1.0, np.abs(theta))
        expected, _ = finite_difference(expert.to_reported, theta, steps)
        for q in range(Q):
            compared += close(
                f"reported_jacobian of {expert.reported[q].name!r}",
                slope[q] * steps,
                expected[q] * steps,
                relative=1e-5,
            )
    return compared


def linear_parameters(case: Case) -> int:
    """In the parameters it declares as linear, all together, it is: far steps follow the Jacobian."""
    expert, thetas = case.expert, case.thetas
    compared = 0
    for theta in thetas:
        moved = theta.copy()
        for k, i in enumerate(expert.linear):
            moved[i] = (1.7 + 0.6 * k) * theta[i] + (1.0 if theta[i] == 0 else 0.0)
        value, jacobian = expert.value_and_jacobian(case.t, theta)
        expected = value + jacobian @ (moved - theta)
        stepped = expert.value_and_jacobian(case.t, moved)[0]
        compared += close("a step in the linear parameters", stepped, expected, relative=1e-8)
    return compared
