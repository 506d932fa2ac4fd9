"""Covariates and batches in a fit: against dense matrices, textbooks, statsmodels, and the truth in drawn specimens."""

import warnings

import numpy as np
import pytest
import scipy
import xarray as xr

from pima_toolkit import SympyExpert, get_expert
from pima_toolkit.errors import ExpertError, FormulaError, ShapeError
from pima_toolkit.experts import CurveInformation
from pima_toolkit.experts.solvers.random_effects import Design, random_effects

T = np.linspace(0.05, 3.0, 25)
SATURATING = SympyExpert("a * t / (b + t)", bounds={"a": (0, None), "b": (0, None)})
LINE = get_expert("affine")  # slope * t + intercept, no bounds


def lines(specimens=14, *, batches=5, between=0.7, seed=1, gaps=True):
    """Lines whose parameters depend on covariates and batches: (X, y) of each, their information, and the design."""
    rng = np.random.default_rng(seed)
    u, group, t = rng.standard_normal(specimens), np.arange(specimens) % batches, np.linspace(0, 1, 12)
    D = np.zeros((specimens, 2, 4))
    D[:, 0, 0] = D[:, 1, 1] = 1.0
    D[:, 0, 2], D[:, 1, 3] = u, u**2
    shared, curves = between * rng.standard_normal((batches, 2)), []
    for n in range(specimens):
        X = np.stack([np.ones(12), t], 1)[rng.random(12) < 0.7 if gaps else slice(None)]
        own = D[n] @ [1.0, 2.0, 0.5, -0.3] + shared[group[n]] + 0.5 * rng.standard_normal(2)
        curves.append((X, X @ own + 0.3 * rng.standard_normal(len(X))))
    sums = [(y @ y, X.T @ y, X.T @ X, float(len(y))) for X, y in curves]
    squared, gradient, normal, points = (np.array(part) for part in zip(*sums, strict=True))
    told = CurveInformation(np.zeros((specimens, 2)), squared, gradient, normal, points, np.zeros(specimens))
    return curves, told, Design(D, group)


def dense(curves, design, S, T_, v):
    """Twice the negative restricted log likelihood, coefficients, covariance and predictions by whole matrices."""
    N = len(curves)
    X = scipy.linalg.block_diag(*[part[0] for part in curves])
    y = np.concatenate([part[1] for part in curves])
    Z = np.kron(design.group[:, None] == design.group, np.diag(T_)) + np.kron(np.eye(N), S)
    V = v * np.eye(len(y)) + X @ Z @ X.T
    D = design.matrix.reshape(2 * N, -1)
    inverse = np.linalg.inv(V)
    whole = D.T @ X.T @ inverse @ X @ D
    beta = np.linalg.solve(whole, D.T @ X.T @ inverse @ y)
    left = y - X @ D @ beta
    value = np.linalg.slogdet(V)[1] + left @ inverse @ left + np.linalg.slogdet(whole)[1]
    gain = Z @ X.T @ inverse
    rest = D - gain @ X @ D
    covariance = Z - gain @ X @ Z + rest @ np.linalg.inv(whole) @ rest.T
    return value, beta, np.linalg.inv(whole), (gain @ left).reshape(N, 2), covariance


