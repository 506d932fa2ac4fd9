"""Laws learned from curves: the right subspace, gaps, grids, the number of curves, files, and what is refused."""

import json
import pickle

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, FileFormatError, OptionError, ShapeError
from pima_toolkit.experts import LearnedInFit, PrincipalCurves, card_of, expert_from_dict
from pima_toolkit.experts.solvers.principal_components import principal_components
from pima_toolkit.testing import parametrize_with_checks

T = np.linspace(400.0, 700.0, 80)
MODES = np.stack([np.exp(-(((T - 460) / 30) ** 2)), np.sin(T / 60), np.exp(-(((T - 600) / 45) ** 2))])


def curves(count=60, noise=0.05, seed=0, gaps=0):
    """Curves of three known modes; a third of them lacks ``gaps`` points in a row; also the curves without noise."""
    rng = np.random.default_rng(seed)
    true = 5.0 + 0.01 * T + rng.normal(size=(count, 3)) * np.array([2.0, 1.5, 1.0]) @ MODES
    y = true + noise * rng.normal(size=true.shape)
    for n in range(0, count if gaps else 0, 3):
        first = rng.integers(0, len(T) - gaps)
        y[n, first : first + gaps] = np.nan
    return y, true


def test_complete_curves_give_the_singular_vectors():
    y, _ = curves()
    law = pima.principal_curves(T, y, 3)
    _, size, axes = np.linalg.svd(y - y.mean(0), full_matrices=False)
    np.testing.assert_allclose(law.mean, y.mean(0), rtol=1e-12)
    np.testing.assert_allclose(np.abs(law.curves @ axes[:3].T) / np.sqrt(len(T)), np.eye(3), atol=1e-9)
    np.testing.assert_allclose((law.curves**2).mean(1), 1.0, rtol=1e-12)
    left = (size[3:] ** 2).sum() / len(y) / (len(T) - 3)
    np.testing.assert_allclose(law.noise_std, np.sqrt(left), rtol=1e-9)
    np.testing.assert_allclose(law.std**2, (size[:3] ** 2 / len(y) - left) / len(T), rtol=1e-9)
    assert (law.curves[range(3), np.abs(law.curves).argmax(1)] > 0).all()
    # More points than curves or fewer: the other Gram matrix, the same answer.
    wide, narrow = (principal_components(y[:n, ::4], np.ones((n, 20), bool), 2) for n in (20, 21))
    assert np.abs(wide.axes - narrow.axes).max() < 0.2


@pytest.mark.parametrize(("gaps", "noise", "degrees"), [(0, 0.05, 2), (25, 0.05, 4), (25, 0.0, 1e-3)])
def test_the_subspace_of_known_modes_is_found_whatever_is_missing(gaps, noise, degrees):
    y, true = curves(gaps=gaps, noise=noise)
    law = pima.principal_curves(T, y)
    assert law.components == 3
    assert np.degrees(subspace_angles(law.curves.T, MODES.T))[0] < degrees
    if gaps:  # what the law says inside the gaps, of the rest of the curve
        hidden = np.isnan(y)
        said = law.value_and_jacobian(T, law.guess(T, y))[0][np.arange(len(y)), :]
        mean = np.broadcast_to(np.nanmean(y, axis=0), y.shape)
        error, plain = (np.sqrt(np.mean((one - true)[hidden] ** 2)) for one in (said, mean))
        assert error < 0.1 * plain


def test_em_climbs_to_the_likelihood_of_the_closed_form():
    """With nearly nothing missing the answer is nearly that of curves without gaps."""
    y, _ = curves()
    seen = np.ones(y.shape, dtype=bool)
    whole = principal_components(y, seen, 3)
    seen[0, 0] = False
    climbed = principal_components(y, seen, 3)
    np.testing.assert_allclose(climbed.axes, whole.axes, atol=5e-3)
    np.testing.assert_allclose(climbed.std, whole.std, rtol=5e-3)
    np.testing.assert_allclose(climbed.noise_std, whole.noise_std, rtol=5e-3)


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_no_more_curves_are_learned_than_say_hidden_points(noise):
    for seed in range(3):
        assert pima.principal_curves(T, curves(noise=noise, seed=seed)[0]).components == 3
    assert pima.principal_curves(T, curves(5, noise)[0]).components == 1  # a third of the curves
    rng = np.random.default_rng(0)
    assert pima.principal_curves(T, rng.normal(size=(30, 80))).components <= 2


