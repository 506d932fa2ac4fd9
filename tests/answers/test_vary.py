"""A modulus that follows what a photograph shows: predicted by evidence and ``vary="latent"``, not by the cluster."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima


def bars(specimens, seed):
    """Pictures of a bar whose thickness sets the modulus (10 to 30 MPa); a scratch somewhere says nothing."""
    rng = np.random.default_rng(seed)
    thickness = rng.uniform(0.5, 4.5, specimens)
    rows = np.abs(np.arange(12) - 5.5)
    bar = np.clip(thickness[:, None] - rows + 0.5, 0, 1)[:, :, None] * np.ones(12)
    image = bar + 0.1 * rng.standard_normal(bar.shape)
    image[np.arange(specimens), :, rng.integers(0, 12, specimens)] += 0.5
    modulus = 10.0 + 5.0 * (thickness - 0.5) + 0.5 * rng.standard_normal(specimens)
    strain = np.linspace(0.0, 1.0, 15)
    stress = modulus[:, None] * strain + 0.3 * rng.standard_normal((specimens, 15))
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), image),
            "stress": (("specimen", "strain"), stress, {"units": "MPa", "long_name": "stress"}),
        },
        coords={"strain": ("strain", strain, {"units": "1"}), "modulus": ("specimen", modulus)},
    )


def model(vary, inference="paper"):
    physics = pima.Physics(pima.SympyExpert("E * strain", t="strain", units={"E": "MPa"}), vary=vary)
    return pima.PIMA({"image": pima.Neural(), "stress": physics}, clusters=1, latent_dim=2, inference=inference)


@pytest.fixture(scope="module")
def new():
    return bars(60, seed=2)


@pytest.fixture(scope="module")
def fits():
    train = bars(160, seed=1)
    # What the clusters alone say of a curve is in closed form: for that the pictures need not be learned well.
    found = {vary: model(vary).fit(train, epochs=n, progress=False) for vary, n in (("latent", 30), ("none", 6))}
    return found | {"evidence": model("none", None).fit(train, epochs=6, progress=False)}


@pytest.fixture(scope="module")
def answers(fits, new):
    return {vary: fit.infer(new[["image"]], predict="stress") for vary, fit in fits.items()}


def correlation(answer, new):
    found = answer.parameters.sel(parameter="E").values
    return np.corrcoef(found, new.modulus)[0, 1] if found.std() > 1e-9 else 0.0


@pytest.mark.slow
def test_a_picture_predicts_its_own_specimens_modulus(answers, new):
    assert correlation(answers["latent"], new) > 0.9
    assert correlation(answers["evidence"], new) > 0.97
    assert abs(correlation(answers["none"], new)) < 0.5
    assert answers["latent"].parameters.unit.values == ["MPa"]


def test_a_picture_predicts_its_own_specimens_curve(answers, new):
    error = {v: np.sqrt(((a.stress.values - new.stress.values) ** 2).mean()) for v, a in answers.items()}
    assert error["latent"] < 0.5 * error["none"]
    assert error["evidence"] < 1.05 * error["latent"]


def test_a_mirrored_picture_gets_the_same_answer(fits, new):
    """Where it may be mirrored; without a word on that the two answers differ."""
    predictor = fits["latent"].predictor
    either = {**predictor.options.modalities, "image": pima.Neural(flips=("x", "y"))}
    fit = pima.Fit(replace(predictor, options=replace(predictor.options, modalities=either)), fits["latent"].record)
    turned = new[["image"]].copy(data={"image": new.image.values[:, ::-1, ::-1]})
    names = ["stress", "stress_low", "stress_high", "parameters", "responsibilities"]
    one, other = (fit.infer(data, predict="stress")[names] for data in (new[["image"]], turned))
    xr.testing.assert_allclose(one, other, rtol=1e-5)
    plain, mirrored = (fits["latent"].infer(data, predict="stress") for data in (new[["image"]], turned))
    assert np.abs(plain.stress - mirrored.stress).max() > 0.1


def test_the_error_is_as_large_as_it_says(answers, new):
    for answer in (answers["latent"], answers["evidence"]):
        away = (answer.parameters.values[:, 0] - new.modulus.values) / answer.parameters_std.values[:, 0]
        assert 0.5 < np.sqrt((away**2).mean()) < 1.7
        inside = (new.stress >= answer.stress_low) & (new.stress <= answer.stress_high)
        assert 0.8 < float(inside[:, 1:].mean()) < 0.98
    # The cluster alone knows that its specimens differ by a third, and says so.
    spread = answers["none"].parameters_std.values
    assert new.modulus.values.std() == pytest.approx(spread.mean(), rel=0.3)


def test_with_its_curve_a_specimen_is_known_best(fits, new):
    for vary, fit in fits.items():
        for given in (["stress"], ["image", "stress"]):
            answer = fit.infer(new[given], predict="stress")
            away = answer.parameters.values[:, 0] - new.modulus.values
            assert np.sqrt((away**2).mean()) < 0.4, (vary, given)
            assert (answer.parameters_std.values < 0.5).all()
            truth = new.modulus.values[:, None] * new.strain.values
            assert np.sqrt(((answer.stress.values - truth) ** 2).mean()) < 0.25


def test_a_saved_fit_answers_the_same(fits, answers, new, tmp_path):
    again = pima.load(fits["latent"].save(tmp_path / "fit.pima")).infer(new[["image"]], predict="stress")
    xr.testing.assert_allclose(again, answers["latent"], rtol=1e-6)


def test_a_generated_specimens_curve_follows_its_latent(fits):
    """The modulus that the curves show, over many specimens drawn, scatters as the population's."""
    made = fits["latent"].generate(0, n=400, seed=0)
    modulus = made.stress.values[:, -1] / made.strain.values[-1]
    assert modulus.std() == pytest.approx(float(fits["latent"].parameters.scatter_std[0, 0]), rel=0.1)
    trend = fits["latent"].predictor.state.decoders["stress"].trend
    along = made.latent_position.values @ trend.slope[0, 0].numpy()
    assert np.corrcoef(along, modulus)[0, 1] > 0.9


