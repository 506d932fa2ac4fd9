"""Fits by evidence: coordinates, curves alone, pictures that help and pictures of noise, subsets, kills, files."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.data.names import batches
from pima_toolkit.errors import OptionError
from pima_toolkit.fitting.evidence.frame import Frame
from pima_toolkit.fitting.temperatures import LEAST_SPECIMENS
from pima_toolkit.metrics import ari
from pima_toolkit.model.curves import Curves
from pima_toolkit.model.gaussian import DiagonalGaussian
from pima_toolkit.model.joint import Potential, conditioned, join
from pima_toolkit.model.speaker import SpeakingNetwork, about_latent

T = np.linspace(0.0, 1.0, 15)


def lines_and_pictures(specimens: int = 120, signal: float = 1.5, seed: int = 0, slope: float = 0.3) -> xr.Dataset:
    """Three populations of lines whose slopes scatter, and pictures: a bar whose place tells the population."""
    rng = np.random.default_rng(seed)
    label = np.arange(specimens) % 3
    own = slope * rng.standard_normal(specimens)
    line = (2.0 * label + own)[:, None] * T + 0.5 + 0.05 * rng.standard_normal((specimens, T.size))
    picture = rng.standard_normal((specimens, 8, 8))
    for k in range(3):
        picture[label == k, 2 * k : 2 * k + 2] += signal
    picture[:, 6:] += signal * own[:, None, None] / slope  # brightness tells where in its population a specimen is
    return xr.Dataset(
        {"line": (("specimen", "t"), line), "picture": (("specimen", "y", "x"), picture)},
        coords={"t": T, "label": ("specimen", label)},
    )


def model(**options: object) -> pima.PIMA:
    modalities = {"picture": pima.Neural(), "line": pima.Physics("affine")}
    return pima.PIMA(modalities, clusters=3, inference="evidence", **options)


@pytest.fixture(scope="module")
def data():
    return lines_and_pictures()


@pytest.fixture(scope="module")
def fit(data):
    return model().fit(data, seed=0, epochs=12, progress=False)


def frame_of(fit: pima.Fit) -> Frame:
    return Frame(fit.predictor.state.decoders, fit.predictor.state.mixture.log_weights)


# -- coordinates ---------------------------------------------------------------------------------------------------


def test_in_the_frame_curves_have_the_likelihood_of_the_decoder(fit, data):
    frame, decoder = frame_of(fit), fit.predictor.state.decoders["line"]
    curves = fit.record.curves["line"]
    joint = join(frame.log_weights, frame.curves({"line": curves}), frame.prior)
    direct = frame.log_weights + decoder.log_prob(curves)
    torch.testing.assert_close(joint.evidence, direct.logsumexp(1), rtol=1e-7, atol=1e-6)
    torch.testing.assert_close(joint.log_gamma, direct.log_softmax(1), rtol=1e-6, atol=1e-6)
    # The pooled scatter is the identity there.
    pooled = torch.einsum("c,cpq->pq", frame.log_weights.exp(), frame.prior.covariance[0])
    torch.testing.assert_close(pooled, torch.eye(frame.size, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_what_was_said_in_another_frame_is_the_same_function_of_the_parameters(fit):
    frame = frame_of(fit)
    decoder = fit.predictor.state.decoders["line"]
    rng = np.random.default_rng(1)
    other = Frame(
        {"line": dataclasses.replace(decoder, theta=decoder.theta + 0.1 * rng.standard_normal(decoder.theta.shape))},
        frame.log_weights,
    )
    generator = torch.Generator().manual_seed(2)
    half = torch.randn(5, 1, frame.size, frame.size, generator=generator, dtype=torch.float64)
    linear = torch.randn(5, 3, frame.size, generator=generator, dtype=torch.float64)
    said = Potential(torch.zeros(5, 3, dtype=torch.float64), linear, half @ half.mT)
    moved = frame.moved(said, other, fit.record.curves)
    phi = torch.randn(3, 2, generator=generator, dtype=torch.float64)

    def values(potential: Potential, frame: Frame) -> torch.Tensor:
        centre = torch.as_tensor(frame.decoders["line"].bounds.to_unbounded(frame.decoders["line"].theta))
        at = ((phi - centre) @ frame.inverse.T)[None]
        return (potential.linear * at).sum(-1) - 0.5 * ((potential.curvature @ at[..., None])[..., 0] * at).sum(-1)

    # Equal up to a constant of each population: at any two parameters the difference is the same.
    one, two = values(moved, frame), values(said, other)
    phi = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(values(moved, frame) - one, values(said, other) - two, rtol=1e-8, atol=1e-8)


# -- curves alone --------------------------------------------------------------------------------------------------


def test_curves_alone_need_no_network_and_find_the_truth(data):
    fit = pima.PIMA({"line": pima.Physics("affine")}, clusters=3).fit(data[["line"]], progress=False)
    assert fit.model.options.inference == "evidence"
    assert not list(fit.predictor.state.network.parameters())
    assert ari(data.label.values, fit.specimens.cluster.values) > 0.95
    slopes = np.sort(fit.parameters.value.sel(parameter="slope").values)
    np.testing.assert_allclose(slopes, [0.0, 2.0, 4.0], atol=0.25)
    assert float(fit.specimens.stranger.max()) < 0.5
    # The order of distances between populations is that of their laws.
    centres, slope = fit.clusters["mean"].values, fit.parameters.value.sel(parameter="slope").values
    far = int(np.abs(slope[:, None] - slope).sum(1).argmin())
    others = [c for c in range(3) if c != far]
    apart = np.linalg.norm(centres[others[0]] - centres[others[1]])
    assert apart > max(np.linalg.norm(centres[far] - centres[c]) for c in others)


def test_a_curve_like_no_other_is_a_stranger(data):
    line = data.line.values.copy()
    line[7] = 40.0 - 60.0 * T
    fit = pima.PIMA({"line": pima.Physics("affine")}, clusters=3).fit(
        data[["line"]].assign(line=(("specimen", "t"), line)), progress=False
    )
    assert list(np.flatnonzero(fit.specimens.stranger.values > 0.5)) == [7]
    strangers, own = fit.strangers, fit.specimens.isel(specimen=[7])
    xr.testing.assert_equal(strangers, own[["stranger", "responsibilities", "cluster"]])
    assert float(strangers.label[0]) == 7 % 3


def test_without_strangers_their_table_is_empty(data, fit):
    assert fit.strangers.sizes == {"specimen": 0, "cluster": 3}
    paper = pima.PIMA({"line": pima.Physics("affine")}, clusters=3, inference="paper")
    some = paper.fit(data[["line"]].isel(specimen=slice(30)), epochs=1, progress=False)
    assert "stranger" not in some.specimens
    assert some.strangers.sizes == fit.strangers.sizes
    assert list(some.strangers.data_vars) == list(fit.strangers.data_vars)


def test_what_one_curve_alone_does_not_tell_is_found_from_all():
    """One test at one rate says nothing of the rate's exponent; 24 of them do."""
    rng = np.random.default_rng(0)
    t, rate = np.linspace(0.01, 1.0, 30), np.tile([0.1, 1.0, 10.0], 8)
    stiff = 100.0 * np.exp(0.1 * rng.standard_normal(24))
    stress = stiff[:, None] * t * rate[:, None] ** 0.1 + 0.5 * rng.standard_normal((24, 30))
    law = pima.SympyExpert(
        "E*t*rate**m", "t", covariates=("rate",), parameters=[pima.Parameter("E", lower=0), pima.Parameter("m")]
    )
    data = xr.Dataset({"stress": (("specimen", "t"), stress)}, coords={"t": t, "rate": ("specimen", rate)})
    found = pima.PIMA({"stress": pima.Physics(law)}, clusters=1).fit(data, progress=False).parameters
    value, error = (found[name].values[0] for name in ("value", "std_error"))
    assert abs(value - [100.0, 0.1])[1] < 3.0 * error[1] < 0.05
    assert abs(value[0] - 100.0) < 3.0 * error[0]


