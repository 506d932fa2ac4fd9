"""Several tests of one material: one set of parameters, weights by noise, conflicts, curves of tests not made."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError, ShapeError
from pima_toolkit.experts.noise.blocks import BlockMisfit

MATERIAL = pima.hyperelastic("mooney_rivlin")
TRUE = np.array([0.4, 0.1])
#: Stretches or shears, and the noise, of three tests.
PLAN = {
    "tension": ("uniaxial", np.linspace(1.05, 2.0, 25), 0.02),
    "shear": ("simple_shear", np.linspace(0.05, 0.8, 12), 0.1),
    "biaxial": ("equibiaxial", np.linspace(1.02, 1.6, 40), 0.05),
}


def plan(seed=0, noise=1.0, **values):
    """Tests of the true parameters, or of others by the test's name, with noise."""
    rng, out = np.random.default_rng(seed), {}
    for name, (test, x, std) in PLAN.items():
        curve = MATERIAL[test].value_and_jacobian(x, values.get(name, TRUE))[0]
        out[name] = MATERIAL[test], x, curve + noise * std * rng.standard_normal(x.size)
    return out


def stacked(tests, stds):
    """Slopes at the truth and curves of linear laws, over their noise, one below the other."""
    rows = [law.value_and_jacobian(x, TRUE)[1] / stds[name] for name, (law, x, _) in tests.items()]
    return np.concatenate(rows), np.concatenate([y / stds[name] for name, (_, _, y) in tests.items()])


def test_with_known_noise_it_is_weighted_least_squares():
    tests, stds = plan(), {name: std for name, (_, _, std) in PLAN.items()}
    found = pima.fit_together(tests, noise_std=stds)
    J, y = stacked(tests, stds)
    inverse = np.linalg.inv(J.T @ J)
    np.testing.assert_allclose(found.fitted[0], inverse @ J.T @ y, rtol=1e-8)
    np.testing.assert_allclose(found.covariance[0], inverse, rtol=1e-8)
    row = found["C_10"]
    assert float(row.high - row.value) == pytest.approx(1.6448536 * float(row.std_error), rel=1e-5)
    assert found.parameters.attrs["method"] == "linearised least squares, known noise, normal"


def test_each_test_weighs_by_its_noise_and_not_by_its_points_or_its_unit():
    """Helmert's variance components, written out: variances from residuals less what each test pays, and again."""
    tests = plan(1)
    found = pima.fit_together(tests)
    stds = dict.fromkeys(PLAN, 1.0)
    for _ in range(200):
        J, y = stacked(tests, stds)
        inverse, start = np.linalg.inv(J.T @ J), 0
        theta = inverse @ J.T @ y
        for name, (law, x, curve) in tests.items():
            rows = J[start : start + x.size]
            spare = x.size - np.trace(rows @ inverse @ rows.T)
            stds[name] = np.linalg.norm(curve - law.value_and_jacobian(x, theta)[0]) / np.sqrt(spare)
            start += x.size
    np.testing.assert_allclose(found.fitted[0], theta, rtol=1e-4)
    np.testing.assert_allclose(found.conflict.noise_std, list(stds.values()), rtol=0.02)
    np.testing.assert_allclose(found.parameters.std_error[0], np.sqrt(np.diagonal(inverse)), rtol=0.05)
    # Every point of a test twice says no more of its noise, and a test in another unit is weighed as it was.
    law, x, y = tests["shear"]
    scaled = pima.SympyExpert("2000 * shear * (C_10 + C_01)", t="shear")
    other = pima.fit_together({**tests, "shear": (scaled, x, 1000 * y)}, share=["C_10", "C_01"])
    np.testing.assert_allclose(other.fitted, found.fitted, rtol=1e-4)


def test_intervals_hold_the_truth_and_tests_of_one_material_agree():
    held, alarms, p = [], [], []
    for seed in range(25):
        found = pima.fit_together(plan(seed))
        table = found.parameters.isel(cluster=0)
        held.append((table.low < TRUE) & (table.high > TRUE))
        alarms.append(bool(found.conflict.more_than_noise.any()))
        p.append(found.conflict.attrs["p_value"])
    assert 0.75 < np.mean(held) < 0.97
    assert np.mean(alarms) < 0.15
    assert 0.3 < np.mean(p) < 0.75


def test_a_test_of_another_material_is_told():
    found = pima.fit_together(plan(2, biaxial=[0.6, 0.1]))
    table = found.conflict
    assert bool(table.more_than_noise.sel(test="biaxial"))
    assert table.attrs["p_value"] < 1e-4
    # Shear tells the sum of the two constants alone, so it has no optimum of its own for each.
    assert table.own_std_error.sel(test="shear").isin([np.inf]).all()
    own = found.own["biaxial"]
    assert float(table.own.sel(test="biaxial", parameter="C_10")) == pytest.approx(own.fitted[0, 0])
    np.testing.assert_allclose(table.difference.values, table.shared.values - table.own.values)
    told = "\n".join(found.sentences())
    assert "biaxial disagrees by more than its noise" in told
    for text in (found.report(), found._repr_html_()):
        assert "biaxial disagrees by more than its noise" in text
        assert "C_10" in text
    assert found.noise_evidence[0].points == 25


