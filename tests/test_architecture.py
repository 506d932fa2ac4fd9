"""The house: rooms, floors and wings; imports go down and to the left; nothing a file holds is executed.

Read from the source. ``FLOORS`` is the house from the ground up: a room imports from lower floors, and rooms of one
floor do not know each other, except on the ground floor, which is read left to right. ``ORDER`` is the inside of a room
or wing, left to right. Two paths are compared at their first difference. Type hints count. Plugins and widgets stand
outside and use public names. What fails is told with its line.
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
FLOORS = (
    ("faces", "errors", "signatures", "drawing", "units", "compiling", "plugins"),
    ("experts", "data", "datasets"),
    ("model", "ingest", "metrics"),
    ("fitting", "report"),
    ("answers",),
    ("api",),
    ("runs", "testing"),
    ("cli",),
)
#: The inside of rooms and wings, left to right. ``"*"`` is the place of a family: its members do not know each other,
#: and a new one needs no line here.
ORDER = {
    "plugins": "hooks records manager registry",
    "experts": "contract formulas noise solvers diagnosis regression kinds registry together card",
    "experts/contract": "parameters bounds numbers inputs example law",
    "experts/formulas": "parser program radau codegen compiled differential derived relations consistency",
    "experts/noise": "base * blocks table",
    "experts/solvers": (
        "optimum levenberg_marquardt torch_batched statistics principal_components starts least_squares own_fits"
        " noisy_fits integrated strata random_effects"
    ),
    "experts/diagnosis": "noise_evidence curves lack_of_fit checks panels diagnosis",
    "experts/regression": (
        "quantities lmfit_bridge priors dependence curves covariance population effects coloured"
        " intervals next_test solution noise_choice fit"
    ),
    "experts/together": "joined conflict solution fit",
    "experts/kinds": (
        "expert evaluated formula_expert hyperelastic elastic_plastic peaks peak_search notation ode_expert"
        " torch_expert callback lmfit_expert principal_curves"
    ),
    "data": (
        "files limits names grids streaming measurement measurement_errors covariates check normalise split storage"
        " reading_log"
    ),
    "datasets": "_store _photograph _lines digits lattice spinodoid mnist metal_tension folder",
    "ingest": "headers shaping geometry formats discovery overrides specimens agreement reading assembly ingest",
    "ingest/formats": (
        "reader registry arrays encodings clock texts sheets preamble header_lines tables long_tables workbooks columns"
        " jcamp named_arrays choice splitting pictures images curves"
    ),
    "metrics": "scores agreement association tensile",
    "model": (
        "gaussian mixture rules encoders noise curves modality potentials effects evidence draws quantiles predictive"
        " physics augment fusion elbo network joint speaker"
    ),
    "model/encoders": "base layers * table encoders decoders",
    "model/noise": "base pooled * table",
    "model/effects": "latent known",
    "fitting": (
        "parallel threads options inputs state prepared memory passes objective run trackers em starts speakers"
        " temperatures evidence potentials training restarts trained_model held_out"
    ),
    "fitting/parallel": "distributed workers",
    "fitting/speakers": "features base * table",
    "fitting/inputs": "laws known spec stored tensors domain",
    "fitting/evidence": "network physics number frame learning belief crossfit training",
    "fitting/em": "steps effects gradient physics health populations effect_errors members",
    "fitting/starts": "populations number pooled initialise features invariance curveless start",
    "report": "findings page sheets plots sections text html export",
    "report/sections": "*",
    "report/plots": "canvas expert_plot calibration_plot settings_plot plots",
    "answers": (
        "predictor record mixture_information tables effects posterior conditions curves remarks laws inference"
        " generation trust portraits fit_parts baselines"
    ),
    "answers/baselines": "inputs folds learned methods own_parameters held_out baselines beside",
    "answers/laws": "cluster_curves comparison derive planned_tests",
    "answers/trust": "calibration held_out reliability goodness_of_fit diagnosis cautions planning",
    "api": "program findings saved_form saving pima counting selection",
    "runs": "source options folder run summary together",
    "testing": "report case declarations forms behaviour fits conformance parametrize pytest_plugin",
    "cli": "options reading_options new_plugin plugins *",
}
#: Arrows that are still to be cut: "file -> file". The list only gets shorter.
OPEN: set[str] = set()
#: Rooms that other rooms know by their face alone: ``from ..experts import Law``, never ``from ..experts.contract...``.
BY_FACE = {"experts"}
#: What the core may import at its top; anything else goes through ``errors.require`` where it is used.
CORE = {"torch", "numpy", "scipy", "numba", "sympy", "xarray", "pluggy"}
#: Rooms that see plain arrays and tables only: what they never import, not even for a hint.
NEVER = {"report": {"torch", f"{PACKAGE}.model"}, "metrics": {"torch", f"{PACKAGE}.model"}}
#: The loader of public names on first use (a plugin imports ``hookimpl`` without torch), and ``require`` itself.
MAY_LOAD_BY_NAME = {"pima_toolkit/faces.py", "pima_toolkit/errors.py"}
#: Modules whose names are public: what plugins and widgets may import from.
FACES = {
    *("pima_toolkit", "pima_toolkit.errors", "pima_toolkit.experts", "pima_toolkit.ingest", "pima_toolkit.report"),
    "pima_toolkit.testing",
}
EXECUTES = {"eval", "exec", "compile", "sympify", "parse_expr", "__import__"}
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}


class Import(NamedTuple):
    line: int
    module: str  # absolute, "pima_toolkit.model.elbo"
    name: str | None  # for `from module import name`
    inside: bool  # in a function
    typing: bool  # under `if TYPE_CHECKING`


class Source(NamedTuple):
    path: str  # from the root of the project, with forward slashes
    tree: ast.Module

    @property
    def package(self) -> list[str]:
        """Dotted name of the folder the file lies in, below plugins/ or widgets/ for files there."""
        parts = self.path.split("/")[:-1]
        return parts[1:] if parts[0] in ("plugins", "widgets") else parts


def source(path: str, text: str) -> Source:
    return Source(path, ast.parse(text))


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


def place(path: str) -> tuple[str, ...]:
    """Where a file stands in the package: ("model", "elbo"); the face of a room stands for all of it."""
    parts = path.removesuffix(".py").split("/")[1:]
    return tuple(parts if parts[-1] != "__init__" or len(parts) == 1 else parts[:-1])


def target(found: Import, files: set[str]) -> tuple[str, ...] | None:
    """Where an import leads; None for other packages; () for the package's public face."""
    parts = found.module.split(".")
    if parts[0] != PACKAGE:
        return None
    if found.name is not None and any(f in files for f in _candidates([*parts, found.name])):
        parts = [*parts, found.name]  # `from .model import elbo` leads to the file, not to __init__
    return tuple(parts[1:])


