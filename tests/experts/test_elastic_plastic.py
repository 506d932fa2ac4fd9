"""Hardening over the total strain: its equation solved by bisection, both kinds of curves, what is told of them."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import brentq

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError, PimaWarning
from pima_toolkit.experts import expert_from_dict
from pima_toolkit.testing import check_expert

E = 70e3
T = np.concatenate([np.linspace(0, 0.0041, 15), np.linspace(0.005, 0.15, 25)])
LAWS = {
    "voce": [120.0, 180.0, 0.05],
    "hollomon": [530.0, 0.26],
    "ludwik": [250.0, 500.0, 0.5],
    "swift": [600.0, 0.01, 0.2],
}


def true_stress(name, strain, **covariates):
    """Stress at total true strains, one by one, by halving the interval of the plastic strain."""
    law = pima.get_expert(name)
    inputs = {n: v for n, v in covariates.items() if n in law.inputs}
    theta = LAWS.get(name) or law.example.theta(law.parameters)

    def flow(p):
        return float(law.value_and_jacobian({law.t: np.array([p]), **inputs}, theta)[0][0])

    def stress(x):
        return E * x if E * x <= flow(0.0) else E * (x - brentq(lambda p: flow(p) - E * (x - p), 0.0, x, xtol=1e-17))

    return np.array([stress(x) for x in strain])


@pytest.mark.parametrize(
    ("name", "engineering"), [*((name, None) for name in LAWS), ("voce", "tension"), ("hollomon", "compression")]
)
def test_the_curve_solves_the_implicit_equation(name, engineering):
    law = pima.elastic_plastic(name, engineering=engineering)
    sign = {None: 0, "tension": 1, "compression": -1}[engineering]
    stretch = 1 + sign * T
    strain = sign * np.log(stretch) if sign else T
    theta = np.array([E, *LAWS[name]])
    value, jacobian = law.value_and_jacobian(T, theta)
    np.testing.assert_allclose(value, true_stress(name, strain) / stretch, rtol=1e-11, atol=1e-9)
    for i, at in enumerate(theta):
        step = np.eye(len(theta))[i] * 1e-6 * at
        up, down = (law.value_and_jacobian(T, theta + s * step)[0] for s in (1, -1))
        rough = (up - down) / (2e-6 * at)
        np.testing.assert_allclose(jacobian[:, i], rough, rtol=1e-6, atol=1e-6 * np.abs(rough).max())
    known = pima.elastic_plastic(name, E=E, engineering=engineering)
    np.testing.assert_array_equal(known.value_and_jacobian(T, theta[1:])[0], value)


def test_rate_and_temperature_come_along():
    law = pima.get_expert("elastic(70e3) + johnson_cook")
    covariates = {"strain_rate": 1000.0, "temperature": 0.2}
    theta = law.law.example.theta(law.parameters)
    found = law.value_and_jacobian({"strain": T, **covariates}, theta)[0]
    np.testing.assert_allclose(found, true_stress("johnson_cook", T, **covariates), rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("text", ["elastic(E) + voce", "engineering(elastic(7e4) + swift)"])
def test_it_conforms_and_is_saved(text):
    law = pima.get_expert(text)
    check_expert(law).raise_for_failures()
    again = expert_from_dict(json.loads(json.dumps(law.to_dict())))
    assert again == law == pima.get_expert(law.name)
    assert hash(again) == hash(law) != hash(law.law)


def test_a_fit_without_starts_finds_elastic_and_plastic_parameters_with_their_errors():
    """60 noisy curves: the truth within the 90 % intervals in 90 of 100, to three standard errors of that share."""
    rng, law, truth, held = np.random.default_rng(0), pima.elastic_plastic("voce"), np.array([E, *LAWS["voce"]]), []
    clean, shown = law.value_and_jacobian(T, truth)[0], law.to_reported(truth)
    for _ in range(60):
        table = law.fit(T, clean + rng.normal(0, 1.0, T.size)).parameters.isel(cluster=0)
        held.append((table.low.values <= shown) & (shown <= table.high.values))
    assert (np.abs(np.mean(held, 0) - 0.9) < 3 * np.sqrt(0.09 / 60)).all()


def test_the_same_material_whether_true_or_engineering_curves_are_fitted():
    clean = true_stress("voce", T)
    strain = np.expm1(T)
    one = pima.elastic_plastic("voce").fit(T, clean)
    other = pima.elastic_plastic("voce", engineering="tension").fit(strain, clean / (1 + strain))
    np.testing.assert_allclose(one.parameters.value, other.parameters.value, rtol=1e-6)


def test_relations_and_held_parameters_of_the_law():
    law = pima.elastic_plastic("voce").fixed(E=E, sigma_y=120.0).related("rise < 100")
    assert [p.name for p in law.parameters] == ["rise", "eps_c"]
    assert law.parameters[0].upper == 100.0
    assert law.name == "elastic(70000) + voce with sigma_y = 120, rise < 100"
    assert law.fit(T, true_stress("voce", T)).at_bound[0].tolist() == [True, False]


def test_pima_learns_populations_over_total_strain(tmp_path):
    rng = np.random.default_rng(1)
    law = pima.get_expert("elastic(70e3) + voce")
    theta = np.repeat([[120.0, 180.0, 0.05], [200.0, 100.0, 0.02]], 10, axis=0)
    theta *= np.exp(0.03 * rng.normal(size=theta.shape))
    y = law.value_and_jacobian(T, theta)[0] + rng.normal(size=(20, T.size))
    attrs = {"units": "MPa", "long_name": "true stress"}
    strain = xr.DataArray(T, dims="strain", attrs={"units": "1", "long_name": "true strain"})
    data = xr.Dataset({"stress": (("specimen", "strain"), y, attrs)}, coords={"strain": strain})
    fit = pima.PIMA({"stress": pima.Physics("elastic(70e3) + voce")}, clusters=2, latent_dim=1).fit(
        data, epochs=2, progress=False
    )
    found = fit.parameters.value.values
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], [[120, 300, 0.05], [200, 300, 0.02]], rtol=0.06)
    loaded = pima.load(fit.save(tmp_path / "fit.pima"))
    np.testing.assert_array_equal(loaded.parameters.value, fit.parameters.value)
    model = pima.PIMA({"stress": pima.Physics("voce", scatter="none")}, clusters=1, latent_dim=1)
    with pytest.warns(PimaWarning, match="law 'voce' is one of true stress over plastic strain, and the curves are of"):
        model.fit(data.isel(specimen=slice(6)), epochs=1, progress=False)


TOLD = {  # law, what the curves say, whether they are another quantity
    "engineering": ("voce", "engineering stress", "engineering strain", True),
    "true and total": ("voce", "true stress", "true strain", True),
    "as written": ("voce", "true stress", "true plastic strain", False),
    "not said": ("voce", "stress", "strain", False),
    "nominal": ("elastic(E) + voce", "nominal stress", "nominal strain", True),
    "converted": ("elastic(E) + voce", "true stress", "true strain", False),
    "plastic already": ("elastic(E) + voce", "true stress", "true plastic strain", True),
    "engineering law": ("engineering(elastic(E) + voce)", "engineering stress", "engineering strain", False),
    "true of engineering": ("engineering(elastic(E) + voce)", "true stress", "true strain", True),
    "any": ("linear_hardening", "engineering stress", "engineering strain", False),
}


@pytest.mark.parametrize("case", TOLD)
def test_what_the_curves_say_of_their_quantity_is_heard(case):
    name, y_name, t_name, other = TOLD[case]
    law = pima.get_expert(name)
    t = xr.DataArray(T[1:], dims="strain", attrs={"long_name": t_name})
    y = xr.DataArray(true_stress("voce", T[1:]), dims="strain", attrs={"long_name": y_name})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        report = law.fit(t, y).report()
    assert [w.category for w in told] == [PimaWarning] * other
    assert all(w.filename == __file__ and f"the curves are of {y_name}" in str(w.message) for w in told)
    assert ("taken for" in report) == (law.quantity != "")


WRONG = {
    "no formula": (lambda: pima.elastic_plastic("voigt"), ExpertError, "'voigt' is no formula"),
    "E already": (lambda: pima.elastic_plastic("linear_hardening"), ExpertError, "is one of total strain already"),
    "negative": (lambda: pima.elastic_plastic("voce", E=-1.0), OptionError, "E=-1.0: expected the elastic modulus"),
    "bending": (lambda: pima.elastic_plastic("voce", engineering="bending"), OptionError, "'tension', 'compression'"),
    "half": (lambda: pima.get_expert("elastic(E)"), ExpertError, "cannot be read: expected 'elastic.E. . LAW'"),
    "hostile": (lambda: pima.get_expert("elastic(open('x')) + voce"), ExpertError, "cannot be read"),
    "engineering": (lambda: pima.get_expert("engineering(voce)"), ExpertError, "takes 'elastic.E. . LAW'"),
    "learned": (lambda: pima.get_expert("principal_curves with a < b"), ExpertError, "is no formula, and relations"),
    "per cent": (
        lambda: pima.elastic_plastic("voce", engineering="tension").fit(100 * T, T, t_unit="%"),
        ExpertError,
        "convert it to a plain number",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_go_together_is_refused(case):
    act, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        act()