def test_what_is_not_shared_is_each_tests_own():
    one, two = (pima.SympyExpert(f"E * t + {c} * t**2", t="t", units={"E": "MPa"}) for c in ("a", "a"))
    t = np.linspace(0.1, 2, 30)
    data = {"first": (one, t, 3 * t + t**2), "2nd": (two, t, 3 * t - 2 * t**2)}
    found = pima.fit_together(data, share=["E"])
    assert [p.name for p in found.expert.parameters] == ["E", "a_first", "a_2nd"]
    np.testing.assert_allclose(found.fitted[0], [3, 1, -2], rtol=1e-9)
    assert found.units == ["MPa", "1", "1"]
    held = pima.fit_together(data, share=["E"], fixed={"a_2nd": -1.5})
    assert held.fixed.tolist() == [False, False, True]
    drawn = pima.fit_together(data, share=["E"], priors={"a_first": (1.0, 0.1)}, noise_std={"first": 0.1, "2nd": 0.1})
    np.testing.assert_allclose(drawn.fitted[0], [3, 1, -2], rtol=1e-6)


def test_reported_parameters_and_covariates_are_joined_by_name():
    law = pima.get_expert("mooney_rivlin")
    shear = pima.SympyExpert("2 * shear * (C_sum + 0.1*(T - 20)*d)", t="shear", covariates=("T",))
    x, g = np.linspace(1.1, 2, 20), np.linspace(0.1, 0.6, 15)
    inputs = {"shear": g, "T": 22.0}
    y = law.value_and_jacobian(x, [0.5, 0.1])[0], shear.value_and_jacobian(inputs, [0.5, 0.3])[0]
    found = pima.fit_together({"pull": (law, x, y[0]), "twist": (shear, inputs, y[1])}, share=["C_sum"])
    assert found.parameters.parameter.values.tolist() == ["C_10_pull", "C_01_pull", "C_sum", "d_twist"]
    np.testing.assert_allclose(found.parameters.value[0], [0.4, 0.1, 0.5, 0.3], rtol=1e-6)
    torch = pytest.importorskip("torch")
    packed = np.concatenate(list(found.expert.joined(found.tests).values()))
    value = found.expert.predict(torch.tensor(packed), torch.tensor(found.fitted))
    np.testing.assert_allclose(value[0], np.concatenate(y), rtol=1e-6)


def test_a_test_that_was_not_made_is_foretold_with_a_band_of_measurements():
    tests = plan(3)
    found = pima.fit_together(tests, noise="misfit")
    rest = found.without("biaxial")
    assert rest.expert.tests == ("tension", "shear")
    law, x, y = tests["biaxial"]
    band = rest.predict(law, x)
    assert band.sizes == {"stretch": 40}
    assert float(((band.low < y) & (y < band.high)).mean()) > 0.8
    assert (band.mean_high - band.mean_low < band.high - band.low).all()
    np.testing.assert_allclose(band["mean"], law.value_and_jacobian(x, rest.fitted[0])[0])
    inside = found.predict("tension")
    y = tests["tension"][2]
    assert 0.7 < float(((inside.low < y) & (y < inside.high)).mean()) <= 1.0


def test_a_misfit_is_of_all_tests_and_its_errors_hold_the_truth():
    """The law is right but for a smooth curve of each test, 5 % of its size, which nobody could tell from one."""
    held, sizes = [], []
    for seed in range(15):
        rng, tests = np.random.default_rng(seed), plan(seed, noise=0.02)
        for name, (law, x, y) in tests.items():
            u = (x - x[0]) / np.ptp(x)
            R = np.exp(-0.5 * np.square((u[:, None] - u) / 0.4)) + 1e-9 * np.eye(x.size)
            tests[name] = law, x, y + 0.05 * np.sqrt(np.mean(y**2)) * np.linalg.cholesky(R) @ rng.normal(size=x.size)
        found = pima.fit_together(tests, noise="misfit")
        table = found.parameters.isel(cluster=0)
        held.append((table.low < TRUE) & (table.high > TRUE))
        assert isinstance(found.noise[0], BlockMisfit)
        sizes.append(np.sqrt(found.noise[0].amplitude))
    assert 0.03 < np.median(sizes) < 0.07
    assert np.mean(held) > 0.7
    assert "a misfit of" in found.report()


