"""The kit over every built-in expert and the template's, and how it looks from pytest."""

import os
import subprocess
import sys

import pima_experts
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError, OptionError
from pima_toolkit.experts import Manager
from pima_toolkit.testing import CHECKS, check_expert, parametrize_with_checks
from pima_toolkit.testing.pytest_plugin import pima_pm  # noqa: F401 - a fixture, also where the entry point is missing


@parametrize_with_checks(pima_experts.pima_experts())
def test_every_built_in_conforms(expert, check):
    check(expert)


@pytest.mark.slow
def test_a_built_in_conforms_thoroughly():
    assert check_expert("linear_hardening", thorough=True).raise_for_failures()


class Line(pima.SympyExpert):
    """Valid for: tests."""

    name, formula = "line", "a * t"
    parameters = (pima.Parameter("a", unit="{y}/{t}"),)


class Undetermined(Line):
    """Valid for: tests."""

    name, formula = "undetermined", "a * b * t"
    parameters = (pima.Parameter("a", lower=0), pima.Parameter("b", lower=0))


def items(experts, **options):
    """What a decorated test would be called with, by id."""
    mark = parametrize_with_checks(experts, **options)
    return {parameters.id: parameters.values for parameters in mark.args[1]}


def called(experts, name, **options):
    expert, check = items(experts, **options)[name]
    return check(expert)


def test_one_test_per_expert_and_check():
    names = [check.name for check in CHECKS if not check.thorough]
    assert list(items([Line, "proportional"])) == [f"{e}-{n}" for e in ("line", "proportional") for n in names]
    assert "line-usable_in_pima" in items([Line], thorough=True)


def test_passes_fails_skips_and_expected_failures():
    assert called([Line], "line-shapes") is None
    with pytest.raises(pytest.skip.Exception, match="not applicable: it declares no covariates"):
        called([Line], "line-covariates")
    check = "undetermined-recovers_its_parameters"
    with pytest.raises(AssertionError, match=r"undetermined, recovers_its_parameters: failed.*do: hold or remove"):
        called([Undetermined], check)
    expected = {"recovers_its_parameters": "only a b is determined"}
    with pytest.raises(pytest.xfail.Exception, match="only a b is determined"):
        called([Undetermined], check, expected_failures=expected)
    with pytest.raises(AssertionError, match=r"was expected to fail .* but is passed"):
        called([Line], "line-recovers_its_parameters", expected_failures=expected)


def test_expected_failures_by_expert():
    def expected(expert):
        return {"recovers_its_parameters": "only a b is determined"} if expert.name == "undetermined" else {}

    called([Line, Undetermined], "line-recovers_its_parameters", expected_failures=expected)
    with pytest.raises(pytest.xfail.Exception):
        called([Line, Undetermined], "undetermined-recovers_its_parameters", expected_failures=expected)


def test_a_test_of_nothing_and_slips_are_told():
    with pytest.raises(OptionError, match="given no experts"):
        parametrize_with_checks([])
    with pytest.raises(OptionError, match="no check"):
        parametrize_with_checks([Line], expected_failures={"shape": "why"})
    with pytest.raises(ExpertError, match="there is no expert"):
        parametrize_with_checks(["nobody"])


def test_the_fixture_is_a_manager_that_discovers_nothing(pima_pm):  # noqa: F811 - the fixture above
    assert pima_pm.records == {}
    assert pima.experts.experts() == {}
    pima.register(Line)
    assert list(pima_pm.given("pima_experts")) == ["line"]
    assert pima.get_expert("line") == Line()


def test_the_fixture_gives_the_session_back():
    assert "line" not in pima.experts.experts()
    assert isinstance(pima.experts.registry.manager(), Manager)


def test_pytest_loads_the_plugin_without_torch():
    code = "import sys, pima_toolkit.testing.pytest_plugin\n"
    code += "print({'torch', 'numba', 'sympy', 'numpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == "set()"


def test_pytest_finds_the_fixture_by_its_entry_point(tmp_path):
    about = tmp_path / "site" / "kit-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: kit\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pytest11]\npima = pima_toolkit.testing.pytest_plugin\n")
    (tmp_path / "test_it.py").write_text("def test_it(pima_pm): assert pima_pm.records == {}")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(about.parent), *filter(None, sys.path)])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    run = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout
