"""The product of experts against products of densities, with modalities missing."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from pima_toolkit.model.fusion import fuse
from pima_toolkit.model.gaussian import DiagonalGaussian

GRID = np.linspace(-30, 30, 60_001)


def embeddings(seed, modalities, specimens=6, latent=2):
    rng = np.random.default_rng(seed)
    return {
        f"m{i}": DiagonalGaussian(
            torch.as_tensor(rng.normal(0, 2, (specimens, latent))),
            torch.as_tensor(rng.uniform(0.2, 4, (specimens, latent))),
        )
        for i in range(modalities)
    }


def brute_force(gaussians, prior):
    """Mean and variance of the normalised product of densities on a grid, one latent dimension."""
    log_density = sum(norm.logpdf(GRID, m, np.sqrt(v)) for m, v in gaussians)
    if prior:
        log_density = log_density + norm.logpdf(GRID)
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = (GRID * density).sum()
    return mean, ((GRID - mean) ** 2 * density).sum()


@given(st.integers(0, 10_000), st.integers(1, 4), st.booleans())
def test_product_equals_brute_force_whatever_is_missing(seed, modalities, prior):
    parts = embeddings(seed, modalities, specimens=2, latent=1)
    rng = np.random.default_rng(seed)
    present = rng.random((2, modalities)) < 0.6
    present[np.arange(2), rng.integers(modalities, size=2)] = True
    fused = fuse(parts, {name: torch.as_tensor(present[:, i]) for i, name in enumerate(parts)}, prior_expert=prior)
    for d in range(2):
        known = [
            (part.mean[d, 0].item(), part.variance[d, 0].item())
            for i, part in enumerate(parts.values())
            if present[d, i]
        ]
        mean, variance = brute_force(known, prior)
        assert fused.mean[d, 0].item() == pytest.approx(mean, abs=1e-6)
        assert fused.variance[d, 0].item() == pytest.approx(variance, rel=1e-6)


def test_an_absent_modality_is_ignored_whatever_it_holds():
    parts = embeddings(0, 3)
    everyone = torch.ones(6, dtype=torch.bool)
    present = {"m0": everyone, "m1": ~everyone, "m2": everyone}
    wild = {**parts, "m1": DiagonalGaussian(parts["m1"].mean * 1e6, parts["m1"].variance * 1e-6)}
    without = {name: parts[name] for name in ("m0", "m2")}
    for found in (fuse(parts, present), fuse(wild, present)):
        torch.testing.assert_close(found.mean, fuse(without, present).mean)
        torch.testing.assert_close(found.variance, fuse(without, present).variance)


def test_one_modality_alone_is_itself():
    parts = embeddings(1, 1)
    found = fuse(parts, {"m0": torch.ones(6, dtype=torch.bool)})
    torch.testing.assert_close(found.mean, parts["m0"].mean)
    torch.testing.assert_close(found.variance, parts["m0"].variance)


def test_prior_expert_of_a_specimen_without_anything_is_the_standard_normal():
    parts = embeddings(2, 2)
    nothing = torch.zeros(6, dtype=torch.bool)
    found = fuse(parts, {"m0": nothing, "m1": nothing}, prior_expert=True)
    assert (found.mean == 0).all()
    assert (found.variance == 1).all()


def test_the_order_of_the_modalities_does_not_matter():
    parts = embeddings(3, 3)
    present = {name: torch.ones(6, dtype=torch.bool) for name in parts}
    there, back = fuse(parts, present), fuse(dict(reversed(parts.items())), present)
    torch.testing.assert_close(there.mean, back.mean, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(there.variance, back.variance, rtol=1e-14, atol=0)


def test_a_missing_modality_gives_no_gradient():
    mean = torch.zeros(2, 1, requires_grad=True)
    parts = {"a": DiagonalGaussian(mean, torch.ones(2, 1)), "b": DiagonalGaussian(torch.ones(2, 1), torch.ones(2, 1))}
    fused = fuse(parts, {"a": torch.tensor([True, False]), "b": torch.tensor([True, True])})
    fused.mean.sum().backward()
    torch.testing.assert_close(mean.grad, torch.tensor([[0.5], [0.0]]))
