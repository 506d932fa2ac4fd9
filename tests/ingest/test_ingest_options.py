"""Tables, options and what is refused, on small folders."""

import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import pima_toolkit as pima
from pima_toolkit.data import read_entries, with_lost_specimens
from pima_toolkit.errors import DataError, MissingDependency, OptionError, PimaWarning

X = np.linspace(0, 0.1, 12)


def curve(path, slope=100.0, header="strain,stress [MPa]", x=X, factor=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *(f"{a:.9g},{factor * slope * a:.9g}" for a in x)]))


def photo(path, level=100, size=(9, 12), colour=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*size, 3) if colour else size, level, dtype=np.uint8)
    if colour:
        pixels[..., 0] = 0
    pixels[:3, :3] = 0
    Image.fromarray(pixels).save(path)


@pytest.fixture
def lab(tmp_path):
    """Three specimens, photographs and curves; a table beside them."""
    for k in (1, 2, 3):
        photo(tmp_path / f"photos/P{k}.png", 50 * k)
        curve(tmp_path / f"curves/P{k}.csv", 100 * k)
    rows = ["Probe;Leistung [W];Charge;Foto;Kurve-Datei", "P1;1,5;A;photos/P1.png;P1.csv"]
    rows += ["P2;2,5;B;P2.PNG;curves\\P2.csv", "P3;;;;P3.csv"]
    (tmp_path / "proben.csv").write_text("\n".join(rows), encoding="cp1252")
    return tmp_path


def test_a_table_names_files_and_settings(lab):
    data = pima.from_folder(lab, table="proben.csv")
    assert set(data.data_vars) == {"image", "stress"}
    np.testing.assert_array_equal(data.leistung, [1.5, 2.5, np.nan])
    assert data.leistung.units == "W"
    assert data.charge.values.tolist() == ["A", "B", ""]
    assert data.image.notnull().any(("y", "x")).values.tolist() == [True, True, False]
    assert data.stress.notnull().all()
    account = pima.reading_log(data)
    assert account.set_index("file").note["photos/P3.png"] == "the table proben.csv does not name it"
    assert (account.status == "missing").sum() == 1


def test_a_table_of_settings_alone_is_found_and_joined(lab):
    (lab / "proben.csv").write_text("Overview\nName,Width,Supplier\n,mm,\np1,10.1,x\nP2,10.2,y\nP9,10.9,z\n")
    data = pima.from_folder(lab)
    assert data.specimen.values.tolist() == ["p1", "P2", "P3"]
    np.testing.assert_array_equal(data.width, [10.1, 10.2, np.nan])
    assert data.width.units == "mm"
    notes = pima.reading_log(data).set_index("specimen").note
    assert notes["P9"] == "no measurement of it can be used: left out"
    assert "proben.csv has no row for it" in notes["P3"].values
    assert "width" not in pima.from_folder(lab, table=False).coords


@pytest.mark.parametrize("table", [None, "proben.xlsx"])
def test_a_workbook_of_notes_and_then_the_table(lab, table):
    """The second sheet, a unit in parentheses, decimal commas typed as text, a date without a time."""
    (lab / "proben.csv").unlink()
    rows = {"Probe": ["P1", "P2", "P3"], "Leistung (W)": ["1,5", "2,5", ""], "Datum": pd.Timestamp("2024-03-11")}
    with pd.ExcelWriter(lab / "proben.xlsx") as book:
        pd.DataFrame({"Notizen": ["Kraftmessdose getauscht"]}).to_excel(book, sheet_name="Notizen", index=False)
        pd.DataFrame(rows).to_excel(book, sheet_name="Proben", index=False)
    data = pima.from_folder(lab, table=table)
    np.testing.assert_array_equal(data.leistung, [1.5, 2.5, np.nan])
    assert data.leistung.units == "W"
    assert data.datum.values.tolist() == ["2024-03-11"] * 3
    account = pima.reading_log(data)
    assert "column 'Leistung (W)' has decimal commas" in account.note.tolist()
    assert not (account.status == "missing").any()


