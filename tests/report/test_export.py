"""Tables and figures for other programs: the fit's own numbers, nothing a spreadsheet would execute."""

import csv

import numpy as np
import openpyxl
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import OptionError, StorageError
from pima_toolkit.report.export import write_answer
from pima_toolkit.report.sheets import tables_of, write_csv, write_excel


@pytest.fixture(scope="module")
def data(two_populations):
    return two_populations()


@pytest.fixture(scope="module")
def fit(data, small_model):
    return small_model().fit(data, epochs=2, progress=False)


@pytest.fixture(scope="module")
def folder(fit, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    fit.export(folder, data, formats=("csv", "xlsx", "nc"), figures=("svg", "pdf", "png"))
    return folder


def rows(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_parameters_have_value_error_and_unit(fit, folder):
    table = rows(folder / "parameters.csv")
    assert [(r["cluster"], r["parameter"], r["unit"], r["modality"]) for r in table] == [
        ("0", "slope", "MPa", "stress"),
        ("1", "slope", "MPa", "stress"),
    ]
    for name in ("value", "std_error", "low", "high", "scatter_std"):
        np.testing.assert_array_equal([float(r[name]) for r in table], fit.parameters[name].values[:, 0])
    assert {r["at_bound"] for r in table} == {"FALSE"}
    assert {(r["interval_level"], r["interval_method"]) for r in table} == {
        ("0.9", "information of the mixture, Student's t")
    }


def test_a_specimen_is_a_row_with_its_responsibilities_and_parameters(fit, data, folder):
    table = rows(folder / "specimens.csv")
    assert [r["specimen"] for r in table] == data.specimen.values.tolist()
    assert [r["label"] for r in table] == [str(v) for v in data.label.values]
    gamma = [[float(r["responsibilities 0"]), float(r["responsibilities 1"])] for r in table]
    np.testing.assert_array_equal(gamma, fit.specimens.responsibilities.values)
    np.testing.assert_array_equal([float(r["slope [MPa]"]) for r in table], fit.specimens.value.values[:, 0])
    np.testing.assert_array_equal(
        [float(r["slope std_error [MPa]"]) for r in table], fit.specimens.std_error.values[:, 0]
    )


def test_predicted_curves_have_bands_and_units(fit, data, folder):
    answer = fit.infer(data)
    table = rows(folder / "predictions_stress.csv")
    curves = [f"stress{suffix} [MPa]" for suffix in ("", "_low", "_high", "_second")]
    assert list(table[0]) == ["specimen", "strain", *curves]
    assert len(table) == answer.stress.size
    for name in ("stress", "stress_low", "stress_high"):
        written = np.reshape([float(r[f"{name} [MPa]"]) for r in table], answer.stress.shape)
        np.testing.assert_array_equal(written, answer[name].values)
    wide = rows(folder / "predictions.csv")
    np.testing.assert_array_equal([float(r["typicality"]) for r in wide], answer.typicality.values)
    features = [[float(r[f"feature {k}"]) for k in range(4)] for r in wide]
    np.testing.assert_array_equal(np.float32(features), answer.feature.values)


def test_the_workbook_holds_the_same_tables(folder):
    book = openpyxl.load_workbook(folder / "fit.xlsx")
    names = sorted(p.stem for p in folder.glob("*.csv"))
    assert sorted(book.sheetnames) == names
    for name in names:
        sheet = list(book[name].iter_rows(values_only=True))
        table = rows(folder / f"{name}.csv")
        assert list(sheet[0]) == list(table[0])
        assert len(sheet) == len(table) + 1
        for row, expected in zip(sheet[1:3], table, strict=False):
            for value, text in zip(row, expected.values(), strict=True):
                if isinstance(value, int | float) and not isinstance(value, bool):
                    assert value == pytest.approx(float(text), rel=1e-15)  # Excel keeps 16 digits
                else:
                    assert text == ("" if value is None else str(value).upper() if isinstance(value, bool) else value)


def test_netcdf_holds_the_datasets(fit, data, folder):
    xr.testing.assert_allclose(pima.open_data(folder / "predictions.nc").stress, fit.infer(data).stress, rtol=0)
    assert pima.open_data(folder / "parameters.nc").value.equals(fit.parameters.value)
    assert "seconds" not in pima.open_data(folder / "history.nc")


def test_figures_are_what_their_names_say_and_come_out_the_same(fit, data, folder, tmp_path):
    fit.export(tmp_path, data, formats=(), figures=("svg", "pdf"))
    for name in ("history", "latent", "curves_stress"):
        assert b"<svg" in (folder / f"{name}.svg").read_bytes()[:1000]
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        for ending in ("svg", "pdf"):
            assert (tmp_path / f"{name}.{ending}").read_bytes() == (folder / f"{name}.{ending}").read_bytes()
    assert sorted({p.suffix for p in tmp_path.iterdir()}) == [".pdf", ".svg"]


def test_without_data_there_is_what_the_fit_knows(fit, tmp_path):
    written = fit.export(tmp_path)
    assert {p.name for p in written} == {
        *("parameters.csv", "specimens.csv", "populations.csv", "populations_stress.csv", "history.csv", "history.svg"),
        "test_report.csv",
    }


def test_unknown_formats_are_refused_before_anything_is_written(fit, tmp_path):
    with pytest.raises(OptionError, match=r"formats names 'exel'.*'xlsx'"):
        fit.export(tmp_path / "new", formats=("csv", "exel"))
    with pytest.raises(OptionError, match=r"figures names 'jpg'"):
        fit.export(tmp_path / "new", figures="jpg")
    with pytest.raises(OptionError, match=r"'a.ods' ends in none of .nc"):
        write_answer(fit.parameters, tmp_path / "a.ods")
    assert not (tmp_path / "new").exists()


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", " =1", "\uff1d1", "=HYPERLINK(1)\nnext"]
PLAIN = ["a=b", "3-4", "", "Å 5", 'quoted "x", comma']


def test_labels_never_become_formulas(tmp_path):
    labels = np.array(FORMULAS + PLAIN)
    columns = {"specimen": labels, "=evil [-]": np.arange(len(labels)) - 2.5}
    path = write_csv(tmp_path / "a.csv", columns)
    read = rows(path)
    assert list(read[0]) == ["specimen", "'=evil [-]"]
    assert [r["specimen"] for r in read] == [f"'{text}" for text in FORMULAS] + PLAIN
    assert read[0]["'=evil [-]"] == "-2.5"  # a negative number is a number
    book = openpyxl.load_workbook(write_excel(tmp_path / "a.xlsx", {"a": columns}))
    cells = [row[0] for row in book["a"].iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}
    assert [cell.value for cell in cells][:4] == FORMULAS[:4]
    assert book["a"]["B1"].data_type == "s"


def test_letters_beyond_ascii_are_marked_for_excel(tmp_path):
    assert not write_csv(tmp_path / "a.csv", {"x": np.array([1.0])}).read_bytes().startswith(b"\xef\xbb\xbf")
    assert write_csv(tmp_path / "a.csv", {"d [µm]": np.array([1.0])}).read_bytes().startswith(b"\xef\xbb\xbf")


def test_numbers_keep_all_their_digits_and_gaps_are_empty(tmp_path):
    values = np.array([1 / 3, np.nan, 1e-300, np.inf])
    write_csv(tmp_path / "a.csv", {"n": np.arange(4), "x": values})
    assert (tmp_path / "a.csv").read_text() == "n,x\n0,0.3333333333333333\n1,\n2,1e-300\n3,inf\n"
    book = openpyxl.load_workbook(write_excel(tmp_path / "a.xlsx", {"a": {"x": values}}))
    assert [row[0] for row in book["a"].iter_rows(min_row=2, values_only=True)] == [1 / 3, None, 1e-300, "inf"]


def test_names_of_sheets_are_as_excel_allows(tmp_path):
    one = {"x": np.array([1.0])}
    names = ["a/b:c", "x" * 40, "x" * 41, "A_B_C"]
    book = openpyxl.load_workbook(write_excel(tmp_path / "a.xlsx", dict.fromkeys(names, one)))
    assert book.sheetnames == ["a_b_c", "x" * 31, "x" * 28 + "_2", "A_B_C_2"]


def test_a_table_longer_than_a_sheet_goes_on_in_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("pima_toolkit.report.sheets._ROWS", 3)
    book = openpyxl.load_workbook(write_excel(tmp_path / "a.xlsx", {"a": {"x": np.arange(7)}}))
    assert [[r[0] for r in book[n].iter_rows(values_only=True)] for n in ("a", "a_2", "a_3")] == [
        ["x", 0, 1, 2],
        ["x", 3, 4, 5],
        ["x", 6],
    ]


def test_pictures_stay_out_of_tables():
    pictures = xr.Dataset({"image": (("specimen", "y", "x"), np.zeros((2, 9, 9))), "E": ("specimen", [1.0, 2.0])})
    assert list(tables_of(pictures, "a")["a"]) == ["specimen", "E"]
    small = xr.Dataset({"c": (("specimen", "i", "j"), np.arange(8.0).reshape(2, 2, 2))}, coords={"i": ["u", "v"]})
    assert list(tables_of(small, "a")["a"]) == ["specimen", "c u 0", "c u 1", "c v 0", "c v 1"]


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "a.csv", {"x": np.array([1])})

    def full(self, _):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "write_bytes", full)
    with pytest.raises(StorageError, match=r"a.csv could not be written \(No space left on device\).*free some space"):
        write_csv(path, {"x": np.array([2])})
    assert path.read_text() == "x\n1\n"
    assert list(tmp_path.iterdir()) == [path]
