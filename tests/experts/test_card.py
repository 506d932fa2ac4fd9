"""What is read from an expert's docstring, and what stands in for what it does not say."""

import pytest

import pima_toolkit as pima
from pima_toolkit.experts import card_of


class Told(pima.SympyExpert):
    r"""Stress of a told law; see :class:`Expert` and ``Parameter``.

    .. math:: \sigma = K
        \varepsilon^n

    Something to know. Shown as

    ==== ==== ======= ========
    name unit bounds  meaning
    ==== ==== ======= ========
    K    MPa  K >= n  strength
    n    1    0 <= n  exponent
    ==== ==== ======= ========

    Valid for: small strains,
    on Sundays.
    Source: Nobody 1900.
    """

    name, t, formula = "told", "strain", "K * strain**n"
    parameters = (pima.Parameter("K", unit="MPa", lower=0), pima.Parameter("n", lower=0, upper=1, description="exp"))
    reported_bounds = ("K >= n", "")


def test_the_docstring_is_taken_apart():
    card = card_of(Told())
    assert card.name == "told"
    assert card.field == "What is read from an expert's docstring, and what stands in for what it does not say"
    assert card.summary == "Stress of a told law; see `Expert` and `Parameter`."
    assert card.equation == r"\sigma = K \varepsilon^n"
    assert card.formula == "K * strain**n"
    assert card.remarks == "Something to know."
    assert card.rows == (("K", "MPa", "K >= n", ""), ("n", "1", "0 <= n <= 1", "exp")), "as declared, not as the table"
    assert card.valid_for == "small strains, on Sundays."
    assert card.source == "Nobody 1900."


@pytest.mark.parametrize(
    ("parameter", "bounds"),
    [
        (pima.Parameter("c"), "none"),
        (pima.Parameter("c", lower=0), "c >= 0"),
        (pima.Parameter("c", upper=1e-7), "c <= 1e-7"),
        (pima.Parameter("c", lower=-2.5, upper=1e6), "-2.5 <= c <= 1e6"),
        (pima.Parameter("c", log=True), "c > 0"),
    ],
)
def test_bounds_are_written_as_people_write_them(parameter, bounds):
    class More(pima.SympyExpert):
        name, formula, parameters = "more", "c * t", (parameter,)

    assert card_of(More()).rows[0][2] == bounds
    More.within = ("c",)
    assert card_of(More()).rows[0][2] == "within t"


def test_a_formula_without_a_class_has_a_card():
    card = card_of(pima.SympyExpert("a * x", t="x", name="line"))
    assert (card.field, card.summary, card.equation) == ("Formulas of this session", "A formula of x.", "y = a x")
    assert card.rows == (("a", "1", "none", ""),)
    assert (card.valid_for, card.source, card.remarks) == ("", "", "")
