"""Checks of the two forms of an expert, compiled and torch: shapes, derivatives, ends of the range."""

from __future__ import annotations

import numpy as np
import torch

from ..experts import Expert
from .case import Array, Case, Failure, close, finite, finite_difference, quiet_torch


def without_bounds(expert: Expert) -> str | None:
    """Tell why there are no bounds to stand at; None where there are."""
    bounded = any(np.isfinite([p.lower, p.upper]).any() for p in expert.parameters)
    return None if bounded or type(expert).bounds is not Expert.bounds else "its parameters have no bounds"


def shapes(case: Case) -> int:
    """Any batch of parameters, shared grids and one per specimen; float64 stays float64, float32 float32."""
    expert, t, theta = case.expert, case.t, case.thetas
    P, T = theta.shape[1], case.points
    batches = {(P,): theta[0], (3, P): theta[:3], (2, 2, P): theta[:4].reshape(2, 2, P)}
    compared = 0
    for shape, batch in batches.items():
        value, jacobian = expert.value_and_jacobian(t, batch)
        torched = expert.predict(torch.from_numpy(t), torch.from_numpy(batch.copy()))
        lead = shape[:-1]
        for what, answer, expected in (
            ("values", value, (*lead, T)),
            ("the Jacobian", jacobian, (*lead, T, P)),
            ("predict", torched, (*lead, T)),
        ):
            if tuple(answer.shape) != expected or str(answer.dtype).removeprefix("torch.") != "float64":
                raise Failure(
                    f"for parameters {shape} and t {t.shape} {what} is {answer.dtype} of shape {tuple(answer.shape)},"
                    f" expected float64 of shape {expected}"
                )
        single = expert.predict(torch.from_numpy(t), torch.from_numpy(batch.reshape(-1, P)[-1].copy()))
        last = torched.detach().numpy().reshape(-1, T)[-1]
        compared += close(
            "predict of a batch and of its last row", last, single.detach().numpy(), relative=case.precision
        )
    compared += _own_grids(case)
    low = expert.predict(torch.from_numpy(t).float(), torch.from_numpy(theta).float())
    if low.dtype != torch.float32:
        raise Failure(f"predict of float32 parameters is {low.dtype}, expected float32")
    return compared


