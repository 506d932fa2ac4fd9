"""The three forms of a formula agree: compiled, torch, and what numpy and finite differences say."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from pima_toolkit import SympyExpert
from pima_toolkit.experts.formulas.codegen import numba_source
from pima_toolkit.experts.formulas.parser import read_formula
from pima_toolkit.experts.formulas.program import jointly_linear, lower, with_jacobian

# torch's own forward-mode rules still call torch.jit.script, which warns about itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")

#: formula -> (true parameters in order of appearance, jointly linear ones, first t)
CATALOGUE = {
    "slope * t": ([2.0], {"slope"}, 0.0),
    "slope * t + intercept": ([2.0, 1.0], {"slope", "intercept"}, 0.0),
    "E * (min(t, eps_y) + h * max(t - eps_y, 0))": ([800.0, 0.35, 0.2], {"E"}, 0.0),
    "min(E * t, s)": ([5.0, 2.1], set(), 0.0),
    "E*t if t < s/E else s + H*(t - s/E)": ([800.0, 250.0, 100.0], {"H"}, 0.0),
    "K * t**n": ([500.0, 0.3], {"K"}, 0.0),
    "s + K * t**n": ([20.0, 500.0, 0.3], {"s", "K"}, 0.0),
    "K * (e0 + t)**n": ([500.0, 0.02, 0.3], {"K"}, 0.0),
    "ss - (ss - s) * exp(-t/ec)": ([100.0, 30.0, 0.2], {"ss", "s"}, 0.0),
    "A * exp(-B/t)": ([3.0, 0.5], {"A"}, 0.2),
    "1 - exp(-(k*t)**n)": ([2.0, 1.7], set(), 0.0),
    "q*K*t / (1 + K*t)": ([3.0, 2.0], {"q"}, 0.0),
    "V * t**n / (K**n + t**n)": ([3.0, 1.6, 0.5], {"V"}, 0.0),
    "A * exp(-(t - mu)**2 / (2*w**2))": ([2.0, 0.4, 0.2], {"A"}, 0.0),
    "A * w**2 / ((t - mu)**2 + w**2) + b": ([2.0, 0.2, 0.4, 0.1], {"A", "b"}, 0.0),
    "eta*w**2/((t-mu)**2+w**2) + (1-eta)*exp(-log(2)*(t-mu)**2/w**2)": ([0.4, 0.2, 0.5], {"eta"}, 0.0),
    "A * exp(-(t/tau)**beta)": ([2.0, 0.3, 0.6], {"A"}, 0.0),
    "L / (1 + exp(-k*(t - t0)))": ([2.0, 9.0, 0.5], {"L"}, 0.0),
    "A * exp(-g*t) * cos(w*t + p)": ([2.0, 1.0, 9.0, 0.3], {"A"}, 0.0),
    "A * t**m + B * t**n": ([3.0, 0.6, 40.0, 5.0], {"A", "B"}, 0.0),
    "a*t if t < e else a*e + b*sqrt(t - e)": ([3.0, 0.4, 2.0], {"a", "b"}, 0.0),
    "a * log(1 + t*b) + c * abs(t - d)": ([3.0, 4.0, 1.0, 0.5], {"a", "c"}, 0.0),
    "a * tanh(b*t) + c * atan(d*t)": ([3.0, 4.0, 1.0, 2.0], {"a", "c"}, 0.0),
    "a * asin(b*t) + acos(c*t) + sinh(a*t)*cosh(c*t)": ([1.0, 0.8, 0.5], set(), 0.0),
    "a * erf(t/b) + c * erfc(t/b) + tan(t*d)": ([3.0, 0.4, 1.0, 0.7], {"a", "c"}, 0.0),
    "a / t**2 + b * t**-0.5 + c * (t + 1)**7": ([3.0, 0.4, 0.1], {"a", "b", "c"}, 0.3),
    "sqrt(a*t) + (b*t)**1.5": ([3.0, 0.4], set(), 0.0),
    "a * heaviside(t - t0) + b * t": ([3.0, 0.4, 2.0], {"a", "b"}, 0.0),
    "a * max(t - b, 0, t*c) - min(t, d, b*t)": ([3.0, 0.4, 0.2, 0.5], {"a"}, 0.0),
    "where(t < b, a*t**n, where(t < c, a*b**n, a*log(t)))": ([3.0, 0.4, 0.5, 0.8], {"a"}, 0.0),
    "a * t**n * log(t/b)": ([3.0, 0.4, 0.7], {"a"}, 0.05),
}


def grid(text):
    return np.linspace(CATALOGUE[text][2], 1.0, 23)


def differences(expert, t, theta):
    """Central differences of the compiled values, with steps where they are most exact."""
    columns = []
    for i, value in enumerate(theta):
        step = 6e-6 * max(abs(value), 1e-3)
        up, down = np.array(theta), np.array(theta)
        up[i] += step
        down[i] -= step
        columns.append((expert.value_and_jacobian(t, up)[0] - expert.value_and_jacobian(t, down)[0]) / (2 * step))
    return np.stack(columns, -1)


@pytest.mark.parametrize("text", CATALOGUE)
def test_forms_agree(text):
    theta = CATALOGUE[text][0]
    expert, t = SympyExpert(text), grid(text)
    value, jacobian = expert.value_and_jacobian(t, theta)
    assert np.isfinite(value).all()
    assert np.isfinite(jacobian).all(), "finite on the closed range, t = 0 included"
    t_torch, theta_torch = torch.from_numpy(t), torch.tensor(theta, dtype=torch.float64)
    scale = np.abs(value).max()

    np.testing.assert_allclose(expert.predict(t_torch, theta_torch).numpy(), value, rtol=1e-10, atol=1e-12 * scale)
    for transform in (torch.func.jacfwd, torch.func.jacrev):
        found = transform(lambda x: expert.predict(t_torch, x))(theta_torch).numpy()
        np.testing.assert_allclose(found, jacobian, rtol=1e-8, atol=1e-10 * np.abs(jacobian).max())
    # A kink inside a difference's step is no derivative of either side: leave the points beside one out.
    smooth = np.abs(differences(expert, t, theta) - jacobian) <= 1e-6 * np.abs(jacobian).max() + 1e-6 * np.abs(jacobian)
    assert smooth.mean() > 0.97, "derivatives are those of finite differences"


@pytest.mark.parametrize("text", CATALOGUE)
def test_jointly_linear_parameters_are_found(text):
    formula = read_formula(text, "t")
    program = lower(formula.expression, "t", formula.parameters)
    assert {formula.parameters[i] for i in jointly_linear(program, len(formula.parameters))} == CATALOGUE[text][1]


def test_batches_of_any_shape():
    expert = SympyExpert("K * t**n")
    t = np.linspace(0, 1, 5)
    theta = np.random.default_rng(0).uniform(0.2, 1, (3, 4, 2))
    value, jacobian = expert.value_and_jacobian(t, theta)
    assert value.shape == (3, 4, 5)
    assert jacobian.shape == (3, 4, 5, 2)
    np.testing.assert_allclose(value, expert.predict(torch.from_numpy(t), torch.from_numpy(theta)).numpy())
    own = np.sort(np.random.default_rng(1).uniform(0, 1, (7, 5)), axis=1)
    value, jacobian = expert.value_and_jacobian(own, theta[0])
    assert value.shape == (4, 7, 5)
    assert jacobian.shape == (4, 7, 5, 2)
    for n in range(7):
        np.testing.assert_array_equal(value[:, n], expert.value_and_jacobian(own[n], theta[0])[0])


def test_constant_models_broadcast():
    expert = SympyExpert("c + 0*t")
    assert expert.predict(torch.zeros(5), torch.ones(3, 1)).shape == (3, 5)
    value, jacobian = expert.value_and_jacobian(np.zeros(5), [2.0])
    assert (value == 2).all()
    assert (jacobian == 1).all()


def test_torch_keeps_precision_and_works_under_vmap():
    expert = SympyExpert("a*t if t < e else a*e + b*sqrt(t - e)")
    t = torch.linspace(0, 1, 9)
    theta = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    assert expert.predict(t, theta).dtype == torch.float32
    each = torch.func.vmap(lambda x: expert.predict(t, x))(theta)
    torch.testing.assert_close(each, expert.predict(t, theta))
    jacobian = torch.func.vmap(torch.func.jacfwd(lambda x: expert.predict(t, x)))(theta)
    assert torch.isfinite(jacobian).all()


@pytest.mark.parametrize(
    "text", ["a*t if t < e else a*e + b*(t - e)**n", "min(a*t, b) + heaviside(t - c)*log(1 + abs(t - c)) + sqrt(b*t)"]
)
def test_compiled_by_torch_it_is_the_same_with_the_same_gradients(text):
    expert = SympyExpert(text)
    t = torch.linspace(0, 1, 9, dtype=torch.float64)
    theta = torch.rand(4, len(expert.parameters), dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss(x):
        return expert.predict(t, x).square().sum()

    compiled = torch.compile(lambda x: expert.predict(t, x), backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(theta), expert.predict(t, theta))
    one, two = theta.clone().requires_grad_(), theta.clone().requires_grad_()
    loss(one).backward()
    compiled(two).square().sum().backward()
    assert torch.isfinite(one.grad).all(), "t = 0 and the kinks included"
    torch.testing.assert_close(two.grad, one.grad)


@pytest.mark.parametrize(
    ("text", "t", "theta", "value", "slopes"),
    [
        ("K * t**n", 0.0, [5.0, 0.3], 0.0, [0.0, 0.0]),
        ("K * t**n", 0.0, [5.0, 2.0], 0.0, [0.0, 0.0]),
        ("K * t**n + c", 0.0, [5.0, 0.0, 1.0], 6.0, [1.0, 0.0, 1.0]),
        ("(a*t)**b", 0.0, [2.0, 0.5], 0.0, [0.0, 0.0]),
        ("sqrt(a*t)", 0.0, [2.0], 0.0, [0.0]),
        ("a*abs(t - b)", 0.5, [2.0, 0.5], 0.0, [0.0, 2.0]),
        ("min(a*t, b)", 0.5, [2.0, 1.0], 1.0, [0.0, 1.0]),
        ("max(a*t, b)", 0.5, [2.0, 1.0], 1.0, [0.0, 1.0]),
        ("a*heaviside(t - b)", 0.5, [2.0, 0.5], 2.0, [1.0, 0.0]),
        ("a*t if t < b else a*b", 0.5, [2.0, 0.5], 1.0, [0.5, 2.0]),
    ],
)
def test_conventions_at_ties_and_at_zero(text, t, theta, value, slopes):
    """0 log 0 and 0**(n-1) are 0, ties take one of the two sides, heaviside(0) is 1: compiled and in torch alike."""
    expert = SympyExpert(text)
    found, jacobian = expert.value_and_jacobian([t], theta)
    assert found.tolist() == [value]
    assert jacobian[0].tolist() == slopes
    x = torch.tensor(theta, dtype=torch.float64)
    grid = torch.tensor([t], dtype=torch.float64)
    assert expert.predict(grid, x).tolist() == [value]
    for transform in (torch.func.jacfwd, torch.func.jacrev):
        assert transform(lambda p: expert.predict(grid, p))(x)[0].tolist() == slopes


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("K * t**n", "K t^{n}"),
        ("A * exp(-t/tau) + c", r"A e^{- \frac{t}{\tau}} + c"),
        ("a * sin(2*pi*f*t)", r"a \sin{\left(2 \pi f t \right)}"),
        ("min(E*t, sigma_y)", r"\min\left(\sigma_{y}, E t\right)"),
        ("a * abs(t - eps_y)", r"a \left|{\varepsilon_{y} - t}\right|"),
        ("a * heaviside(t)", r"a \theta\left(t\right)"),
        ("a*t if t < b else c", r"\begin{cases} a t & \text{for}\: t < b \\c & \text{otherwise} \end{cases}"),
    ],
)
def test_latex_reads_as_the_formula(text, latex):
    assert SympyExpert(text).latex == latex


def test_float32_gradients_at_zero_strain_are_finite():
    theta = torch.tensor([500.0, 0.3], requires_grad=True)
    SympyExpert("K * t**n").predict(torch.tensor([0.0, 0.1]), theta).sum().backward()
    assert torch.isfinite(theta.grad).all()


def test_generated_source_holds_no_name_of_the_user():
    formula = read_formula("evil * t + os_system", "t")
    source = numba_source(with_jacobian(lower(formula.expression, "t", formula.parameters), 2))
    assert "evil" not in source
    assert "os_system" not in source


def test_the_same_formula_makes_the_same_source_in_every_process():
    """Otherwise no process would find the cache of another; sympy orders some arguments by hash."""
    code = (
        "from pima_toolkit.experts.formulas.parser import read_formula as r;"
        "from pima_toolkit.experts.formulas.program import lower;"
        "f = r('min(a*t, b, c) + max(b, t)*a if a < t and b < t or c < t else a*b*c', 't');"
        "print(lower(f.expression, 't', f.parameters, safe=True))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
