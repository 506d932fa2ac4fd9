"""Text becomes a formula or one clear error, and nothing else: never code, never a long wait."""

import numpy as np
import pytest
import sympy

from pima_toolkit.errors import FormulaError
from pima_toolkit.experts.formulas.parser import read_formula

GOOD = {
    "K * t**n": ("K", "n"),
    "K*t^n": ("K", "n"),
    "b + a*t": ("b", "a"),
    "E*t if t < e else E*e": ("E", "e"),
    "where(t <= e, E*t, E*e)": ("e", "E"),
    "min(E*t, s)": ("E", "s"),
    "max(a*t, b, 0, c)": ("a", "b", "c"),
    "a*abs(t - b)": ("a", "b"),
    "S*N*t + Q*t + I*beta + gamma*zeta + O": ("S", "N", "Q", "I", "beta", "gamma", "zeta", "O"),
    "a * sin(2*pi*f*t)": ("a", "f"),
    "a*t if 0 < t < b and not t > c or t >= d else 0": ("a", "b", "c", "d"),
    "A*exp(-\n t / tau)\t+ c": ("A", "tau", "c"),
    "A*erf(t/w) + B*erfc(t/w) + tanh(t*k)": ("A", "w", "B", "k"),
    "a*t - -b + +c": ("a", "b", "c"),
    "c + 0*t": ("c",),
    "lambda_*t": ("lambda_",),
    "I1 = t**2 + 2/t; C*(I1 - 3)": ("C",),
    "I1 = t^2\n  + 2/t\n\nI2 = (2*t\n + 1/t^2);\nC*(I1 - 3) +\n D*(I2 - 3)\n": ("C", "D"),
}


@pytest.mark.parametrize("text", GOOD)
def test_reads_what_people_write(text):
    formula = read_formula(text, "t")
    assert formula.parameters == GOOD[text]
    assert formula.latex


@pytest.mark.parametrize("text", [None, 3, b"a*t", ["a*t"]])
def test_refuses_what_is_no_text(text):
    with pytest.raises(FormulaError, match="must be text"):
        read_formula(text, "t")


@pytest.mark.parametrize("variable", ["", "sin", "pi", "2t", "a b", "t__", None, "σ"])
def test_refuses_unusable_variables(variable):
    with pytest.raises(FormulaError, match="independent variable"):
        read_formula("a*t", variable)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("K * strain^2 + $", 15, "cannot be read"),
        ("a*t + foo(t)", 6, "unknown function 'foo'"),
        ("a^2*t + b.c", 8, "a dot between names"),
        ("a*t + σ", 6, "'σ'"),
        ("a*t**99", 5, "exponent 99"),
        ("x = t^2; y = foo(x)\nx*y*a", 13, "unknown function 'foo'"),
        ("x = t^2; y = (x $ 3)\nx*y*a", 16, "cannot be read"),
        ("x = t^2; y = x*a\nx*b", 9, "used nowhere"),
        ("y = x*a; x = t; x*y", 9, "used before"),
        ("x = t; x = a; x*b*t", 7, "two parts"),
        ("x = t*a", 0, "every part has a name"),
        ("x = t; x*a; x*b", 11, "has no name, and more follows"),
    ],
)
def test_says_where(text, position, words):
    with pytest.raises(FormulaError, match=words.replace("(", r"\(")) as caught:
        read_formula(text, "strain" if "strain" in text else "t")
    assert caught.value.position == position


def test_names_are_never_sympys():
    """sympify reads E as 2.718, I as the imaginary unit, S and N as functions."""
    expression = read_formula("E*t + I*S", "t").expression
    assert expression.free_symbols == {sympy.Symbol(n, real=True) for n in "EtIS"}


def test_missing_variable_and_missing_parameters_say_what_to_do():
    with pytest.raises(FormulaError, match=r"does not contain its independent variable 'strain'.*K, eps, n"):
        read_formula("K*eps**n", "strain")
    with pytest.raises(FormulaError, match=r"call the variable so in the formula .in Python t='\.\.\.'"):
        read_formula("K*eps**n", "strain")
    with pytest.raises(FormulaError, match="did you mean 'strian' and 'strain' to be the same") as caught:
        read_formula("K*strian**n", "strain")
    assert caught.value.position == 2
    with pytest.raises(FormulaError, match="no parameters to fit"):
        read_formula("2*t + sin(t)", "t")


def test_values_follow_python():
    """The program of a formula computes what Python would, floats and ties included."""
    from pima_toolkit import SympyExpert

    t = np.linspace(0.1, 2, 7)
    a, b = 1.3, 0.7
    for text, expected in {
        "a*t**b - b/t": a * t**b - b / t,
        "min(a*t, b, 1)": np.minimum(np.minimum(a * t, b), 1),
        "a if t > b else b*t": np.where(t > b, a, b * t),
        "a*abs(t - 1) + max(b, t)": a * np.abs(t - 1) + np.maximum(b, t),
        "a*t if 0.5 < t < 1 or t > 1.5 else b": np.where(((t > 0.5) & (t < 1)) | (t > 1.5), a * t, b),
        "a*2**3*t/4 + b*(1/3)": a * 2 * t + b / 3,
    }.items():
        value, _ = SympyExpert(text, bounds={}).value_and_jacobian(t, [a, b])
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_a_formula_that_stops_too_early_is_faulty_at_its_end():
    with pytest.raises(FormulaError, match="position 5") as caught:
        read_formula("E*t + ", "t")
    assert caught.value.position == 5