def test_a_frame_is_a_table_and_columns_can_be_modalities(lab):
    frame = pd.DataFrame(
        {"a": [1.0, 2.0, 3.0], "b": [4.0, np.nan, 6.0], "c": ["x", "y", "z"]}, index=["P1", "P2", "P3"]
    )
    frame.index.name = "specimen"
    described = {"stress": "curves", "one": pima.ScalarColumns("a"), "both": {"kind": "scalars", "columns": ["a", "b"]}}
    data = pima.from_folder(lab, described, table=frame)
    assert set(data.data_vars) == {"stress", "one", "both"}
    np.testing.assert_array_equal(data.one, [1, 2, 3])
    np.testing.assert_array_equal(data.both, [[1, 4], [np.nan, np.nan], [3, 6]])
    assert data.c.values.tolist() == ["x", "y", "z"]
    assert "a" not in data.coords
    with pytest.raises(OptionError, match="has no column of numbers 'c' for 'one': there are 'a', 'b'"):
        pima.from_folder(lab, {"one": pima.ScalarColumns("c")}, table=frame)
    with pytest.raises(OptionError, match="'one' is described as scalars, and there is no table"):
        pima.from_folder(lab, {"one": pima.ScalarColumns("c")}, table=False)


def test_two_curves_of_one_file_each_with_its_axis(lab):
    for k in (1, 2, 3):
        rows = [f"{10 * a:.6g},{a:.6g},{k * a:.6g},{k * a * 7:.6g}" for a in X[: 9 + k]]
        text = "\n".join(["displacement [mm],strain,stress [MPa],force [kN]", *rows])
        (lab / f"curves/P{k}.csv").write_text(text)
    described = {
        "stress": pima.CurveFiles("curves", y="stress"),
        "load": pima.CurveFiles("curves/*.csv", x=0, y="Force", grid=5),
        "again": pima.CurveFiles("curves", y="stress", window="common"),
    }
    data = pima.from_folder(lab, described)
    assert data.stress.attrs["independent"] == "strain"
    assert (data["load"].dims[1], data["load"].units) == ("displacement", "kN")
    np.testing.assert_allclose(data["load"].values[2, :3], 3 * 7 * data.displacement.values[:3] / 10, rtol=1e-5)
    assert data.again.sizes == {"specimen": 3, "again_strain": 10}
    for name in described:
        assert pima.data.read(data, {name: pima.data.Wanted(physics=True)})[name].present.all()


def test_units_are_brought_together_or_the_file_is_named(lab):
    curve(lab / "curves/P1.csv", header="strain [%],stress [kPa]", x=100 * X, factor=10)
    curve(lab / "curves/P4.csv", header="strain,stress [MPa]", slope=150)
    curve(lab / "curves/P5.csv", header="strain,stress", slope=150)
    curve(lab / "curves/P6.csv", header="strain,stress", slope=150, factor=1e3)
    curve(lab / "curves/P7.csv", header="strain,stress", x=1000 * X)
    with pytest.warns(PimaWarning, match="2 files could not be used"):
        data = pima.from_folder(lab, {"stress": pima.CurveFiles()})
    assert data.stress.units == "MPa"
    np.testing.assert_allclose(data.stress.sel(specimen="P1"), 100 * X, rtol=1e-7)
    np.testing.assert_allclose(data.stress.sel(specimen="P5"), 150 * X, rtol=1e-7)
    account = pima.reading_log(data).set_index("file").note
    assert "states no unit of stress, taken as MPa" in account["curves/P5.csv"]
    assert "states no unit of y ('stress'), and spans" in account["curves/P6.csv"]
    assert "100 is no strain in 1" in account["curves/P7.csv"]
    with pytest.warns(PimaWarning):
        data = pima.from_folder(lab, {"stress": pima.CurveFiles(units={"stress": "GPa"})})
    assert data.stress.units == "GPa"
    np.testing.assert_allclose(data.stress.sel(specimen="P2"), 0.2 * X, rtol=1e-7)


