"""Shown parameters as formulas of the fitted ones."""

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, FormulaError


class Saturating(pima.SympyExpert):
    name, t, formula = "saturating", "strain", "low + rise * (1 - exp(-strain / eps_c))"
    parameters = (pima.Parameter("low"), pima.Parameter("rise", lower=0), pima.Parameter("eps_c", lower=0))
    reported = (pima.Parameter("low"), pima.Parameter("high"), pima.Parameter("rate"))
    reported_formulas = ("low", "low + rise", "rise / eps_c if rise > 0 else 0")


def test_values_and_derivatives_follow_from_the_formulas():
    theta = np.array([[1.0, 2.0, 0.5], [3.0, 0.0, 0.5]])
    np.testing.assert_allclose(Saturating().to_reported(theta), [[1, 3, 4], [3, 3, 0]])
    np.testing.assert_allclose(Saturating().to_reported(theta[0]), [1, 3, 4])
    slopes = Saturating().reported_jacobian(theta)
    np.testing.assert_allclose(slopes[0], [[1, 0, 0], [1, 1, 0], [0, 2, -8]])
    np.testing.assert_allclose(slopes[1, 2], 0)
    with torch.inference_mode():
        np.testing.assert_allclose(Saturating().reported_jacobian(theta), slopes)


def test_errors_of_what_is_shown_follow_the_delta_method():
    strain, rng = np.linspace(0, 2, 50), np.random.default_rng(0)
    y = 1 + 2 * (1 - np.exp(-strain / 0.5)) + 0.02 * rng.normal(size=50)
    solution = Saturating().fit(strain, y)
    covariance = solution.covariance[0]
    assert solution.parameters.std_error.values[0, 1] == pytest.approx(np.sqrt(covariance[:2, :2].sum()))


@pytest.mark.parametrize(
    ("formulas", "words"),
    [
        (("low", "low + rise"), "shows 3 parameters by 2 formulas: give one each"),
        (("low", "low + rise", "strain * rise"), "uses 'strain', which is not fitted; fitted are low, rise, eps_c"),
        (("low", "low + rise", "high"), "uses 'high', which is not fitted"),
        (("low", "low +* rise", "rise"), "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_when_the_expert_is_made(formulas, words):
    class Wrong(Saturating):
        reported_formulas = formulas

    with pytest.raises(ExpertError, match=words) as caught:
        Wrong()
    assert isinstance(caught.value, FormulaError) == ("give one each" not in words)