def test_the_optimum_is_that_of_dense_matrices():
    curves, told, design = lines()
    found = random_effects(told, np.ones(14), np.zeros(4), np.ones(2), 1.0, design=design)

    def objective(x):
        root = np.array([[np.exp(x[0]), 0.0], [x[1], np.exp(x[2])]])
        return dense(curves, design, root @ root.T, np.exp(2.0 * x[3:5]), np.exp(x[5]))[0]

    options = {"maxiter": 8000, "xatol": 1e-7, "fatol": 1e-9}
    best = scipy.optimize.minimize(
        objective, [-0.5, 0.1, -0.5, -0.5, -0.5, -2.0], method="Nelder-Mead", options=options
    )
    at = dense(curves, design, found.scatter, found.group_scatter, found.variance)
    assert at[0] == pytest.approx(best.fun, abs=1e-5)
    np.testing.assert_allclose(found.coefficients, at[1], rtol=1e-8)
    np.testing.assert_allclose(found.model_covariance, at[2], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(found.deviation, at[3], rtol=1e-7, atol=1e-10)
    own = [at[4][2 * n : 2 * n + 2, 2 * n : 2 * n + 2] for n in range(14)]
    np.testing.assert_allclose(found.deviation_covariance, own, rtol=1e-7, atol=1e-10)


def test_errors_are_those_of_the_covariances_written_out():
    """Each stratum's scores, their covariances whole, and Satterthwaite's degrees of freedom."""
    _, told, design = lines()
    found = random_effects(told, np.ones(14), np.zeros(4), np.ones(2), 1.0, design=design)
    c = np.array([0.2, 0.0, 1.0, 0.3])
    A, D, C, group = found.information, design.matrix, found.model_covariance, design.group
    blocks = scipy.linalg.block_diag(*A)
    member = np.kron(np.eye(5)[group], np.eye(2))  # from batches to specimens
    shared = scipy.linalg.block_diag(*found.group_covariance)
    P = blocks - blocks @ member @ shared @ member.T @ blocks
    X, score = D.reshape(28, 4), found.score.reshape(28)
    rho = X @ C @ c
    covariance = P - P @ X @ C @ X.T @ P
    sums = np.linalg.inv(member.T @ blocks @ member)
    inside = np.eye(28) - blocks @ member @ sums @ member.T
    mean = sums @ member.T @ blocks @ rho
    variance, freedom = 0.0, 0.0
    for project, direction, plain in (
        (member.T, mean, member.T @ P @ member),
        (inside, rho - member @ mean, inside @ P @ inside.T),
    ):
        rows = direction.reshape(-1, 2)
        R = np.kron(np.eye(len(rows)), scipy.linalg.sqrtm(rows.T @ rows / len(rows)).real)
        omega = R @ project @ covariance @ project.T @ R
        ratio = np.square(R @ project @ score).sum() / np.trace(omega)
        few = np.trace(omega) ** 2 / np.trace(omega @ omega)
        own = direction @ plain @ direction * ratio
        variance, freedom = variance + own, freedom + own**2 / few
    std, few = found.contrast(c[None])
    assert std[0] ** 2 == pytest.approx(variance, rel=1e-7)
    assert few[0] == pytest.approx(variance**2 / freedom, rel=1e-7)


def test_curves_that_say_the_same_give_the_textbooks_regression():
    """Standard error and t of ordinary least squares on the specimens' own estimates, N - 2 degrees of freedom."""
    rng = np.random.default_rng(2)
    u = rng.uniform(300, 500, 11)
    own = np.stack([1.0 + 0.01 * u, 2.0 - 0.02 * u], 1) + 0.5 * rng.standard_normal((11, 2))
    y = LINE.value_and_jacobian(T, own)[0] + 1e-3 * rng.standard_normal((11, T.size))
    names = [p.name for p in LINE.parameters]
    found = LINE.fit(T, y, depends_on=dict.fromkeys(names, "u"), covariates={"u": u})
    own = np.array([LINE.fit(T, row).fitted[0] for row in y])
    for k in range(2):
        line = scipy.stats.linregress(u, own[:, k])
        effect = found.effects.isel(cluster=0, effect=k)
        assert float(effect.value) == pytest.approx(line.slope, rel=1e-5)
        assert float(effect.std_error) == pytest.approx(line.stderr, rel=1e-4)
        assert float(effect.p_value) == pytest.approx(line.pvalue, rel=1e-3)
        assert float(effect.freedom) == pytest.approx(9.0, rel=1e-4)
        assert float(effect.slope) == pytest.approx(float(effect.value))


def test_batches_of_one_size_give_the_textbooks_nested_analysis():
    """The mean's error is that of the batches' means; inside batches a covariate has N - batches - 1 to spare."""
    rng = np.random.default_rng(3)
    group, u = np.repeat(np.arange(5), 4), np.tile([-1.0, 0.0, 0.5, 0.5], 5)
    own = np.zeros((20, 2)) + 0.3 * u[:, None] + 0.8 * rng.standard_normal((5, 2))[group]
    own += 0.3 * rng.standard_normal((20, 2))
    y = LINE.value_and_jacobian(T, own)[0] + 1e-3 * rng.standard_normal((20, T.size))
    first = LINE.parameters[0].name
    found = LINE.fit(T, y, depends_on={first: "u"}, covariates={"u": u, "heat": group}, groups="heat")
    own = np.array([LINE.fit(T, row).fitted[0] for row in y])
    means = own.reshape(5, 4, 2).mean(1)
    np.testing.assert_allclose(found.parameters.std_error[0], means.std(0, ddof=1) / np.sqrt(5), rtol=1e-3)
    _, freedom = found.populations[0].effects.contrast(np.eye(3))
    np.testing.assert_allclose(freedom, [4.0, 4.0, 14.0], rtol=0.02)
    # That both parameters scatter together tells a little more of the one that depends on u.
    dummies = np.column_stack([np.eye(5)[group], u])
    fitted, left = np.linalg.lstsq(dummies, own[:, 0], rcond=None)[:2]
    error = np.sqrt(left[0] / 14 * np.linalg.inv(dummies.T @ dummies)[-1, -1])
    assert abs(float(found.effects.value[0, 0]) - fitted[-1]) < 0.5 * error
    assert float(found.effects.std_error[0, 0]) == pytest.approx(error, rel=0.15)


def test_statsmodels_finds_the_same():
    """Random slope and intercept, a covariate of both, some points missing: estimates, errors and scatter."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    rng = np.random.default_rng(4)
    N, t = 120, np.linspace(0, 2, 9)
    x = rng.uniform(-1, 1, N)
    x -= x.mean()
    root = np.array([[0.5, 0.0], [0.2, 0.4]])
    own = np.stack([2.0 + 0.7 * x, 1.0 - 0.4 * x], 1) + rng.standard_normal((N, 2)) @ root.T
    names = [p.name for p in LINE.parameters]
    y = LINE.value_and_jacobian(t, own)[0] + 0.4 * rng.standard_normal((N, 9))
    y[rng.random(y.shape) < 0.2] = np.nan
    found = LINE.fit(t, y, depends_on=dict.fromkeys(names, "x"), covariates={"x": x})
    n, k = np.nonzero(np.isfinite(y))
    jacobian = LINE.value_and_jacobian(t, own[0])[1]
    exog = np.column_stack([jacobian[k], jacobian[k] * x[n, None]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = MixedLM(y[n, k], exog, groups=n, exog_re=jacobian[k]).fit(reml=True)
    effects = found.populations[0].effects
    np.testing.assert_allclose(effects.coefficients, other.fe_params, rtol=5e-3)
    np.testing.assert_allclose(effects.contrast(np.eye(4))[0], other.bse_fe, rtol=0.05)
    np.testing.assert_allclose(effects.scatter, other.cov_re, atol=0.01)
    assert effects.variance == pytest.approx(other.scale, rel=5e-3)
    np.testing.assert_allclose(found.effects.value[0], other.fe_params[2:], rtol=5e-3)
    np.testing.assert_allclose(found.effects.std_error[0], other.bse_fe[2:], rtol=0.05)


def specimens(N, batches, seed, between=0.1):
    rng = np.random.default_rng(seed)
    x, z = rng.uniform(-1, 1, N), rng.uniform(-1, 1, N)
    phi = np.log([2.0, 0.7]) + 0.1 * rng.standard_normal((N, 2))
    phi[:, 0] += 0.3 * x
    phi[:, 1] += 0.1 * z
    group = np.arange(N) % batches
    phi += between * rng.standard_normal((batches, 2))[group]
    y = SATURATING.value_and_jacobian(T, np.exp(phi))[0] + 0.03 * rng.standard_normal((N, T.size))
    return y, {"x": x, "z": z, "heat": group}, np.exp(phi)


@pytest.mark.parametrize("groups", [None, "heat"])
def test_intervals_hold_what_they_say(groups):
    """Effects, parameters at the reference and specimens' own, a law that is not linear."""
    held, own_held = [], []
    for seed in range(36):
        y, covariates, own = specimens(15, 5, seed, 0.15 if groups else 0.0)
        found = SATURATING.fit(
            T, y, start=[2.0, 0.7], depends_on={"a": "x", "b": ["z"]}, groups=groups, covariates=covariates
        )
        means = [covariates["x"].mean(), covariates["z"].mean()]
        truth = np.exp(np.log([2.0, 0.7]) + np.multiply([0.3, 0.1], means))
        effects, table, specimen = found.effects, found.parameters, found.specimens
        held.append(np.abs(effects.value.values[0] - [0.3, 0.1]) < (effects.high - effects.value).values[0])
        held.append((table.low.values[0] < truth) & (truth < table.high.values[0]))
        own_held.append(((specimen.low.values < own) & (own < specimen.high.values)).mean())
    assert abs(np.mean(held) - 0.9) < 0.07
    assert abs(np.mean(own_held) - 0.9) < 0.04


def test_a_result_speaks_of_effects_and_batches():
    y, covariates, _ = specimens(20, 4, 0, 0.3)
    rate = np.exp(covariates["z"])
    named = xr.DataArray(
        y,
        dims=("specimen", "t"),
        coords={
            "x": ("specimen", covariates["x"], {"units": "K"}),
            "rate": ("specimen", rate, {"units": "1/s"}),
            "heat": ("specimen", np.array(list("abcd"))[covariates["heat"]]),
        },
    )
    found = SATURATING.fit(T, named, depends_on={"a": ["x"], "b": ["log(rate)"]}, groups="heat")
    effects = found.effects
    assert effects.effect.values.tolist() == ["a ~ x", "b ~ log(rate)"]
    assert effects.scale.values.tolist() == ["log(a)", "log(b)"]
    assert effects.unit.values.tolist() == ["1/K", "1"]
    np.testing.assert_allclose(effects.reference, [covariates["x"].mean(), covariates["z"].mean()])
    assert float(effects.p_value[0, 0]) < 1e-3
    assert float(effects.slope[0, 0]) == pytest.approx(float(effects.value[0, 0]) * float(found["a"].value))
    batches = found.batches
    assert batches.group.values.tolist() == list("abcd")
    assert (batches.p_value.values < 0.05).all()
    assert 0.1 < float(batches["std"][0, 0]) < 0.9
    hot = found.confidence("a", at={"x": 6.0, "rate": 1.0})
    moved = float(found["a"].value) * np.exp(float(effects.value[0, 0]) * (6.0 - covariates["x"].mean()))
    assert float(hot.value[0, 0]) == pytest.approx(moved)
    # Far from where it was measured an effect's error counts: beyond how sure the mean itself is.
    relative = [float(np.log(one.high / one.low)) for one in (hot.isel(cluster=0, parameter=0), found["a"])]
    assert relative[0] > relative[1]
    text = found.report()
    assert "parameters are said at x = " in text
    assert "a ~ x" in text
    assert "standard deviation between 4 batches (heat)" in text
    with pytest.raises(ExpertError, match="must give the covariates that parameters depend on, and no other: rate, x"):
        found.confidence(at={"x": 2.0})


def test_checks_of_an_interval_know_covariates_and_batches():
    y, covariates, _ = specimens(24, 8, 3, 0.1)
    found = SATURATING.fit(T, y, depends_on={"a": "x"}, groups="heat", covariates=covariates)
    for other in (found.profile(), found.bootstrap(40)):
        width = np.log(other.high / other.low) / np.log(found.parameters.high / found.parameters.low)
        np.testing.assert_allclose(width, 1.0, atol=0.4)
    assert "8 batches" in found.bootstrap(3).attrs["method"]
    alike = SATURATING.fit(T, specimens(24, 8, 3, 0.0)[0], depends_on={"a": "x"}, groups="heat", covariates=covariates)
    assert (alike.batches.p_value.values > 0.05).all()
    new = found.band(of="specimen")
    assert (new.high > new.low).all()


def test_clusters_have_effects_of_their_own():
    y, covariates, _ = specimens(20, 4, 5, 0.0)
    other = specimens(20, 4, 6, 0.0)[0]
    both = {name: np.tile(values, 2) for name, values in covariates.items()}
    weights = np.repeat(np.eye(2), 20, axis=0)
    found = SATURATING.fit(T, np.concatenate([y, other]), weights, depends_on={"a": "x"}, covariates=both)
    alone = SATURATING.fit(T, y, depends_on={"a": "x"}, covariates=covariates)
    np.testing.assert_allclose(found.effects.value[0], alone.effects.value[0], rtol=1e-3)
    assert found.effects.sizes == {"cluster": 2, "effect": 1}


GOOD = specimens(8, 4, 0)
CASES = {
    "not a parameter": ({"depends_on": {"c": "x"}}, "names 'c', which is none of its parameters"),
    "no table": ({"depends_on": "x"}, "is no table"),
    "no terms": ({"depends_on": {"a": []}}, "must list terms as text"),
    "twice": ({"depends_on": {"a": ["x", "x"]}}, "has the term 'x' twice"),
    "a constant": ({"depends_on": {"a": "2"}}, "is a constant: it must name a covariate"),
    "unknown": ({"depends_on": {"a": "colour"}}, "covariate 'colour' of 'a ~ colour' was not given"),
    "held": ({"depends_on": {"a": "x"}, "fixed": {"a": 2.0}}, "'a' is held by fixed= and cannot depend"),
    "no value": ({"depends_on": {"a": "log(x)"}}, r"term 'log\(x\)' of 'a' has no value at x = -"),
    "constant": ({"depends_on": {"a": "one"}}, "'one' is the same for all 8 specimens"),
    "collinear": ({"depends_on": {"a": ["x", "2 * x"]}}, "do not vary each by itself"),
    "too many": ({"depends_on": {"a": ["x", "z", "x**2", "z**2", "x*z", "x**3", "z**3"]}}, "has 7 effects and only 8"),
    "missing": ({"depends_on": {"a": "gap"}}, "'gap' is not known for specimens with a curve: 1, 3"),
    "text": ({"depends_on": {"a": "word"}}, "word holds text"),
    "groups unknown": ({"groups": "day"}, "groups='day' names nothing that was given"),
    "one batch": ({"groups": np.zeros(8)}, "all specimens are of one group"),
    "own batch": ({"groups": np.arange(8)}, "every specimen is of its own group"),
    "batch missing": ({"groups": "blank"}, "blank is not known for specimens with a curve: 2"),
    "soft": ({"groups": "heat", "weights": np.full(8, 0.5)}, "groups need specimens that belong to their cluster"),
    "auto": ({"depends_on": {"a": "x"}, "noise": "auto"}, "compares noise models where parameters depend on nothing"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_told_is_said(case):
    options, message = CASES[case]
    y, covariates, _ = GOOD
    gap = np.where(np.isin(np.arange(8), [1, 3]), np.nan, 1.0)
    more = {
        "one": np.ones(8),
        "gap": gap,
        "word": np.array(list("abcdefgh")),
        "blank": np.array(["a", "b", "", *"abaab"]),
    }
    with pytest.raises(ExpertError, match=message):
        SATURATING.fit(T, y, **{"covariates": {**covariates, **more}, **options})


def test_more_that_cannot_be_told():
    y, covariates, _ = GOOD
    with pytest.raises(ExpertError, match="one curve cannot tell what parameters depend on"):
        SATURATING.fit(T, y[0], depends_on={"a": "x"}, covariates={"x": 1.0})
    with pytest.raises(ShapeError, match="covariate 'x' has the shape"):
        SATURATING.fit(T, y, depends_on={"a": "x"}, covariates={"x": covariates["x"][:3]})
    with pytest.raises(ShapeError, match="groups have the shape"):
        SATURATING.fit(T, y, groups=np.arange(3))
    with pytest.raises(FormulaError):
        SATURATING.fit(T, y, depends_on={"a": "__import__('os')"}, covariates=covariates)
    found = SATURATING.fit(T, y)
    with pytest.raises(ExpertError, match="depend on no covariate: fit with depends_on"):
        _ = found.effects
    with pytest.raises(ExpertError, match="knows no batches: fit with groups"):
        _ = found.batches
    with pytest.raises(ExpertError, match="there are none, fit with depends_on"):
        found.confidence(at={"x": 1.0})


def test_a_specimen_without_a_curve_needs_no_covariate():
    y, covariates, _ = specimens(12, 4, 0)
    y[3], covariates["x"][3] = np.nan, np.nan
    found = SATURATING.fit(T, y, depends_on={"a": "x"}, covariates=covariates)
    rest = np.delete(np.arange(12), 3)
    alone = SATURATING.fit(T, y[rest], depends_on={"a": "x"}, covariates={"x": covariates["x"][rest]})
    np.testing.assert_allclose(found.effects.value, alone.effects.value, rtol=1e-6)
    assert np.isnan(found.specimens.value[3]).all()
