"""Noise models of curves: the likelihood is that of a dense Gaussian, and the M-step never lowers it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.stats import multivariate_normal

import pima_toolkit as pima
from pima_toolkit.errors import OptionError
from pima_toolkit.fitting.em.physics import update_physics
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.noise.base import NoiseModel
from pima_toolkit.model.noise.cluster import ClusterNoise
from pima_toolkit.model.noise.pooled import PooledNoise
from pima_toolkit.model.noise.reconstruction import RECONSTRUCTION
from pima_toolkit.model.noise.table import NOISE
from pima_toolkit.model.noise.unit import UnitNoise
from pima_toolkit.model.physics import PhysicsDecoder
from pima_toolkit.plugins.manager import Manager, use_manager


class Growing(NoiseModel):
    """A stranger's: the noise grows along the curve."""

    white = False

    def whiten(self, values, t):
        return values / torch.as_tensor(1.0 + t)[..., : values.shape[-1]]

    def log_det(self, t, seen):
        return (seen * 2.0 * torch.as_tensor(np.log(1.0 + t))).sum(1)

    def update(self, old, squared, points, alive):
        return torch.where(alive, squared / points, old)


NOISE_CASES = {"pooled": PooledNoise(), "cluster": ClusterNoise(), "unit": UnitNoise(), "a stranger's": Growing()}
T = np.linspace(0.0, 1.0, 7)


