"""Text from anybody: a formula or one sentence with its place, and nothing else; never code, never a long wait."""

import contextlib
import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pima_toolkit.errors import FormulaError
from pima_toolkit.experts.formulas.parser import MAX_SIZE, read_formula
from pima_toolkit.experts.formulas.program import lower, with_jacobian

HOSTILE = [
    "__import__('os').system('id')",
    "().__class__.__bases__[0].__subclasses__()",
    "t.__class__",
    "a.b*t",
    "a[0]*t",
    "open('/etc/passwd')",
    "exec('1')",
    "eval('1')*t",
    "lambda: 0",
    "[a for a in t]",
    "{t: a}",
    "(a, t)",
    "(a := 3)*t",
    "f'{a}'*t",
    "'a'*t",
    "b'a'*t",
    'cos(\'__import__("os").system("id")\')*a*t',
    "cos(t, evaluate=False)*a",
    "cos(*t)*a",
    "a*t; import os",
    "a*t\nimport os)",
    "import os",
    "a*t) or (b",
    "9**9**9**9*a*t",
    "9**64**64*a*t",
    "((((9**64)**64)**64)**64)*a*t",
    "1e999*a*t",
    "1e200*a*t",
    "a**1000*t",
    "a*t/0",
    "a*t/(1-1)",
    "a*t/(t-t)",
    "0**-1*a*t",
    "(-1)**0.5*a*t",
    "sqrt(-1)*a*t",
    "log(0)*a*t",
    "exp(exp(exp(exp(9))))*a*t",
    "asin(2)*a*t",
    "t < a",
    "(t < a) + b",
    "a*t if b else c",
    "a*t if t == b else c",
    "a*t if t in b else c",
    "a % t",
    "a // t",
    "a & t",
    "~a*t",
    "a @ t",
    "a*t*1j",
    "True*a*t",
    "None",
    "...",
    "a*σ*t",
    "a*t\x00",
    "a*t\u202e",
    "ｅval(a)*t",
    "",
    "   ",
    "#a*t",
    "a*t # b",
    "a" * 400 + "*t",
    "a__b*t",
    "_a*t",
    "sin*t",
    "pi(t)*a",
    "foo(t)*a",
    "2t*a",
    "a*(t",
    "a*t)",
    "lambda*t",
    "a t",
    "min(t)*a",
    "min(a,b,c,d,t)",
    "where(t<a, b)",
    "exp()*a*t",
    "exp(a, t)",
    "+".join(["a*t"] * 900),
    "+".join(["a*t"] * 5000),
    "(" * 240 + "a*t" + ")" * 240,
    "-" * 400 + "a*t",
    "a*t if (b if t < c else 1) < 2 else 3",
    "min(" * 40 + "a" + ",t)" * 40,
    "abs(" * 60 + "a*t" + ")" * 60,
    "**".join(["t"] * 160) + "*a",
    "+".join(f"p{i}*t" for i in range(20)),
    "5",
    "t",
    "a*b",
    # look-alikes and what cannot be seen
    "\u0430*t*a",
    "a*\uff54 + t*a",
    "\U0001d44e*t",
    "a*\u0663*t",
    "a*t\u00b2",
    "a\u00d7t",
    "a\u2212t",
    "a*\u200bt",
    "\ufeffa*t",
    "a*t\u2028+ b",
    "e\u0301*t*a",
    "a*t\x1b[2J",
    "a*t\x7f",
    "a*t\x0c",
    "a*t\r",
    "a*t\x08\x08\x08",
    "a*t\ud800",
    # numbers
    "9" * 400 + "*a*t",
    "9" * 5000 + "*a*t",
    "0x" + "f" * 300 + "*a*t",
    "1" + "_0" * 200 + "*a*t",
    "1e-400**-1*a*t",
    "09*a*t",
    "1if a<t else b*t",
    "0x1for*t",
    "2.5.a*t",
    "t**(2**(2**(2**9)))*a",
    "a*(t**64)**64",
    "*".join(["t**64"] * 20) + "*a",
    "t**64.5*a",
    "sqrt(-t**2)*a",
    "(-4*t**2)**0.25*a",
    "a/(0*t)",
    # names
    "__class__*t*a",
    "__builtins__*t*a",
    "class*t*a",
    "True*t",
    "self.t*a",
    "t.real*a",
    "1 .real*a*t",
    "x" * 33 + "*t",
    "where*t*a",
    # calls
    "Symbol(a)*t",
    "S(t)*a",
    "Lambda(t, t)(a)",
    "getattr(t, a)",
    "chr(95)*a*t",
    "sin(sin)(t)*a",
    "(a if t < 1 else exp)(t)",
    "exp(t)(a)",
    "exp(**a)*t",
    "min(*a, t)",
    "abs()*a*t",
    # syntax
    "yield t*a",
    "await t*a",
    "a*t if t",
    "t if else a",
    "a*t,",
    "*a*t",
    "a*t=3",
    "a*t == 3",
    "a <> t",
    "a -> t",
    "a*t;",
    "a*t$",
    "`a`*t",
    "@a*t",
    "a*t\\",
    "a*t\\\n",
    "{a}*t",
    "a[::t]",
    "{**a}*t",
    "lambda t: a",
    "[a][0]*t",
    "a is t",
    "a*t for t in a",
    "(yield)*a*t",
    # size
    "a*t " * 120,
    "not " * 90 + "a*t",
    "exp(" * 101 + "a*t" + ")" * 101,
    "(" * 400,
    ")" * 400,
    "-(" * 99 + "a*t" + ")" * 99 + "**a" * 60,
    "[" * 300 + "a*t" + "]" * 100,
    "max(a,t," * 20 + "t" + ")" * 20,
    "a" * 10**6,
    "b = a*t; b; c*t",
    "b = a*t; b*t; import os",
    "b = __import__('os'); b*t",
    # named parts
    "b = a*t",
    "b = a*t; c = b*t",
    "b = a*t; c*t",
    "b = a; b = t; b*a",
    "b = b*t; b*a",
    "c = b*t; b = a; c + b",
    "exp = a; exp*t",
    "b__c = a; b__c*t",
    "lambda = a; t*a",
    "b = ; b*t*a",
    "b = (a = 3); b*t",
    "b.c = a; t*a",
    "b == a; b*t",
    "t += a; t*a",
    "a0=t+a;" + "".join(f"a{k + 1}=a{k}*a{k}+a{k};" for k in range(60)) + "a60",
    "a0=t+a;" + "".join(f"a{k + 1}=exp(a{k});" for k in range(120)) + "a120",
    "a0=t+a;" + "".join(f"a{k + 1}=min(a{k},a{k}+1);" for k in range(20)) + "a20",
    ";" * 5000 + "a*t=1",
]


