"""The benchmark of the paper's experiments: what a kill leaves, who may write, what is told; no training here."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

import pima_toolkit as pima

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def paper(monkeypatch, tmp_path):
    if not FOLDER.exists():
        pytest.skip("benchmarks are in the repository, not in the source distribution")
    monkeypatch.syspath_prepend(str(FOLDER))
    import paper

    monkeypatch.setattr(paper, "RESULTS", tmp_path / "paper.jsonl")
    monkeypatch.setattr(paper, "KEPT", tmp_path / "kept")
    yield paper
    for name in ("paper", "paper_cases", "paper_figures", "lines"):
        sys.modules.pop(name, None)


def row(case, seed, **scores):
    return {"data": "digits", "case": case, "seed": seed, "seconds": 10.0 + seed, "together": 1 + seed, **scores}


def test_a_line_half_written_is_taken_away_and_its_run_repeated(paper):
    paper.lines.append(paper.RESULTS, row("clean", 0, both=100.0))
    with paper.RESULTS.open("a") as file:
        file.write('{"data": "digits", "case": "cle')
    assert [r["seed"] for r in paper.lines.read(paper.RESULTS)] == [0]
    paper.lines.append(paper.RESULTS, row("clean", 1, both=99.0))
    assert [json.loads(line)["seed"] for line in paper.RESULTS.read_text().splitlines()] == [0, 1]


def test_a_second_process_is_refused(paper):
    with paper.alone(), pytest.raises(SystemExit, match=r"another paper[.]py writes to"), paper.alone():
        pass
    with paper.alone():
        pass  # free again


def test_a_run_that_is_there_is_not_repeated(paper, monkeypatch):
    asked = []

    class Fit:
        elbo = 1.0

        def save(self, path):
            path.write_text("")

    def run(case, data_set, seed, keep):
        keep.mkdir(parents=True)
        asked.append((case.name, data_set, seed))
        return Fit(), {"seconds": 1.0, "both": 90.0}

    monkeypatch.setattr(paper, "run", run)
    chosen = [case for case in paper.cases(quick=True) if case.name in ("clean", "lattice")]
    with paper.alone():
        paper.train_all(chosen, "digits", 2, together=1)
        paper.train_all(chosen, "digits", 3, together=1)
    assert asked == [(name, "digits", s) for name in ("clean", "lattice") for s in (0, 1)] + [
        ("clean", "digits", 2),
        ("lattice", "digits", 2),
    ]
    # The lattices are the same beside the digits and beside MNIST.
    assert {r["data"] for r in paper.lines.read(paper.RESULTS)} == {"digits", "lattice"}
    assert not [path for path in paper.KEPT.iterdir() if path.is_dir()]


def test_without_data_it_says_where_to_get_them(paper, monkeypatch):
    def nothing(**_):
        raise pima.errors.DataError("mnist.npz is nowhere: set PIMA_DATA to the folder that holds it")

    monkeypatch.setattr(pima.datasets, "mnist", nothing)
    with pytest.raises(SystemExit, match=r"set PIMA_DATA(.|\n)*Without MNIST: python benchmarks/paper.py --quick"):
        paper.main(["--only", "clean", "--seeds", "1"])


class Deadly:
    """Kills the process that unpickles it, as the system kills one that is out of memory."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_worker_that_dies_ends_the_run(paper, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER), prepend=os.pathsep)
    case = paper.Case("clean", "table", 1, model={"combine": Deadly()})
    with pytest.raises(SystemExit, match=r"a worker died, .* goes on from its last epoch"):
        paper.train_all([case], "digits", 1, together=2)


def test_half_of_a_run_is_no_result(paper, monkeypatch):
    """Ctrl-C gives a fit so far, which is not what the row would say."""

    class Stopped:
        interrupted = True

    monkeypatch.setattr(pima.PIMA, "fit", lambda *_, **__: Stopped())
    clean = next(paper.cases(quick=True))
    with paper.alone(), pytest.raises(SystemExit, match="stopped; the same command goes on"):
        paper.train_all([clean], "digits", 1, together=1)
    assert paper.lines.read(paper.RESULTS) == []


def test_peers_take_turns_and_are_asked_for_by_name(paper):
    import peers

    assert peers.turns([], 0) == list(peers.KINDS)
    assert peers.turns([], 1) == [*list(peers.KINDS)[1:], "ours"]
    assert [kind.split(",")[0] for kind in peers.turns(["mvae", "ours"], 3)] == ["mvae", "ours", "mvae", "mvae"]
    with pytest.raises(SystemExit, match="no such kind; there are ours; mvae, noise 1"):
        peers.main(["--only", "theirs"])
    sys.modules.pop("peers")


def test_a_case_that_is_none_is_refused(paper):
    with pytest.raises(SystemExit, match=r"--only \['cleen'\]: no such case; there are clean, variance 0.5"):
        paper.main(["--quick", "--only", "cleen"])


def test_tables_tell_mean_std_and_best_beside_the_paper(paper):
    rows = [row("clean", s, both=b, image=98.0, line=100.0) for s, b in enumerate([99.0, 100.0])]
    rows.append(row("without 60 % of images", 0, both=95.0, image=80.0, line=99.0, curve_rmse=0.2))
    found = dict(paper.tables(rows, list(paper.cases(quick=True))))
    assert set(found) == {"table", "missing", "order"}
    cells = dict(zip(found["table"].head, found["table"].rows[0], strict=True))
    assert cells["both, %"] == "99.50 ± 0.50, best 100.00"
    assert cells["runs"] == "2"
    assert cells["seconds a run"] == "10"  # the second ran beside another
    assert "both 100.0 best, 96.74 ± 4.72" in cells["the paper"]


def test_every_case_says_options_that_exist(paper):
    names, single = set(), pima.datasets.digits().isel(specimen=[0])
    for quick in (True, False):
        for case in paper.cases(quick):
            names.add(case.name)
            modalities = {"image": pima.Neural(), "line": pima.Physics("proportional", **case.line)}
            options = {"clusters": 10, "latent_dim": case.latent_dim, "inference": "paper", **case.model}
            model = pima.PIMA(modalities, **options)
            with pytest.raises(pima.errors.DataError):  # the options were fine: it is the data that are none
                model.fit(single, progress=False, **case.fit)
    assert {name for name, _ in paper.PAPER} <= names | {"latent 3"}


def test_pages_of_results_are_those_that_the_script_writes(monkeypatch):
    """Text, code and numbers: a page cannot say another thing than was measured last."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import reference

    pages = FOLDER.parent / "docs" / "results"
    numbers = reference.measured()
    assert set(numbers) == set(reference.REFERENCES) == {path.stem for path in pages.glob("*.md")} - {"index"}
    for name, found in numbers.items():
        assert (pages / f"{name}.md").read_text(encoding="utf-8") == reference.page(name, found), name
        assert (reference.FIGURES / f"{name}.png").is_file()
    for name in ("reference", "lines"):
        sys.modules.pop(name, None)


def test_the_page_names_every_benchmark_once():
    if not FOLDER.exists():
        pytest.skip("benchmarks are in the repository, not in the source distribution")
    named = re.findall(r"`(\w+[.](?:py|sh))`", (FOLDER / "README.md").read_text(encoding="utf-8").replace("NAME", ""))
    assert {path.name for path in FOLDER.iterdir() if path.suffix in (".py", ".sh")} == set(named)
