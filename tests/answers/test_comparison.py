"""Laws compared on the same curves: the true one wins, a needless one does not, and a curve counts once."""

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit import SympyExpert, compare_experts
from pima_toolkit.errors import DataError, OptionError

T = np.linspace(0, 1, 15)
LINE = SympyExpert("a * t", name="line")
PARABOLA = SympyExpert("a * t + b * t**2", name="parabola")
CUBIC = SympyExpert("a * t + b * t**2 + c * t**3", name="cubic")


def curves(specimens=40, bend=0.0, seed=0, noise=0.05):
    rng = np.random.default_rng(seed)
    slope = 2 + 0.3 * rng.standard_normal((specimens, 1))
    return slope * T + bend * T**2 + noise * rng.standard_normal((specimens, T.size))


def test_the_true_law_wins_and_the_reading_says_so():
    found = compare_experts([LINE, PARABOLA, CUBIC], T, curves(bend=0.5))
    assert found.best.item() in ("parabola", "cubic")
    assert found.difference.sel(expert="line").item() < -5 * found.difference_error.sel(expert="line").item()
    assert found.bic.sel(expert="parabola").item() == found.bic.min().item()
    assert found.bic_difference.min() == 0
    np.testing.assert_array_equal(found.parameters[:, 0], [1 + 1 + 1, 2 + 3 + 1, 3 + 6 + 1])
    assert found.attrs["reading"].startswith(
        f"population 0: {found.best.item()} predicts specimens it has not seen best"
    )


def test_a_needless_parameter_is_not_preferred():
    found = compare_experts([LINE, PARABOLA], T, curves())
    assert found.bic.sel(expert="line").item() < found.bic.sel(expert="parabola").item()
    assert abs(found.difference).max() < 10
    assert "line" in found.attrs["reading"]


def test_likelihoods_are_those_of_specimens_that_differ():
    """A line through zero: every specimen left out against the dense Gaussian of the others' slope, scatter, noise."""
    y = curves(16)
    found = compare_experts([LINE, PARABOLA], T, y, folds=16)
    total = 0.0
    for d in range(16):
        rest = np.delete(y, d, axis=0)
        slope, scatter, noise = rest @ T / (T @ T), None, None
        mean = slope.mean()
        left = ((rest - slope[:, None] * T) ** 2).sum()
        noise = left / (15 * (T.size - 1))
        scatter = max(slope.var() - noise / (T @ T), 0)
        covariance = scatter * np.outer(T, T) + noise * np.eye(T.size)
        residual = y[d] - mean * T
        _, size = np.linalg.slogdet(2 * np.pi * covariance)
        total -= 0.5 * (residual @ np.linalg.solve(covariance, residual) + size)
    scale = np.abs(y).max()
    value = found.log_likelihood.sel(expert="line").item() - 16 * T.size * np.log(scale)
    assert value == pytest.approx(total, abs=1.0)


def test_a_curve_counts_once_and_not_once_a_point():
    """Ten times the points of the same specimens, their slopes known anyway: no ten times the evidence between laws.

    The law with an intercept that specimens do not need gains nothing from points.
    """
    rng = np.random.default_rng(1)
    slope = 2 + 0.3 * rng.standard_normal((30, 1))
    fine = np.linspace(0, 1, 150)
    few = compare_experts([LINE, PARABOLA], T, slope * T + 0.01 * rng.standard_normal((30, 15)))
    many = compare_experts([LINE, PARABOLA], fine, slope * fine + 0.01 * rng.standard_normal((30, 150)))
    gaps = [abs(found.difference.min().item()) for found in (few, many)]
    assert gaps[1] < gaps[0] + 10


def test_clusters_are_judged_by_their_own_specimens():
    y = np.concatenate([curves(30), curves(30, bend=0.8, seed=1)])
    gamma = np.repeat([[0.99, 0.01], [0.01, 0.99]], 30, axis=0)
    found = compare_experts([LINE, PARABOLA], T, y, gamma)
    assert found.sizes == {"expert": 2, "cluster": 2}
    assert found.bic.idxmin("expert").values[1] == "parabola"
    assert found.best.values[1] == "parabola"
    assert len(found.attrs["reading"].splitlines()) == 2


def test_it_is_the_same_every_time_and_depends_on_the_seed():
    y = curves(bend=0.1)
    one, two = (compare_experts([LINE, PARABOLA], T, y, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.log_likelihood, two.log_likelihood)
    other = compare_experts([LINE, PARABOLA], T, y, seed=4)
    assert (one.log_likelihood != other.log_likelihood).any()


def test_gaps_and_covariates():
    rng = np.random.default_rng(0)
    rate = np.repeat([1.0, 10.0], 20)
    y = 2 * T * (1 + 0.2 * np.log(rate[:, None])) + 0.1 * rng.standard_normal((40, 15))
    y[rng.random(y.shape) < 0.2] = np.nan
    law = SympyExpert("a * t * (1 + C * log(rate))", covariates=("rate",), name="rated")
    found = compare_experts([LINE, law], {"t": T, "rate": rate}, y)
    assert found.best.item() == "rated"
    with pytest.raises(DataError, match="the expert 'rated' needs rate, which these data do not have"):
        compare_experts([LINE, law], T, y)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (([LINE], T, curves()), OptionError, "expected at least two laws to compare"),
        (("line", T, curves()), OptionError, "expected at least two laws to compare"),
        (([LINE, LINE], T, curves()), OptionError, "two of the laws have the same name: line, line"),
        (([LINE, CUBIC], T, curves(3)), DataError, "3 specimens are too few to leave some out"),
        (([LINE, CUBIC], T, np.full((5, 15), np.nan)), DataError, "no point of y is finite"),
        (([LINE, CUBIC], T, curves(), -np.ones(40)), DataError, "weights must be finite and not negative"),
    ],
)
def test_bad_questions(arguments, kind, message):
    with pytest.raises(kind, match=message):
        compare_experts(*arguments)
    with pytest.raises(OptionError, match="folds=1: expected a whole number of at least 2"):
        compare_experts([LINE, CUBIC], T, curves(), folds=1)


def test_a_cluster_of_too_few_specimens_is_left_open():
    gamma = np.ones((20, 2))
    gamma[1:, 1] = 0.0
    found = compare_experts([LINE, CUBIC], T, curves(20), gamma)
    assert found.best.values[1] == ""
    assert np.isnan(found.difference[:, 1]).all()
    assert "population 1: too few specimens" in found.attrs["reading"]


@pytest.mark.slow
def test_a_fit_compares_on_its_own_clusters(two_populations, tmp_path):
    data = two_populations(48)
    fit = pima.PIMA({"stress": pima.Physics("proportional")}, 2, latent_dim=1).fit(data, epochs=2, progress=False)
    found = fit.compare(["proportional", "affine"])
    assert found.fitted.values.tolist() == [True, False]
    alone = fit.compare(["affine"])  # the law of the fit takes part unasked
    assert alone.expert.values.tolist() == ["proportional", "affine"]
    assert alone.fitted.values.tolist() == [True, False]
    np.testing.assert_allclose(alone.difference, found.difference, rtol=1e-9)
    with pytest.raises(OptionError, match="expected at least two laws"):
        fit.compare(["proportional"])
    gamma = fit.specimens.responsibilities.values
    direct = compare_experts(["proportional", "affine"], data.strain.values, data.stress.values, gamma)
    np.testing.assert_allclose(found.difference, direct.difference, rtol=1e-6, atol=1e-6)
    assert (found.bic.idxmin("expert") == "proportional").all()
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    again = loaded.compare(["proportional", "affine"], data=data)
    np.testing.assert_allclose(again.difference, found.difference, rtol=1e-9)


def test_a_law_that_fails_is_a_row_with_its_reason(monkeypatch):
    """A law without any value at these t, beside two that have one: the comparison of those stands."""
    broken = SympyExpert("a * log(t - 5) + b", name="broken")
    both = compare_experts([LINE, PARABOLA], T, curves(bend=0.5))
    found = compare_experts([LINE, broken, PARABOLA], T, curves(bend=0.5))
    assert found.reason.sel(expert="broken").item() != ""
    assert found.reason.sel(expert="line").item() == ""
    assert np.isnan(found.log_likelihood.sel(expert="broken")).all()
    kept = found.sel(expert=["line", "parabola"])
    np.testing.assert_allclose(kept.difference, both.difference, rtol=1e-9)
    np.testing.assert_allclose(kept.bic_difference, both.bic_difference, atol=1e-6)
    assert "broken could not be compared: " in found.attrs["reading"]

    def singular(*arguments):
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr("pima_toolkit.answers.laws.comparison._with_scatter", singular)
    none = compare_experts([LINE, PARABOLA], T, curves())
    assert set(none.reason.values.ravel()) == {"LinAlgError: Singular matrix"}
    assert none.best.item() == ""
