"""What speaks against a fit: each caution where it must stand, and silence where nothing does."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.answers.trust.cautions import cautions, still_rising
from pima_toolkit.errors import DataError, OptionError


def words(fit):
    return [caution.words for caution in cautions(fit.predictor, fit.record)]


def changed(fit, **parts):
    return pima.Fit(fit.predictor, replace(fit.record, **parts))


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_elbo_still_rises_or_does_not(noise):
    rng = np.random.default_rng(0)
    epochs = np.arange(40)
    settled = -np.exp(-epochs / 4.0) + noise * rng.standard_normal(40)
    assert still_rising(settled) == 0.0
    assert still_rising(settled + 0.1 * epochs) == pytest.approx(0.8, rel=0.2)
    assert still_rising(-epochs.astype(float)) == 0.0
    assert still_rising(np.zeros(0)) == 0.0
    assert still_rising(np.array([1.0])) == 0.0


def test_a_good_fit_has_a_good_summary(fit):
    flat = fit.history.copy(deep=True)
    flat["elbo"][:] = -np.exp(-np.arange(flat.sizes["epoch"]))
    summary = changed(fit, history=flat).summary()
    assert "Do not trust" not in summary
    assert "96 specimens in 2 populations (50 %, 50 %); 96 of them belong to one" in summary
    assert "One run only: restarts=3" in summary


def test_what_is_serious_is_told_first(fit):
    facts = {
        **fit.record.facts,
        "restart": 0,
        "restarts": {"elbo": [-1.0, -2.0], "agreement": [[1.0, 0.1], [0.1, 1.0]]},
    }
    gamma = fit.record.specimens.responsibilities.copy(deep=True)
    gamma[0] = 0.5
    unsure = changed(fit, facts=facts, specimens=fit.record.specimens.assign(responsibilities=gamma))
    found = cautions(unsure.predictor, unsure.record)
    assert [c.serious for c in found] == sorted((c.serious for c in found), reverse=True)
    assert any("The restarts disagree: 1 of 1 others" in w for w in words(unsure))
    assert any("1 training specimens belong to no population with 90 % probability" in w for w in words(unsure))
    summary = unsure.summary()
    first = [line for line in summary.splitlines() if not line.startswith(("Checked on", "Training curves of"))][:2]
    assert first[0] == "Do not trust this fit as it is:"
    assert first[1].startswith("- ")
    assert "2 restarts: the others agree with the best by an adjusted Rand index of 0.10 to 0.10" in summary
    # one list: the report says the same
    assert all(w in unsure.report() for w in words(unsure))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"interrupted": True}, "Training was stopped by hand"),
        ({"out_of_population": 40}, "40 training specimens are unlike every population"),
    ],
)
def test_facts_of_the_training(fit, facts, said):
    assert any(w.startswith(said) for w in words(changed(fit, facts={**fit.record.facts, **facts})))


def test_clusters_that_are_empty_or_tiny_or_the_same(fit):
    training = fit.record.specimens
    empty = np.zeros((96, 2))
    empty[:, 0] = 1.0
    told = words(changed(fit, specimens=training.assign(responsibilities=(("specimen", "cluster"), empty))))
    assert any("Populations are empty at the end of training: 1 (0 specimens)" in w for w in told)
    assert any("Fewer than five specimens are in population 1" in w for w in told)
    both = np.full((96, 2), 0.5)
    told = words(changed(fit, specimens=training.assign(responsibilities=(("specimen", "cluster"), both))))
    assert any("Population 1 holds the same specimens as another" in w for w in told)


def test_bands_that_do_not_hold_what_the_model_says(fit):
    narrow = np.linspace(0.0, 1.0, 101) ** 0.2
    other = pima.Fit(replace(fit.predictor, calibration={"stress": narrow}), fit.record)
    assert any("own 90 % band held 59 %" in w for w in words(other))


def test_noise_without_structure_is_not_to_be_trusted():
    """Clusters fall together, or each restart cuts the cloud its own way: either is told."""
    noise = np.random.default_rng(5).standard_normal((48, 4))
    data = xr.Dataset({"feature": (("specimen", "kind"), noise)})
    model = pima.PIMA({"feature": pima.Neural()}, clusters=3, latent_dim=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pima.PimaWarning)  # of clusters that are empty or the same
        fit = model.fit(data, epochs=4, restarts=2, progress=False)
    assert fit.stability.uncertain.mean() > 0.5
    assert fit.summary().startswith("Do not trust this fit as it is:")
    assert "belong to no population with 90 % probability" in fit.summary()


# -- calibration -----------------------------------------------------------------------------------------------------


def test_bands_hold_what_they_say_on_new_specimens(fit, test):
    found = fit.calibration(test, labels="label")
    assert found.modality.values.tolist() == ["stress"]
    assert int(found.points[0]) == 80 * 12
    held = found.held.sel(modality="stress").values
    assert (np.diff(held) >= 0).all()
    # the same bands as infer gives
    for coverage in (0.5, 0.9):
        answer = fit.infer(test[["feature"]], coverage=coverage)
        inside = pima.metrics.coverage(test.stress, answer.stress_low, answer.stress_high)
        assert float(found.held.sel(coverage=coverage, method="nearest")[0]) == pytest.approx(inside, abs=0.01)
    assert found.specimens.sum() == 80
    gamma = fit.infer(test, predict=()).responsibilities
    assert found.attrs["calibration_error"] == pima.metrics.calibration_error(gamma, test.label)
    left, right = pima.plots.plot_calibration(found).axes
    assert left.get_xlabel() == "probability said (1)"
    assert right.get_ylabel() == "share of measured points inside (1)"


def test_calibration_needs_something_to_judge_by(fit, test):
    with pytest.raises(DataError, match="nothing to judge by"):
        fit.calibration(test[["feature"]])
    with pytest.raises(OptionError, match=r"labels='lable' is no coordinate of the data: .*did you mean 'label'"):
        fit.calibration(test, labels="lable")
    with pytest.raises(DataError, match="nothing to draw"):
        pima.plots.plot_calibration(fit.calibration(test)[["points"]])
