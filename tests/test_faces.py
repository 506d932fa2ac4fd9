"""The public names: the same for a program, an editor and a type checker; old ones say what they are called now."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit import faces

ROOT = Path(__file__).parents[1]
#: Packages whose names load on first use, and repeat them for type checkers.
LAZY = [
    file.relative_to(ROOT).as_posix()
    for file in sorted((ROOT / "pima_toolkit").rglob("__init__.py"))
    if "face(__name__" in file.read_text(encoding="utf-8")
]


def typed_names(path):
    """Name -> where a type checker finds it: the imports under ``if TYPE_CHECKING``, as ``_HOME`` writes them."""
    names = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                home = "." * line.level + (line.module or "")
                for alias in line.names:
                    names[alias.name] = f"{home.rstrip('.')}." if is_module(path, home, alias.name) else home
    return names


def is_module(path, home, name):
    """Whether ``from home import name`` gives a module rather than something in one."""
    package = importlib.import_module(home, module_of(path).__name__)
    return isinstance(getattr(package, name), ModuleType)


def module_of(path):
    return importlib.import_module(".".join(Path(path).parent.parts))


def test_there_are_faces():
    assert {"pima_toolkit/__init__.py", "pima_toolkit/experts/__init__.py"} <= set(LAZY)


@pytest.mark.parametrize("path", LAZY)
def test_a_face_says_the_same_three_times(path):
    module = module_of(path)
    assert set(typed_names(path)) == set(module._HOME)
    assert set(module.__all__) - {"__version__"} == set(module._HOME)
    assert set(dir(module)) == set(module.__all__)


@pytest.mark.parametrize("path", LAZY)
def test_a_program_gets_what_the_type_checker_reads(path):
    module = module_of(path)
    for name, home in typed_names(path).items():
        if home.endswith("."):
            expected = importlib.import_module(home + name, module.__name__)
        else:
            expected = getattr(importlib.import_module(home, module.__name__), name)
        assert getattr(module, name) is expected, name


def test_an_editor_completes_the_public_names():
    jedi = pytest.importorskip("jedi", reason="pip install jedi")
    script = jedi.Script("import pima_toolkit as pima\npima.", project=jedi.Project(ROOT, added_sys_path=[str(ROOT)]))
    completed = {completion.name for completion in script.complete(2, 5)}
    assert set(pima.__all__) <= completed


def owners():
    """What has old names: modules by their own name, classes by one of their instances."""
    solution = pima.get_expert("proportional").fit(np.linspace(0.0, 1.0, 5), np.linspace(0.0, 2.0, 5))
    return {
        "fit": pima.Fit.__new__(pima.Fit),
        "solution": solution,
        "expert": solution.expert,
        "manager": pima.experts.Manager([]),
        **{name: importlib.import_module(name) for name in faces.RENAMED if name.startswith("pima_toolkit")},
    }


@pytest.mark.parametrize(
    ("owner", "old", "new"), [(o, *names) for o, table in faces.RENAMED.items() for names in table.items()]
)
def test_an_old_public_name_says_the_new_one(owner, old, new):
    asked = owners()[owner]
    with pytest.raises(AttributeError, match=rf"{owner}\.{old} is called {owner}\.{new} since 0\.2"):
        getattr(asked, old)
    assert hasattr(type(asked) if isinstance(asked, pima.Fit) else asked, new)
    assert old not in dir(asked)


def test_a_name_that_never_was_is_refused_as_python_does():
    with pytest.raises(AttributeError, match="module 'pima_toolkit' has no attribute 'Image'"):
        pima.Image  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'pima_toolkit\.runs' has no attribute 'walk'"):
        pima.runs.walk  # noqa: B018
    with pytest.raises(AttributeError, match="'Fit' object has no attribute 'paramaters'"):
        pima.Fit.__new__(pima.Fit).paramaters  # noqa: B018


def test_an_attribute_error_within_a_property_keeps_its_words():
    @faces.tells_new_names
    class Fit:
        @property
        def broken(self):
            return self.nowhere

    with pytest.raises(AttributeError, match="has no attribute 'nowhere'"):
        Fit().broken  # noqa: B018


def test_every_package_of_the_wheel_says_it_is_typed():
    for package in ("pima_toolkit", "plugins/pima_experts", "widgets/pima_widgets"):
        assert (ROOT / package / "py.typed").is_file()


def test_the_faces_cost_no_torch():
    code = (
        "import sys, pima_toolkit, pima_toolkit.experts, pima_toolkit.testing\n"
        "from pima_toolkit import hookimpl\n"
        "assert not {'torch', 'numba', 'sympy', 'xarray', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