def test_the_same_curves_give_the_same_law():
    y, _ = curves(gaps=20)
    one, two = (pima.principal_curves(T, y) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != pima.principal_curves(T, y + 1e-9)


def test_own_grids_are_brought_to_one_and_never_across_a_gap():
    rng = np.random.default_rng(1)
    y, true = curves(noise=0.0)
    t = np.sort(T + rng.uniform(-1, 1, (len(y), len(T))), axis=1)
    own = np.stack([np.interp(grid, T, row) for grid, row in zip(t, true, strict=True)])
    own[:, 40:44] = np.where(np.arange(len(y))[:, None] % 2 == 0, np.nan, own[:, 40:44])
    law = pima.principal_curves(t, own, 3)
    assert np.degrees(subspace_angles(law.curves.T, np.stack([np.interp(law.grid, T, m) for m in MODES]).T))[0] < 1.5
    # The same steps, some tests end early: the points are those that were measured.
    t = np.tile(T, (len(y), 1))
    short = y.copy()
    t[::2, 60:], short[::2, 60:] = T[59], np.nan
    law = pima.principal_curves(t, short, 3)
    np.testing.assert_array_equal(law.grid, T)


def test_it_is_linear_between_its_points_and_constant_outside():
    y, _ = curves()
    law = pima.principal_curves(T, y, 2)
    theta = np.array([0.7, -1.2])
    at = law.mean + theta @ law.curves
    t = np.array([300.0, T[0], 0.25 * T[3] + 0.75 * T[4], T[-1], 900.0])
    expected = [at[0], at[0], 0.25 * at[3] + 0.75 * at[4], at[-1], at[-1]]
    value, jacobian = law.value_and_jacobian(t, theta)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    np.testing.assert_allclose(jacobian[1], law.curves[:, 0], rtol=1e-12)
    np.testing.assert_allclose(law.predict(torch.tensor(t), torch.tensor(theta)), expected, rtol=1e-12)
    assert law.range == (T[0], T[-1])


def test_a_fit_is_least_squares_onto_the_curves():
    y, _ = curves(gaps=20)
    law = pima.principal_curves(T, y, 3, variable="wavelength")
    solution = law.fit(T, y[0], y_unit="AU", t_unit="nm")
    seen = np.isfinite(y[0])
    expected = np.linalg.lstsq(law.curves[:, seen].T, (y[0] - law.mean)[seen], rcond=None)[0]
    np.testing.assert_allclose(solution.fitted[0], expected, rtol=1e-9)
    assert solution.units == ["AU"] * 3
    assert "y(wavelength) = mean curve + a1 * principal curve 1 + a2 * principal curve 2" in solution.report()
    result = law.to_lmfit().fit(y[1], wavelength=T)
    np.testing.assert_allclose([result.best_values[f"a{k}"] for k in (1, 2, 3)], law.fit(T, y[1]).fitted[0], rtol=1e-6)


@parametrize_with_checks([pima.principal_curves(T, curves()[0], 3, variable="wavelength", name="spectra")])
def test_it_conforms(expert, check):
    check(expert)


def test_it_goes_through_files_and_processes_unchanged():
    law = pima.principal_curves(T, curves(gaps=20)[0], variable="wavelength", name="spectra")
    for again in (expert_from_dict(json.loads(json.dumps(law.to_dict()))), pickle.loads(pickle.dumps(law))):  # noqa: S301
        assert again == law
        assert again.parameters == law.parameters
        np.testing.assert_array_equal(again.curves, law.curves)
    for asked in (LearnedInFit(), LearnedInFit(4)):
        assert expert_from_dict(asked.to_dict()) == asked
    with pytest.raises(FileFormatError, match="principal curves cannot be read"):
        expert_from_dict({**law.to_dict(), "mean": [1.0]})
    with pytest.raises(FileFormatError, match="principal curves cannot be read"):
        expert_from_dict({"kind": "principal_curves", "name": "x"})


def test_its_name_asks_for_a_law_that_is_no_law_yet():
    asked = pima.get_expert("principal_curves")
    assert asked == LearnedInFit()
    assert "learned" in repr(asked)
    assert card_of(asked).summary
    assert "principal_curves" not in pima.experts.experts()
    refused = (
        lambda: asked.fit(T, T),
        lambda: asked.guess(T, T),
        lambda: asked.value_and_jacobian(T, []),
        lambda: asked.predict(torch.tensor(T), torch.tensor([])),
        asked.compiled_curve,
        asked.to_lmfit,
    )
    for call in refused:
        with pytest.raises(ExpertError, match=r"learn it first, expert = pima\.principal_curves"):
            call()
    with pytest.raises(ExpertError, match="did you mean 'principal_curves'"):
        pima.get_expert("principal_curve")
    law = pima.principal_curves(T, curves()[0], 2)
    with pytest.raises(ExpertError, match="asks a fit to learn"):
        pima.register(law)
    assert card_of(law).rows[0][:2] == ("a1", "{y}")
    with pytest.raises(AttributeError, match="do not change"):
        law.t = "x"
    # Beside other laws it is a row that says so.
    table = pima.compare_experts(["principal_curves", "affine"], T, curves()[0])
    assert "learn it first" in str(table.reason.sel(expert="principal_curves").values)


def test_what_cannot_be_learned_is_refused_in_a_sentence():
    y, _ = curves(8)
    with pytest.raises(
        OptionError, match=r"components=8 cannot be learned from 8 curves of 80 points: ask for at most 7"
    ):
        pima.principal_curves(T, y, 8)
    for components in (0, True, 2.5, "two"):
        with pytest.raises(OptionError, match="whole number of at least 1"):
            pima.principal_curves(T, y, components)
    with pytest.raises(OptionError, match="differ in 2 ways and no more"):
        pima.principal_curves(T, np.array([[0.0], [1.0], [2.0], [5.0]]) * MODES[:1] + np.eye(4, 1) * MODES[1], 3)
    with pytest.raises(ExpertError, match="all the same"):
        pima.principal_curves(T, np.tile(y[:1], (4, 1)))
    with pytest.raises(ExpertError, match="at least two are needed"):
        pima.principal_curves(T, np.where(np.arange(8)[:, None] == 3, y, np.nan))
    with pytest.raises(ShapeError, match="expected curves"):
        pima.principal_curves(T[:-1], y)
    with pytest.raises(ShapeError, match="infinities"):
        pima.principal_curves(T, np.where(y == y[2, 3], np.inf, y))
    with pytest.raises(ShapeError, match="does not increase"):
        pima.principal_curves(T[::-1], y)
    with pytest.raises(ExpertError, match="need a grid"):
        PrincipalCurves(T, T[:-1], MODES, [1.0, 1.0, 1.0], 0.1)
