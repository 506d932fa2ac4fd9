"""Sums of peaks: values by their formulas, fits without starts, the number found, patterns of populations."""

import json

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError
from pima_toolkit.experts import expert_from_dict
from pima_toolkit.testing import check_expert

X = np.linspace(10, 90, 1000)


def pattern(rng, count=12, apart=2.0, shape="pseudo_voigt"):
    """A law of peaks at least so far apart, plausible parameters, and the clean curve."""
    law = pima.peaks(count, shape)
    centres = np.sort(rng.uniform(14, 86, count))
    while np.diff(centres).min(initial=np.inf) < apart:
        centres = np.sort(rng.uniform(14, 86, count))
    own = [rng.uniform(100, 1000, count), centres, rng.uniform(0.3, 0.6, count), rng.uniform(0.2, 0.8, count)]
    each = len(pima.get_expert(shape).parameters)
    theta = np.concatenate([[30.0, 0.2], np.stack(own[:each], 1).ravel()])
    return law, theta, law.value_and_jacobian(X, theta)[0]


@pytest.mark.parametrize("shape", ["gaussian", "lorentzian", "pseudo_voigt"])
def test_it_is_the_sum_of_its_parts(shape):
    one = pima.get_expert(shape)
    law = pima.peaks(3, shape, background=2, shared="w")
    theta = np.array([20.0, 0.5, 0.01, 0.4, *[100, 20, 0.3], *[50, 40, 0.6], *[70, 41, 0.1]])
    own = theta[4:].reshape(3, 3)[:, : len(one.parameters) - 1]
    theta = np.concatenate([theta[:4], own.ravel()])
    value, jacobian = law.value_and_jacobian(X, theta)
    parts = [one.value_and_jacobian(X, [row[0], row[1], 0.4, *row[2:]]) for row in own]
    np.testing.assert_allclose(value, 20 + 0.5 * X + 0.01 * X**2 + sum(v for v, _ in parts), rtol=1e-12)
    np.testing.assert_allclose(jacobian[:, :3], np.stack([np.ones_like(X), X, X**2], 1), rtol=1e-12)
    np.testing.assert_allclose(jacobian[:, 3], sum(j[:, 2] for _, j in parts), rtol=1e-12)
    np.testing.assert_allclose(jacobian[:, 4], parts[0][1][:, 0], rtol=1e-12)
    assert [p.name for p in law.parameters][:6] == ["b_0", "b_1", "b_2", "w", "A_1", "mu_1"]


def test_it_conforms_and_is_saved():
    law = pima.get_expert("peaks(2, gaussian, shared=w)")
    check_expert(law).raise_for_failures()
    found = pima.find_peaks(X, pattern(np.random.default_rng(0), 2)[2], background=0)
    for one in (law, found, pima.get_expert("peaks(3, background=None, shared=(w, eta))")):
        again = expert_from_dict(json.loads(json.dumps(one.to_dict())))
        assert again == one
        assert hash(again) == hash(one)
    assert pima.get_expert(law.name) == law


def test_twelve_peaks_are_found_and_fitted_without_starts_with_honest_errors():
    """12 patterns, 600 parameters: the right number every time, 90 % of the truths within 90 % intervals."""
    rng, held = np.random.default_rng(1), []
    for k in range(12):
        law, theta, clean = pattern(rng)
        y = clean + 5.0 * rng.normal(size=X.size)
        if k < 6:
            found = pima.find_peaks(X, y)
            assert found.count == 12
            assert all(low < centre < high for (low, high), centre in zip(found.places, theta[3::4], strict=True))
        table = law.fit(X, y).parameters.isel(cluster=0)
        held.append((table.low.values <= theta) & (theta <= table.high.values))
    assert abs(np.mean(held) - 0.9) < 3 * np.sqrt(0.09 / 600)


def test_overlapping_peaks_are_told_apart_and_no_more_of_them_than_there_are():
    rng, gauss = np.random.default_rng(2), pima.peaks(3, "gaussian", background=0)
    theta = [10.0, *[300, 40, 0.8], *[150, 42, 0.8], *[200, 70, 2.0]]
    clean = gauss.value_and_jacobian(X, theta)[0]
    counts = [pima.find_peaks(X, clean + 3 * rng.normal(size=X.size), "gaussian").count for _ in range(10)]
    assert counts == [3] * 10
    with pytest.raises(ExpertError, match="there is no peak"):
        pima.find_peaks(X, 30 + 0.1 * X + rng.normal(size=X.size))


