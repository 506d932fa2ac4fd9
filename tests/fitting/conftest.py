"""Small problems of every shape of grid."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.effects.latent import Trend
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.mixture import GaussianMixture
from pima_toolkit.model.physics import PhysicsDecoder


@pytest.fixture(scope="session")
def small_model(small_model):
    """Here by the paper's rules, of which most of these tests are; test_evidence.py has the others."""
    return functools.partial(small_model, inference="paper")


@pytest.fixture(scope="session")
def random_problem():
    """A function that draws a posterior, a mixture, a physics decoder and curves; all float64."""

    def draw(seed, expert="affine", grid="shared", specimens=14, clusters=3, points=11, latent=2, scatter=True):
        rng = np.random.default_rng(seed)
        expert = pima.get_expert(expert)
        t = np.linspace(0.02, 1.0, points)
        if grid.startswith("own"):
            t = np.sort(rng.uniform(0, 1, (specimens, points)), axis=1) + 1e-3 * np.arange(points)
        bounds = expert.bounds(t)
        scale = 60.0

        def parameters(count):
            if expert.name == "linear_hardening":
                return np.stack([rng.uniform(a, b, count) for a, b in ((40, 90), (0.2, 0.7), (0.05, 0.6))], 1)
            return rng.normal(0, 30, (count, len(expert.parameters)))

        own = parameters(specimens)
        grids = t if t.ndim == 2 else np.tile(t, (specimens, 1))
        x = np.stack([expert.value_and_jacobian(g, p[None])[0][0] for g, p in zip(grids, own, strict=True)]) / scale
        x = torch.as_tensor(x + rng.normal(0, 10 ** rng.uniform(-2.5, -0.5), x.shape))
        observed = None
        if "masked" in grid:
            observed = torch.as_tensor(rng.random((specimens, points)) < 0.7)
            observed[:, :3] = True
            x = torch.where(observed, x, 0.0)
        present = torch.as_tensor(rng.random(specimens) < 0.85)
        size = len(expert.parameters)
        half = torch.as_tensor(rng.normal(0, 0.4, (clusters, size, size)))
        decoder = PhysicsDecoder(
            expert,
            bounds,
            scale,
            parameters(clusters),
            half @ half.mT if scatter else torch.zeros(clusters, size, size, dtype=torch.float64),
            torch.full((clusters,), 10.0 ** rng.uniform(-3, 0), dtype=torch.float64),
        )
        if observed is not None:
            observed = observed & present[:, None]
        normal = lambda *shape: torch.as_tensor(rng.standard_normal(shape))  # noqa: E731
        posterior = DiagonalGaussian(normal(specimens, latent), (normal(specimens, latent) - 1).exp() + 0.01)
        mixture = GaussianMixture(
            normal(clusters).log_softmax(0), normal(clusters, latent), normal(clusters, latent).exp()
        )
        return posterior, mixture, decoder, Curves(x * present[:, None], t, observed, present)

    return draw


@pytest.fixture(scope="session")
def varying(random_problem):
    """A function that draws q(Z), a mixture, a decoder whose parameters vary with the latent, and curves."""

    def draw(seed, expert="affine", grid="shared", scatter=True, **options):
        posterior, mixture, decoder, curves = random_problem(seed, expert, grid, scatter=scatter, **options)
        generator = torch.Generator().manual_seed(seed)
        shape = (*decoder.theta.shape, posterior.mean.shape[1])
        slope = 0.3 * torch.randn(shape, generator=generator, dtype=torch.float64)
        if expert == "affine":
            slope = slope * 30.0  # parameters without bounds are in their own units
        return posterior, mixture, replace(decoder, trend=Trend(slope, mixture.mean, mixture.variance)), curves

    return draw


@pytest.fixture
def kill():
    """A callback that ends the process's training in the second epoch of joint training, as a kill would."""

    def killed(progress):
        if progress.phase == "joint" and progress.epoch == 2:
            raise SystemExit

    return killed


@pytest.fixture(params=["asked", "interrupted"])
def stop_early(request):
    """A callback that stops in the third epoch of whatever comes first: by its answer, or as Ctrl-C does."""

    def stopped(progress):
        if progress.epoch == 3 and request.param == "interrupted":
            raise KeyboardInterrupt
        return progress.epoch == 3

    return stopped
