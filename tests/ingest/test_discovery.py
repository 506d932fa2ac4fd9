"""Which file is which: every way to keep measurements gives the same specimens."""

import os
import unicodedata
from pathlib import Path

import pytest

from pima_toolkit.errors import DataError
from pima_toolkit.ingest.discovery import by_pattern, drop_copies, list_files, natural, sort_out, specimen_key

ROOT = Path("/anywhere")


def sorted_out(*names):
    found, left_out = sort_out([ROOT / n for n in names], ROOT)
    return {(f.kind[:-1], f.modality, f.specimen) for f in found}, left_out


BOTH = {("image", "", "S1"), ("image", "", "S2"), ("curve", "", "S1"), ("curve", "", "S2")}


@pytest.mark.parametrize(
    "names",
    [
        "photos/S1.png photos/S2.png curves/S1.csv curves/S2.csv",
        "day 1/photos/S1.png day 2/photos/S2.png day 1/curves/S1.csv day 2/curves/S2.csv",
        "S1/photo.png S1/curve.csv S2/photo.png S2/curve.csv",
        "S1/S1_photo.png S1/S1_curve.csv S2/S2_photo.png S2/S2_curve.csv",
        "S1_photo.png S1_curve.csv S2_photo.png S2_curve.csv",
        "photo-S1.png curve-S1.csv photo-S2.png curve-S2.csv",
        "S1.PNG S2.tif S1.csv S2.XLSX",
        "photos/IMG_S1.png photos/IMG_S2.png curves/S1_test.csv curves/S2_test.csv",
    ],
)
def test_eight_ways_to_keep_the_same(names):
    found, left_out = sorted_out(*[n.replace("day ", "day_") for n in names.replace("day ", "day_").split()])
    assert found == BOTH
    assert left_out == []


def test_modalities_that_have_a_name_keep_it():
    assert sorted_out("SEM/1.tif", "light/1.tif", "stress/1.csv", "SEM/2.tif")[0] == {
        ("image", "sem", "1"),
        ("image", "light", "1"),
        ("curve", "stress", "1"),
        ("image", "sem", "2"),
    }
    assert sorted_out("1_front.png", "1_side.png", "1_stress.csv", "2_front.png")[0] == {
        ("image", "front", "1"),
        ("image", "side", "1"),
        ("curve", "stress", "1"),
        ("image", "front", "2"),
    }
    assert {m for _, m, _ in sorted_out("A/top.png", "A/low.png", "B/top.png", "B/low.png", "C/top.png")[0]} == {
        *("top", "low")
    }


def test_a_word_that_pictures_and_curves_share_belongs_to_the_specimen():
    names = ["steel_a.png", "steel_b.png", "brass_a.png", "steel_a.csv", "steel_b.csv", "brass_a.csv"]
    assert {s for _, _, s in sorted_out(*names)[0]} == {"steel_a", "steel_b", "brass_a"}


def test_numbered_pictures_of_a_specimen_with_one_curve_are_views():
    found, _ = sort_out([ROOT / n for n in ("S1_1.png", "S1_2.png", "S1.csv", "T_1.png", "T_1.csv")], ROOT)
    assert {(f.path.name, f.specimen, f.view) for f in found if f.kind == "images"} == {
        ("S1_1.png", "S1", 1),
        ("S1_2.png", "S1", 2),
        ("T_1.png", "T_1", 0),
    }


def test_the_same_names_on_different_days_are_different_specimens():
    names = [f"day{d}/{kind}/1.{e}" for d in (1, 2) for kind, e in (("photos", "png"), ("curves", "csv"))]
    assert {s for _, _, s in sorted_out(*names)[0]} == {"day1/1", "day2/1"}


