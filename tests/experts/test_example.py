"""Examples: declared ones are checked, others follow from the bounds."""

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import example_of


class Line(pima.SympyExpert):
    name, formula = "line", "a * t + b"
    example = pima.Example(t=(1, 100), parameters={"b": 2, "a": 3}, log=True, points=3)


def test_a_declared_example_has_the_order_of_the_parameters():
    example = example_of(Line())
    np.testing.assert_allclose(example.theta(Line().parameters), [3, 2])
    np.testing.assert_allclose(example.grid, [1, 10, 100])
    np.testing.assert_allclose(pima.Example((0, 1), {}, points=3).grid, [0, 0.5, 1])


def test_one_is_made_from_the_bounds():
    bounds = {"a": (2, 6), "b": (3, None), "c": (None, 0)}
    made = example_of(pima.SympyExpert("a + b*t + c*t**2 + d*t**3", bounds=bounds))
    assert made.parameters == {"a": 4, "b": 4, "c": -1, "d": 1}
    assert made.t == (0, 1)
    assert example_of(pima.SympyExpert("a / t")).t == (0.01, 1)


def test_names_that_do_not_match_are_told():
    class Wrong(Line):
        example = pima.Example(t=(0, 1), parameters={"a": 3})

    with pytest.raises(ExpertError, match=r"values for \['a'\], the expert fits \['a', 'b'\]"):
        example_of(Wrong())


def test_an_expert_without_finite_values_must_say_where_it_has_some():
    with pytest.raises(ExpertError, match=r"not finite for t between 0\.01 and 1"):
        example_of(pima.SympyExpert("log(a * (t - 2))"))


@pytest.mark.parametrize("options", [{"t": (1, 1)}, {"t": (0, 1), "log": True}, {"t": (0, 1), "points": 1}])
def test_grids_that_are_none_are_told(options):
    with pytest.raises(ExpertError, match="two values of t"):
        pima.Example(parameters={}, **options)