def test_shaping_options_reach_the_curves(lab):
    data = pima.from_folder(lab, {"stress": pima.CurveFiles(true="tension", window=(0.02, 0.08), grid=[0.03, 0.05])})
    e = np.expm1(data.strain.values)
    np.testing.assert_allclose(data.stress[1], 200 * e * (1 + e), rtol=2e-3)
    assert data.stress.long_name == "true stress"
    toe = pima.from_folder(lab, {"stress": pima.CurveFiles(zero="toe", grid=5)})
    np.testing.assert_allclose(toe.stress[0], 100 * toe.strain, rtol=1e-6, atol=1e-9)


def test_colours_and_views(lab):
    photo(lab / "photos/P2.png", colour=True)
    assert pima.from_folder(lab).image.dims == ("specimen", "channel", "y", "x")
    assert pima.from_folder(lab, images={"grey": True}, table=False).image.dims == ("specimen", "y", "x")
    for k in (1, 2, 3):
        photo(lab / f"photos/P{k}_2.png")
        (lab / f"photos/P{k}.png").rename(lab / f"photos/P{k}_1.png")
    data = pima.from_folder(lab, images={"grey": True}, table=False)
    assert data.image.sizes["channel"] == 2
    one = pima.from_folder(lab, {"photo": pima.ImageFiles("photos/{id}_?.png", grey=True)}, table=False)
    np.testing.assert_array_equal(one.photo, data.image)
    (lab / "photos/P3_2.png").unlink()
    with pytest.warns(PimaWarning, match=r"differs from the others in pictures \(1, they 2\)"):
        data = pima.from_folder(lab, images={"grey": True}, table=False)
    first = pima.from_folder(lab, images={"grey": True, "views": "first"}, table=False)
    assert first.image.sizes == {"specimen": 3, "y": 9, "x": 12}
    assert "views='first' takes photos/P1_1.png" in pima.reading_log(first).note.values