@pytest.mark.slow
def test_restarts_in_processes_are_those_in_turn(data):
    one, two = (
        pima.PIMA({"line": pima.Physics("affine")}, clusters=3).fit(
            data[["line"]], restarts=2, processes=count, progress=False
        )
        for count in (1, 2)
    )
    xr.testing.assert_identical(one.parameters, two.parameters)
    assert one.record.facts["restarts"] == two.record.facts["restarts"]


# -- pictures ------------------------------------------------------------------------------------------------------


def test_pictures_that_help_are_believed_and_help(fit):
    new = lines_and_pictures(300, seed=5)
    alone = fit.infer(new[["picture"]], predict=["line"])
    assert ari(new.label.values, alone.cluster.values) > 0.8
    believed = fit.predictor.belief.of(frame_of(fit), ["picture"]).temperatures
    assert max(believed.taus.values()) > 0.3
    assert believed.gain > 0.5
    error = float(np.sqrt(((alone.line - new.line) ** 2).mean()))
    assert error < 0.6 * float(np.sqrt(((new.line - new.line.mean("specimen")) ** 2).mean()))
    inside = (alone.line_low <= new.line) & (new.line <= alone.line_high)
    assert 0.82 < float(inside.mean()) < 0.96
    assert pima.metrics.calibration_error(alone.responsibilities.values, new.label.values) < 0.1


