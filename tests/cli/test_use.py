"""`pima infer`, `generate`, `report`, `export`: what they print and what they write."""

import csv
import json
import warnings

import numpy as np
import pytest

import pima_toolkit as pima


@pytest.fixture(scope="module")
def fit(finished):
    return pima.runs.open_fit(finished)


def test_infer_writes_what_the_fit_answers(command, finished, specimens, fit, tmp_path):
    out = tmp_path / "p.nc"
    result = command("infer", finished, specimens, "-o", out, "--predict", "stress", "--coverage", 0.5)
    assert result.exit_code == 0, result.output
    expected = fit.infer(pima.open_data(specimens), predict="stress", coverage=0.5)
    answer = pima.open_data(out)
    np.testing.assert_array_equal(answer.stress_low, expected.stress_low)
    np.testing.assert_array_equal(answer.responsibilities, expected.responsibilities)
    assert "feature" not in answer
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"s000: population {int(expected.cluster[0])}, ")
    assert "... and 28 more" in lines
    assert lines[-1] == f"written: {out}"


def test_infer_writes_tables(command, finished, specimens, fit, tmp_path):
    assert command("infer", finished / "fit.pima", specimens, "-o", tmp_path / "p.csv").exit_code == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = fit.infer(pima.open_data(specimens))
    assert [int(r["cluster"]) for r in rows] == expected.cluster.values.tolist()
    assert "parameters slope [MPa]" in rows[0]
    assert (tmp_path / "p_stress.csv").exists()
    assert command("infer", finished, specimens, "-o", tmp_path / "p.xlsx").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.csv", "p.xlsx", "p_stress.csv"]


def test_infer_for_programs(command, finished, specimens, fit):
    result = command("infer", finished, specimens, "--json")
    answer = json.loads(result.stdout)
    assert answer["files"] == []
    expected = fit.infer(pima.open_data(specimens))
    assert [s["specimen"] for s in answer["specimens"]] == expected.specimen.values.tolist()
    np.testing.assert_array_equal(
        [s["responsibilities"] for s in answer["specimens"]], expected.responsibilities.values
    )


def test_generate_is_by_seed(command, finished, fit, tmp_path):
    one, two = tmp_path / "one.nc", tmp_path / "two.csv"
    assert command("generate", finished, "--cluster", 1, "-n", 3, "--seed", 4, "-o", one, "-q").stdout == ""
    np.testing.assert_array_equal(pima.open_data(one).stress, fit.generate(1, 3, seed=4).stress)
    roles = pima.summary(pima.open_data(one)).role
    assert roles["latent_position"] == "answer"
    assert roles["stress"] == "modality"
    said = json.loads(command("generate", finished, "--cluster", 1, "-n", 3, "-o", two, "--json").stdout)
    assert said["files"] == [str(two), str(tmp_path / "two_stress.csv")]


def test_report_on_the_screen_and_as_a_page(command, finished, fit, tmp_path):
    result = command("report", finished)
    assert result.stdout == fit.report() + "\n"
    page = tmp_path / "report.html"
    assert command("report", finished, "-o", page).exit_code == 0
    assert page.read_text() == (finished / "report.html").read_text()
    said = json.loads(command("report", finished, "--json").stdout)
    assert said["clusters"][1]["parameters"]["slope"]["value"] == float(fit.parameters.value[1, 0])


def test_export_and_the_data_it_draws(command, finished, specimens, tmp_path):
    result = command("export", finished, "-o", tmp_path, "--format", "csv,nc", "--figures", "")
    assert result.exit_code == 0, result.output
    for path in (finished / "tables").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "predictions.nc").exists()
    # A fit on its own does not know where its data lie.
    alone = command("export", finished / "fit.pima", "-o", tmp_path / "alone")
    assert "no predictions (--data gives them)" in alone.stdout
    assert not (tmp_path / "alone" / "predictions.csv").exists()
    given = command("export", finished / "fit.pima", "-o", tmp_path / "given", "--data", specimens)
    assert given.exit_code == 0
    assert (tmp_path / "given" / "latent.svg").exists()


def test_data_that_changed_are_not_taken_for_the_training_data(command, specimens, tmp_path):
    mine = pima.save_data(pima.open_data(specimens), tmp_path / "mine.nc")
    fit = ("fit", mine, "--physics", "stress=proportional", "--clusters", 2, "--epochs", 1, "-o", tmp_path / "run")
    assert command(*fit).exit_code == 0
    data = pima.open_data(mine)
    data["stress"] = data.stress * 2
    pima.save_data(data, mine)
    assert (
        "are not there or have changed"
        in command("export", tmp_path / "run", "-o", tmp_path / "e", "--figures", "").stdout
    )
    mine.unlink()
    assert "are not there" in command("report", tmp_path / "run", "-o", tmp_path / "r.html").stdout


def test_a_picture_is_no_dataset_and_without_a_file_it_says_how(command, finished, specimens, tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    refused = command("infer", finished, tmp_path / "a.png")
    assert refused.exit_code == 1
    assert "a.png is neither a dataset (.nc, .zarr) nor a table: give the folder it lies in" in refused.stderr
    assert "-o FILE writes them" in command("infer", finished, specimens).output


def test_a_warning_is_a_sentence(command, finished, specimens, monkeypatch):
    def warned(*rest):
        warnings.warn("4 files could not be used", pima.PimaWarning, stacklevel=2)
        return pima.open_data(specimens)

    monkeypatch.setattr(pima.runs, "new_data", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = command("infer", finished, specimens)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["pima: 4 files could not be used"]
