"""Tables of settings: found by the names in them whatever they are called, several joined, zeros and all."""

import numpy as np
import pandas as pd
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import DataError

X = np.linspace(0, 0.1, 8)


@pytest.fixture
def lab(tmp_path):
    for k in range(1, 9):
        rows = "".join(f"{a:.4g},{k * a:.6g}\n" for a in X)
        (tmp_path / f"00{k}.csv").write_text(f"strain,stress [MPa]\n{rows}")
    return tmp_path


def test_a_table_among_curves_is_known_by_its_names(lab):
    rows = "".join(f"00{k};{k / 2};{'ab'[k % 2]}\n" for k in range(1, 9))
    (lab / "gluehen.csv").write_text("Film;Temperatur [°C];Charge\n" + rows, encoding="utf-8")
    data = pima.from_folder(lab)
    np.testing.assert_array_equal(data.temperatur, np.arange(1, 9) / 2)
    log = pima.reading_log(data)
    assert log.file.is_unique
    assert "table of 8 specimens" in log.set_index("file").note["gluehen.csv"]


def test_zeros_that_a_spreadsheet_lost_are_found_again(lab):
    (lab / "settings.csv").write_text("id,power\n" + "".join(f"{k},{k / 4}\n" for k in range(1, 9)))
    data = pima.from_folder(lab)
    assert data.specimen.values.tolist() == [f"00{k}" for k in range(1, 9)]
    np.testing.assert_array_equal(data.power, np.arange(1, 9) / 4)
    assert (
        "8 names without the zeros that the files have, such as 1 for 001: joined"
        in pima.reading_log(data).note.tolist()
    )


def test_several_tables_are_joined(lab):
    (lab / "films.csv").write_text("id,power\n" + "".join(f"00{k},{k / 4}\n" for k in range(1, 7)))
    (lab / "cells.csv").write_text("name,area,power\n" + "".join(f"00{k},{10 * k},{k / 4}\n" for k in range(3, 9)))
    frame = pd.DataFrame({"specimen": ["001"], "who": ["N. N."]})
    for table in (None, ["films.csv", "cells.csv"]):
        data = pima.from_folder(lab, table=table)
        np.testing.assert_array_equal(data.power, np.arange(1, 9) / 4)
        np.testing.assert_array_equal(data.area, [np.nan, np.nan, 30, 40, 50, 60, 70, 80])
        assert (pima.reading_log(data).status == "used").sum() == 10
    cells = (lab / "cells.csv").read_text()
    (lab / "cells.csv").unlink()
    assert pima.from_folder(lab, table=["films.csv", frame]).who.values.tolist() == ["N. N.", *[""] * 7]
    (lab / "cells.csv").write_text(cells.replace(",0.75", ",3"))
    with pytest.raises(DataError, match=r"differ in 'power' of '003' \(0.75, 3.0\): keep one column"):
        pima.from_folder(lab, table=["films.csv", "cells.csv"])


def test_one_folder_of_something_else_does_not_stop_the_others(lab):
    (lab / "curves").mkdir()
    for file in list(lab.glob("*.csv")):
        file.rename(lab / "curves" / file.name)
    (lab / "original").mkdir()
    (lab / "original" / "a.txt").write_text("read me\n")
    with pytest.warns(pima.PimaWarning, match=r"original/a.txt: has no two columns"):
        data = pima.from_folder(lab)
    assert data.sizes["specimen"] == 8


def test_a_name_misspelt_in_the_table_is_told_beside_the_file_that_may_be_meant(tmp_path):
    for name in ("plate_07", "plate_08", "plate_09"):
        (tmp_path / f"{name}.csv").write_text("strain,stress\n0,0\n0.1,2\n0.2,3\n0.3,5\n")
    (tmp_path / "settings.csv").write_text("specimen,alloy\nplate_07,A\nplate_08,A\nplaet_09,B\n")
    notes = pima.reading_log(pima.from_folder(tmp_path, progress=False)).set_index("specimen").note
    assert notes["plaet_09"] == "no measurement of it can be used: left out; did you mean 'plate_09', which files have?"
    assert [n for n in notes["plate_09"] if "did you mean 'plaet_09', which the table has?" in n]