def _candidates(parts: list[str]) -> tuple[str, str]:
    stem = "/".join(parts)
    return f"{stem}.py", f"{stem}/__init__.py"


def floor(room: str) -> int | None:
    return next((i for i, rooms in enumerate(FLOORS) if room in rooms), None)


def arrows_back(file: Source, files: set[str]) -> Iterator[str]:
    """Imports from a higher floor, from a room of the same floor, or from what stands further right in the wing."""
    here = place(file.path)
    if here == ("__init__",):
        return
    if floor(here[0]) is None:
        yield f"{file.path}:1: no room called {here[0]!r}; name its place in FLOORS"
        return
    for depth in range(1, len(here)):
        wing = "/".join(here[:depth])
        if wing in ORDER and not {here[depth], "*"} & set(ORDER[wing].split()):
            yield f"{file.path}:1: {here[depth]!r} has no place in ORDER[{wing!r}]"
    is_face = file.path.endswith("/__init__.py")  # gathers its own room
    for found in imports(file):
        to = target(found, files)
        if to is None or (is_face and to[: len(here)] == here) or f"{'/'.join(here)} -> {'/'.join(to)}" in OPEN:
            continue
        where = f"{file.path}:{found.line}"
        if to == ():
            if floor(here[0]) <= floor("api"):
                yield f"{where}: {here[0]} imports the public face of {PACKAGE}; name the file it needs"
        elif floor(to[0]) is None:
            yield f"{where}: imports {to[0]!r}, which is no room of {PACKAGE}"
        elif problem := _climbs(here, to):
            yield f"{where}: {problem}"


