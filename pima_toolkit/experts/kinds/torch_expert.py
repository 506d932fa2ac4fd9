"""Experts that no formula says: a differential equation, a surrogate network, anything torch can differentiate."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from ...errors import ExpertError, PimaError, in_own_code
from .expert import Expert


class TorchExpert(Expert):
    """An expert written as a torch function of the independent variable and the parameters.

    The author writes :meth:`simulate` and declares ``name``, ``t`` and ``parameters``; derivatives follow by automatic
    differentiation, and the fit is a batched Levenberg-Marquardt in torch, float64. Everything else is as for
    a formula: bounds, starts, errors, priors, clusters and specimens that differ. A formula, where there is one, is
    hundreds of times faster::

        class Relaxation(pima.TorchExpert):
            name, t = "relaxation", "time"
            parameters = (
                pima.Parameter("sigma", unit="{y}", lower=0),
                pima.Parameter("tau", unit="{t}", lower=0, log=True),
            )

            def simulate(self, t, theta):
                sigma, tau = theta[..., :1], theta[..., 1:]
                return sigma * torch.exp(-t / tau)

    A saved fit holds the expert's name and parameters, not its code or its weights: register it before loading.
    """

    @abstractmethod
    def simulate(self, t: Tensor, theta: Tensor) -> Tensor:
        """The curves on one grid.

        Torch operations that can be differentiated; decisions on values are allowed. For a differential equation
        ``torchdiffeq.odeint`` (not ``odeint_adjoint``) with the rows of theta as a batch, all on the grid t. Where a
        solver gives up by an AssertionError, that row counts as not finite.

        Args:
            t: Independent variable, increasing, shape (T,), in its own unit; with covariates packed, see
                :func:`~pima_toolkit.experts.contract.inputs.unpack`.
            theta: Parameters, shape (..., P).

        Returns:
            Values, shape (..., T), in the unit of the data.
        """

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch; grids of their own are simulated one after another. Shapes as in :meth:`Law.predict`."""
        t = t.to(dtype=theta.dtype, device=theta.device)
        if t.ndim == 1:
            return self._simulated(t, theta)
        shape = torch.broadcast_shapes(t.shape[:-1], theta.shape[:-1])
        grids = t.expand(*shape, t.shape[-1]).reshape(-1, t.shape[-1])
        rows = theta.expand(*shape, theta.shape[-1]).reshape(-1, theta.shape[-1])
        curves = [self._simulated(grid, row) for grid, row in zip(grids, rows, strict=True)]
        return torch.stack(curves).reshape(*shape, -1)

    def _simulated(self, t: Tensor, theta: Tensor) -> Tensor:
        """The curves of the author's code; what it raises becomes a sentence with its place.

        Raises:
            ExpertError: If it fails, or returns no tensor.
        """
        try:
            curves = self.simulate(t, theta)
        except (PimaError, AssertionError, ArithmeticError, MemoryError):  # the solvers know what the middle two mean
            raise
        except Exception as error:
            raise ExpertError(f"expert {self.name!r} failed in its own code: {in_own_code(error)}") from error
        if not isinstance(curves, Tensor):
            raise ExpertError(
                f"expert {self.name!r} returned {type(curves).__name__} from simulate, expected a tensor (..., T)"
            )
        return curves

    def compiled_curve(self) -> None:
        """There is no compiled form."""
        return

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        if "predict" in vars(cls) and "simulate" not in vars(cls):
            raise ExpertError(f"the expert class {cls.__name__} must have simulate(t, theta) instead of predict")
