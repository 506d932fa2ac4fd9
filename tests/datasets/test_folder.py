"""A laboratory's folder, made up: what is in it, that it is the truth, and that a seed gives the same twice."""

import numpy as np
import pytest
from PIL import Image

import pima_toolkit as pima
from pima_toolkit.errors import OptionError


def test_a_tidy_folder_holds_the_truth(tmp_path):
    truth = pima.datasets.write_folder(tmp_path / "lab", n=4, mess=False)
    files = sorted(p.relative_to(tmp_path / "lab").as_posix() for p in (tmp_path / "lab").rglob("*") if p.is_file())
    names = [f"L{d:03d}" for d in (1, 2, 3, 4)]
    assert files == [*(f"curves/{n}.csv" for n in names), *(f"photos/{n}.png" for n in names), "specimens.xlsx"]
    assert truth.specimen.values.tolist() == names
    curve = np.loadtxt(tmp_path / "lab/curves/L002.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(curve, np.stack([truth.strain, truth.stress[1]], axis=1), rtol=1e-8)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "lab/photos/L002.png")), truth.image[1])


def test_a_messy_folder_is_the_same_twice(tmp_path):
    first, again = (pima.datasets.write_folder(tmp_path / name, n=40, seed=3) for name in "ab")
    assert first.identical(again)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    for file in files:
        if file.suffix != ".xlsx":  # a workbook holds the time it was written
            assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert {p.suffix for p in files} >= {".png", ".JPG", ".TIF", ".npy", ".csv", ".TXT", ".dat", ".xlsx", ".db"}
    assert (~first.image_usable).sum() == (~first.stress_usable).sum() == 5


def test_a_folder_in_use_and_too_few_specimens_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OptionError, match="not an empty folder"):
        pima.datasets.write_folder(tmp_path, n=40)
    with pytest.raises(OptionError, match="at least 40 specimens"):
        pima.datasets.write_folder(tmp_path / "a", n=39)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
