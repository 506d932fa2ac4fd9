"""How many populations curves hold: the truth where they are apart, one where there is one, doubt where it is due."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.stats
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import OptionError
from pima_toolkit.experts import SympyExpert
from pima_toolkit.fitting.starts.number import DECISIVE, population_number
from pima_toolkit.fitting.starts.populations import MeasuredCurves

T = np.linspace(-1.0, 1.0, 30)
LAW = SympyExpert("a + b*u + c*u**2", t="u")
BASIS = np.stack([np.ones_like(T), T, T**2])
NOISE = 0.3


def drawn(seed: int, clusters: int, specimens: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Curves of populations of one long shape, each pair at least ``apart`` standard deviations away, and labels."""
    rng = np.random.default_rng(seed)
    label = np.sort(np.arange(specimens) % clusters)
    shape = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.5]])
    whole = shape + np.linalg.inv(BASIS @ BASIS.T) * NOISE**2
    middle = rng.normal(size=(clusters, 3))
    pairs = [middle[i] - middle[j] for i in range(clusters) for j in range(i)]
    least = min((np.sqrt(d @ np.linalg.solve(whole, d)) for d in pairs), default=1.0)
    phi = middle[label] * apart / least + rng.multivariate_normal(np.zeros(3), shape, specimens)
    return phi @ BASIS + rng.normal(0.0, NOISE, (specimens, len(T))), label


def measured(y: np.ndarray) -> dict[str, MeasuredCurves]:
    starts = LAW.starts(T, y, None, 1)
    return {"y": MeasuredCurves(LAW, LAW.bounds(T), T[None], y, np.ones_like(y), starts)}


@pytest.mark.parametrize(("clusters", "specimens"), [(1, 60), (2, 60), (3, 90), (4, 120)])
def test_as_many_as_there_are(clusters, specimens):
    y, label = drawn(clusters, clusters, specimens, 4.5)
    found = population_number(measured(y), range(1, 7))
    assert found.clusters == clusters
    assert clusters in found.possible
    best = next(one for one in found.mixtures if one.clusters == clusters)
    assert pima.metrics.ari(label, best.assigned) > 0.8
    assert sum(best.weights) == pytest.approx(specimens, abs=1.5)


def test_one_population_has_the_likelihood_of_a_gaussian():
    """For one linear law the curves are jointly normal, and the criterion is Schwarz's."""
    y, _ = drawn(0, 1, 200, 4.0)
    one = population_number(measured(y), [1]).mixtures[0]
    theta = np.linalg.lstsq(BASIS.T, y.T, rcond=None)[0].T
    variance = float(np.square(y - theta @ BASIS).sum() / (200 * (len(T) - 3)))
    error = np.linalg.inv(BASIS @ BASIS.T) * variance
    covariance = BASIS.T @ (np.cov(theta.T, bias=True) - error) @ BASIS + variance * np.eye(len(T))
    exact = scipy.stats.multivariate_normal(theta.mean(0) @ BASIS, covariance).logpdf(y).sum()
    assert one.log_likelihood == pytest.approx(exact, abs=0.5)  # the background has a ten-thousandth
    assert one.parameters == 3 + 6
    assert one.bic == pytest.approx(9 * np.log(200) - 2 * one.log_likelihood)
    assert one.icl == pytest.approx(one.bic, abs=0.2)


def test_populations_side_by_side_across_their_long_direction():
    """A start that knows no direction ends where both are one."""
    rng = np.random.default_rng(1)
    label = np.arange(120) % 2
    along = rng.normal(0.0, 2.0, 120)
    across = rng.normal(0.0, 0.05, 120) + 0.25 * (2 * label - 1)
    phi = np.stack([along + across, along - across, np.zeros(120)], 1)
    y = phi @ BASIS + rng.normal(0.0, 0.05, (120, len(T)))
    found = population_number(measured(y), range(1, 5))
    assert found.clusters == 2
    assert pima.metrics.ari(label, found.mixtures[1].assigned) > 0.95


def test_populations_that_overlap_are_not_claimed():
    y, _ = drawn(3, 2, 60, 1.0)
    found = population_number(measured(y), range(1, 5))
    assert found.clusters == 1


@pytest.mark.slow
def test_what_cannot_be_told_apart_is_said():
    """Few specimens at a middling distance leave more than one number possible."""
    undecided = 0
    for seed in range(8):
        y, _ = drawn(seed, 2, 30, 3.4)
        found = population_number(measured(y), range(1, 5))
        icl = [one.icl for one in found.mixtures]
        assert list(found.possible) == [k for k, v in enumerate(icl, 1) if v - min(icl) < DECISIVE]
        undecided += len(found.possible) > 1
    assert 0 < undecided < 8


