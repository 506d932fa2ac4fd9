"""The certified nonlinear regression problems of NIST (StRD), read from benchmarks/strd, and their formulas.

A digit is one of a log relative error: 6 digits mean a relative error below 1e-6.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "strd"
Array = NDArray[np.float64]

_EXPONENTIALS = "b1*exp(-b2*x) + b3*exp(-b4*x) + b5*exp(-b6*x)"
_PEAKS = "b1*exp(-b2*x) + b3*exp(-(x - b4)**2/b5**2) + b6*exp(-(x - b7)**2/b8**2)"
_CUBIC = "(b1 + b2*x + b3*x**2 + b4*x**3) / (1 + b5*x + b6*x**2 + b7*x**3)"

#: The right-hand sides as printed by NIST.
FORMULAS = {
    "Bennett5": "b1*(b2 + x)**(-1/b3)",
    "BoxBOD": "b1*(1 - exp(-b2*x))",
    "Chwirut1": "exp(-b1*x)/(b2 + b3*x)",
    "Chwirut2": "exp(-b1*x)/(b2 + b3*x)",
    "DanWood": "b1*x**b2",
    "ENSO": "b1 + b2*cos(2*pi*x/12) + b3*sin(2*pi*x/12) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4)"
    " + b8*cos(2*pi*x/b7) + b9*sin(2*pi*x/b7)",
    "Eckerle4": "(b1/b2)*exp(-0.5*((x - b3)/b2)**2)",
    "Gauss1": _PEAKS,
    "Gauss2": _PEAKS,
    "Gauss3": _PEAKS,
    "Hahn1": _CUBIC,
    "Kirby2": "(b1 + b2*x + b3*x**2) / (1 + b4*x + b5*x**2)",
    "Lanczos1": _EXPONENTIALS,
    "Lanczos2": _EXPONENTIALS,
    "Lanczos3": _EXPONENTIALS,
    "MGH09": "b1*(x**2 + x*b2) / (x**2 + x*b3 + b4)",
    "MGH10": "b1*exp(b2/(x + b3))",
    "MGH17": "b1 + b2*exp(-x*b4) + b3*exp(-x*b5)",
    "Misra1a": "b1*(1 - exp(-b2*x))",
    "Misra1b": "b1*(1 - (1 + b2*x/2)**(-2))",
    "Misra1c": "b1*(1 - (1 + 2*b2*x)**(-0.5))",
    "Misra1d": "b1*b2*x*(1 + b2*x)**(-1)",
    "Nelson": "b1 - b2*x1*exp(-b3*x2)",
    "Rat42": "b1/(1 + exp(b2 - b3*x))",
    "Rat43": "b1/(1 + exp(b2 - b3*x))**(1/b4)",
    "Roszman1": "b1 - b2*x - atan(b3/(x - b4))/pi",
    "Thurber": _CUBIC,
}


@dataclass(frozen=True)
class Problem:
    """One certified problem.

    Args:
        name: As NIST calls it.
        formula: Over x and b1, b2, ...; Nelson has x1 and x2, and the logarithm of its response as y.
        x: Predictors, shape (predictors, points).
        y: Response, shape (points,).
        names: Parameters, in order.
        starts: The two certified starting points, shape (2, P).
        certified: Certified parameters, shape (P,).
        std_errors: Certified standard deviations, shape (P,).
        residual_squares: Certified residual sum of squares.
    """

    name: str
    formula: str
    x: Array
    y: Array
    names: tuple[str, ...]
    starts: Array
    certified: Array
    std_errors: Array
    residual_squares: float

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the predictors."""
        return ("x",) if len(self.x) == 1 else tuple(f"x{i + 1}" for i in range(len(self.x)))

    @property
    def named(self) -> dict[str, Array]:
        """The predictors by name."""
        return dict(zip(self.inputs, self.x, strict=True))


def read_problem(name: str) -> Problem:
    """Read one file of NIST."""
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    first, last = (int(n) for n in re.search(r"Data\s+\(lines (\d+) to (\d+)\)", "\n".join(lines)).groups())
    table = [[float(v) for v in re.findall(r"\S+", line.partition("=")[2])] for line in lines[40:60] if "=" in line]
    numbers = np.array([row for row in table if len(row) == 4])
    data = np.array([[float(v) for v in line.split()] for line in lines[first - 1 : last]]).T
    return Problem(
        name,
        FORMULAS[name],
        np.ascontiguousarray(data[1:]),
        np.log(data[0]) if name == "Nelson" else data[0].copy(),
        tuple(f"b{i + 1}" for i in range(len(numbers))),
        numbers[:, :2].T.copy(),
        numbers[:, 2].copy(),
        numbers[:, 3].copy(),
        float(re.search(r"Residual Sum of Squares:\s+(\S+)", "\n".join(lines))[1]),
    )


@functools.cache
def problems() -> dict[str, Problem]:
    """All problems by name."""
    return {name: read_problem(name) for name in FORMULAS}


def digits(found: Array, certified: Array) -> float:
    """Correct digits of the worst entry: -log10 of the largest relative error, from 0 to 11 (NIST certifies 11)."""
    error = np.max(np.abs(np.asarray(found) - certified) / np.abs(certified))
    return float(np.clip(-np.log10(max(error, 1e-11)), 0.0, 11.0)) if np.isfinite(error) else 0.0
