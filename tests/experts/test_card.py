"""What is read from an expert's docstring, and what stands in for what it does not say."""

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


def test_the_docstring_is_taken_apart():
    card = card_of(Told())
    assert card.name == "told"
    assert card.field == "What is read from an expert's docstring, and what stands in for what it does not say"
    assert card.summary == "Stress of a told law; see `Expert` and `Parameter`."
    assert card.equation == r"\sigma = K \varepsilon^n"
    assert card.formula == "K * strain**n"
    assert card.remarks == "Something to know."
    assert card.rows == (("K", "MPa", "K >= n", "strength"), ("n", "1", "0 <= n", "exponent"))
    assert card.valid_for == "small strains, on Sundays."
    assert card.source == "Nobody 1900."


def test_a_table_that_is_not_that_of_the_parameters_is_not_shown():
    class More(Told):
        formula = "K * strain**n + c"
        parameters = (*Told.parameters, pima.Parameter("c", upper=3))

    More.__doc__ = Told.__doc__
    rows = card_of(More()).rows
    assert [row[:3] for row in rows] == [("K", "MPa", "K >= 0"), ("n", "1", "0 <= n <= 1"), ("c", "1", "c <= 3")]


def test_a_formula_without_a_class_has_a_card():
    card = card_of(pima.SympyExpert("a * x", t="x", name="line"))
    assert (card.field, card.summary, card.equation) == ("Formulas of this session", "A formula of x.", "y = a x")
    assert card.rows == (("a", "1", "none", ""),)
    assert (card.valid_for, card.source, card.remarks) == ("", "", "")
