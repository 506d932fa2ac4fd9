"""What people see where it is not what is fitted: formulas of the fitted parameters, with derivatives.

A bound that couples two parameters (a saturation stress above the yield stress) becomes a plain one when the fitted
parameters are others (the rise from one to the other); the formulas turn them back into what people know.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import FormulaError
from .codegen import run_torch
from .formula import read_formula
from .program import Program, lower

Array = NDArray[np.float64]


@functools.lru_cache(maxsize=512)
def reported_program(text: str, variable: str, names: tuple[str, ...]) -> Program:
    """The program of one shown parameter.

    Args:
        text: A formula of the fitted parameters, without the independent variable.
        variable: Name of the independent variable.
        names: Names of the fitted parameters, in order.

    Raises:
        FormulaError: If it cannot be read, or holds the independent variable or an unknown name.
    """
    read = read_formula(f"{text} + 0 * {variable}", variable)  # every formula must name its variable
    used = {s.name for s in read.expression.free_symbols}
    unknown = sorted(used - set(names))
    if unknown:
        raise FormulaError(
            f"the shown parameter {text!r} uses {unknown[0]!r}, which is not fitted; fitted are {', '.join(names)}"
        )
    return lower(read.expression, (variable,), names, safe=True)


def to_reported(programs: list[Program], theta: ArrayLike) -> Array:
    """Values of the shown parameters, shape (..., Q), of fitted ones (..., P)."""
    fitted = torch.as_tensor(np.asarray(theta, dtype=np.float64))
    return torch.stack([_run(program, fitted) for program in programs], dim=-1).numpy()


def reported_jacobian(programs: list[Program], theta: ArrayLike) -> Array:
    """The derivative of :func:`show`, shape (..., Q, P)."""
    with torch.inference_mode(False), torch.enable_grad():
        fitted = torch.tensor(np.asarray(theta, dtype=np.float64), requires_grad=True)
        rows = [torch.autograd.grad(_run(program, fitted).sum(), fitted)[0] for program in programs]
    return torch.stack(rows, dim=-2).numpy()


def _run(program: Program, theta: Tensor) -> Tensor:
    return run_torch(program, torch.ones(1, dtype=theta.dtype), theta)[..., 0]
