"""Principal curves through a whole fit: populations, gaps, windows, own grids, files, checkpoints, processes."""

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError, TrainingError
from pima_toolkit.experts import LearnedInFit, PrincipalCurves
from pima_toolkit.runs.options import build

T = np.linspace(400.0, 700.0, 60)
MODES = np.stack([np.exp(-(((T - 460) / 25) ** 2)), np.exp(-(((T - 560) / 40) ** 2)), (T - 550) / 150])
SHORT = {"progress": False, "epochs": 4, "crossmodal_epochs": 4}


def spectra(count=48, seed=0):
    """Spectra of two populations, a quarter with a gap, beside a vector that says which; and labels, true curves."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(count) % 2
    score = np.array([[1.0, 0.3, 0.2], [0.4, 0.9, -0.1]])[label] + 0.1 * rng.normal(size=(count, 3))
    true = 2.0 + score @ MODES
    y = true + 0.05 * rng.normal(size=true.shape)
    for n in range(0, count, 4):
        first = rng.integers(0, len(T) - 15)
        y[n, first : first + 15] = np.nan
    data = xr.Dataset(
        {
            "absorbance": (("specimen", "wavelength"), y, {"units": "AU"}),
            "composition": (("specimen", "element"), score + 0.05 * rng.normal(size=score.shape)),
        },
        coords={"wavelength": ("wavelength", T, {"units": "nm"})},
    )
    return data, label, true


DATA, LABEL, TRUE = spectra()


def model(clusters=2, components=None, **options):
    physics = pima.Physics("principal_curves", components=components, **options)
    return pima.PIMA({"absorbance": physics, "composition": pima.Neural()}, clusters=clusters, latent_dim=2)


@pytest.fixture(scope="module")
def fit():
    return model().fit(DATA, progress=False, epochs=20, crossmodal_epochs=20)


def law_of(fit):
    return fit.predictor.options.physics["absorbance"].expert


def test_populations_are_found_without_a_formula(fit):
    assert pima.metrics.ari(LABEL, fit.specimens["responsibilities"].values.argmax(1)) == 1.0
    law = law_of(fit)
    assert isinstance(law, PrincipalCurves)
    assert law.components == 3
    assert law.t == "wavelength"
    np.testing.assert_allclose(fit.parameters.noise_std, 0.05, rtol=0.1)
    assert fit.parameters.unit.values.tolist() == ["AU"] * 3
    text = fit.report()
    assert "absorbance = mean curve + a1 * principal curve 1 + a2 * principal curve 2" in text
    assert "principal curve 1, " in text


def test_gaps_are_filled_and_curves_predicted_better_than_by_the_mean(fit):
    gap = np.isnan(DATA["absorbance"].values)
    both = fit.infer(DATA)
    mean = np.broadcast_to(np.nanmean(DATA["absorbance"].values, axis=0), TRUE.shape)
    error, plain = (np.sqrt(np.mean((one - TRUE)[gap] ** 2)) for one in (both["absorbance"].values, mean))
    assert error < 0.5 * plain
    inside = (both["absorbance_low"].values <= TRUE) & (both["absorbance_high"].values >= TRUE)
    assert inside.mean() > 0.9
    other, _, true = spectra(seed=1)
    alone = fit.infer(other.drop_vars("absorbance"))["absorbance"].values
    assert np.sqrt(np.mean((alone - true) ** 2)) < 0.5 * np.sqrt(np.mean((mean - true) ** 2))


def test_curves_on_other_grids_are_understood(fit):
    fine = np.linspace(380.0, 710.0, 150)
    values = np.stack([np.interp(fine, T, row) for row in TRUE])
    other = xr.Dataset(
        {"absorbance": (("specimen", "wavelength"), values, {"units": "AU"})},
        coords={"wavelength": ("wavelength", fine, {"units": "nm"})},
    )
    said = fit.infer(other)
    assert pima.metrics.ari(LABEL, said["responsibilities"].values.argmax(1)) == 1.0
    assert np.sqrt(np.mean((said["absorbance"].values - TRUE) ** 2)) < 0.02


def test_a_saved_fit_answers_the_same(fit, tmp_path):
    again = pima.load(fit.save(tmp_path / "spectra"))
    assert law_of(again) == law_of(fit)
    xr.testing.assert_identical(again.infer(DATA), fit.infer(DATA))
    xr.testing.assert_identical(again.parameters, fit.parameters)
    # Its model holds the law as it was learned: parameters of other data mean the same.
    assert again.model.fit(spectra(seed=1)[0], **SHORT).parameters.sizes["parameter"] == 3
    assert (tmp_path / "spectra").stat().st_size < 2e6
    assert fit.export(tmp_path / "tables", DATA)
    assert "a1" in fit.to_lmfit(0, data=DATA).fit_report()


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_end(tmp_path, kill):
    options = {"seed": 3, **SHORT}
    whole = model(components=2).fit(DATA, **options)
    with pytest.raises(SystemExit):
        model(components=2).fit(DATA, checkpoint=tmp_path, callbacks=[kill], **options)
    resumed = model(components=2).fit(DATA, checkpoint=tmp_path, **options)
    xr.testing.assert_identical(resumed.parameters, whole.parameters)
    with pytest.raises(TrainingError, match="other data or options"):
        model(components=3).fit(DATA, checkpoint=tmp_path, **options)


@pytest.mark.slow
def test_restarts_in_processes_and_candidates_learn_the_same_law():
    one, two = (model().fit(DATA, restarts=2, processes=n, **SHORT) for n in (1, 2))
    assert law_of(one) == law_of(two)
    xr.testing.assert_identical(one.parameters, two.parameters)
    chosen = pima.select_clusters(model(), DATA, clusters=(1, 2), restarts=2, progress=False, epochs=4)
    assert chosen.model.options.physics["absorbance"].expert == LearnedInFit()


@pytest.mark.slow
def test_windows_own_grids_and_several_curves():
    windowed = model(components=2, window=(430.0, 600.0)).fit(DATA, **SHORT)
    assert 430.0 <= law_of(windowed).range[0] < law_of(windowed).range[1] <= 600.0
    t = T + np.random.default_rng(0).uniform(-1, 1, TRUE.shape)
    values = np.stack([np.interp(grid, T, row) for grid, row in zip(t, DATA["absorbance"].values, strict=True)])
    data = xr.Dataset(
        {
            "own": (("specimen", "point"), values, {"units": "AU", "independent": "2theta"}),
            "absorbance": DATA["absorbance"].where(np.arange(len(values))[:, None] % 5 > 0),
        },
        coords={"2theta": (("specimen", "point"), t)},
    )
    several = pima.PIMA(
        {
            "own": pima.Physics("principal_curves", components=2, vary="latent"),
            "absorbance": pima.Physics("principal_curves", scatter="none", noise="cluster"),
        },
        clusters=2,
        latent_dim=2,
    )
    fit = several.fit(data, **SHORT)
    assert pima.metrics.ari(LABEL, fit.specimens["responsibilities"].values.argmax(1)) == 1.0
    assert fit.predictor.options.physics["own"].expert.t == "t"  # 2theta is no name
    assert {"own.a1", "own.a2", "absorbance.a1"} <= set(fit.parameters.parameter.values)
    alone = {"absorbance": pima.Physics("principal_curves", components=2)}
    adam = pima.PIMA(alone, clusters=2, latent_dim=2, inference="paper")
    assert adam.fit(DATA, update="adam", **SHORT).parameters.sizes["parameter"] == 2


def test_a_law_that_was_learned_before_is_kept():
    law = pima.principal_curves(T, DATA["absorbance"].values, 2, variable="wavelength")
    held = pima.PIMA({"absorbance": pima.Physics(law, priors={"a1": (0.0, 1.0)})}, clusters=2, latent_dim=2)
    assert law_of(held.fit(DATA, **SHORT)) is law


def test_options_of_files_name_it():
    made, _ = build(
        {
            "model": {"clusters": 2},
            "modalities": {"absorbance": {"kind": "physics", "expert": "principal_curves", "components": 4}},
        }
    )
    assert made.options.physics["absorbance"].expert == LearnedInFit(4)


def test_what_cannot_be_is_refused_in_a_sentence():
    with pytest.raises(OptionError, match="expert 'voce' has its own parameters: leave components out"):
        pima.Physics("voce", components=3)
    with pytest.raises(OptionError, match="whole number of at least 1"):
        pima.Physics("principal_curves", components=0)
    with pytest.raises(OptionError, match="can be given once they are learned"):
        pima.Physics("principal_curves", priors={"a1": (0.0, 1.0)})
    with pytest.raises(OptionError, match="'absorbance': components=48 cannot be learned from 48 curves of 60 points"):
        model(components=48).fit(DATA, **SHORT)
    few = DATA.assign(absorbance=DATA["absorbance"].where(np.arange(48)[:, None] == 2))
    with pytest.raises(ExpertError, match="'absorbance': principal curves are learned from how curves differ, and 1"):
        model().fit(few, **SHORT)


def test_the_torch_form_is_the_compiled_one():
    law = pima.principal_curves(T, DATA["absorbance"].values, 3)
    rng = np.random.default_rng(0)
    t, theta = np.sort(rng.uniform(380, 720, (5, 9))), rng.normal(size=(4, 1, 3))
    torched = law.predict(torch.tensor(t), torch.tensor(theta)).numpy()
    np.testing.assert_allclose(torched, law.value_and_jacobian(t, theta[:, 0])[0], rtol=1e-12)
