"""The cache of compiled curves: found again, never stale, never in the way."""

import contextlib
import importlib
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from numba.core.dispatcher import Dispatcher

from pima_toolkit.errors import ExpertError
from pima_toolkit.experts.formulas import codegen
from pima_toolkit.experts.formulas.parser import read_formula
from pima_toolkit.experts.formulas.program import lower, with_jacobian

NOBODY = 65534
POSIX = pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX permissions")


def program(text="a*t + b"):
    formula = read_formula(text, "t")
    return with_jacobian(lower(formula.expression, "t", formula.parameters), len(formula.parameters))


def value(curve):
    t, f, J = np.array([0.0, 2.0]), np.empty(2), np.empty((2, 2))
    curve(t, np.array([3.0, 1.0]), f, J)
    return f.tolist(), J.tolist()


RIGHT = ([1.0, 7.0], [[0.0, 1.0], [2.0, 1.0]])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("PIMA_CACHE_DIR", str(tmp_path))
    codegen.compile_curve.cache_clear()
    yield tmp_path / "experts"
    codegen.compile_curve.cache_clear()


def test_a_curve_is_written_once_and_found_again(folder):
    assert value(codegen.compile_curve(program())) == RIGHT
    (file,) = folder.glob("*.py")
    machine_code = {p: p.stat().st_mtime_ns for p in folder.rglob("*.nb*")}
    assert machine_code, "numba keeps its machine code beside the file"
    before = file.stat().st_mtime_ns
    codegen.compile_curve.cache_clear()
    assert value(codegen.compile_curve(program())) == RIGHT
    assert file.stat().st_mtime_ns == before
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.nb*")} == machine_code
    assert not list(folder.glob("*.tmp"))


def test_other_versions_and_formulas_are_other_files(folder, monkeypatch):
    codegen.compile_curve(program())
    codegen.compile_curve(program("a*t - b"))
    codegen.compile_curve.cache_clear()
    monkeypatch.setattr(codegen, "GENERATOR", codegen.GENERATOR + 1)
    codegen.compile_curve(program())
    assert len(list(folder.glob("*.py"))) == 3


def test_a_changed_helper_is_another_file(folder, monkeypatch):
    """Numba does not notice a changed callee in another file: helpers are in each file, and so in its name."""
    codegen.compile_curve(program())
    monkeypatch.setattr(codegen, "HEADER", codegen.HEADER.replace("math.log(u)", "100.0 * math.log(u)"))
    codegen.compile_curve.cache_clear()
    codegen.compile_curve(program())
    assert len(list(folder.glob("*.py"))) == 2


def test_compiled_drivers_call_nothing_of_another_file():
    """The same trap: a cached driver would go on with the old callee after an update of the toolkit."""
    found = 0
    experts = Path(codegen.__file__).parents[1]
    for path in experts.rglob("*.py"):
        inside = path.relative_to(experts.parent).with_suffix("").as_posix().replace("/", ".")
        module = importlib.import_module(f"pima_toolkit.{inside.removesuffix('.__init__')}")
        compiled = [f for f in vars(module).values() if isinstance(f, Dispatcher)]
        assert {f.py_func.__module__ for f in compiled} <= {module.__name__}
        found += len(compiled)
    assert found > 5