def _own_grids(case: Case) -> int:
    """Compare the values on one grid per specimen with those on each grid alone."""
    expert, theta = case.expert, case.thetas[:3]
    grids = np.stack([case.t, case.moved(lambda t: (t + t[-1]) / 2), case.moved(lambda t: (t + t[t.size // 2]) / 2)])
    value, jacobian = expert.value_and_jacobian(grids, theta)
    expected = (3, 3, case.points)
    if value.shape != expected or jacobian.shape != (*expected, theta.shape[1]):
        raise Failure(f"for parameters (3, P) and t (3, T) values have the shape {value.shape}, expected {expected}")
    torched = expert.predict(torch.from_numpy(grids), torch.from_numpy(theta.copy())).detach().numpy()
    compared = 0
    for n, grid in enumerate(grids):
        alone = expert.value_and_jacobian(grid, theta[n])[0]
        compared += close("values with one grid per specimen", value[n, n], alone, relative=case.precision)
        compared += close("predict with t (N, T)", torched[n], case.predict(theta[n], grid), relative=case.precision)
    return compared


def without_covariates(expert: Expert) -> str | None:
    """Tell why there are no covariates to look at; None where there are."""
    return None if expert.covariates else "it declares no covariates"


def covariates(case: Case) -> int:
    """Inputs by name are the packed ones, under every condition in both forms, and every covariate does something."""
    expert, theta, compared = case.expert, case.thetas, 0
    for grid in case.conditions:
        packed = expert.value_and_jacobian(grid, theta)[0]
        by_name = expert.value_and_jacobian(case.named(grid), theta)[0]
        compared += close("values of inputs by name", by_name, packed, relative=1e-12)
        compared += close("predict under another condition", case.predict(theta, grid), packed, relative=case.precision)
    names, points = expert.covariates, case.points
    for k, name in enumerate(names, start=1):
        changed = case.t
        part = slice(k * points, (k + 1) * points)
        changed[part] = 1.1 * changed[part] + 0.1 * (changed[part] == 0)
        if np.array_equal(expert.value_and_jacobian(changed, theta)[0], case.values, equal_nan=True):
            raise Failure(f"the covariate {name!r} changes nothing")
        compared += points
    return compared


def torch_equals_compiled(case: Case) -> int:
    """predict and value_and_jacobian give the same values."""
    torched = case.predict(case.thetas)
    return close("predict differs from the compiled values", torched, case.values, relative=case.precision)


def jacobian_equals_torch(case: Case) -> int:
    """The compiled Jacobian is what torch differentiates, parameter by parameter."""
    names, compared = [p.name for p in case.expert.parameters], 0
    for theta in case.thetas[:2]:
        jacobian, expected = case.expert.value_and_jacobian(case.t, theta)[1], case.torch_jacobian(theta)
        for i, name in enumerate(names):
            what = f"the compiled derivative by {name!r} differs from torch's"
            compared += close(what, jacobian[:, i], expected[:, i], relative=100 * case.precision)
    return compared


def jacobian_equals_differences(case: Case) -> int:
    """The Jacobian is what finite differences of the values say, kinks left out."""
    expert, bounds = case.expert, case.bounds
    compared = 0
    for theta in case.thetas:
        # The third root of the noise balances it against the curvature.
        steps = 0.1 * case.noise ** (1 / 3) * np.where(theta == 0, 1.0, np.abs(theta))
        theta = np.clip(theta, bounds.lower + steps, bounds.upper - steps)
        jacobian = expert.value_and_jacobian(case.t, theta)[1]
        expected, smooth = finite_difference(lambda x: expert.value_and_jacobian(case.t, x)[0], theta, steps)
        size = np.max(np.abs(expert.value_and_jacobian(case.t, theta)[0]))
        for i, p in enumerate(expert.parameters):
            kept = smooth[:, i]
            if kept.sum() * 2 < kept.size:
                raise Failure(f"the values jump when {p.name!r} changes by {steps[i]:.1g}: no derivative exists")
            what = f"the derivative by {p.name!r} differs from finite differences"
            allowed = 2e-5 if case.noise < 1e-9 else 1e-3
            rounding = case.noise * size / steps[i]
            compared += close(what, jacobian[kept, i], expected[kept, i], relative=allowed, absolute=rounding)
    return compared


def finite_on_the_grid(case: Case) -> int:
    """Values and all derivatives are finite on the closed range of t, both ends included, in float32 too."""
    value, jacobian = case.expert.value_and_jacobian(case.t, case.thetas)
    compared = finite("values", value) + finite("the Jacobian", jacobian)
    for dtype in (torch.float64, torch.float32):
        t, theta = torch.from_numpy(case.t).to(dtype), torch.from_numpy(case.thetas).to(dtype).requires_grad_()
        torched = case.expert.predict(t, theta)
        compared += finite(f"predict in {dtype}", torched)
        (slope,) = torch.autograd.grad(torched.sum(), theta)
        compared += finite(f"the gradient of predict in {dtype}", slope)
    return compared + finite("the forward derivative of predict", case.torch_jacobian(case.thetas[0]))


def finite_at_the_bounds(case: Case) -> int:
    """With each parameter in turn at its bounds, a hair inside, and all at once, values and Jacobian are finite."""
    bounds, theta = case.bounds, case.thetas[0]
    both = np.isfinite(bounds.lower) & np.isfinite(bounds.upper)
    edges = []
    for bound in (bounds.lower, bounds.upper):
        reached = np.isfinite(bound)
        start = np.where(reached, bound, theta)
        # A bound such as tau = 0 is often no model itself. Between two bounds any value must do; beside a single one
        # those within three decades, since nearer to zero every power overflows, and a fit only turns back.
        everything = start + np.where(both, 1e-9, 1e-3) * (theta - start)
        edges += [np.where(np.arange(theta.size) == i, everything, theta) for i in np.flatnonzero(reached)]
        edges += [everything] if reached.any() else []
    return _finite_at(case, np.array(edges)) if edges else 0


def _finite_at(case: Case, edges: Array) -> int:
    value, jacobian = case.expert.value_and_jacobian(case.t, edges)
    names = [p.name for p in case.expert.parameters]
    for row, edge in enumerate(edges):
        if not (np.isfinite(value[row]).all() and np.isfinite(jacobian[row]).all()):
            where = ", ".join(f"{name} = {x:.3g}" for name, x in zip(names, edge, strict=True))
            raise Failure(f"not finite at {where}")
    return value.size + jacobian.size


def vmap(case: Case) -> int:
    """torch.func.vmap over parameters equals the batch, and vmap of jacfwd works."""
    t, theta = torch.from_numpy(case.t), torch.from_numpy(case.thetas)
    predict = case.expert.predict
    each = torch.func.vmap(lambda x: predict(t, x))(theta)
    compared = close(
        "vmap over parameters", each.detach().numpy(), predict(t, theta).detach().numpy(), relative=case.precision
    )
    with quiet_torch():
        slopes = torch.func.vmap(torch.func.jacfwd(lambda x: predict(t, x)))(theta)
    return compared + close(
        "vmap of jacfwd", slopes[0].detach().numpy(), case.torch_jacobian(case.thetas[0]), relative=case.precision
    )
