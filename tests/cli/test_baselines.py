"""`pima baselines`: the table of the Python function, for people and for programs."""

import json

import numpy as np

import pima_toolkit as pima


def test_the_table_is_that_of_python(command, specimens):
    asked = (
        "baselines",
        specimens,
        "--target",
        "stress",
        "--given",
        "feature",
        "--method",
        "mean",
        "--method",
        "ridge",
    )
    expected = pima.baselines(pima.open_data(specimens), "stress", "feature", methods=["mean", "ridge"])
    result = command(*asked, "--json")
    answer = json.loads(result.stdout)
    assert [row["baseline"] for row in answer["baselines"]] == ["mean", "ridge"]
    np.testing.assert_array_equal([row["rmse"] for row in answer["baselines"]], expected.rmse)
    np.testing.assert_array_equal([row["rmse_by_fold"] for row in answer["baselines"]], expected.rmse_by_fold)
    assert answer["best"] == "ridge"
    said = command(*asked).stdout
    assert "RMSE, held out" in said
    assert "MPa" in said
    assert said.splitlines()[-1] == expected.attrs["reading"]
    assert command(*asked, "--quiet").stdout == ""


def test_own_folds_and_groups_by_name(command, specimens):
    asked = ("baselines", specimens, "-t", "stress", "-g", "feature", "-g", "slope", "--method", "mean", "--json")
    answer = json.loads(command(*asked, "--folds", "label").stdout)
    assert "2 folds of your own" in answer["how"]
    answer = json.loads(command(*asked, "--groups", "label").stdout)
    assert "each one group of 'label'" in answer["how"]


def test_help_and_a_misspelt_name(command, specimens):
    said = command("baselines", "--help").stdout
    assert "pima baselines tests.nc --target stress --given photo" in said
    refused = command("baselines", specimens, "--target", "stress", "--given", "featur")
    assert refused.exit_code == 1
    assert "did you mean 'feature'?" in refused.stderr