def test_a_place_in_the_latent_is_the_product_of_all_that_is_there():
    rng = np.random.default_rng(0)
    mean, variance = (torch.as_tensor(f((2, 4, 3))) for f in (rng.standard_normal, rng.random))
    own = [DiagonalGaussian(mean[k], variance[k] + 0.1) for k in range(2)]
    prior = DiagonalGaussian(torch.as_tensor(rng.standard_normal((5, 3))), torch.as_tensor(rng.random((5, 3)) + 0.1))
    present = [torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])]
    found = about_latent(own, present, prior)
    for n in range(4):
        for c in range(5):
            parts = [DiagonalGaussian(prior.mean[c], prior.variance[c])]
            parts += [
                DiagonalGaussian(p.mean[n], p.variance[n]) for p, flags in zip(own, present, strict=True) if flags[n]
            ]
            precision = sum(1.0 / part.variance for part in parts)
            together = sum(part.mean / part.variance for part in parts) / precision
            torch.testing.assert_close(found.mean[n, c], together)
            torch.testing.assert_close(found.variance[n, c], 1.0 / precision)


def test_populations_keep_the_distances_of_their_curves_in_the_latent(fit):
    """Along the axis of the laws by what tells them apart, along the others as pictures like."""
    value = fit.predictor.state.decoders["line"].predict(T)[0][:, 0]
    of_curves = torch.cdist(value, value)
    components = fit.predictor.state.mixture.components
    of_places = torch.cdist(components.mean, components.mean)
    torch.testing.assert_close(of_places / of_places.max(), of_curves / of_curves.max(), rtol=0, atol=0.02)
    used = components.mean.std(0) > 1e-6
    nearest = of_places.fill_diagonal_(torch.inf).amin(1)
    torch.testing.assert_close(
        components.variance[:, used], (nearest[:, None] / 4.0).square().clamp(0.01, 1.0).expand(-1, int(used.sum()))
    )
    assert bool((components.variance[:, ~used] == 1.0).all())


def test_what_is_held_out_learns_to_speak_and_not_to_draw(fit):
    network = fit.predictor.state.network
    assert len(network.encoders) == len(network.decoders) == 1
    silent = SpeakingNetwork({"picture": pima.Neural()}, {"picture": (1, 8, 8)}, 3, 2, 2, draws=False)
    assert not len(silent.encoders)
    assert not len(silent.decoders)
    assert silent.speak("picture", torch.zeros(2, 1, 8, 8))[0].shape == (2, 3)


def test_pictures_of_noise_are_not_believed(data):
    fit = model().fit(lines_and_pictures(signal=0.0), seed=0, epochs=8, progress=False)
    believed = fit.predictor.belief.of(frame_of(fit), ["picture"]).temperatures
    assert not any(believed.taus.values())
    answer = fit.infer(lines_and_pictures(50, signal=0.0, seed=3)[["picture"]], predict=())
    weights = fit.predictor.state.mixture.log_weights.exp().numpy()
    np.testing.assert_allclose(answer.responsibilities.values, np.broadcast_to(weights, (50, 3)), rtol=1e-9)
    assert "says nothing about the curves" in fit.summary()