def test_a_curved_background_is_no_peak():
    rng, (_, _, clean) = np.random.default_rng(3), pattern(np.random.default_rng(3), 3)
    y = clean + 40 * np.exp(-X / 30) + rng.normal(size=X.size)
    law = pima.find_peaks(X, y, background=4)
    assert law.count == 3
    assert law.fit(X, y)["b_0"].unit == "1"


def test_a_shared_width_has_the_error_that_all_peaks_give_it():
    rng, shared = np.random.default_rng(4), pima.peaks(4, "gaussian", background=None, shared="w")
    theta = np.array([0.7, 100, 20, 80, 35, 60, 50, 90, 70.0])
    y = shared.value_and_jacobian(X, theta)[0] + rng.normal(size=X.size)
    one, own = shared.fit(X, y), pima.peaks(4, "gaussian", background=None).fit(X, y)
    np.testing.assert_allclose(one["w"].value, 0.7, atol=4 * float(one["w"].std_error))
    each = own.parameters.std_error.sel(parameter=[f"w_{k}" for k in range(1, 5)]).values
    np.testing.assert_allclose(one["w"].std_error, np.sum(each**-2.0) ** -0.5, rtol=0.05)


def test_populations_of_patterns_keep_the_same_peak_under_the_same_name(tmp_path):
    rng, x = np.random.default_rng(5), np.linspace(0, 10, 150)
    three = pima.peaks(3, "gaussian", background=0)
    theta = np.repeat(
        [[5, 100, 2, 0.3, 0.1, 5, 0.4, 60, 8, 0.3], [5, 30, 2.2, 0.3, 80, 5, 0.4, 20, 8, 0.3]], 10, axis=0
    )
    theta = theta * np.exp(0.02 * rng.normal(size=theta.shape))
    y = three.value_and_jacobian(x, theta)[0] + rng.normal(size=(20, x.size))
    law = pima.find_peaks(x, y, "gaussian", background=0)
    assert law.count == 3
    data = xr.Dataset({"counts": (("specimen", "x"), y, {"units": "count"})}, coords={"x": x})
    fit = pima.PIMA({"counts": pima.Physics(law)}, clusters=2, latent_dim=1).fit(data, epochs=2, progress=False)
    assert sorted(np.bincount(fit.specimens.cluster.values)) == [10, 10]
    centres = fit.parameters.value.sel(parameter=["mu_1", "mu_3"]).values
    np.testing.assert_allclose(np.sort(centres, 0), [[2.0, 8.0], [2.2, 8.0]], rtol=0.02)
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    np.testing.assert_array_equal(loaded.parameters.value, fit.parameters.value)


def test_a_specimen_without_a_pattern_is_guessed_too():
    law, y = pima.peaks(2, "gaussian"), np.full((2, X.size), np.nan)
    y[0] = pattern(np.random.default_rng(6), 2, shape="gaussian")[2]
    guess, bounds = law.guess(X, y), law.bounds(X)
    assert ((guess >= bounds.lower) & (guess <= bounds.upper)).all()


WRONG = {
    "no number": (lambda: pima.peaks(None), OptionError, "count=None: expected"),
    "none": (lambda: pima.peaks(0), OptionError, "count=0: expected a whole number from 1 to 60"),
    "degree": (lambda: pima.peaks(1, background=9), OptionError, "background=9: expected a whole number from 0 to 6"),
    "no peak": (lambda: pima.peaks(3, "voce"), ExpertError, "'voce' is no shape of a peak"),
    "no formula": (lambda: pima.peaks(3, "voigt"), ExpertError, "'voigt' is no formula"),
    "shared": (lambda: pima.peaks(3, "gaussian", shared="mu"), OptionError, "can share w"),
    "grids": (lambda: pima.find_peaks(X, X[:-1]), ExpertError, "expected one grid"),
    "few": (lambda: pima.find_peaks(X[:5], X[:5]), ExpertError, "there are 5 points: at least 8"),
    "most": (lambda: pima.find_peaks(X, X, most=0), OptionError, "expected a number of peaks from 1 to 60"),
    "words": (lambda: pima.get_expert("peaks(3, color=red)"), ExpertError, "cannot be read"),
    "related": (lambda: pima.get_expert("peaks(3) with A_1 < A_2"), ExpertError, "is no formula, and relations"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused(case):
    act, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        act()
