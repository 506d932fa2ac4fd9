"""The torch form of laws that are computed elsewhere: compiled values, differentiated by their own Jacobian.

The same numbers in every form, and a gradient that costs one evaluation, also under ``torch.func`` transforms. Second
derivatives are not to be had, and the work is done on the CPU, float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .expert import Expert


def evaluated(expert: Expert, t: Tensor, theta: Tensor) -> Tensor:
    """Evaluate the compiled form in torch, once differentiable by theta.

    Args:
        expert: One with a compiled form.
        t: Packed grid, shape (V T,) or (..., V T).
        theta: Parameters, shape (..., P).

    Returns:
        Values, shape (..., T), dtype and device of theta.
    """
    return _Evaluated.apply(expert, t, theta)[0]


class _Evaluated(torch.autograd.Function):
    """Values and Jacobian of the compiled form as one step of torch."""

    @staticmethod
    def forward(expert: Expert, t: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        V, P = len(expert.inputs), theta.shape[-1]
        lead = torch.broadcast_shapes(t.shape[:-1], theta.shape[:-1])
        grids = t.detach().expand(*lead, t.shape[-1]).reshape(-1, t.shape[-1]).cpu().double().numpy()
        rows = theta.detach().expand(*lead, P).reshape(-1, P).cpu().double().numpy()
        points = t.shape[-1] // V
        if len(grids) and (grids == grids[:1]).all():
            value, jacobian = expert.value_and_jacobian(grids[0].copy(), rows)
        else:
            value, jacobian = np.empty((len(rows), points)), np.empty((len(rows), points, P))
            for n, (grid, row) in enumerate(zip(grids, rows, strict=True)):
                value[n], jacobian[n] = expert.value_and_jacobian(grid.copy(), row)
        like = {"dtype": theta.dtype, "device": theta.device}
        return (
            torch.as_tensor(value, **like).reshape(*lead, points),
            torch.as_tensor(jacobian, **like).reshape(*lead, points, P),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])
        ctx.save_for_forward(output[1])
        ctx.shape = inputs[2].shape

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Tensor) -> tuple[None, None, Tensor]:
        (jacobian,) = ctx.saved_tensors
        return None, None, torch.einsum("...t,...tp->...p", slope, jacobian).sum_to_size(ctx.shape)

    @staticmethod
    def jvp(ctx: Any, _expert: None, _t: Tensor | None, theta: Tensor) -> tuple[Tensor, None]:
        (jacobian,) = ctx.saved_tensors
        return torch.einsum("...tp,...p->...t", jacobian, theta), None

    @staticmethod
    def vmap(_info: object, dims: tuple, expert: Expert, t: Tensor, theta: Tensor) -> tuple:
        def first(x: Tensor, dim: int | None, rank: int) -> Tensor:
            if dim is None:
                return x
            x = x.movedim(dim, 0)
            return x.reshape(x.shape[0], *[1] * (rank - x.dim() + 1), *x.shape[1:])

        rank = max(t.dim() - (dims[1] is not None), theta.dim() - (dims[2] is not None))
        out = _Evaluated.apply(expert, first(t, dims[1], rank), first(theta, dims[2], rank))
        return out, (0, 0)
