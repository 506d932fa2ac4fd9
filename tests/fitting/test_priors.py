"""Priors of a physics modality: the penalised bound never falls, and a linear expert is Bayesian regression."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import pima_toolkit as pima
from pima_toolkit.answers.mixture_information import mixture_covariances
from pima_toolkit.errors import ExpertError, OptionError
from pima_toolkit.experts import Priors
from pima_toolkit.fitting import restarts
from pima_toolkit.fitting.em.physics import UPDATES, update_physics
from pima_toolkit.fitting.em.steps import log_prior
from pima_toolkit.fitting.inputs.tensors import Tensors
from pima_toolkit.fitting.parallel.distributed import ALONE
from pima_toolkit.fitting.training import JointTraining
from pima_toolkit.model.noise.table import NOISE

GIVEN = {
    "affine": {"slope": (20.0, 3.0), "intercept": (-5.0, 2.0)},
    "linear_hardening": {"E": (60.0, 2.0), "sigma_y": (25.0, 1.0), "h": (0.3, 0.02)},
}


def updated(decoder, curves, gamma, *, scatter, noise, **options):
    """The M-step by the names of its options."""
    decoder = replace(decoder, noise=NOISE.get(noise))
    return update_physics(decoder, curves, gamma, scattered=scatter == "specimen", **options)[0]


def update_theta(decoder, curves, gamma):
    return UPDATES["wls"].move(decoder, curves, gamma, ALONE, None)[0]


def with_priors(decoder):
    return replace(decoder, priors=Priors.read(decoder.expert, GIVEN[decoder.expert.name]))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(0, 100_000),
    st.sampled_from(sorted(GIVEN)),
    st.sampled_from(["shared", "masked", "own"]),
    st.sampled_from(["specimen", "none"]),
)
def test_the_penalised_likelihood_never_falls(random_problem, seed, expert, grid, scatter):
    _, mixture, decoder, curves = random_problem(seed, expert, grid, scatter=scatter == "specimen")
    decoder, before = with_priors(decoder), None
    for _ in range(4):
        joint = mixture.log_weights + decoder.log_prob(curves)
        likelihood = joint.logsumexp(1).sum() + log_prior(decoder).sum()
        assert before is None or likelihood >= before - 1e-9 * before.abs()
        decoder = updated(decoder, curves, joint.softmax(1), scatter=scatter, noise="pooled")
        before = likelihood


@pytest.mark.parametrize("grid", ["shared", "masked"])
@pytest.mark.parametrize("scatter", [True, False])
def test_lines_are_bayesian_regression(random_problem, grid, scatter):
    _, _, decoder, curves = random_problem(3, "affine", grid, scatter=scatter)
    decoder = with_priors(decoder)
    # Every specimen in one cluster: no information is missing, whatever the likelihoods say.
    label = torch.randint(0, 3, (len(curves),), generator=torch.Generator().manual_seed(0))
    gamma = torch.nn.functional.one_hot(label, 3).double() * curves.present[:, None]
    found = update_theta(decoder, curves, gamma)
    J = np.stack([curves.t, np.ones_like(curves.t)], 1) / decoder.scale
    order = [p.name for p in decoder.expert.parameters]
    mean, std = (np.array([GIVEN["affine"][name][k] for name in order]) for k in (0, 1))
    tables = Tensors({}, {}, {"line": curves}, {})
    covariance = mixture_covariances({"line": found}, tables, gamma)["line"]
    for c in range(3):
        matrix, vector, meat = np.diag(std**-2.0), mean / std**2, np.diag(std**-2.0)
        for d in range(len(curves)):
            seen = np.ones(len(curves.t), bool) if curves.observed is None else curves.observed[d].numpy()
            own, g = J[seen], float(gamma[d, c])
            sigma = own @ decoder.scatter[c].numpy() @ own.T + float(decoder.variance[c]) * np.eye(len(own))
            score = own.T @ np.linalg.solve(sigma, curves.x[d].numpy()[seen] - own @ found.theta[c])
            matrix = matrix + g * own.T @ np.linalg.solve(sigma, own)
            vector = vector + g * own.T @ np.linalg.solve(sigma, curves.x[d].numpy()[seen])
            meat = meat + g**2 * np.outer(score, score)
        np.testing.assert_allclose(found.theta[c], np.linalg.solve(matrix, vector), rtol=1e-6)
        inverse, weight = np.linalg.inv(matrix), float(gamma[:, c].sum())
        if scatter:  # a scatter that is no optimum has information in common with the mean
            ratio = np.diag(covariance[c]) * (weight - 1) / weight / np.diag(inverse)
            assert (ratio > 0.99).all()
            assert (ratio < 2.0).all()
        else:
            np.testing.assert_allclose(covariance[c], inverse @ meat @ inverse, rtol=1e-6)


@pytest.fixture(scope="module")
def lines():
    rng = np.random.default_rng(0)
    t, slope = np.linspace(0, 1, 20), np.repeat([1.0, 3.0], 12)
    x = (slope + 0.1 * rng.normal(size=24))[:, None] * t + 0.02 * rng.normal(size=(24, 20))
    return xr.Dataset({"line": (("specimen", "t"), x, {"units": "MPa"})}, coords={"t": t})


@pytest.mark.slow
def test_a_fit_keeps_its_priors(lines, tmp_path):
    def fit(priors):
        model = pima.PIMA({"line": pima.Physics("proportional", priors=priors)}, clusters=2, latent_dim=1)
        return model.fit(lines, epochs=3, seed=0, progress=False)

    free, drawn = fit(None), fit({"slope": (2.0, 0.15)})
    gap = [abs(float(f.parameters.value[0, 0] - f.parameters.value[1, 0])) for f in (free, drawn)]
    assert gap[0] == pytest.approx(2.0, abs=0.2)
    assert gap[1] < 0.99 * gap[0]
    loaded = pima.load(drawn.save(tmp_path / "fit.pima"))
    assert loaded.model.options.modalities["line"].priors == {"slope": (2.0, 0.15)}
    np.testing.assert_array_equal(loaded.parameters.std_error, drawn.parameters.std_error)


def test_restarts_are_chosen_by_what_the_priors_say_too(lines, monkeypatch):
    runs = []

    class Kept(JointTraining):
        def run(self):
            runs.append(super().run())
            self.history.rows[-1]["elbo"] = -0.1 - 0.05 * len(runs)  # the first is the better one but for the priors
            self.state.decoders["line"] = replace(
                self.state.decoders["line"], theta=np.array([[2.0], [4.0 - len(runs)]])
            )
            return self

    monkeypatch.setattr(restarts, "JointTraining", Kept)
    physics = pima.Physics("proportional", priors={"slope": (2.0, 0.5)})
    model = pima.PIMA({"line": physics}, clusters=2, latent_dim=1, inference="paper")
    fit = model.fit(lines, epochs=1, restarts=2, progress=False)
    # (3 - 2)^2 / 2 / 0.5^2 = 2 nats over 24 specimens, against none
    assert [run.merit for run in runs] == pytest.approx([-0.15 - 2 / 24, -0.2], abs=1e-12)
    assert fit.parameters.value.values.ravel().tolist() == [2.0, 2.0]


def test_what_cannot_be_is_refused(lines):
    with pytest.raises(ExpertError, match="prior for 'E', which is no parameter of 'proportional'"):
        pima.Physics("proportional", priors={"E": (1.0, 1.0)})
    known = pima.Physics("proportional", priors={"slope": (1, 1)})
    model = pima.PIMA({"line": known}, clusters=2, latent_dim=1, inference="paper")
    with pytest.raises(OptionError, match="has priors"):
        model.fit(lines, update="adam", progress=False)
