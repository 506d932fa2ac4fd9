"""Imports go one way, nothing a file holds is executed, files stay short: read from the source.

The rooms, first to last: errors -> files, units -> data, experts -> model -> fitting -> answers -> api -> datasets ->
testing -> demo, runs -> cli. Data and experts do not know each other. Inside a room the files named in ``ORDER``
import to the left only, and no files import in a circle. Plugins and widgets stand outside and use public names. What
fails is told with its line.
"""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "pima_toolkit"
RANK = {
    "errors": 0,
    "files": 0.5,
    "units": 0.5,
    "data": 1,
    "experts": 1,
    "model": 2,
    "fitting": 3,
    "answers": 4,
    "api": 5,
    "datasets": 6,
    "testing": 7,
}
RANK |= {"demo": 8, "runs": 8, "cli": 9}  # `cli` is the last room: it may import from every other
#: Left to right inside a room; a file not named here need only keep out of circles.
ORDER = {
    "data": [
        *("measured", "check", "normalise", "streaming", "split", "storage", "accounts", "units", "texts", "tables"),
        "curves",
        *("shaping", "agreement", "pictures", "images", "discovery", "specimens", "reading", "assembly", "ingest"),
    ],
    "experts": [
        *(
            "parameters",
            "inputs",
            "syntax",
            "reader",
            "formula",
            "program",
            "codegen",
            "consistency",
            "drivers",
            "shown",
        ),
        *("derived", "quantities", "lmfit_bridge", "profiles", "intervals", "uncertainty", "solution"),
        *("torch_solver", "least_squares", "statistics", "starting", "search", "priors", "covariance", "reduction"),
        *("regression", "example"),
        *("expert", "card", "declared", "symbolic", "torch_expert", "lmfit_experts", "scatter", "hooks", "plugins"),
    ],
    "model": [
        "gaussian",
        "encoders",
        "fusion",
        "mixture",
        "neural",
        "curves",
        "physics",
        "modality",
        "elbo",
        "network",
    ],
    "fitting": [
        *("distributed", "trackers", "stored", "tensors", "state", "job", "steps", "trends", "em", "pooled"),
        *("initialise", "shared_start", "features", "invariance", "curveless", "start", "objective", "processes"),
        *("training", "restarts", "crossmodal", "selection"),
    ],
    "runs": ["options", "source", "folder", "run", "together"],
    "answers": [
        "bands",
        "tables",
        "curves",
        "inference",
        "calibration",
        "results",
        "metrics",
        "canvas",
        "expert_plot",
        "plots",
    ],
    "testing": [
        *("report", "case", "declarations", "forms", "behaviour", "fits", "conformance", "parametrize"),
        "pytest_plugin",
    ],
}
#: What the core may import at its top; anything else goes through ``errors.require`` where it is used.
CORE = {"torch", "numpy", "scipy", "numba", "sympy", "xarray", "pluggy"}
#: The lazy loaders of public names (a plugin imports ``hookimpl`` without torch), and ``require`` itself.
MAY_LOAD_BY_NAME = {
    *("pima_toolkit/__init__.py", "pima_toolkit/experts/__init__.py", "pima_toolkit/testing/__init__.py"),
    "pima_toolkit/errors.py",
}
#: Modules whose names are public: what plugins and widgets may import from.
FACES = {"pima_toolkit", "pima_toolkit.errors", "pima_toolkit.experts", "pima_toolkit.testing"}
EXECUTES = {"eval", "exec", "compile", "sympify", "parse_expr", "__import__"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
LONGEST = 350


class Import(NamedTuple):
    line: int
    module: str  # absolute, "pima_toolkit.model.elbo"
    name: str | None  # for `from module import name`
    inside: bool  # in a function
    typing: bool  # under `if TYPE_CHECKING`


class Source(NamedTuple):
    path: str  # from the root of the project, with forward slashes
    tree: ast.Module
    lines: int

    @property
    def package(self) -> list[str]:
        """Dotted name of the folder the file lies in, below plugins/ or widgets/ for files there."""
        parts = self.path.split("/")[:-1]
        return parts[1:] if parts[0] in ("plugins", "widgets") else parts


def source(path: str, text: str) -> Source:
    return Source(path, ast.parse(text), text.count("\n"))


def sources() -> list[Source]:
    folders = [ROOT / PACKAGE, ROOT / "plugins", ROOT / "widgets"]
    files = sorted(file for folder in folders for file in folder.rglob("*.py") if "tests" not in file.parts)
    return [source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def imports(file: Source) -> Iterator[Import]:
    def walk(node: ast.AST, inside: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(child.lineno, alias.name, None, inside, typing)
            elif isinstance(child, ast.ImportFrom):
                above = file.package[: len(file.package) - child.level + 1] if child.level else []
                module = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    yield Import(child.lineno, module, alias.name, inside, typing)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, inside or function, typing or guard)

    yield from walk(file.tree, False, False)


def place(path: str) -> tuple[str, str]:
    """Room and file of a path in the package: ("model", "elbo"); a file at the top is its own room."""
    parts = path.removesuffix(".py").split("/")[1:]
    return parts[0], parts[1] if len(parts) > 1 else "__init__"


def target(found: Import, files: set[str]) -> tuple[str, str] | None:
    """Room and file an import leads to; None for other packages; ("", "") for the package's public face."""
    parts = found.module.split(".")
    if parts[0] != PACKAGE:
        return None
    if found.name is not None and any(f in files for f in _candidates([*parts, found.name])):
        parts = [*parts, found.name]  # `from .model import elbo` leads to the file, not to __init__
    rest = parts[1:]
    if not rest:
        return "", ""
    return rest[0], rest[1] if len(rest) > 1 else "__init__"


def _candidates(parts: list[str]) -> tuple[str, str]:
    stem = "/".join(parts)
    return f"{stem}.py", f"{stem}/__init__.py"


def arrows_back(file: Source, files: set[str]) -> Iterator[str]:
    """Imports from a later room, a later file of the same room, or of the other one of data and experts."""
    room, name = place(file.path)
    if room == "__init__":
        return
    if room not in RANK:
        yield f"{file.path}:1: no room called {room!r}; name its place in RANK"
        return
    order = ORDER.get(room, [])
    for found in imports(file):
        to = target(found, files)
        if to is None:
            continue
        where = f"{file.path}:{found.line}"
        if to == ("", ""):
            if RANK[room] <= RANK["api"]:
                yield f"{where}: {room} imports the public face of {PACKAGE}; name the file it needs"
        elif to[0] == room:
            if name in order and to[1] in order and order.index(to[1]) > order.index(name) and not found.typing:
                yield f"{where}: {room}/{name} imports {room}/{to[1]}, which comes after it"
        elif to[0] not in RANK:
            yield f"{where}: imports {to[0]!r}, which is no room of {PACKAGE}"
        elif RANK[to[0]] >= RANK[room]:
            yield f"{where}: {room} imports {to[0]}, an arrow back"


def circles(all_files: list[Source]) -> Iterator[str]:
    """Files that import each other in a circle, type hints apart."""
    files = {file.path for file in all_files}
    graph = {}
    for file in all_files:
        goals = [target(found, files) for found in imports(file) if not found.typing]
        graph[place(file.path)] = {goal for goal in goals if goal and goal != place(file.path)}
    done: set[tuple[str, str]] = set()

    def visit(node: tuple[str, str], trail: list[tuple[str, str]]) -> Iterator[str]:
        if node in trail:
            yield "circle: " + " -> ".join("/".join(step) for step in [*trail[trail.index(node) :], node])
        elif node not in done and node[1] != "__init__":  # a room's __init__ gathers its files, and is gathered by none
            for goal in sorted(graph.get(node, ())):
                yield from visit(goal, [*trail, node])
            done.add(node)

    for node in sorted(graph):
        yield from visit(node, [])


def hidden(file: Source) -> Iterator[str]:
    """Imports inside functions, and by name outside the two places meant for it."""
    for found in imports(file):
        if found.inside:
            yield f"{file.path}:{found.line}: import of {found.module} inside a function; use errors.require"
    if file.path in MAY_LOAD_BY_NAME:
        return
    for node in ast.walk(file.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield f"{file.path}:{node.lineno}: import_module; use errors.require"


def heavy(file: Source) -> Iterator[str]:
    """Imports at the top of the core of anything but its hard dependencies."""
    for found in imports(file):
        top = found.module.split(".")[0]
        if not (found.typing or found.inside or top in CORE | {PACKAGE} or top in sys.stdlib_module_names):
            yield f"{file.path}:{found.line}: {top} at the top of the core; use errors.require where it is needed"


def private(file: Source, public: Callable[[str], set[str]]) -> Iterator[str]:
    """Names of the toolkit that a plugin or a widget uses and that are not public."""
    for found in imports(file):
        if found.module.split(".")[0] != PACKAGE:
            continue
        if found.module not in FACES:
            yield f"{file.path}:{found.line}: {found.module} is not public; import from one of {sorted(FACES)}"
        elif found.name is not None and found.name not in public(found.module):
            yield f"{file.path}:{found.line}: {found.name} is not a public name of {found.module}"


def public_names(module: str) -> set[str]:
    """What a face of the toolkit offers: its ``__all__``, or its names without underscore."""
    loaded = importlib.import_module(module)
    return set(getattr(loaded, "__all__", [name for name in dir(loaded) if not name.startswith("_")]))


def unsafe(file: Source) -> Iterator[str]:
    """Ways to execute what a file or a text box holds."""
    for found in imports(file):
        if found.module.split(".")[0] in UNSAFE_MODULES:
            yield f"{file.path}:{found.line}: {found.module} executes what it reads"
        if found.name in EXECUTES:
            yield f"{file.path}:{found.line}: {found.name} executes text"
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        if call in EXECUTES or call.rpartition(".")[2] in {"sympify", "parse_expr"} or call == "torch.load":
            yield f"{file.path}:{node.lineno}: {call}() executes what it is given"
        if any(keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False" for keyword in node.keywords):
            yield f"{file.path}:{node.lineno}: allow_pickle executes what it reads"


FILES = sources()
CORE_FILES = [file for file in FILES if file.path.startswith(f"{PACKAGE}/")]
OUTER_FILES = [file for file in FILES if file not in CORE_FILES]


def told(problems: Iterator[str]) -> None:
    found = list(problems)
    assert not found, "\n" + "\n".join(found)


def test_imports_go_one_way():
    paths = {file.path for file in CORE_FILES}
    told(problem for file in CORE_FILES for problem in arrows_back(file, paths))


def test_no_files_import_in_a_circle():
    told(circles(CORE_FILES))


def test_no_import_hides_in_a_function():
    told(problem for file in FILES for problem in hidden(file))


def test_the_core_imports_only_its_hard_dependencies():
    told(problem for file in CORE_FILES for problem in heavy(file))


def test_plugins_and_widgets_use_public_names():
    told(problem for file in OUTER_FILES for problem in private(file, public_names))


def test_nothing_that_is_read_is_executed():
    told(problem for file in FILES for problem in unsafe(file))


def test_files_are_short():
    told(f"{file.path}: {file.lines} lines, at most {LONGEST}" for file in FILES if file.lines > LONGEST)


def test_import_is_light():
    """The public names load on first use: a person who asks for the version does not wait for torch."""
    code = "import sys, pima_toolkit\n"
    code += "print(' '.join({'torch', 'sympy', 'numba', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == ""


def test_a_first_model_waits_for_nothing_it_does_not_need():
    """scipy's parts load on first use; ``import scipy.stats`` alone would cost half as much as torch."""
    code = "import sys, pima_toolkit as p\np.PIMA({'a': p.Physics('affine')}, clusters=2)\n"
    code += "late = ['scipy.' + part for part in ('stats', 'optimize', 'integrate', 'special', 'linalg')]\n"
    code += "print(' '.join({*late, 'lmfit', 'sklearn', 'matplotlib', 'torch._dynamo'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert run.stdout.strip() == ""


#: Each check must find what it is for: a bad file and a word of what is said about it.
BAD = {
    "later room": (arrows_back, "model/elbo.py", "from ..fitting.em import x", "arrow back"),
    "other hall": (arrows_back, "data/check.py", "from pima_toolkit.experts import x", "arrow back"),
    "later file": (arrows_back, "model/fusion.py", "from . import mixture", "comes after"),
    "public face": (arrows_back, "fitting/em.py", "import pima_toolkit as pima", "public face"),
    "no such room": (arrows_back, "cli.py", "from .attic import x", "no room"),
    "in a function": (hidden, "cli.py", "def f():\n    import rich", "inside a function"),
    "by name": (hidden, "cli.py", "import importlib\nimportlib.import_module('rich')", "use errors.require"),
    "heavy": (heavy, "cli.py", "import matplotlib.pyplot", "matplotlib at the top"),
    "pickle": (unsafe, "cli.py", "import pickle", "executes"),
    "eval": (unsafe, "cli.py", "x = eval('1')", "eval()"),
    "torch.load": (unsafe, "cli.py", "torch.load('a')", "torch.load()"),
    "sympify": (unsafe, "cli.py", "sympy.sympify('a')", "sympify()"),
    "allow_pickle": (unsafe, "cli.py", "np.load('a', allow_pickle=True)", "allow_pickle"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_checks_find_what_they_are_for(name):
    check, path, text, says = BAD[name]
    file = source(f"{PACKAGE}/{path}", text)
    files = {f"{PACKAGE}/model/mixture.py"}
    found = list(check(file, files) if check is arrows_back else check(file))
    assert len(found) == 1
    assert says in found[0]
    assert found[0].startswith(f"{file.path}:{file.tree.body[-1].end_lineno}")


def test_circles_and_private_names_are_found():
    pair = [source(f"{PACKAGE}/model/a.py", "from . import b"), source(f"{PACKAGE}/model/b.py", "from .a import x")]
    assert list(circles(pair)) == ["circle: model/a -> model/b -> model/a"]
    outer = source("plugins/x/y.py", "from pima_toolkit.model import elbo\nfrom pima_toolkit import hidden_thing")
    assert [problem.split(":")[1] for problem in private(outer, lambda module: {"Expert"})] == ["1", "2"]