def test_a_walk_through_the_latent_changes_the_curve(fits):
    walk = fits["latent"].traverse(0, std=2.0, steps=5)
    ends = walk.stress.values[:, [0, -1], -1]
    assert np.abs(ends[:, 1] - ends[:, 0]).max() > 5.0
    still = fits["none"].traverse(0, std=2.0, steps=5).stress.values[:, :, -1]
    assert np.ptp(still) < 1e-9


def test_answers_do_not_depend_on_the_company(fits, answers, new):
    few = fits["latent"].infer(new[["image"]].isel(specimen=[5, 40]), predict="stress")
    for name in ("stress", "stress_low", "stress_high", "parameters", "parameters_std"):
        np.testing.assert_allclose(few[name].values, answers["latent"][name].values[[5, 40]], rtol=2e-5, atol=1e-5)


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    train = bars(40, seed=3)
    train["image"] = train.image.mean("x")
    options = {"epochs": 4, "crossmodal_epochs": 3, "progress": False}
    whole = model("latent").fit(train, **options)
    moments = [("joint", 1), ("joint", 3), ("crossmodal", 2), ("calibration", 2)]

    def die(progress):
        if (progress.phase, progress.epoch) in moments:
            moments.remove((progress.phase, progress.epoch))
            raise RuntimeError("killed")

    for _ in range(4):
        with pytest.raises(RuntimeError, match="killed"):
            model("latent").fit(train, checkpoint=tmp_path, callbacks=[die], **options)
    resumed = model("latent").fit(train, checkpoint=tmp_path, callbacks=[die], **options)
    assert not moments
    for name, array in whole.predictor.state.arrays().items():
        assert torch.equal(resumed.predictor.state.arrays()[name], array), name
    xr.testing.assert_identical(resumed.infer(train[["image"]]), whole.infer(train[["image"]]))


def test_bad_options_are_told():
    with pytest.raises(pima.errors.OptionError, match="vary='sometimes' is unknown: use one of 'none', 'latent'"):
        pima.Physics("affine", vary="sometimes")
    with pytest.raises(pima.errors.OptionError, match='update="adam" learns one set of parameters per cluster'):
        model("latent").fit(bars(20, seed=0), update="adam", progress=False)