@POSIX
@pytest.mark.parametrize("warm", [False, True], ids=["empty", "filled"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_read_only_folder_is_passed_by(warm):
    """Root may write anywhere, so a child that is nobody asks; forked, since nobody may not read this environment."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place) / "experts"
        folder.mkdir(mode=0o700)
        os.environ["PIMA_CACHE_DIR"] = place
        try:
            if warm:
                codegen.compile_curve.cache_clear()
                assert value(codegen.compile_curve(program())) == RIGHT
            before = sorted(folder.rglob("*"))
            assert bool(before) == warm
            if os.getuid() == 0:
                for path in (folder, *before):
                    os.chown(path, NOBODY, NOBODY)
            folder.chmod(0o500)
            codegen.compile_curve.cache_clear()
            child = os.fork()
            if child == 0:
                code = 1
                with contextlib.suppress(BaseException):
                    if os.getuid() == 0:
                        os.setgid(NOBODY)
                        os.setuid(NOBODY)
                    assert not os.access(folder, os.W_OK)
                    code = 0 if value(codegen.compile_curve(program())) == RIGHT else 2
                os._exit(code)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert sorted(folder.rglob("*")) == before
        finally:
            folder.chmod(0o700)
            del os.environ["PIMA_CACHE_DIR"]
            codegen.compile_curve.cache_clear()


def test_a_changed_file_is_written_anew(folder):
    codegen.compile_curve(program())
    (file,) = folder.glob("*.py")
    right = file.read_text()
    file.write_text(right.replace("value[k] =", "value[k] = 100.0 +"))
    codegen.compile_curve.cache_clear()
    assert value(codegen.compile_curve(program())) == RIGHT
    assert file.read_text() == right


def test_a_damaged_machine_code_cache_is_passed_by(folder):
    codegen.compile_curve(program())
    for file in folder.rglob("*.nbi"):
        file.write_bytes(b"damaged")
    codegen.compile_curve.cache_clear()
    assert value(codegen.compile_curve(program())) == RIGHT


def test_a_file_in_place_of_the_folder_is_passed_by(tmp_path, monkeypatch):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    monkeypatch.setenv("PIMA_CACHE_DIR", str(blocked))
    codegen.compile_curve.cache_clear()
    assert value(codegen.compile_curve(program())) == RIGHT


@POSIX
def test_a_folder_others_can_write_into_is_not_trusted(folder):
    folder.mkdir()
    folder.chmod(0o777)
    assert value(codegen.compile_curve(program())) == RIGHT
    assert not list(folder.iterdir())


@POSIX
def test_the_folder_is_private(folder):
    codegen.compile_curve(program())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(codegen._temporary_folder().stat().st_mode) == 0o700


def test_no_folder_at_all_is_one_clear_sentence(monkeypatch):
    def nowhere(**_):
        raise OSError("read-only")

    monkeypatch.setattr(codegen.tempfile, "mkdtemp", nowhere)
    codegen._temporary_folder.cache_clear()
    with pytest.raises(ExpertError, match="PIMA_CACHE_DIR"):
        codegen._temporary_folder()


FRESH = """
import warnings
warnings.simplefilter("error")
import numpy as np
import pima_toolkit as pima
expert = pima.SympyExpert("K * t**n", bounds={"n": (0, 1)})
t = np.linspace(0, 1, 30)
print(expert.fit(t, 5 * t**0.4).fitted[0].round(6).tolist())
"""
#: A linear law of many curves has a solver of its own.
LINEAR = """
print(pima.get_expert("proportional").fit(np.tile(t, (4000, 1)), np.tile(3 * t, (4000, 1))).fitted[0].round(6).tolist())
"""


@pytest.mark.slow
def test_a_first_run_with_empty_caches_gives_no_warning(tmp_path):
    # Compiled for seconds and run for none: the compiler need not optimise.
    caches = {"PIMA_CACHE_DIR": str(tmp_path / "a"), "NUMBA_CACHE_DIR": str(tmp_path / "b")}
    env = {**os.environ, **caches, "NUMBA_OPT": "0"}
    code = FRESH + LINEAR
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n")[:2] == ["[5.0, 0.4]", "[3.0]"]
        assert done.stderr == ""


@pytest.mark.slow
def test_where_nothing_can_be_cached_everything_still_runs(tmp_path):
    """A cluster node without a home: numba finds no folder, and says so by an error; laws, data and bands without."""
    code = """
import numba.core.caching as c
c.CacheImpl._locator_classes = []
import warnings
warnings.simplefilter("error")
import numpy as np
import pima_toolkit as pima
from pima_toolkit.experts.solvers.levenberg_marquardt import solver
from pima_toolkit.model.quantiles import quantiles
value, _ = pima.SympyExpert("K * t**n").value_and_jacobian(np.array([1.0, 2.0]), np.array([[5.0, 2.0]]))
print(value.ravel().tolist(), pima.get_expert("voigt").compiled_curve() is not None, solver() is not None)
print(pima.datasets.lattice(specimens=2).sizes["specimen"], callable(quantiles))
"""
    env = {**os.environ, "PIMA_CACHE_DIR": "/dev/null/nowhere", "NUMBA_OPT": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[5.0, 20.0] True True\n2 True\n"


def test_a_plugin_can_be_imported_without_torch():
    code = "import sys, pima_toolkit; pima_toolkit.hookimpl; assert not {'torch', 'numba', 'sympy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