def test_more_are_tried_while_the_largest_is_the_best():
    y, _ = drawn(5, 4, 160, 6.0)
    assert population_number(measured(y), [1, 2], more=False).clusters == 2
    found = population_number(measured(y), [1, 2], more=True)
    assert found.clusters == 4
    assert [one.clusters for one in found.mixtures] == [1, 2, 3, 4, 5, 6]


def lines(specimens: int = 60) -> xr.Dataset:
    rng = np.random.default_rng(0)
    label = np.arange(specimens) % 3
    slope = np.array([2.0, 5.0, 8.0])[label] + rng.normal(0.0, 0.2, specimens)
    t = np.linspace(0.0, 1.0, 9)
    force = slope[:, None] * t + rng.normal(0.0, 0.05, (specimens, 9))
    feature = np.eye(3)[label] + rng.normal(0.0, 0.2, (specimens, 3))
    variables = {"feature": (("specimen", "kind"), feature), "force": (("specimen", "t"), force, {"units": "N"})}
    return xr.Dataset(variables, coords={"t": t, "label": ("specimen", label)})


def model(clusters: int | str = "auto") -> pima.PIMA:
    return pima.PIMA({"feature": pima.Neural(), "force": pima.Physics("proportional")}, clusters=clusters)


def test_a_fit_finds_the_number_and_says_so(tmp_path):
    data = lines()
    assert 'clusters="auto"' in repr(model())
    fit = model().fit(data, seed=0, epochs=2, progress=False)
    assert fit.model.options.clusters == 3
    assert fit.parameters.sizes["cluster"] == 3
    assert "The number 3 was found in the curves" in fit.summary()
    fit.save(tmp_path / "fit.pima")
    again = pima.load(tmp_path / "fit.pima")
    assert again.summary() == fit.summary()
    assert again.model.options.clusters == 3
    given = model(3).fit(data, seed=0, epochs=2, progress=False)
    xr.testing.assert_identical(given.parameters, fit.parameters)


def test_a_checkpoint_of_a_given_number_is_another(tmp_path):
    model(1).fit(lines(), seed=0, epochs=1, progress=False, checkpoint=tmp_path)
    with pytest.raises(pima.errors.TrainingError):
        model().fit(lines(), seed=0, epochs=1, progress=False, checkpoint=tmp_path)


def test_selection_by_curves():
    found = pima.select_clusters(model(), lines(), clusters=range(1, 5))
    assert found.clusters == 3
    assert found.possible == (3,)
    assert found.model.options.clusters == 3
    assert found.table.above_best.values[2] == 0.0
    assert pima.metrics.ari(lines().label, found.table.assigned.sel(clusters=3)) > 0.95
    assert found.reasons[0] == "The curves are described best by 3 populations (lowest ICL)."
    html = found._repr_html_()
    assert html.startswith("<b>3 clusters</b>")
    assert "<td><b>3</b></td>" in html
    left, _ = found.plot().axes
    assert left.get_ylabel() == "ICL above the best (1)"


def test_where_no_curve_can_be_asked():
    pictures = pima.PIMA({"feature": pima.Neural()}, clusters="auto")
    with pytest.raises(OptionError, match="known physics"):
        pictures.fit(lines()[["feature"]], progress=False)
    with pytest.raises(OptionError, match="known physics"):
        pima.select_clusters(pictures, lines(), by="curves")
    with pytest.raises(OptionError, match="'auto'"):
        model("many")
    with pytest.raises(OptionError, match=r'restarts= belongs to by="training"'):
        pima.select_clusters(model(), lines(), by="curves", restarts=2)
    with pytest.raises(OptionError, match="'training'"):
        pima.select_clusters(model(), lines(), by="labels")


def test_specimens_without_a_curve_do_not_count():
    data = lines()
    data["force"][:10] = np.nan
    found = pima.select_clusters(model(), data, clusters=range(1, 5))
    assert found.clusters == 3
    assert found.table.sizes["specimen"] == 50


@pytest.mark.slow
def test_by_the_command(tmp_path):
    lines().to_netcdf(tmp_path / "lines.nc")
    from typer.testing import CliRunner

    from pima_toolkit.cli import app

    arguments = ["fit", str(tmp_path / "lines.nc"), "--physics", "force=proportional", "--clusters", "auto"]
    result = CliRunner().invoke(app, [*arguments, "--epochs", "1", "-o", str(tmp_path / "run"), "--json"])
    assert result.exit_code == 0, result.output
    assert len(json.loads(result.output)["clusters"]) == 3
