"""The quantities of a test report and the account of the files, from a folder to the run's report, text and tables."""

import csv

import numpy as np
import openpyxl
import pytest

import pima_toolkit as pima


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A run on six files of force and extension, two of which break; and its data."""
    lab = tmp_path_factory.mktemp("lab")
    for k in range(1, 7):
        strain = np.linspace(0, 0.05, 1500)
        modulus, proof = 70e3, 200.0 + 20 * k
        stress = np.where(strain < proof / modulus, modulus * strain, proof + 400 * (strain - proof / modulus))
        if k < 3:
            strain, stress = np.append(strain, [0.0501, 0.0502]), np.append(stress, [1.0, 0.5])
        rows = "\n".join(f"{50 * e:.8g};{20 * s:.8g}" for e, s in zip(strain, stress, strict=True))
        (lab / f"A{k}.csv").write_text(
            f"Width [mm];8\nThickness [mm];2.5\nL0 [mm];50\n\nExtension [mm];Force [N]\n{rows}\n"
        )
    data = pima.from_folder(lab, curves={"geometry": True}, progress=False)
    model = pima.PIMA({"stress": pima.Physics("affine")}, clusters=1, latent_dim=1)
    return model.fit(data, epochs=1, restarts=1, progress=False), data


def test_a_fit_knows_what_every_test_report_has(fitted):
    fit, _ = fitted
    table = fit.specimens.tensile_value.to_series().unstack()
    np.testing.assert_allclose(table["E"], 70.0, rtol=1e-4)
    exact = [(p - 400 * p / 70e3 + 0.002 * 400) / (1 - 400 / 70e3) for p in 200 + 20 * np.arange(1, 7)]
    np.testing.assert_allclose(table["Rp0.2"], exact, rtol=1e-4)
    assert table["A"].notna().tolist() == [True, True, False, False, False, False]
    assert fit.specimens.tensile_unit.values.tolist() == ["GPa", "MPa", "MPa", "%", "%"]


def test_a_saved_fit_keeps_them(fitted, tmp_path):
    fit, _ = fitted
    fit.save(tmp_path / "fit.pima")
    again = pima.load(tmp_path / "fit.pima").specimens
    np.testing.assert_array_equal(again.tensile_value, fit.specimens.tensile_value)
    assert again.tensile_about.values.tolist() == fit.specimens.tensile_about.values.tolist()


def test_text_and_page_tell_them_and_how_the_files_were_read(fitted, tmp_path):
    fit, data = fitted
    text = fit.report()
    assert "What every test report has" in text
    assert "no fracture in the curve, which ends at 100 % of Rm" in text
    page = fit.save_report(tmp_path / "report.html", data).read_text()
    for said in (
        "Rp0.2 [MPa]",
        "How the files were read",
        "Force",
        "stress is force over 20 mm2",
        "lines 6 to 1505",
        "Force [N] in MPa",
    ):
        assert said in page


def test_tables_have_them_and_the_account(fitted, tmp_path):
    fit, data = fitted
    fit.export(tmp_path, data, formats=("csv", "xlsx"), figures=())
    with (tmp_path / "test_report.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 * 5
    assert rows[0]["quantity"] == "E"
    assert float(rows[0]["value"]) == pytest.approx(70.0, rel=1e-4)
    assert "10 to 40 % of Rp0.2" in rows[0]["about"]
    assert rows[-1]["value"] == ""
    with (tmp_path / "files.csv").open(encoding="utf-8-sig") as file:
        files = list(csv.DictReader(file))
    assert files[0]["file"] == "A1.csv"
    assert (files[0]["y_unit"], files[0]["y_unit_after"], files[0]["points_read"]) == ("N", "MPa", "1502")
    book = openpyxl.load_workbook(tmp_path / "fit.xlsx", read_only=True)
    assert {"test_report", "files"} <= set(book.sheetnames)
    header = [cell.value for cell in next(book["specimens"].iter_rows(max_row=1))]
    assert "Rp0.2 [MPa]" in header
