"""A run stopped after any of its writes goes on with the same call; what is not the run's is never touched."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.runs.run import run

X = np.linspace(0.0, 4.0, 15)


class Killed(BaseException):
    """What ends a process, raised."""


@pytest.fixture
def folder(tmp_path):
    """Twelve curves of two populations, as files."""
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    for k in range(12):
        y = (50.0 + 50.0 * (k % 2) + rng.standard_normal()) * X + 0.1 * rng.standard_normal(len(X))
        rows = (f"{x:.3f};{v:.4f}\n" for x, v in zip(X, y, strict=True))
        (data / f"S{k:02}.csv").write_text("Time [s];Stress [MPa]\n" + "".join(rows))
    return data


def options(data, **more):
    modality = {"stress": {"kind": "physics", "expert": "proportional"}}
    return {"data": str(data), "modalities": modality, "model": {"clusters": 2}, "training": {"epochs": 2}} | more


def fitted(target, data, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return run(target, options(data), **more)


@pytest.mark.slow
def test_a_stop_after_any_write_goes_on_with_the_same_call(folder, tmp_path, monkeypatch):
    whole = fitted(tmp_path / "whole", folder).fit
    replace = Path.replace
    stops = 0

    def counted(self, to):
        nonlocal stops
        out = replace(self, to)
        stops -= 1
        if stops == 0:
            raise Killed
        return out

    monkeypatch.setattr(Path, "replace", counted)
    for after in range(1, 200):
        target = tmp_path / f"run{after}"
        stops = after
        try:
            fitted(target, folder)
        except Killed:
            stops = -1
        else:
            break
        again = fitted(target, folder)
        np.testing.assert_array_equal(again.fit.parameters["value"], whole.parameters["value"])
        np.testing.assert_array_equal(again.fit.parameters["std_error"], whole.parameters["std_error"])
        names = {p.relative_to(target).as_posix() for p in target.rglob("*")}
        assert {"run.json", "options.toml", "data.nc", "fit.pima", "report.html", "tables/parameters.csv"} <= names
        assert not [name for name in names if "unfinished" in name]
    assert after > 8  # there were as many writes


def test_what_lies_beside_the_files_changes_nothing_and_a_new_file_is_named(folder, tmp_path):
    target = folder / "run"  # among the data
    first = fitted(target, folder)
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "read me.docx").write_text("measured on Monday")
    (folder / "notes.txt").write_text("measured on Monday\n")
    again = fitted(target, folder)
    assert again.finished_before
    (folder / "S12.csv").write_bytes((folder / "S00.csv").read_bytes().replace(b"0.000", b"0.001"))
    with pytest.raises(
        OptionError, match=r"the data: S12\.csv is new\): .*--update-data to start anew with these data"
    ):
        fitted(target, folder)
    (folder / "S11.csv").unlink()
    with pytest.raises(OptionError, match=r"S12\.csv is new; S11\.csv is not there any more"):
        fitted(target, folder)
    other = options(folder)
    other["modalities"]["stress"]["expert"] = "affine"
    with pytest.raises(OptionError, match="proportional there, affine now"):
        run(target, other, update_data=True)
    grown = fitted(target, folder, update_data=True)
    assert not grown.finished_before
    assert grown.fit.predictor.specs.keys() == first.fit.predictor.specs.keys()
    assert fitted(target, folder).finished_before


def test_files_whose_names_are_no_utf8(folder, tmp_path):
    data = tmp_path / os.fsdecode(b"d\xff")
    try:
        folder.rename(data)
        for file in list(data.iterdir()):
            file.rename(data / os.fsdecode(os.fsencode(file.stem) + b"\xfe.csv"))
    except OSError:
        pytest.skip("this system knows no such names")
    assert fitted(tmp_path / "run", data).fit.specimens.specimen.values[0] == "S00\\udcfe"
    assert fitted(tmp_path / "run", data).finished_before
    with pytest.raises(OptionError, match="is no UTF-8, which NetCDF cannot open"):
        fitted(tmp_path / os.fsdecode(b"run\xff"), data)


def test_a_refused_run_leaves_nothing(folder, tmp_path):
    wrong = options(folder, model={"clusters": 13})
    with pytest.raises(DataError, match="cannot fill 13 clusters"):
        run(tmp_path / "new" / "run", wrong)
    assert not (tmp_path / "new" / "run").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / ".env").write_text("KEY=1")
    (mine / ".gitignore").write_text("*")
    with pytest.raises(DataError):
        run(mine, wrong)
    assert {p.name for p in mine.iterdir()} <= {".env", ".gitignore", ".lock"}
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match="is a file, expected the folder of a run"):
        run(tmp_path / "file", options(folder))


@pytest.mark.parametrize("way", [{"overwrite": True}, {"update_data": True}])
def test_a_run_goes_only_for_one_that_can_begin(folder, tmp_path, way):
    fitted(tmp_path / "run", folder)
    there = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file() and p.name != ".lock"}
    for file in sorted(folder.iterdir())[1:]:
        file.unlink()
    with pytest.raises(DataError, match="holds one specimen"):
        fitted(tmp_path / "run", folder, **way)
    assert {p: p.read_bytes() for p in there} == there


def test_starting_anew_leaves_what_is_not_the_runs(folder, tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    (target / ".env").write_text("KEY=1")
    fitted(target, folder)
    mine = [target / ".env", target / "tables" / "mine.csv", target / "checkpoint" / "note.txt", target / "paper.tex"]
    (target / "checkpoint").mkdir(exist_ok=True)
    for file in mine:
        file.write_text("kept")
    fitted(target, folder, overwrite=True)
    assert [file.read_text() for file in mine] == ["kept"] * 4