def refused(text):
    with pytest.raises(FormulaError) as caught:
        read_formula(text, "t")
    return caught.value


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_refuses_everything_else_and_says_where(text):
    error = refused(text)
    assert len(str(error)) < 400
    assert 0 <= error.position <= len(text)
    assert str(error).isprintable()


#: What Python tells of that a formula must never make it do; reading a tree is "compile", and allowed.
ALLOWED = {"compile", "object.__getattr__", "sys._getframe", "object.__setattr__", "code.__new__"}
_watching: list[str] | None = None


def _hook(event, _):
    if _watching is not None and event not in ALLOWED:
        _watching.append(event)


sys.addaudithook(_hook)


@contextlib.contextmanager
def watched():
    """Everything Python does meanwhile that an audit would tell: files, imports, processes, code that is run."""
    global _watching
    _watching = seen = []
    try:
        yield seen
    finally:
        _watching = None


def test_reading_runs_nothing_opens_nothing_imports_nothing():
    good = ["K * t**n", "min(a*t, b) if t < c else exp(-t/d)", "heaviside(t - a) + erf(t*b)"]
    for attempt in range(2):  # sympy loads some of its own on first use
        with watched() as seen:
            for text in HOSTILE:
                with contextlib.suppress(FormulaError):
                    read_formula(text, "t")
            for text in good:
                lower(read_formula(text, "t").expression, "t", read_formula(text, "t").parameters)
        assert attempt == 0 or seen == []
    with watched() as seen:
        exec((lambda: None).__code__)  # noqa: S102 - the watch itself must see what it is for; no text is run
    assert seen == ["exec"]


