"""A differential equation as an expert, and the same one broken in two ways: for the kit's path without a formula."""

import torch

import pima_toolkit as pima


class Cooling(pima.TorchExpert):
    """Newton's cooling in surroundings that warm up: dy/dt = -k (y - rise t), y(0) = A; one Runge-Kutta step a point.

    Valid for: tests.
    """

    name, t = "cooling", "time"
    parameters = (
        pima.Parameter("A", unit="{y}", lower=0.1, upper=10),
        pima.Parameter("k", unit="1/{t}", lower=0.1, upper=5),
        pima.Parameter("rise", unit="{y}/{t}", lower=0, upper=5),
    )
    example = pima.Example(t=(0, 2), parameters={"A": 3, "k": 1.3, "rise": 0.4}, points=8)

    def simulate(self, t, theta):
        A, k, rise = theta.unbind(-1)

        def slope(s, y):
            return -k * (y - rise * s)

        y, at, values = A, torch.zeros((), dtype=t.dtype, device=t.device), []
        for end in t:
            h = end - at
            k1 = slope(at, y)
            k2 = slope(at + h / 2, y + h / 2 * k1)
            k3 = slope(at + h / 2, y + h / 2 * k2)
            k4 = slope(end, y + h * k3)
            y, at = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), end
            values.append(y)
        return torch.stack(values, -1)


class Detached(Cooling):
    """One parameter does not reach the derivatives: a solver that takes it as a number.

    Valid for: tests.
    """

    def simulate(self, t, theta):
        return super().simulate(t, torch.cat([theta[..., :2], theta[..., 2:].detach()], dim=-1))


class Unbatched(Cooling):
    """Written for one row of parameters.

    Valid for: tests.
    """

    def simulate(self, t, theta):
        return super().simulate(t, theta.reshape(-1, 3)[0]).expand(*theta.shape[:-1], -1)
