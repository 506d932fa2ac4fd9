r"""Whether declared units can be those of a formula's parameters, given the units of the data.

A law :math:`y = f(t, \theta)` holds in any system of units, so that a change of units changes nothing (Bridgman 1922):
with :math:`a` the logarithm of a unit, or its exponent of force, length, time or temperature,

.. math:: \sum_j a_j \, \theta_j \, \partial f/\partial\theta_j + a_t \, t \, \partial f/\partial t = a_y \, f

at every point and for each of the five. It is linear in the :math:`a`: those of unknown units are solved for, and what
is left over is a contradiction. A number in the formula may have a unit, too (:math:`t - 3`), so numbers that are added
or compared, or are no simple fractions, are solved for as well; and so is the unit by which something is divided before
it is raised to a fitted power or its logarithm is taken, unless all in it is a number: percent, say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from ...units import dimension
from ..contract.bounds import Bounds
from ..contract.parameters import Parameter
from .codegen import run_torch
from .program import Builder, Program, inputs

Array = NDArray[np.float64]

#: Parameter vectors and points of t at which the law is compared.
_DRAWS, _POINTS = 12, 8
#: Share of the largest known entry that may be left over.
_TOLERANCE = 1e-4
#: Numerators and denominators up to here are numbers without a unit where they multiply.
_SIMPLE = 100


def contradicted(
    program: Program,
    names: Sequence[str],
    parameters: Sequence[Parameter],
    t: Array,
    units: Mapping[str, str],
    y_unit: str,
    bounds: Callable[[Array], Bounds],
) -> list[Parameter]:
    """The parameters whose declared units contradict those of the data.

    Args:
        program: The formula, of one output.
        names: Of the inputs, the independent variable first.
        parameters: As declared; ``"1"``, what names ``{y}`` or ``{t}``, and units that are not known say nothing.
        t: Where the law holds, any shape.
        units: Of the inputs, by name; those that are not known say nothing.
        y_unit: Of the curves.
        bounds: Bounds on a grid.

    Returns:
        The fewest, first come first, without whose units there would be no contradiction; nothing where there is none.
    """
    given = [None if p.unit.strip() == "1" or "{" in p.unit else dimension(p.unit) for p in parameters]
    if all(one is None for one in given):
        return []
    along = [_input_dimension(name, units.get(name, "1")) for name in names]
    y = None if y_unit.strip() in ("", "1") else dimension(y_unit)
    freed, numbers, bases = _with_free_numbers(program, along, given)
    columns, value = _slopes(freed, len(names), len(parameters), numbers + len(bases), t, bounds(t))
    known = [*along, *given, *[None] * numbers, *[np.zeros(5) if plain else None for plain in bases], y]
    matrix = np.concatenate([columns, -value[:, None]], axis=1)
    if not _contradicts(matrix, known):
        return []
    declared = [j for j, one in enumerate(given) if one is not None]
    without = [None if 0 <= k - len(names) < len(given) else one for k, one in enumerate(known)]
    if _contradicts(matrix, without):
        # Such as per cent to a fitted power: to blame is what has to do with the curves' units, and no constant in K.
        curves = np.sum([np.abs(one) for one in (along[0], y) if one is not None], axis=0) > 0.0
        return [parameters[j] for j in declared if np.any((np.asarray(given[j]) != 0.0) & curves)]
    for size in range(1, len(declared)):
        for some in combinations(declared, size):
            rest = [None if k - len(names) in some else one for k, one in enumerate(known)]
            if not _contradicts(matrix, rest):
                return [parameters[j] for j in some]
    return [parameters[j] for j in declared]


def _input_dimension(name: str, unit: str) -> Array | None:
    """Dimension of an input; without a unit only a strain is known to be a number."""
    if unit.strip() in ("", "1"):
        return np.zeros(5) if "strain" in name and "rate" not in name else None
    return dimension(unit)


def _with_free_numbers(
    program: Program, along: Sequence[Array | None], given: Sequence[Array | None]
) -> tuple[Program, int, list[bool]]:
    """The program with further parameters of value one: a factor of each number that may have a unit, then of bases.

    Returns:
        The program, how many numbers, and of each base whether nothing in it is known to have a unit but a number's.
    """
    steps, count = program.steps, len(given)
    bound = {k for op, operands in steps for k in (operands[1:] if op == "power" else ())}
    joined = {k for op, operands in steps if op not in {"mul", "power", "ipow"} for k in inputs(op, operands)}
    number, base, plain = {}, {}, []
    for i, (op, operands) in enumerate(steps):
        known = {"t": along, "p": given}.get(op)
        one = None if known is None else known[operands[0]]
        plain.append(all(plain[k] for k in inputs(op, operands)) and (one is None or not one[1:].any()))
        if op == "const" and i not in bound and operands[0] and (i in joined or not _simple(operands[0])):
            number[i] = len(number)
        elif op == "log" or (op == "power" and steps[operands[1]][0] != "const"):
            base[i] = len(base)
    out, new = Builder(), []
    for i, (op, operands) in enumerate(steps):
        k = len(inputs(op, operands))
        moved = [new[j] for j in operands[:k]]
        if i in base:
            moved[0] = out.step("mul", moved[0], out.step("p", count + len(number) + base[i]))
        made = out.step(op, *moved, *operands[k:])
        new.append(out.step("mul", made, out.step("p", count + number[i])) if i in number else made)
    free = Program(tuple(out.steps), tuple(new[o] for o in program.outputs))
    return free, len(number), [plain[steps[i][1][0]] for i in base]


def _simple(number: float) -> bool:
    ratio = Fraction(number).limit_denominator(_SIMPLE)
    return abs(ratio.numerator) <= _SIMPLE and abs(float(ratio) - number) <= 1e-12 * abs(number)


def _slopes(program: Program, V: int, P: int, extra: int, t: Array, bounds: Bounds) -> tuple[Array, Array]:
    """Derivatives by the logarithms of inputs, parameters and further factors, (points, V + P + extra), and values.

    At random points inside the bounds, each row divided by the sum of its entries; points where the law is not finite
    are left out.
    """
    rng = np.random.default_rng(0)
    draw = np.exp(rng.normal(size=(_DRAWS, P)))
    low, high = np.isfinite(bounds.lower), np.isfinite(bounds.upper)
    lower, upper = np.where(low, bounds.lower, 0.0), np.where(high, bounds.upper, 0.0)
    inside = lower + (upper - lower) * rng.uniform(size=(_DRAWS, P))
    theta = np.where(low & high, inside, np.where(low, lower + draw, np.where(high, upper - draw, draw)))
    theta = np.concatenate([theta, np.ones((_DRAWS, extra))], axis=1)
    points = np.unique(np.asarray(t, dtype=np.float64))
    points = points[np.linspace(0, points.size - 1, _POINTS).astype(int)]
    grid = np.concatenate([np.tile(points, _DRAWS)[:, None], np.exp(rng.normal(size=(points.size * _DRAWS, V - 1)))], 1)
    # Every point is a row with its own factors, so that one backward pass has all derivatives.
    u = torch.zeros(len(grid), V + P + extra, dtype=torch.float64, requires_grad=True)
    rows, values = torch.as_tensor(grid), torch.as_tensor(np.repeat(theta, points.size, axis=0))
    law = run_torch(program, rows * u[:, :V].exp(), values * u[:, V:].exp(), V)[:, 0]
    slopes, value = torch.autograd.grad(law.sum(), u)[0].numpy(), law.detach().numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(slopes).sum(1) + np.abs(value)
    use = np.isfinite(size) & (size > 0) & (size < 1e100)
    return slopes[use] / size[use, None], value[use] / size[use]


def _contradicts(matrix: Array, known: Sequence[Array | None]) -> bool:
    """Whether no units of what is not known make ``matrix @ a`` zero, a of shape (columns, 5)."""
    given = {k: one for k, one in enumerate(known) if one is not None}
    fixed, wanted = list(given), np.stack(list(given.values())) if given else np.zeros((0, 5))
    if not len(matrix) or not wanted.any():
        return False
    right = -matrix[:, fixed] @ wanted
    free = matrix[:, [k for k, one in enumerate(known) if one is None]]
    left = right - free @ np.linalg.lstsq(free, right, rcond=1e-10)[0] if free.size else right
    return bool(np.sqrt(np.mean(np.square(left), axis=0)).max() > _TOLERANCE * np.abs(wanted).max())
