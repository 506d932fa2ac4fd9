"""A diagnosis: silent where nothing is wrong, and each defect told by its name, with a remedy that helps."""

from dataclasses import replace

import numpy as np
import pytest
import scipy

import pima_toolkit as pima
from pima_toolkit.experts.diagnosis import checks
from pima_toolkit.experts.diagnosis.diagnosis import _holm
from pima_toolkit.experts.diagnosis.lack_of_fit import lack_of_fit

VOCE, LINE = pima.get_expert("voce"), pima.get_expert("affine")
T = np.linspace(0.002, 0.2, 60)


def curves(specimens=10, noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    theta = np.array([200.0, 150.0, 0.04]) * np.exp(0.03 * rng.normal(size=(specimens, 3)))
    return VOCE.value_and_jacobian(T, theta)[0] + noise * rng.normal(size=(specimens, len(T)))


def named(found):
    return {finding.name for finding in found.wrong}


@pytest.fixture(scope="module")
def clean():
    return VOCE.fit(T, curves(24))


def test_curves_with_which_nothing_is_wrong_raise_no_more_alarms_than_chance():
    rng = np.random.default_rng(3)
    t = np.linspace(0.0, 1.0, 30)
    alarms = 0
    for _ in range(40):
        slope, start = (2.0 + 0.3 * rng.normal(size=(8, 1)) for _ in range(2))
        alarms += bool(LINE.fit(t, start + slope * t + 0.1 * rng.normal(size=(8, 30))).diagnose().wrong)
    assert alarms <= scipy.stats.binom.ppf(0.999, 40, 0.05)


def test_lack_of_fit_is_the_f_test_of_a_longer_regression():
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 1.0, 40)
    y = 1.0 + 2.0 * t + 0.1 * rng.normal(size=40) + 0.1 * np.sin(9.0 * t)
    looked = next(iter(LINE.fit(t, y).diagnose().curves.values()))
    found = lack_of_fit(looked, looked.smooth)

    def left(columns):
        return np.square(y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]).sum()

    short = np.stack([np.ones(40), t], 1)
    longer = np.column_stack([short, looked.smooth[0]])
    rank = np.linalg.matrix_rank(longer)
    ratio = (left(short) - left(longer)) / (rank - 2) / (left(longer) / (40 - rank))
    assert found.own == pytest.approx(np.log10(scipy.stats.f.sf(ratio, rank - 2, 40 - rank)), rel=1e-6)
    assert found.shared == pytest.approx(found.own, rel=1e-6)


def test_each_specimen_is_set_against_the_others():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(9, 2))
    for n, z in enumerate(checks.apart(values)):
        rest = np.delete(values, n, 0)
        assert z == pytest.approx((values[n] - rest.mean(0)) / rest.std(0, ddof=1) / np.sqrt(1 + 1 / 8))
    assert not checks.apart(np.ones((6, 1))).any()


def test_distances_from_the_population_leave_the_specimen_out(clean):
    looked = next(iter(clean.diagnose().curves.values()))
    b = looked.deviation
    N, P = b.shape
    for n in (0, 7):
        rest = np.delete(b, n, 0)
        away = b[n] - rest.mean(0)
        square = away @ np.linalg.solve(np.cov(rest.T), away) * (N - 1) / N
        expected = scipy.stats.f.cdf(square * (N - 1 - P) / ((N - 2) * P), P, N - 1 - P)
        assert checks.transformed(looked)[n] == pytest.approx(expected, rel=1e-9)


def test_chance_is_allowed_for_by_holm():
    logs = [-3.0, None, -1.0, -2.5, 0.0]
    p = np.array([1e-3, 10**-2.5, 0.1, 1.0])
    expected = np.minimum(np.maximum.accumulate(p * np.arange(4, 0, -1)), 1.0)
    adjusted = _holm(logs)
    assert [adjusted[k] for k in (0, 3, 2, 4)] == pytest.approx(np.log10(expected))


def toe(y):
    return T, y * (1.0 - 0.4 * np.exp(-np.square(T / 0.01)))


def drift(y):
    phase = np.random.default_rng(5).uniform(0, 6.3, (len(y), 1))
    return T, y + 4.0 * np.sin(40.0 * T + phase)


def far(y):
    y = y.copy()
    y[4, 30] += 25.0
    return T, y


def twice(y):
    y = y.copy()
    y[:, 10:40:5] = y[:, 9:39:5]
    return T, y


def full(y):
    return T, np.minimum(y, 330.0)


def column(y):
    y = y.copy()
    y[2] = 300.0 + 40.0 * np.sin(60.0 * T)
    return T, y


def unit(y):
    y = y.copy()
    y[6] *= 2.54
    return T, y


def back(y):
    t = np.concatenate([T[:50], T[49] - 0.002 * np.arange(1, 11)])
    y = y.copy()
    y[:, 50:] = y[:, 49:50] - 15.0 * np.arange(1, 11)
    return t, y


def growing(y):
    mean = y.mean(0)
    return T, mean * (1.0 + 0.04 * np.random.default_rng(2).normal(size=y.shape))


DEFECTS = {
    "toe": (toe, "ends", 'window=(0.01878, 0.2); or zero="toe"'),
    "drift": (drift, "residuals_t", 'noise="autocorrelated"'),
    "far": (far, "quantiles", 'noise="robust"'),
    "twice": (twice, "record", "leave the copies out"),
    "full": (full, "record", "window="),
    "column": (column, "individual_fits", "look at its file"),
    "unit": (unit, "parameters", "look at its file"),
    "back": (back, "record", "loading_only=True"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_told_with_what_helps(name):
    defect, expected, remedy = DEFECTS[name]
    found = VOCE.fit(*defect(curves())).diagnose()
    assert expected in named(found)
    assert found[expected].evidence > 2.0
    assert remedy in found[expected].remedy
    assert found.findings[0].wrong
    assert found.evidence == max(f.evidence for f in found.wrong)


def test_what_is_wrong_is_said_of_whom_and_where():
    found = VOCE.fit(*drift(curves())).diagnose()
    assert "in their own way" in found["residuals_t"].sentence
    assert "(specimen 4 at 0.103)" in VOCE.fit(*far(curves())).diagnose()["quantiles"].sentence
    assert "Specimen 2 is missed" in VOCE.fit(*column(curves())).diagnose()["individual_fits"].sentence
    assert "Specimen 6: the size of the curve" in VOCE.fit(*unit(curves())).diagnose()["parameters"].sentence
    assert "stand at the highest" in VOCE.fit(*full(curves())).diagnose()["record"].sentence
    wrong = pima.get_expert("ludwik").fit(T, curves()).diagnose()
    assert "in all curves alike" in wrong["residuals_t"].sentence
    assert "ludwik misses them" in wrong["residuals_t"].sentence
    assert wrong["validity"].remedy.startswith("window=(")


def test_what_helps_helps():
    t, y = toe(curves())
    inside = t >= 0.03
    assert "ends" not in named(VOCE.fit(t[inside], y[:, inside]).diagnose())
    t, y = far(curves())
    assert not VOCE.fit(t, y, noise="robust").diagnose().wrong
    rng = np.random.default_rng(1)
    own = np.array([20.0, 300.0, 0.04]) * np.exp(0.03 * rng.normal(size=(10, 3)))
    value = VOCE.value_and_jacobian(T, own)[0]
    y = value * (1.0 + 0.05 * rng.normal(size=value.shape))
    assert "residuals_prediction" in named(VOCE.fit(T, y).diagnose())
    assert not VOCE.fit(T, y, noise="proportional").diagnose().wrong


def test_a_description_tells_what_should_be_known(clean):
    found = clean.diagnose()
    assert not found.wrong
    assert found["validity"].sentence.startswith("The curves bear the law out from 0.002 to 0.2")
    assert np.isnan(found["shrinkage"].evidence)
    looked = next(iter(found.curves.values()))
    # Without a specimen, the mean of parameters that all curves say equally well moves by that much.
    moved, b = checks.without_one(looked), looked.deviation
    error = b.std(0, ddof=1) / np.sqrt(len(b))
    assert moved[3] == pytest.approx((np.delete(b, 3, 0).mean(0) - b.mean(0)) / error)
    vague = replace(looked, scatter=9.0 * looked.scatter)
    assert "mostly the population's" in checks.shrinkage(vague).wrong
    assert checks.shrinkage(vague).told


def test_curves_without_noise_are_not_accused():
    found = VOCE.fit(T, curves(noise=0.0)).diagnose()
    assert not found.wrong
    single = VOCE.fit(T, curves(1, noise=0.0)[0]).diagnose()
    assert not single.wrong


def test_a_diagnosis_shows_itself_as_table_text_page_and_figure(clean):
    found = clean.diagnose()
    table = found.to_dataframe()
    assert set(table.name) == set(checks.CHECKS)
    assert not table.wrong.any()
    assert str(found).startswith("Nothing was found that speaks against this fit.")
    assert found._repr_html_().count("<tr>") == len(checks.CHECKS) + 1
    assert len([axis for axis in found.plot().axes if axis.get_visible()]) == len(checks.CHECKS)
    y = curves()
    y[:, ::7] = np.nan
    own = T + 1e-4 * np.arange(10)[:, None]
    VOCE.fit(T, y[0]).diagnose().plot()._repr_png_()
    for one in (VOCE.fit(own, y).diagnose(), VOCE.fit(T, y[0]).diagnose()):
        for name in ("parameters", "predictive_check"):
            assert one[name].sentence in " ".join(_texts(one.plot(name)).split())
    with pytest.raises(pima.errors.ExpertError, match=r"no finding 'shape': use residuals_t"):
        found.plot("shape")
    with pytest.raises(pima.errors.ExpertError, match="no population 'b'"):
        found.plot(population="b")


def _texts(figure):
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    return " ".join([*titles, figure._suptitle.get_text() if figure._suptitle else ""])


def test_each_fit_of_several_is_looked_at():
    y = np.concatenate([curves(8), curves(8, seed=1) + 100.0])
    y[8:, :8] -= np.linspace(40.0, 0.0, 8)
    gamma = np.repeat(np.eye(2), 8, axis=0)
    found = VOCE.fit(T, y, weights=gamma).diagnose()
    assert {f.population for f in found.wrong} == {"fit 1"}
    assert found.plot(population="fit 0") is not None


def test_nothing_is_left_to_diagnose():
    with pytest.raises(pima.errors.ExpertError, match="nothing to diagnose"):
        LINE.fit([0.0, 1.0], [1.0, 2.0]).diagnose()


def test_the_page_of_the_guide_runs_and_finds_what_it_put_in(guide, capsys):
    text, names = guide("diagnose")
    assert {"ends", "parameters"} <= named(names["found"])
    assert "Specimen 4" in capsys.readouterr().out
    for name in checks.CHECKS:
        assert f"`{name}`" in text
