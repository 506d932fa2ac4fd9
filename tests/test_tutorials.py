"""Every tutorial runs from its first cell to its last, in an empty folder, and is committed clean."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
#: Tutorials of measured data, and the file each needs below ``PIMA_DATA``.
MEASURED = {
    "05_constitutive_models": "metal_tension/sandia_304L_6061.npz",
    "06_missing_measurements": "spinodal_compression/spinodal_compression.npz",
}
#: What must not stand in an output: folders of a machine, addresses, warnings, timings.
FOREIGN = re.compile(r"/home/|/tmp/|/root/|[A-Z]:\\\\|0x[0-9a-f]{6,}|Warning\b|Traceback|\d+ s on cpu")


@pytest.mark.tutorial
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="pip install nbclient")
    nbclient = pytest.importorskip("nbclient", reason="pip install nbclient")
    pytest.importorskip("ipykernel", reason="pip install ipykernel")

    needed = MEASURED.get(path.stem)
    if needed and not (Path(os.environ.get("PIMA_DATA", "")) / needed).is_file():
        pytest.skip(f"{path.stem} needs {needed} in the folder PIMA_DATA")
    commands = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    client = nbclient.NotebookClient(
        nbformat.read(path, as_version=4),
        timeout=1500,
        kernel_name="python3",
        resources={"metadata": {"path": tmp_path}},
    )
    client.execute(env={**os.environ, "PATH": commands})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_whole_and_clean(path):
    """All cells ran in order, no error stands in it, nothing of the machine, no data of others, and a way on."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert "**The question.**" in texts[0]
    assert "## What to read next" in texts[-1]
    for cell in code:
        for output in cell["outputs"]:
            assert output["output_type"] != "error"
            assert output.get("name") != "stderr"
            shown = json.dumps({k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")})
            found = FOREIGN.search(shown + "".join(output.get("text", [])))
            assert found is None, f"{path.name}: {found.group()!r} stands in an output"
    assert path.stat().st_size < 1_500_000


def test_all_of_them_are_there_and_on_the_site():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{k:02d}" for k in range(1, len(NOTEBOOKS) + 1)]
    index = (FOLDER.parent / "docs" / "index.md").read_text(encoding="utf-8")
    assert [path.stem for path in NOTEBOOKS if f"tutorials/{path.stem}\n" not in index] == []


def test_every_public_name_stands_in_the_reference():
    """A name that is added to the package and not to docs/api fails here."""
    import pima_toolkit as pima

    pages = "".join(page.read_text(encoding="utf-8") for page in (FOLDER.parent / "docs" / "api").glob("*.md"))
    absent = [name for name in pima.__all__ if name != "__version__" and not re.search(rf"\b{name}\b", pages)]
    assert absent == []
