"""The public surface as a type checker sees it: the types are real, and a misspelt name is found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def check(tmp_path):
    """A function that checks a program against this checkout; its errors come back, each as (line, rule)."""
    pytest.importorskip("basedpyright", reason="pip install basedpyright")

    def check(program):
        path = tmp_path / "program.py"
        path.write_text(program, encoding="utf-8")
        roots = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "widgets")]
        settings = {"include": [str(path)], "typeCheckingMode": "basic", "extraPaths": roots}
        (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
        command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
        done = subprocess.run([*command, "-p", str(tmp_path)], capture_output=True, text=True, timeout=300, check=False)
        found = json.loads(done.stdout)["generalDiagnostics"]
        return [(entry["range"]["start"]["line"] + 1, entry.get("rule")) for entry in found]

    return check


@pytest.mark.slow
def test_the_first_screen_has_real_types(check):
    program = (ROOT / "tests" / "first_screen.py").read_text(encoding="utf-8")
    assert program.count("assert_type(") >= 15
    assert check(program) == []


def test_the_first_screen_is_that_of_the_readme():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1]
    program = (ROOT / "tests" / "first_screen.py").read_text(encoding="utf-8")
    for call in (
        "datasets.lattice(",
        "split(",
        "PIMA(",
        "fit(train",
        "infer(test[",
        "generate(cluster=0",
        "report(",
        "load(",
    ):
        assert call in readme
        assert call in program


@pytest.mark.slow
def test_a_misspelt_or_old_name_is_found(check):
    lines = [
        "import pima_toolkit as pima",
        "pima.Imagefiles",
        "fit = pima.load('fit.pima')",
        "fit.experts",
        "fit.infer()",
        "reveal: int = pima.get_expert('voce').name",
    ]
    found = check("\n".join(lines))
    rules = {line: rule for line, rule in found if rule != "reportUnusedExpression"}
    expected = {2: "reportAttributeAccessIssue", 4: "reportAttributeAccessIssue", 5: "reportCallIssue"}
    assert rules == {**expected, 6: "reportAssignmentType"}