def test_a_missing_modality_changes_nothing_and_companions_neither(fit):
    new = lines_and_pictures(20, seed=6)
    both = fit.infer(new, predict=["line"])
    curve = fit.infer(new[["line"]], predict=["line"])
    mixed = new.copy(deep=True)
    mixed["picture"] = mixed.picture.where(xr.DataArray(np.arange(20) % 2 == 0, dims="specimen"))
    answer = fit.infer(mixed, predict=["line"])
    np.testing.assert_allclose(answer.responsibilities.values[::2], both.responsibilities.values[::2], atol=1e-6)
    np.testing.assert_allclose(answer.responsibilities.values[1::2], curve.responsibilities.values[1::2], atol=1e-9)
    np.testing.assert_allclose(answer.line.values[1::2], curve.line.values[1::2], rtol=1e-9)
    one = fit.infer(new.isel(specimen=[3]), predict=["line"])
    np.testing.assert_allclose(one.responsibilities.values[0], both.responsibilities.values[3], atol=1e-6)


def test_curve_and_picture_together_are_the_sum_of_what_they_say(fit):
    """q(c given both) from its parts: psi of the picture, and the curve's evidence about the deviation it leaves."""
    new = lines_and_pictures(8, seed=7)
    both = fit.infer(new, predict=())
    picture = fit.infer(new[["picture"]], predict=())
    frame = frame_of(fit)
    believed = fit.predictor.belief.of(frame, ["picture"])
    assert believed.scatter.shape == (3, frame.size, frame.size)
    assert (torch.linalg.eigvalsh(believed.scatter) <= torch.linalg.eigvalsh(frame.prior.covariance[0]) + 1e-6).all()
    assert (both.responsibilities.max("cluster") >= picture.responsibilities.max("cluster") - 0.2).all()


# -- keeping it ----------------------------------------------------------------------------------------------------


def test_a_saved_fit_answers_the_same(fit, tmp_path):
    again = pima.load(fit.save(tmp_path / "fit.pima"))
    new = lines_and_pictures(10, seed=8)
    for part in (new, new[["picture"]], new[["line"]]):
        xr.testing.assert_equal(fit.infer(part), again.infer(part))
    assert again.summary() == fit.summary()


@pytest.mark.slow
def test_a_killed_training_resumes_to_the_same_answer(data, tmp_path):
    class Killed(Exception):
        pass

    def kill_after(count: int):
        seen = []

        def callback(progress: object) -> None:
            seen.append(progress)
            if len(seen) == count:
                raise Killed

        return callback

    options = {"seed": 1, "epochs": 3, "progress": False}
    whole = model().fit(data, **options)
    folder = tmp_path / "checkpoint"
    for count in (4, 7, 6):
        with pytest.raises(Killed):
            model().fit(data, checkpoint=folder, callbacks=[kill_after(count)], **options)
    again = model().fit(data, checkpoint=folder, **options)
    np.testing.assert_array_equal(again.specimens.responsibilities, whole.specimens.responsibilities)
    new = lines_and_pictures(10, seed=9)
    xr.testing.assert_equal(again.infer(new[["picture"]]), whole.infer(new[["picture"]]))


def test_a_training_that_is_stopped_hears_nothing_that_was_not_judged(data):
    fit = model().fit(data, epochs=3, progress=False, callbacks=[lambda p: p.phase == "held_out"])
    assert fit.interrupted
    answer = fit.infer(data[["picture"]].isel(specimen=slice(5)), predict=())
    weights = fit.predictor.state.mixture.log_weights.exp().numpy()
    np.testing.assert_allclose(answer.responsibilities.values, np.broadcast_to(weights, (5, 3)), rtol=1e-9)


# -- options -------------------------------------------------------------------------------------------------------


