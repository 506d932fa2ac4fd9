"""Which columns are the curve, which unit a file without one has, which sign: chosen with a word, or refused."""

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.errors import DataError, PimaWarning
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve

X = np.round(np.linspace(0, 4, 12), 2)


def table(header, *columns):
    return header + "\n" + "".join(";".join(map(str, row)) + "\n" for row in zip(*columns, strict=True))


def curve(tmp_path, text, modality="", **options):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    return read_curve(tmp_path / "a.csv", CurveFiles(**options), modality)


@pytest.mark.parametrize(
    ("header", "columns", "chosen"),
    [
        ("Crosshead [mm];Extensometer [mm];Force [N]", (2 * X, X, X), ("Extensometer", "Force")),
        (
            "Strain (crosshead) [%];Strain (extensometer) [%];Stress [MPa]",
            (2 * X, X, X),
            ("Strain (extensometer)", "Stress"),
        ),
        ("Transverse strain [%];Axial strain [%];Stress [MPa]", (-X, X, X), ("Axial strain", "Stress")),
        ("True strain;Strain;Stress [MPa];True stress [MPa]", (X / 2, X, X, 2 * X), ("Strain", "Stress")),
        ("True strain;True stress [MPa]", (X, X), ("True strain", "True stress")),
        ("Time [s];Allongement [mm];Force [N]", (X, 2 * X, X), ("Allongement", "Force")),
        ("Zaman (s);Gerinim (%);Gerilme (MPa)", (X, 2 * X, X), ("Gerinim", "Gerilme")),
        ("Pt;Wavelength;Absorbance", (np.arange(12), 400 + X, X), ("Wavelength", "Absorbance")),
        (";wavelength;absorbance", (np.arange(12), 400 + X, X), ("wavelength", "absorbance")),
    ],
)
def test_the_columns_that_a_person_would_take(tmp_path, header, columns, chosen):
    assert curve(tmp_path, table(header, *columns)).headers == chosen


def test_what_was_not_taken_is_told(tmp_path):
    notes = curve(tmp_path, table("Crosshead [mm];Extensometer [mm];Force [N]", 2 * X, X, X)).notes
    assert "'Extensometer' taken for x, not 'Crosshead'" in notes
    notes = curve(tmp_path, table("Temperature [K];Storage;Loss", X, X, X)).notes
    assert "2 columns may be y (Storage, Loss): the first is taken, y=... takes another" in notes


def test_the_modality_names_its_column(tmp_path):
    text = table("Strain;Stress [MPa];Force [kN]", X, X, 2 * X)
    assert curve(tmp_path, text, "force").headers == ("Strain", "Force")
    assert curve(tmp_path, text, "curve").headers == ("Strain", "Stress")
    notes = curve(tmp_path, table("Strain;Force [kN]", X, X), "stress").notes
    assert "holds a force as y, 'Force', and no stress: called 'stress' all the same" in notes


@pytest.mark.parametrize(
    ("header", "columns", "why"),
    [
        ("Strain 1;Strain 2;Stress [MPa]", (X, 2 * X, X), "has 2 columns of strain, 'Strain 1', 'Strain 2': which one"),
        ("True strain;Eng. stress [MPa]", (X, X), "true and engineering columns that do not belong together"),
        ("Time [s];Rozciaganie [%];Stress [MPa]", (X, X, X), r"may have its x in column 'Rozciaganie' \[%\]"),
        ("Wavelength [nm];Signal;Temperature [K]", (400 + X, X, X), "may have its x in 'Wavelength', its first column"),
        ("Time [s];Strain [%];Stress [MPa]", (X, X, ["x y"] * 12), "has a column 'Stress' that holds 'x y', no number"),
        ("Wavelength [nm];Alloy A;Alloy B", (400 + X, X, X), "2 columns beside 'Wavelength' that are called after"),
        ("", (X, X, X, X), "12 rows of 4 numbers without names over the columns: which are x and y"),
        ("", tuple(np.outer(X[:4], np.arange(12)).T), "4 rows of 12 numbers without names"),
    ],
)
def test_what_could_be_several_is_refused(tmp_path, header, columns, why):
    with pytest.raises(Unusable, match=why):
        curve(tmp_path, table(header, *columns))


def test_equal_columns_are_one(tmp_path):
    assert curve(tmp_path, table("Strain 1;Strain 2;Stress [MPa]", X, X, X)).headers[0] == "Strain 1"


def folder(tmp_path, *texts):
    for k, text in enumerate(texts, 1):
        (tmp_path / f"A{k}.csv").write_text(text)
    return tmp_path


def test_a_load_may_be_told_as_a_weight(tmp_path):
    headers = [f"Displacement [mm];Load [{unit}]" for unit in ("N", "N", "lbs", "kg")]
    data = pima.from_folder(folder(tmp_path, *(table(h, X, X) for h in headers)), {"force": "curves"})
    np.testing.assert_allclose(data.force[:, -1], 4 * np.array([1, 1, 4.4482216152605, 9.80665]))
    assert "a force in kg, taken as kgf" in pima.reading_log(data).note[3]


def test_a_strain_without_a_unit_is_judged_beside_the_others(tmp_path):
    texts = [table("Strain [%];Stress [MPa]", X * f, X) for f in (1, 1.1)] + [table("Strain;Stress [MPa]", X, X)]
    data = pima.from_folder(folder(tmp_path, *texts))
    np.testing.assert_allclose(data.strain[2], X / 100)
    assert "states no unit of strain, taken as %, as what the other files span tells" in pima.reading_log(data).note[2]
    (tmp_path / "A3.csv").write_text(table("Strain;Stress [MPa]", X / 100, X))
    np.testing.assert_allclose(pima.from_folder(tmp_path).strain[2], X / 100)
    (tmp_path / "A3.csv").write_text(table("Strain;Stress [MPa]", X / 8.5, X))
    with pytest.warns(PimaWarning, match="A3.csv: states no unit of strain, and spans 0.4706, which may be in 1 or"):
        pima.from_folder(tmp_path)


def test_a_strain_beyond_one_without_any_unit_warns(tmp_path):
    with pytest.warns(PimaWarning, match='1 file state no unit of strain, and reach more than 1.*"strain": "%"'):
        data = pima.from_folder(folder(tmp_path, table("Strain;Stress [MPa]", X, X)))
    np.testing.assert_array_equal(data.strain, X)
    data = pima.from_folder(tmp_path, curves={"units": {"strain": "%"}})
    np.testing.assert_allclose(data.strain, X / 100)


@pytest.mark.parametrize("signs", [(-1, -1), (1, -1), (-1, 1)])
def test_compression_ends_positive_and_says_so(tmp_path, signs):
    text = table("Strain [%];Stress [MPa]", signs[0] * X, signs[1] * 2 * X)
    data = pima.from_folder(folder(tmp_path, text))
    np.testing.assert_allclose(data.stress[0], 2 * X)
    np.testing.assert_allclose(data.strain, X / 100)
    assert "compression" in pima.reading_log(data).note[0]


def test_a_stretch_below_one_keeps_a_negative_stress(tmp_path):
    data = pima.from_folder(folder(tmp_path, table("Stretch [-];Stress [MPa]", 0.7 + X / 20, X - 4)))
    np.testing.assert_allclose(data.stress[0], X - 4)


def test_a_clock_that_begins_again_is_refused(tmp_path):
    time = [*range(8), *range(4)]
    with pytest.raises(DataError, match="has a time that goes back from 7 to 0 after point 8 of 12"):
        pima.from_folder(folder(tmp_path, table("Time [s];Force [N]", time, X)))
