"""A new plugin: its files, from the template beside this module."""

from __future__ import annotations

import importlib.resources
import keyword
import re
import shutil
import string
import sys
import tempfile
from pathlib import Path

from ..errors import OptionError
from ..plugins.hooks import PIMA_API

#: What an expert can be written as, and what to call that.
KINDS = {
    "formula": "a formula, its parameters",
    "ode": "differential equations, their parameters",
    "torch": "a function of torch, its parameters",
}
#: Names of distributions, without the dots and capitals that module names would lose.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def plugin_files(name: str, expert: str | None = None, kind: str = "formula") -> dict[str, str]:
    """Fill in the files of a plugin.

    Args:
        name: Name of the distribution, such as ``"pima-steel"``.
        expert: Name of its expert; ``"steel"`` by default, the name without ``pima-`` and ``plugin-``.
        kind: What the expert is written as, one of :data:`KINDS`.

    Returns:
        Texts by their path in the plugin's folder.

    Raises:
        OptionError: If a name cannot be one, or there is no such kind.
    """
    if kind not in KINDS:
        raise OptionError(f"there is no template for an expert of kind {kind!r}: expected one of {', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        raise OptionError(
            f"a plugin cannot be called {name!r}: use small letters, digits and single hyphens, such as 'pima-steel'"
        )
    module = name.replace("-", "_")
    entry = re.sub(r"^(pima-)?(plugin-)?(?=.)", "", name)
    expert = entry.replace("-", "_") if expert is None else expert
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", expert):
        raise OptionError(
            f"an expert cannot be called {expert!r}: use small letters, digits and single underscores, such as"
            " 'hall_petch' (--expert)"
        )
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module.startswith(("pima_toolkit", "test")):
        raise OptionError(f"a module cannot be called {module!r}, which means something else: try 'pima-{name}'")
    values = {
        "name": name,
        "module": module,
        "entry": entry,
        "expert": expert,
        "class_name": "".join(part.capitalize() for part in expert.split("_")),
        "major": str(PIMA_API[0]),
        "minor": str(PIMA_API[1]),
        "written_as": KINDS[kind],
    }
    paths = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        ".gitignore": "gitignore.txt",
        f"{module}/__init__.py": f"{kind}.py.txt",
        f"tests/test_{expert}.py": "test.py.txt",
    }
    folder = importlib.resources.files("pima_toolkit.cli") / "plugin_template"
    return {
        path: string.Template((folder / source).read_text(encoding="utf-8")).substitute(values)
        for path, source in paths.items()
    }


def write_plugin(files: dict[str, str], folder: Path) -> Path:
    """Write the files into a folder, all of them or none.

    Args:
        files: From :func:`plugin_files`.
        folder: Must not exist, or be empty.

    Returns:
        The folder.

    Raises:
        OptionError: If something is there already; nothing is overwritten.
    """
    folder = folder.expanduser()
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise OptionError(f"{folder} is there already and not empty: choose another --folder, nothing was written")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for path, text in files.items():
            file = unfinished / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        unfinished.chmod(0o755)  # mkdtemp's are closed to everybody else
        unfinished.replace(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return folder