def past_a_face(file: Source, files: set[str]) -> Iterator[str]:
    """Imports from inside a room that is known by its face; the package's own face gathers from everywhere."""
    here = place(file.path)
    for found in [] if here == ("__init__",) else imports(file):
        to = target(found, files)
        if to is None or len(to) < 2 or to[0] not in BY_FACE or here[0] == to[0]:
            continue
        if f"{'/'.join(here)} -> {'/'.join(to)}" not in OPEN:
            yield f"{file.path}:{found.line}: {'/'.join(to)} is inside {to[0]}; import from its face, {PACKAGE}.{to[0]}"


def _climbs(here: tuple[str, ...], to: tuple[str, ...]) -> str | None:
    """What is wrong with an arrow, told; None for one that goes down or left."""
    if here[0] != to[0]:
        low, high = floor(to[0]), floor(here[0])
        ground = FLOORS[0]
        if low < high or (low == high == 0 and ground.index(to[0]) < ground.index(here[0])):
            return None
        return f"{'/'.join(here)} imports {'/'.join(to)}, an arrow back"
    depth = next((i for i, (a, b) in enumerate(zip(here, to, strict=False)) if a != b), None)
    if depth is None:
        return None if here == to else f"{'/'.join(here)} imports the face of its own wing, {'/'.join(to)}"
    order = ORDER.get("/".join(here[:depth]), "*").split()
    mine, its = (order.index(name if name in order else "*") for name in (here[depth], to[depth]))
    if its > mine or (its == mine and "*" in order and here[depth] not in order):
        return f"{'/'.join(here)} imports {'/'.join(to)}, which comes after it"
    return None


def circles(all_files: list[Source]) -> Iterator[str]:
    """Files that import each other in a circle, type hints too."""
    files = {file.path for file in all_files}
    graph = {}
    for file in all_files:
        goals = [target(found, files) for found in imports(file)]
        here = place(file.path)
        away = {goal for goal in goals if goal and goal != here}
        graph[here] = {goal for goal in away if f"{'/'.join(here)} -> {'/'.join(goal)}" not in OPEN}
    faces = {place(file.path) for file in all_files if file.path.endswith("__init__.py")}
    done: set[tuple[str, ...]] = set()

    def visit(node: tuple[str, ...], trail: list[tuple[str, ...]]) -> Iterator[str]:
        if node in trail:
            yield "circle: " + " -> ".join("/".join(step) for step in [*trail[trail.index(node) :], node])
        elif node not in done and node not in faces:  # a room's __init__ gathers its files, and is gathered by none
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


def tensors(file: Source) -> Iterator[str]:
    """Imports in a room of plain tables that would hand it tensors."""
    for found in imports(file):
        for never in NEVER.get(place(file.path)[0], ()):
            if f"{found.module}.".startswith(f"{never}."):
                yield f"{file.path}:{found.line}: {never} in a room that sees plain tables only"


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


def twice(all_files: list[Source]) -> Iterator[str]:
    """Classes that are called as one in another file is."""
    first: dict[str, str] = {}
    for file in all_files:
        for node in file.tree.body:
            if isinstance(node, ast.ClassDef) and first.setdefault(node.name, file.path) != file.path:
                yield f"{file.path}:{node.lineno}: a class called {node.name}, as one in {first[node.name]}"


FILES = sources()
CORE_FILES = [file for file in FILES if file.path.startswith(f"{PACKAGE}/")]
OUTER_FILES = [file for file in FILES if file not in CORE_FILES]


