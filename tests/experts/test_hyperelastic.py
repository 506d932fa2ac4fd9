"""Stresses derived from energies: closed forms, the derivative of the energy along the path, one law in all tests."""

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, FormulaError, OptionError
from pima_toolkit.experts.kinds.hyperelastic import ENERGIES, LOADINGS
from pima_toolkit.testing import parametrize_with_checks

L = np.array([0.6, 0.9, 1.0, 1.2, 2.0])
G = np.array([-0.7, -0.2, 0.0, 0.1, 0.5])

CLOSED = {
    ("neo_hooke", "uniaxial"): lambda mu: mu * (L - 1 / L**2),
    ("neo_hooke", "equibiaxial"): lambda mu: mu * (L - 1 / L**5),
    ("neo_hooke", "planar"): lambda mu: mu * (L - 1 / L**3),
    ("neo_hooke", "simple_shear"): lambda mu: mu * G,
    ("mooney_rivlin", "uniaxial"): lambda c, d: 2 * (c + d / L) * (L - 1 / L**2),
    ("mooney_rivlin", "simple_shear"): lambda c, d: 2 * (c + d) * G,
    ("ogden", "uniaxial"): lambda mu, a: 2 * mu / a * (L ** (a - 1) - L ** (-a / 2 - 1)),
    ("ogden", "equibiaxial"): lambda mu, a: 2 * mu / a * (L ** (a - 1) - L ** (-2 * a - 1)),
    ("gent", "planar"): lambda mu, j: mu * j / (j - L**2 - L**-2 + 2) * (L - L**-3),
    ("demiray", "uniaxial"): lambda mu, b: mu * np.exp(b * (L**2 + 2 / L - 3)) * (L - L**-2),
}
VALUES = {"gent": [0.4, 40.0], "arruda_boyce": [0.4, 3.0], "ogden": [0.7, -3.5], "yeoh": [0.3, 0.02, 0.001]}


def inputs_of(test):
    t = LOADINGS[test].inputs[0]
    return {"stretch": 1.3, "stretch_2": 0.8, t: G if t == "shear" else L}


def stress_of(law, theta, given):
    return law.value_and_jacobian({name: given[name] for name in law.inputs}, theta)[0]


@pytest.mark.parametrize("case", CLOSED, ids=" ".join)
def test_stresses_are_the_closed_forms(case):
    law = pima.hyperelastic(case[0])[case[1]]
    theta = VALUES.get(case[0], [0.4, 0.1])[: len(law.parameters)]
    np.testing.assert_allclose(stress_of(law, theta, inputs_of(case[1])), CLOSED[case](*theta), rtol=1e-12, atol=1e-15)


def energy_of(material, theta, a, b, g):
    """The energy from the deformation gradient itself, its stretches by singular values."""
    F = np.array([[a, g, 0.0], [0.0, b, 0.0], [0.0, 0.0, 1.0 / (a * b)]])
    squares = np.linalg.eigvalsh(F.T @ F)
    I1, I2 = squares.sum(), 0.5 * (squares.sum() ** 2 - np.square(squares).sum())
    known = dict(zip(("l1", "l2", "l3"), np.sqrt(squares), strict=True)) | {"I1": I1, "I2": I2}
    known |= dict(zip([p.name for p in material.parameters], theta, strict=True))
    return float(material.form.subs({s: known[s.name] for s in material.form.free_symbols}))


@pytest.mark.parametrize("name", [*ENERGIES, "C*(I1 - 3) + D*log(I2/3)"])
def test_every_stress_is_the_slope_of_the_energy(name):
    material, h = pima.hyperelastic(name), 1e-6
    theta = VALUES.get(name, [0.4, 0.1])[: len(material.parameters)]
    a, b, g = 1.3, 0.8, 0.25
    slope = {
        "biaxial": lambda s: energy_of(material, theta, a + s, b, 0),
        "biaxial_2": lambda s: energy_of(material, theta, a, b + s, 0),
        "simple_shear": lambda s: energy_of(material, theta, 1, 1, g + s),
        "stretched_shear": lambda s: energy_of(material, theta, a, a**-0.5, g + s),
        "uniaxial": lambda s: energy_of(material, theta, a + s, (a + s) ** -0.5, 0),
    }
    found = {}
    for test, along in slope.items():
        given = {"shear": [g], "stretch": a} if "shear" in test else {"stretch": [a], "stretch_2": b}
        found[test] = stress_of(material[test], theta, given)[0]
        assert found[test] == pytest.approx((along(h) - along(-h)) / (2 * h), rel=1e-7), test
    difference = stress_of(material["biaxial_difference"], theta, {"stretch": [a], "stretch_2": b})[0]
    assert difference == pytest.approx(a * found["biaxial"] - b * found["biaxial_2"], rel=1e-9)
    both = stress_of(material["equibiaxial"], theta, {"stretch": [a]})[0]
    assert both == pytest.approx(stress_of(material["biaxial"], theta, {"stretch": [a], "stretch_2": a})[0], rel=1e-9)
    planar = stress_of(material["planar"], theta, {"stretch": [a]})[0]
    assert planar == pytest.approx(
        stress_of(material["biaxial"], theta, {"stretch": [a], "stretch_2": 1.0})[0], rel=1e-9
    )