def test_what_is_large_but_honest_is_read():
    chain = read_formula("a*t if " + "t < " * 110 + "a else 1", "t")
    assert chain.parameters == ("a",)
    ladder = read_formula("a if t<1 else " * 33 + "b*t", "t")
    assert ladder.parameters == ("a", "b")
    assert read_formula("exp(" * 90 + "a*t" + ")" * 90, "t").parameters == ("a",)
    assert read_formula("\n" * 501 + "*".join(["(a+t+1)"] * 60), "t").parameters == ("a",)
    peaks = [f"s{k} = " + "\n + ".join(f"a*exp(-b*t*{k}.{i})" for i in range(12)) for k in range(15)]
    named = read_formula("\n".join([*peaks, " + ".join(f"s{k}" for k in range(15))]), "t")
    assert len(named.text) > 3000
    assert named.parameters == ("a", "b")


ATOMS = st.sampled_from(["a", "b", "t", "2", "0.5", "pi", "E", "n", "1e3", "0", "-1"])


def _grown(inner):
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(two, st.sampled_from(["+", "-", "*", "/", "**", "^"])).map(lambda x: f"({x[0][0]}{x[1]}{x[0][1]})"),
        st.tuples(st.sampled_from(["exp", "log", "sqrt", "sin", "abs", "erf", "tanh", "acos"]), inner).map(
            lambda x: f"{x[0]}({x[1]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), two).map(lambda x: f"{x[0]}({x[1][0]},{x[1][1]})"),
        st.tuples(two, two).map(lambda x: f"({x[0][0]} if {x[0][1]} < {x[1][0]} else {x[1][1]})"),
    )


@settings(max_examples=150, deadline=5000, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.recursive(ATOMS, _grown, max_leaves=60))
def test_formulas_of_any_shape_stay_small_and_quick_and_what_is_read_can_be_computed(text):
    try:
        formula = read_formula(text, "t")
    except FormulaError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017 - either is right
        return
    program = with_jacobian(lower(formula.expression, "t", formula.parameters), len(formula.parameters))
    assert len(program.steps) < 40 * MAX_SIZE
    lower(formula.expression, "t", formula.parameters, safe=True)


NOISE = [*"abt019.+-*/^()<>=,[]{}'\"_ :;%&|~@!\\#\n", "**", "min(", "exp(", " if ", " else ", "where(", "heaviside("]
ANYTHING = st.text(max_size=80) | st.lists(st.sampled_from(NOISE), max_size=60).map("".join)


@settings(max_examples=250, deadline=2000, derandomize=True)
@given(ANYTHING)
@example("\ud800")
@example("1or a<t")
def test_noise_is_a_formula_or_an_error_with_its_place(text):
    with watched() as seen:
        try:
            read_formula(text, "t")
        except FormulaError as error:
            assert 0 <= error.position <= len(text)  # noqa: PT017
            assert len(str(error)) < 400  # noqa: PT017
    assert seen == []


@settings(max_examples=150, deadline=2000, derandomize=True)
@given(
    st.sampled_from(["K*t**n", "E*t if t<e else E*e", "A*exp(-(t-m)**2/(2*w**2))+b", "min(a*t,b,max(t,c))"]), st.data()
)
def test_a_formula_with_characters_put_in_or_left_out(text, data):
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        end = min(place + data.draw(st.integers(0, 2)), len(text))
        text = text[:place] + data.draw(st.sampled_from(NOISE) | st.characters()) + text[end:]
    try:
        formula = read_formula(text, "t")
    except FormulaError as error:
        assert 0 <= error.position <= len(text)  # noqa: PT017
        return
    lower(formula.expression, "t", formula.parameters)