def test_curves_in_arrays_and_without_names(lab):
    for k in (1, 2, 3):
        (lab / f"curves/P{k}.csv").unlink()
        np.save(lab / f"curves/P{k}.npy", np.stack([X, k * X], axis=1))
    data = pima.from_folder(lab, {"load": pima.CurveFiles("curves/*.npy", units={"y": "N"})}, table=False)
    assert (data["load"].dims, data["load"].units) == (("specimen", "t"), "N")
    np.testing.assert_allclose(data["load"], np.outer([1, 2, 3], X))
    for k in (1, 2, 3):
        np.savetxt(lab / f"curves/P{k}.csv", np.stack([X, k * X], axis=1), delimiter=",")
        (lab / f"curves/P{k}.npy").unlink()
    assert set(pima.from_folder(lab, table=False).data_vars) == {"image", "curve"}


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(9), r"has shape \(9,\) of float64"),
        (np.array([{}]), "is no NumPy array of numbers"),
    ],
)
def test_arrays_that_are_no_curves(lab, array, says):
    np.save(lab / "a.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match=says):
        pima.from_folder(lab, {"load": pima.CurveFiles("a.npy")}, table=False)


def test_a_range_in_common_must_be_there(lab):
    curve(lab / "curves/P1.csv", x=X + 0.09)
    curve(lab / "curves/P2.csv", x=X)
    common = {"stress": pima.CurveFiles(window="common")}
    with pytest.raises(DataError, match=r"the range that all curves have, 0.09 to 0.1, leaves one of them 2 points"):
        pima.from_folder(lab, common, table=False)
    curve(lab / "curves/P1.csv", x=X + 2)
    with pytest.raises(DataError, match="have no range of 'strain' in common: give window="):
        pima.from_folder(lab, common, table=False)
    (lab / "curves/P1.csv").write_text("strain,stress\n" + "\n".join(f"{a:.4g},-" for a in X))
    (lab / "curves/P2.csv").write_text("strain,stress,note\n" + "\n".join(f"{a:.4g},ok," for a in X))
    with pytest.warns(PimaWarning, match=r"P1.csv: has only one column with numbers.*P2.csv"):
        pima.from_folder(lab, {"stress": pima.CurveFiles()}, table=False)


def broken(lab, what):
    if what == "empty":
        for file in [p for p in lab.rglob("*") if p.is_file()]:
            file.unlink()
        (lab / ".DS_Store").touch()
    elif what == "other files":
        for file in [p for p in lab.rglob("*") if p.is_file()]:
            file.rename(file.with_suffix(".docx"))
    elif what == "no curve":
        for k in (1, 2, 3):
            (lab / f"curves/P{k}.csv").write_text("")
    elif what == "mixed":
        curve(lab / "curves/P1.csv", header="strain,travel [mm]")
        curve(lab / "curves/P2.csv", header="strain,stress [MPa]")
        (lab / "curves/P3.csv").unlink()
    else:
        (lab / "proben.csv").write_text(what)


@pytest.mark.parametrize(
    ("what", "options", "error", "says"),
    [
        ("empty", {}, DataError, "is empty but for 1 hidden file"),
        ("other files", {}, DataError, "holds no pictures and no curves: its 7 files have the endings .docx"),
        ("no curve", {}, DataError, "none of the 3 files of 'curve' can be used: curves/P1.csv is empty"),
        ("mixed", {}, DataError, "do not hold the same quantity as y: 1 files a length, 1 files a stress"),
        ("", {"curves": {"x": "strian"}}, DataError, "has no column 'strian' for x: .*did you mean 'strain'"),
        ("", {"curves": {"x": 2}}, DataError, "has 2 columns, so no column 2 for x"),
        (
            "",
            {"curves": {"gird": 3}},
            OptionError,
            "CurveFiles of .* has no option 'gird': .*did you mean 'grid'",
        ),
        ("", {"curves": {"grid": 1}}, OptionError, "grid is 1, expected a number of points of at least 2"),
        ("", {"curves": {"grid": [1, 0]}}, OptionError, "grid is no row of at least two increasing numbers"),
        ("", {"curves": {"window": [1, 0]}}, OptionError, r"window is \[1, 0\], expected \(lower, upper\)"),
        ("", {"curves": {"true": "yes"}}, OptionError, "true is 'yes', expected 'tension'"),
        ("", {"curves": {"units": {"stress": "mm"}}}, OptionError, "give 'mm' for 'stress', which is a stress"),
        ("", {"curves": {"units": {"load": "N"}}}, OptionError, "units of 'curve' name 'load', which is none"),
        ("", {"curves": {"x": 0, "y": 0}}, OptionError, "x and y are the same column, 0"),
        ("", {"images": pima.CurveFiles()}, OptionError, "images= takes ImageFiles, got CurveFiles"),
        ("", {"modalities": {"a": {"kind": "image"}}}, OptionError, "has kind='image': .*did you mean 'images'"),
        (
            "",
            {"modalities": {"a": 3}},
            OptionError,
            "'a' is int, expected ImageFiles, CurveFiles, ScalarColumns or a dict",
        ),
        ("", {"modalities": {"a": {"kind": "curves", "files": "x/*.csv"}}}, OptionError, "no file of .* fits files="),
        ("", {"modalities": {"a": {"kind": "curves", "files": "x"}}}, OptionError, "is no column, folder or pattern"),
        (
            "",
            {"modalities": {"image": "curves"}},
            OptionError,
            "described as curves, but its files are images",
        ),
        ("", {"modalities": {"a": "images", "image": "images"}}, OptionError, "which files are 'a'"),
        ("", {"table": "probe.csv"}, OptionError, "there is no table 'probe.csv' .*did you mean 'proben.csv'"),
        ("", {"table": "proben.csv"}, DataError, "the table proben.csv is empty"),
        ("", {"table": True}, OptionError, "table is True, expected the table's file"),
        ("id,a\n", {"table": "proben.csv"}, DataError, "has no rows below its header"),
        ("id,a\nP1,1\np1,2\n", {"table": "proben.csv"}, DataError, "names specimens more than once in 'id': p1"),
        ("id,a,A\nP1,1,2\n", {"table": "proben.csv"}, DataError, "has more than one column 'a'"),
        (
            "a,b\n1,2\n1,2\n",
            {"table": "proben.csv"},
            DataError,
            "no column that names the specimens: call one 'specimen'",
        ),
        ("id,foto\nP1,Q1.png\nP2,Q2.png\n", {"table": "proben.csv"}, DataError, "none of the files .*such as 'Q1.png'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_lost(lab, what, options, error, says):
    broken(lab, what)
    with pytest.raises(error, match=says):
        pima.from_folder(lab, **options)


def test_a_folder_that_is_not_there(lab):
    with pytest.raises(DataError, match=r"photo is not there.*did you mean 'photos'"):
        pima.from_folder(lab / "photo")
    with pytest.raises(DataError, match="is a file, expected a folder"):
        pima.from_folder(lab / "proben.csv")


def test_a_table_that_was_found_and_is_none_can_be_left_out(lab):
    (lab / "proben.csv").write_text("id,power\nP1,1\nP2,2\np2,3\n")
    with pytest.raises(DataError, match=r"more than once in 'id': p2.*\(found by itself: table=False leaves it out\)"):
        pima.from_folder(lab)
    assert set(pima.from_folder(lab, table=False).data_vars) == {"image", "stress"}


def test_strict_and_files_that_a_table_names_in_vain(lab):
    (lab / "photos/P2.png").unlink()
    with pytest.warns(PimaWarning, match=r"P2.PNG: the table names it, but it is not there"):
        pima.from_folder(lab, table="proben.csv")
    with pytest.raises(DataError, match=r"1 file could not be used: P2.PNG.*or leave out strict"):
        pima.from_folder(lab, table="proben.csv", strict=True)


@pytest.mark.parametrize(("module", "install"), [("PIL", "pillow"), ("openpyxl", "openpyxl"), ("tifffile", "tifffile")])
def test_a_missing_library_is_one_sentence(lab, monkeypatch, module, install):
    (lab / "curves/P1.csv").rename(lab / "curves/P1.xlsx")
    (lab / "photos/P1.png").rename(lab / "photos/P1.tif")
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=f"which is not installed: pip install {install}"):
        pima.from_folder(lab, table=False)


def test_an_account_and_a_summary(lab):
    data = pima.from_folder(lab)
    table = pima.summary(data)
    assert table.loc["stress"].tolist() == ["modality", "strain 12", "MPa", 3, 0, "0 to 30"]
    assert table.loc["strain"].role == "axis"
    assert "<table" in table._repr_html_()
    with pytest.raises(DataError, match="has no reading log"):
        pima.reading_log(data.drop_attrs())


def test_a_specimen_whose_files_are_all_lost_can_keep_a_row(lab):
    (lab / "photos/P2.png").write_bytes(b"")
    (lab / "curves/P2.csv").write_bytes(b"")
    with pytest.warns(PimaWarning, match="2 files could not be used"):
        data = pima.from_folder(lab, {"image": "images", "stress": "curves"}, table=False)
    assert data.specimen.values.tolist() == ["P1", "P3"]
    entries = read_entries(data)
    assert sum(entry.status == "used" for entry in entries) == 4
    assert sorted(e.file for e in entries if e.status == "unusable") == ["curves/P2.csv", "photos/P2.png"]
    assert read_entries(data.drop_attrs()) == []
    whole = with_lost_specimens(data)
    assert whole.specimen.values.tolist() == ["P1", "P3", "P2"]
    assert whole.image.sel(specimen="P2").isnull().all()
    assert whole.stress.sel(specimen="P2").isnull().all()
    np.testing.assert_array_equal(whole.stress.sel(specimen=["P1", "P3"]), data.stress)
    assert with_lost_specimens(whole) is whole