def told(problems: Iterator[str]) -> None:
    found = list(problems)
    assert not found, "\n" + "\n".join(found)


def test_imports_go_one_way():
    paths = {file.path for file in CORE_FILES}
    told(problem for file in CORE_FILES for problem in arrows_back(file, paths))


def test_rooms_are_known_by_their_faces():
    paths = {file.path for file in CORE_FILES}
    told(problem for file in CORE_FILES for problem in past_a_face(file, paths))


def test_no_files_import_in_a_circle():
    told(circles(CORE_FILES))


def test_no_import_hides_in_a_function():
    told(problem for file in FILES for problem in hidden(file))


def test_the_core_imports_only_its_hard_dependencies():
    told(problem for file in CORE_FILES for problem in heavy(file))


def test_a_room_of_tables_sees_no_tensor():
    told(problem for file in CORE_FILES for problem in tensors(file))


def test_plugins_and_widgets_use_public_names():
    told(problem for file in OUTER_FILES for problem in private(file, public_names))


def test_a_class_name_occurs_once():
    shipped = ("plugins/pima_experts/", "widgets/pima_widgets/")
    told(twice([file for file in FILES if file in CORE_FILES or file.path.startswith(shipped)]))
    pair = [source("a.py", "class Law: ..."), source("b.py", "x = 1\nclass Law: ...\nclass Solution: ...")]
    assert list(twice(pair)) == ["b.py:2: a class called Law, as one in a.py"]


def test_nothing_that_is_read_is_executed():
    told(problem for file in FILES for problem in unsafe(file))


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
    "higher floor": (arrows_back, "model/elbo.py", "from ..fitting.em.physics import x", "arrow back"),
    "same floor": (arrows_back, "data/check.py", "from pima_toolkit.experts import x", "arrow back"),
    "further right": (arrows_back, "model/gaussian.py", "from . import mixture", "comes after"),
    "wing further right": (arrows_back, "model/curves.py", "from .effects.latent import x", "comes after"),
    "own face": (arrows_back, "model/encoders/decoders.py", "from . import x", "face of its own wing"),
    "family": (arrows_back, "cli/fit.py", "from .data import x", "comes after"),
    "past a face": (past_a_face, "model/physics.py", "from ..experts.contract.law import Law", "inside experts"),
    "hint": (arrows_back, "errors.py", "if TYPE_CHECKING:\n    from .units import x", "arrow back"),
    "no place": (arrows_back, "model/attic.py", "x = 1", "no place"),
    "public face": (arrows_back, "fitting/run.py", "import pima_toolkit as pima", "public face"),
    "no such room": (arrows_back, "errors.py", "from .attic import x", "no room"),
    "in a function": (hidden, "cli.py", "def f():\n    import rich", "inside a function"),
    "by name": (hidden, "cli.py", "import importlib\nimportlib.import_module('rich')", "use errors.require"),
    "heavy": (heavy, "cli.py", "import matplotlib.pyplot", "matplotlib at the top"),
    "tensor": (tensors, "report/text.py", "from torch.nn import Module", "plain tables only"),
    "model": (tensors, "report/text.py", "from ..model.modality import Physics", "plain tables only"),
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
    found = list(check(file, files) if check in (arrows_back, past_a_face) else check(file))
    assert len(found) == 1
    assert says in found[0]
    assert found[0].startswith(f"{file.path}:{file.tree.body[-1].end_lineno}")


def test_circles_and_private_names_are_found():
    pair = [source(f"{PACKAGE}/model/a.py", "from . import b"), source(f"{PACKAGE}/model/b.py", "from .a import x")]
    assert list(circles(pair)) == ["circle: model/a -> model/b -> model/a"]
    outer = source("plugins/x/y.py", "from pima_toolkit.model import elbo\nfrom pima_toolkit import hidden_thing")
    assert [problem.split(":")[1] for problem in private(outer, lambda module: {"Expert"})] == ["1", "2"]
