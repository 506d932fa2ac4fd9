"""Plugins without packaging: a notebook cell run again, a file edited and loaded again."""

import sys
import textwrap

import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import Manager, use_manager

CELL = """
import pima_toolkit as pima

@pima.register
class Mine(pima.SympyExpert):
    "Valid for: tests."
    name, formula = "mine", "{formula}"
"""


@pytest.fixture(autouse=True)
def session():
    with use_manager(Manager()) as manager:
        yield manager


def run_cell(formula, module="__main__"):
    """Run a cell as a notebook does: the same text, the same module, a new class each time."""
    namespace = {"__name__": module}
    exec(compile(textwrap.dedent(CELL.format(formula=formula)), "<cell>", "exec"), namespace)  # noqa: S102 - our own text
    return namespace["Mine"]


def test_a_cell_run_again_replaces_its_class(session):
    first = run_cell("a * t")
    second = run_cell("a * t**2")
    assert first is not second
    assert type(pima.get_expert("mine")) is second
    assert pima.get_expert("mine").formula == "a * t**2"
    assert session.records["this session"].experts == ["mine"]
    run_cell("a * t**2")
    assert pima.get_expert("mine").fit([1, 2], [3, 12]).fitted[0, 0] == pytest.approx(3)


def test_a_cell_and_a_formula_typed_by_hand_replace_each_other():
    run_cell("a * t")
    pima.register(pima.SympyExpert("b * t", name="mine"))
    assert pima.get_expert("mine").formula == "b * t"
    run_cell("a * t")
    assert pima.get_expert("mine").formula == "a * t"


def test_the_name_of_another_module_stays_its_own():
    run_cell("a * t", module="lab_experts")
    with pytest.raises(ExpertError, match="'mine' is already taken by the module lab_experts: choose another name"):
        run_cell("a * t**2")
    assert pima.get_expert("mine").formula == "a * t"
    run_cell("a * t**3", module="lab_experts")
    assert pima.get_expert("mine").formula == "a * t**3", "a module loaded again replaces its own"


def test_the_name_of_a_plugin_stays_its_own(tmp_path):
    file = tmp_path / "lab.py"
    file.write_text(
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return [pima.SympyExpert('a*t', name='mine')]"
    )
    pima.load_plugin(file)
    with pytest.raises(ExpertError, match=r"'mine' is already taken by lab\.py \(file \w{12}\): choose another name"):
        run_cell("a * t**2")
    with pytest.raises(ExpertError, match="already taken by pima-experts"):
        pima.register(pima.SympyExpert("a * t", name="proportional"))


def test_a_cell_that_became_a_file_belongs_to_the_file(session, tmp_path):
    run_cell("a * t")
    file = tmp_path / "lab.py"
    file.write_text(
        "import pima_toolkit as pima\n@pima.hookimpl\ndef pima_experts(): return [pima.SympyExpert('b*t', name='mine')]"
    )
    (expert,) = pima.load_plugin(file)
    assert pima.get_expert("mine") is expert
    assert session.records["this session"].experts == []
    assert session.source("pima_experts", "mine").distribution == "file"


def test_a_file_edited_and_loaded_again_is_the_new_one(session, tmp_path):
    file = tmp_path / "lab.py"
    text = CELL.replace("@pima.register\n", "") + "\n@pima.hookimpl\ndef pima_experts(): return [Mine]\n"
    file.write_text(text.format(formula="a * t"))
    (first,) = pima.load_plugin(file)
    module = sys.modules[type(first).__module__]
    file.write_text(text.format(formula="b * t"))  # the same length, within the same second
    (second,) = pima.load_plugin(file)
    assert (first.formula, second.formula, pima.get_expert("mine").formula) == ("a * t", "b * t", "b * t")
    assert first.origin.version != second.origin.version, "the hash of the file"
    assert [name for name in session.records if name.startswith("lab")] == [f"lab ({file})"]
    newer = sys.modules[type(second).__module__]
    assert newer is not module
    file.write_text("1 / 0")
    with pytest.raises(ExpertError, match=r"lab\.py cannot be used: ZeroDivisionError"):
        pima.load_plugin(file)
    assert pima.get_expert("mine") == second
    assert sys.modules[type(second).__module__] is newer, "the last working version keeps its module"