def test_laws_of_the_same_tests_are_compared_by_bic():
    tests = plan(4)
    neo = pima.hyperelastic("neo_hooke")
    simple = {name: (neo[PLAN[name][0]], x, y) for name, (_, x, y) in tests.items()}
    assert pima.fit_together(tests).bic < pima.fit_together(simple).bic - 10
    stds = {name: std for name, (_, _, std) in PLAN.items()}
    found = pima.fit_together(tests, noise_std=stds)
    chi = sum(
        np.square((y - law.value_and_jacobian(x, found.fitted[0])[0]) / stds[n]).sum()
        for n, (law, x, y) in tests.items()
    )
    expected = chi + sum(x.size * np.log(2 * np.pi * stds[n] ** 2) for n, (_, x, _) in tests.items()) + 2 * np.log(77)
    assert found.bic == pytest.approx(expected, rel=1e-9)


def test_gaps_names_and_units_come_with_the_arrays():
    x = xr.DataArray(np.linspace(1.1, 2, 20), dims="stretch", attrs={"units": "1"})
    law = pima.hyperelastic("neo_hooke")
    pulled = xr.DataArray(
        law["uniaxial"].value_and_jacobian(x.values, [0.3])[0], dims="stretch", attrs={"units": "MPa"}
    )
    pulled[3] = np.nan
    g = np.linspace(0, 0.5, 9)
    found = pima.fit_together(
        {"a": (law["uniaxial"], x, pulled), "b": (pima.SympyExpert("mu*g", "g", units={"mu": "MPa"}), g, 0.3 * g)}
    )
    assert float(found["mu"].value) == pytest.approx(0.3)
    assert found["mu"].unit == "MPa"
    assert "a: 19 points" in found.report()
    with pytest.raises(ExpertError, match="'mu' is in kPa in test 'b' and in MPa before: convert"):
        pima.fit_together(
            {"a": (law["uniaxial"], x, pulled), "b": (pima.SympyExpert("mu*g", "g", units={"mu": "kPa"}), g, g)}
        )


def test_the_page_of_the_guide_runs_as_printed(guide, capsys):
    _, names = guide("tests")
    assert "90% interval" in capsys.readouterr().out
    assert len(names["figure"].axes) == 3
    assert np.isfinite(names["together"].parameters.std_error).all()


def test_the_figure_shows_every_test():
    figure = pima.fit_together(plan(5, biaxial=[0.6, 0.1])).plot()
    assert [axis.get_title("left").split(",")[0] for axis in figure.axes] == list(PLAN)
    assert figure.axes[2].get_title("left") == "biaxial, disagrees"
    assert len(figure.axes[0].lines) == 3


def test_what_cannot_be_fitted_together_is_refused_in_a_sentence():
    tests = plan()
    law, x, y = tests["tension"]
    for wrong, error, words in [
        ({"tension": tests["tension"]}, ExpertError, "needs two tests at least"),
        ({**tests, "x": (law, x)}, ExpertError, "test 'x' must be a law, its inputs and a curve"),
        ({**tests, "x": (law, x, y[:5])}, ShapeError, "test 'x': "),
        ({**tests, "x": (law, x, np.stack([y, y]))}, ShapeError, "every specimen as a test of its own"),
        ({**tests, "x": (law, x, y * np.nan)}, ExpertError, "test 'x': values are missing"),
    ]:
        with pytest.raises(error, match=words):
            pima.fit_together(wrong)
    with pytest.raises(ExpertError, match="share must be a list"):
        pima.fit_together(tests, share="C_10")
    with pytest.raises(
        ExpertError, match="'nu' cannot be shared, no law fits it: the fitted parameters are C_10, C_01"
    ):
        pima.fit_together(tests, share=["nu"])
    other = pima.SympyExpert("a*t", t="t"), x, y
    with pytest.raises(ExpertError, match="no parameter of one name"):
        pima.fit_together({"a": other, "b": (pima.SympyExpert("b*t", t="t"), x, y)})
    bounded = {
        name: (pima.SympyExpert("a*t", t="t", bounds={"a": ends}), x, y)
        for name, ends in {"a": (2, 3), "b": (0, 1)}.items()
    }
    with pytest.raises(ExpertError, match="bounds 2 to 3 and, in test 'b', 0 to 1, which do not meet"):
        pima.fit_together(bounded)
    with pytest.raises(OptionError, match="noise_std must name every test"):
        pima.fit_together(tests, noise_std={"tension": 1.0})
    with pytest.raises(OptionError, match="noise='robust' cannot be weighed"):
        pima.fit_together(tests, noise="robust")
    found = pima.fit_together(tests)
    with pytest.raises(ExpertError, match=r"own\['tension'\]\.diagnose"):
        found.diagnose()
    with pytest.raises(ExpertError, match="there is no test 'torsion': use 'tension', 'shear', 'biaxial'"):
        found.without("torsion")
    with pytest.raises(ExpertError, match="'mu' of expert 'gent, planar' is not known"):
        found.predict(pima.hyperelastic("gent")["planar"], x)
    with pytest.raises(OptionError, match="give t, the inputs of the law: stretch"):
        found.predict(MATERIAL["planar"])