def test_a_sum_of_one_term_and_special_exponents_are_the_older_laws():
    theta = [0.3, 2.0]  # Ogden's exponent 2 is neo-Hooke, -2 the second constant of Mooney and Rivlin
    for test in LOADINGS:
        given = inputs_of(test)
        ogden, neo = pima.hyperelastic("ogden")[test], pima.hyperelastic("neo_hooke")[test]
        np.testing.assert_allclose(stress_of(ogden, theta, given), stress_of(neo, [0.3], given), rtol=1e-6, atol=1e-9)
        two, mooney = pima.hyperelastic("ogden", terms=2)[test], pima.hyperelastic("mooney_rivlin")[test]
        values = stress_of(two, [0.3, 2.0, 0.2, -2.0], given), stress_of(mooney, [0.15, 0.1], given)
        np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-9)


def test_a_stretched_body_that_is_not_sheared_has_a_shear_modulus():
    law = pima.hyperelastic("ogden")["stretched_shear"]
    value, slopes = law.value_and_jacobian({"shear": [0.0, 1e-4], "stretch": 1.0}, [0.7, -3.5])
    assert np.isfinite(slopes).all()
    assert value[1] / 1e-4 == pytest.approx(0.7, rel=1e-4)


def test_laws_of_all_tests_take_the_same_parameters_and_are_written_out():
    material = pima.hyperelastic("ogden", terms=2)
    assert set(material) == set(LOADINGS)
    assert {law.parameters for law in material.values()} == {material.parameters}
    assert [p.name for p in material.parameters] == ["mu_1", "alpha_1", "mu_2", "alpha_2"]
    assert pima.hyperelastic("neo_hooke")["uniaxial"].formula == "mu*(stretch - 1/stretch**2)"
    assert material == pima.hyperelastic("ogden", terms=2) != pima.hyperelastic("ogden")
    assert "uniaxial" in material._repr_html_()
    assert "W = " in repr(material)
    saved = pima.experts.expert_from_dict(material["stretched_shear"].to_dict())
    assert saved == material["stretched_shear"]


LAWS = [pima.hyperelastic(name)["uniaxial"] for name in ENERGIES]
LAWS += [pima.hyperelastic("ogden")[test] for test in ("planar", "stretched_shear")]


def sign_is_not_told(expert):
    """Stretches in and out of a plane change places with the sign of the exponent where the third is one."""
    return {"recovers_its_parameters": "alpha and -alpha are one curve"} if expert.name == "ogden, planar" else {}


@parametrize_with_checks(LAWS, expected_failures=sign_is_not_told)
def test_laws_conform(expert, check):
    check(expert)


def test_what_is_no_energy_is_refused_in_a_sentence():
    with pytest.raises(OptionError, match="no test 'torsion': use one of uniaxial"):
        pima.hyperelastic("gent")["torsion"]
    with pytest.raises(OptionError, match="expected 1 to 6 terms of ogden or yeoh"):
        pima.hyperelastic("ogden", terms=0)
    with pytest.raises(OptionError, match="terms=2 with 'gent'"):
        pima.hyperelastic("gent", terms=2)
    with pytest.raises(OptionError, match="not with 'mu"):
        pima.hyperelastic("mu*(I1-3)", terms=2)
    with pytest.raises(OptionError, match="has its own parameters"):
        pima.hyperelastic("gent", parameters=(pima.Parameter("mu"),))
    with pytest.raises(ExpertError, match="has no deformation in it"):
        pima.hyperelastic("ogdn")
    with pytest.raises(FormulaError, match="not of 'stretch'"):
        pima.hyperelastic("mu*(stretch - 1)")
    with pytest.raises(ExpertError, match="change places"):
        pima.hyperelastic("mu*(l1**2 - 1)")