@pytest.mark.parametrize(
    "names",
    [
        "batch A/P1.csv batch A/P2.csv batch B/P3.csv batch B/P4.csv",
        "wood/lab1/lab1_N2_1.csv wood/lab1/lab1_N2_2.csv wood/lab2/lab2_Ar_R1.csv pmma/lab3/lab3_N2_9.csv",
        "lab1/lab1_N2_1.csv lab1/lab1_N2_2.csv lab2/lab2_N2_R1.csv lab2/lab2_N2_R3.csv lab3/lab3_O_9.csv",
        "lab1_N2_1.csv lab1_N2_2.csv lab2_Ar_R1.csv lab3_N2_2.csv lab4_O2_5.csv",
    ],
)
def test_batches_and_laboratories_are_no_modalities(names):
    files = names.replace("batch ", "batch_").split()
    assert sorted_out(*files)[0] == {("curve", "", Path(name).stem) for name in files}


def test_what_lies_beside_and_what_is_unknown_is_said():
    _, left_out = sorted_out("photos/1.png", "curves/1.csv", "notes.csv", "curves/1.docx", "a.xls", "b")
    said = {e.file: e.note for e in left_out}
    assert "lies beside the folders of measurements" in said["notes.csv"]
    assert said["curves/1.docx"] == ".docx: no kind of file that is read here"
    assert "save it as .xlsx" in said["a.xls"]
    assert "no ending" in said["b"]


def test_names_that_people_and_systems_vary_are_one():
    assert len({specimen_key(n) for n in ("Probe Ä 1", "probe_ä-1", unicodedata.normalize("NFD", "PROBE ä_1"))}) == 1
    assert sorted(["S10", "S2", "s1", "a"], key=natural) == ["a", "s1", "S2", "S10"]


def test_patterns():
    files = [ROOT / n for n in ("t/S1_raw.csv", "t/S2_raw.CSV", "t/S1_raw.txt", "u/S3_raw.csv", "t/u/S4_raw.csv")]

    def found(pattern):
        return [(f.file, f.specimen) for f in by_pattern(files, ROOT, pattern, "stress", "curves")]

    assert found("t/{id}_raw.csv") == [("t/S1_raw.csv", "S1"), ("t/S2_raw.CSV", "S2")]
    assert found("t/*.txt") == [("t/S1_raw.txt", "S1_raw")]
    assert [s for _, s in found("**/{id}_raw.csv")] == ["S1", "S2", "S3", "S4"]
    assert [s for _, s in found("{id}/S?_raw.csv")] == ["t", "t", "u"]
    with pytest.raises(DataError, match=r"holds \{id\} twice"):
        found("{id}/{id}.csv")


def test_what_no_person_put_there_is_left_alone(tmp_path):
    for name in (
        ".DS_Store",
        "Thumbs.db",
        "~$a.xlsx",
        "._a.png",
        "a.png",
        "__MACOSX/a.png",
        ".git/x",
        "b.zarr/.zarray",
        "run/run.json",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    files, left_out = list_files(tmp_path)
    assert [f.name for f in files] == ["a.png"]
    said = {e.file: e.status for e in left_out}
    assert said == {
        **dict.fromkeys((".DS_Store", "Thumbs.db", "~$a.xlsx", "._a.png"), "ignored"),
        **dict.fromkeys(("__MACOSX/", ".git/", "b.zarr/", "again/", "run/"), "ignored"),
        **dict.fromkeys(("gone.csv", "pipe.csv"), "unusable"),
    }


def test_copies_go_and_the_plain_name_stays(tmp_path):
    for name, content in {
        "S1.csv": b"a",
        "S1 (1).csv": b"a",
        "S1 - Kopie.csv": b"a",
        "Copy of S1.csv": b"other",
        "S2 (1).csv": b"a",
    }.items():
        (tmp_path / name).write_bytes(content)
    found, _ = sort_out(sorted(tmp_path.iterdir()), tmp_path)
    kept, entries = drop_copies(found)
    assert {(f.file, f.specimen) for f in kept} == {
        ("S1.csv", "S1"),
        ("Copy of S1.csv", "S1"),
        ("S2 (1).csv", "S2 (1)"),
    }
    assert {(e.file, e.note) for e in entries} == {
        (n, "the same, byte for byte, as S1.csv") for n in ("S1 (1).csv", "S1 - Kopie.csv")
    }