def test_without_a_check_it_says_so(data):
    fit = model().fit(data, epochs=2, crossfit=False, progress=False)
    assert "Nothing was held out" in fit.summary()
    sentences = fit.predictor.belief.of(frame_of(fit), ["picture"]).temperatures.sentences
    assert sentences["network of picture, of populations"].startswith("believed as it is")


def test_groups_are_held_out_together(data):
    grouped = data.assign_coords(batch=("specimen", np.arange(120) // 10))
    fit = model().fit(grouped, epochs=2, groups="batch", progress=False)
    assert fit.predictor.belief.of(frame_of(fit), ["picture"]).temperatures.groups
    with pytest.raises(OptionError, match="groups='bach' is no coordinate along specimen"):
        model().fit(grouped, groups="bach")


@pytest.mark.parametrize("groups", [1, 3])
def test_too_few_groups_judge_nobody_and_say_so(data, groups):
    grouped = data.assign_coords(batch=("specimen", np.arange(120) // 3 % groups))
    fit = model().fit(grouped, epochs=1, groups="batch", progress=False)
    many = "1 group with a curve is" if groups == 1 else f"{groups} groups with a curve are"
    assert f"picture is not heard of the curves ({many} too few to judge by, at least 5 needed)" in fit.summary()
    answer = fit.infer(data[["picture"]].isel(specimen=slice(5)), predict=())
    np.testing.assert_allclose(answer.responsibilities, np.tile(fit.clusters.weight, (5, 1)), rtol=1e-6)


@pytest.mark.slow
def test_batches_are_recognised_by_their_name_and_told(data):
    twelve = ("specimen", np.arange(120) // 10)
    named = data.assign_coords(kiln=twelve, Plate_no=twelve, lots=("specimen", np.arange(120) // 2))
    assert batches(named, LEAST_SPECIMENS) == "Plate_no"  # the fewest that can be judged by
    assert batches(data, LEAST_SPECIMENS) is None
    assert batches(data.assign_coords(plateau=twelve), LEAST_SPECIMENS) is None
    assert (
        batches(data.assign_coords(batch=("specimen", np.arange(120) // 20)), LEAST_SPECIMENS) is None
    )  # six: too few
    assert (
        batches(data.assign_coords(batch=("specimen", np.arange(120))), LEAST_SPECIMENS) is None
    )  # every one by itself
    fit = model().fit(named, epochs=1, progress=False)
    assert fit.settings.groups == "Plate_no"
    assert fit.summary().startswith("Checked on 120 specimens held out, those of one Plate_no together: line predicted")
    assert fit.predictor.belief.of(Frame(fit.predictor.state.decoders, torch.zeros(3)), ["picture"]).temperatures.groups
    assert model().fit(named, epochs=1, groups=None, progress=False).settings.groups is None


def test_options_that_do_not_go_together_are_refused(data):
    with pytest.raises(OptionError, match="consistency belongs to the paper's inference"):
        model(consistency=2.0)
    with pytest.raises(OptionError, match="needs a curve with known physics"):
        pima.PIMA({"picture": pima.Neural()}, 3, inference="evidence")
    with pytest.raises(OptionError, match="inference='guess' is unknown"):
        pima.PIMA({"line": pima.Physics("affine")}, 3, inference="guess")
    with pytest.raises(OptionError, match="the paper's way"):
        model().fit(data, update="adam")


def test_few_specimens_claim_nothing():
    fit = model().fit(lines_and_pictures(9), epochs=2, progress=False)
    assert not any(fit.predictor.belief.of(frame_of(fit), ["picture"]).temperatures.taus.values())


def test_curves_with_two_laws_are_independent_given_the_population(data):
    two = data.assign(other=data.line * 2.0 + 1.0).drop_vars("picture")
    laws = {"line": pima.Physics("affine"), "other": pima.Physics("affine")}
    fit = pima.PIMA(laws, 3).fit(two, progress=False)
    frame = frame_of(fit)
    some: dict[str, Curves] = fit.record.curves
    _, after = conditioned(frame.of("line", some["line"]), frame.prior)
    before = frame.deviations("other", frame.prior)
    torch.testing.assert_close(frame.deviations("other", after).covariance, before.covariance, rtol=1e-6, atol=1e-9)