def problem(noise, *, own_grids, gaps, weighed=False):
    generator = torch.Generator().manual_seed(3)
    own = torch.tensor([[1.0, 2.0]]).double() + 0.4 * torch.randn(12, 2, generator=generator, dtype=torch.float64)
    size = torch.as_tensor(1.0 / noise.whiten(torch.ones(7, dtype=torch.float64), T))
    x = own[:, :1] * torch.as_tensor(T) + own[:, 1:]
    x = x + 0.3 * size * torch.randn(12, 7, generator=generator, dtype=torch.float64)
    observed = torch.rand(12, 7, generator=generator) < 0.8 if gaps else None
    present = torch.arange(12) != 5
    curves = Curves(x, np.tile(T, (12, 1)) if own_grids else T, observed, present)
    expert = pima.get_expert("affine")
    decoder = PhysicsDecoder(
        expert,
        expert.bounds(T),
        1.0,
        np.array([[1.2, 1.9], [0.5, 2.5]]),
        torch.tensor([[[0.2, 0.05], [0.05, 0.1]], [[0.1, 0.0], [0.0, 0.3]]]).double(),
        torch.tensor([0.05, 0.2]).double(),
        noise=noise,
    )
    weights = torch.exp(torch.randn(12, 7, generator=generator, dtype=torch.float64)) if weighed else None
    return decoder, replace(curves, x=torch.where(curves.seen, x, 0.0), weights=weights)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("own_grids", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("case", NOISE_CASES)
def test_the_likelihood_is_that_of_a_dense_gaussian(case, own_grids, gaps, weighed):
    noise = NOISE_CASES[case]
    decoder, curves = problem(noise, own_grids=own_grids, gaps=gaps, weighed=weighed)
    found = decoder.log_prob(curves)
    value, jacobian = (part[:, 0].numpy() for part in decoder.predict(T))
    shape = 1.0 / noise.whiten(torch.ones(7, dtype=torch.float64), T).square().numpy()
    for c in range(2):
        for d in range(12):
            own = shape / curves.weights[d].numpy() if weighed else shape
            whole = jacobian[c] @ decoder.scatter[c].numpy() @ jacobian[c].T + float(decoder.variance[c]) * np.diag(own)
            seen = curves.seen[d].numpy()
            expected = 0.0
            if seen.any():
                dense = multivariate_normal(value[c][seen], whole[np.ix_(seen, seen)])
                expected = dense.logpdf(curves.x[d].numpy()[seen])
            assert float(found[d, c]) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("own_grids", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_likelihood_about_own_parameters_is_that_of_a_dense_gaussian(own_grids, gaps, weighed):
    """The law is not linear, the noise not constant: the line at the most probable parameters, found by scipy."""
    noise, t = Growing(), np.linspace(0.1, 2.0, 7)
    law = pima.SympyExpert("K * t**n", t="t", bounds={"K": (0, None), "n": (0, 1)})
    bounds, rng = law.bounds(t), np.random.default_rng(7)
    theta, scatter, variance = np.array([[2.0, 0.4]]), np.array([[[0.05, 0.01], [0.01, 0.2]]]), 0.01
    centre, root = bounds.to_unbounded(theta)[0], np.linalg.cholesky(scatter[0])
    own = centre + rng.standard_normal((8, 2)) @ root.T
    x = law.value_and_jacobian(t, bounds.from_unbounded(own))[0]
    x = torch.as_tensor(x + 0.1 * (1.0 + t) * rng.standard_normal(x.shape))
    observed = torch.as_tensor(rng.random(x.shape) < 0.8) if gaps else None
    weights = torch.as_tensor(np.exp(rng.standard_normal(x.shape))) if weighed else None
    curves = Curves(x, np.tile(t, (8, 1)) if own_grids else t, observed, torch.ones(8, dtype=torch.bool))
    curves = replace(curves, x=torch.where(curves.seen, x, 0.0), weights=weights)
    decoder = PhysicsDecoder(
        law, bounds, 1.0, theta, torch.as_tensor(scatter), torch.tensor([variance]).double(), noise=noise
    )
    found = decoder.log_prob(curves)[:, 0]
    for d in range(8):
        seen = curves.seen[d].numpy()
        y, std = curves.x[d].numpy()[seen], np.sqrt(variance) * (1.0 + t[seen])
        std = std / np.sqrt(weights[d].numpy()[seen]) if weighed else std

        def value(u, seen=seen):
            return law.value_and_jacobian(t[seen], bounds.from_unbounded(centre + root @ u)[None])[0][0]

        best = least_squares(
            lambda u, y=y, std=std, value=value: np.concatenate([(y - value(u)) / std, u]), np.zeros(2), xtol=1e-14
        ).x
        slopes = np.stack([(value(best + e) - value(best - e)) / 2e-6 for e in 1e-6 * np.eye(2)], axis=1)
        dense = multivariate_normal(value(best) - slopes @ best, slopes @ slopes.T + np.diag(std**2))
        assert float(found[d]) == pytest.approx(float(dense.logpdf(y)), rel=1e-4)


@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("case", NOISE_CASES)
def test_the_m_step_never_lowers_the_likelihood(case, gaps, weighed):
    decoder, curves = problem(NOISE_CASES[case], own_grids=False, gaps=gaps, weighed=weighed)
    log_weights = torch.tensor([0.4, 0.6]).double().log()
    before = None
    for _ in range(6):
        joint = log_weights + decoder.log_prob(curves)
        likelihood = float(joint.logsumexp(1)[curves.present].sum())
        assert before is None or likelihood >= before - 1e-9 * abs(before)
        before = likelihood
        decoder, evidence = update_physics(decoder, curves, joint.softmax(1), scattered=True)
        torch.testing.assert_close(evidence.constant, decoder.log_prob(curves))
    assert (decoder.variance > 0).all()


def test_the_width_of_a_curve_follows_the_noise():
    decoder, _ = problem(Growing(), own_grids=False, gaps=False)
    expected = decoder.variance[:, None] * torch.as_tensor((1.0 + T) ** 2)
    torch.testing.assert_close(decoder.noise_variance(T)[:, 0], expected)


PLUGIN = """
import numpy as np
import torch
import pima_toolkit as pima

class Growing(pima.NoiseModel):
    white = False
    def whiten(self, values, t):
        return values / torch.as_tensor(1.0 + t)
    def log_det(self, t, seen):
        return (seen * 2.0 * torch.as_tensor(np.log(1.0 + t))).sum(1)
    def update(self, old, squared, points, alive):
        return torch.where(alive, squared / points, old)

@pima.hookimpl
def pima_noise_models():
    return {"growing": Growing()}
"""


def test_a_stranger_s_noise_is_chosen_by_its_name(tmp_path, two_populations):
    (tmp_path / "lab.py").write_text(PLUGIN)
    with use_manager(Manager()):
        pima.load_plugin(tmp_path / "lab.py")
        model = pima.PIMA({"stress": pima.Physics("affine", noise="growing")}, clusters=2, latent_dim=1)
        data = two_populations(32)
        fit = model.fit(data, epochs=1, crossmodal_epochs=1, progress=False)
        fit.save(tmp_path / "fit.pima")
        again = pima.load(tmp_path / "fit.pima")
        answers = again.infer(data)
    assert np.isfinite(fit.elbo)
    width = answers.stress_high - answers.stress_low
    assert (width[:, -1] > 1.3 * width[:, 0]).all()


def test_what_is_no_noise_model_is_refused():
    with pytest.raises(OptionError, match=r"is no noise model: expected an instance of a subclass"):
        NOISE.kind.check(Growing)
    with pytest.raises(OptionError, match=r"noise='white' is unknown: use one of 'pooled', 'cluster', 'unit'"):
        pima.Physics("affine", noise="white")


def test_reconstruction_noise_stays_or_follows_the_error():
    assert RECONSTRUCTION["unit"].update(1.0, -3.0, 4) == 1.0
    assert RECONSTRUCTION["learned"].update(1.0, -0.5 * 4 * (0.25 + np.log(2 * np.pi)), 4) == pytest.approx(0.25)
