"""Files that could be read as something else without a sign of it: each is read right, or refused with the reason."""

import numpy as np
import pytest

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest import agreement, shaping
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve
from pima_toolkit.ingest.headers import read_header


def curve(tmp_path, text, **options):
    (tmp_path / "a.csv").write_bytes(text.encode())
    return read_curve(tmp_path / "a.csv", CurveFiles(**options))


@pytest.mark.parametrize(
    "rows",
    [
        "0.25;512.5\n0.5;1,024.5\n0.75;2,000.0\n1.0;1,000,000.5\n",
        "0.25;512.5\n0.5;1,024.5\n0.75;2,000\n1.0;1,000,000.5\n",
        "0,25;512,5\n0,5;1.024,5\n0,75;2.000\n1,0;1.000.000,5\n",
        "0,25;512,5\n0,5;1 024,5\n0,75;2 000\n1,0;1 000 000,5\n",
        "0,25;512,5\n0,5;1\u00a0024,5\n0,75;2\u202f000\n1,0;1\u00a0000\u00a0000,5\n",
        "0.25;512.5\n0.5;1'024.5\n0.75;2'000\n1.0;1\u2019000\u2019000.5\n",
        '"0.25","512.5"\n"0.5","1,024.5"\n"0.75","2,000"\n"1.0","1,000,000.5"\n',
    ],
)
def test_thousands_do_not_end_a_curve(tmp_path, rows):
    read = curve(tmp_path, "Strain;Force [N]\n".replace(";", "," if '"' in rows else ";") + rows)
    np.testing.assert_array_equal(read.x, [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_array_equal(read.y, [512.5, 1024.5, 2000, 1000000.5])


def test_blanks_between_columns_are_no_thousands(tmp_path):
    read = curve(tmp_path, "10,5 200,3\n11,5 300,4\n12,5 400,5\n")
    np.testing.assert_array_equal(read.x, [10.5, 11.5, 12.5])
    np.testing.assert_array_equal(read.y, [200.3, 300.4, 400.5])


def test_the_minus_of_typesetters(tmp_path):
    read = curve(tmp_path, "Strain;Stress\n0.1;\u22121.5\n0.2;\u22122.5\n0.3;3\n")
    np.testing.assert_array_equal(read.y, [-1.5, -2.5, 3])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "  "])
def test_a_line_of_units_that_begins_with_per_cent_is_no_comment(tmp_path, delimiter):
    read = curve(tmp_path, "Strain;Stress\n%;MPa\n0;0\n1.5;10\n2.5;20\n".replace(";", delimiter))
    assert [u.name for u in read.units] == ["%", "MPa"]
    assert curve(tmp_path, "% Strain;Stress\n0.5;1\n1.5;2\n".replace(";", delimiter)).headers == ("Strain", "Stress")


def test_numbers_behind_a_comment_sign_and_means_below_are_no_points(tmp_path):
    read = curve(tmp_path, "# strain, stress\n0,0\n0.1,1\n# 0.2,99\n0.2,2\n0.3,3\n")
    np.testing.assert_array_equal(read.y, [0, 1, 2, 3])
    assert read.notes == ("1 row of numbers behind a comment sign left out",)
    text = "No.;Strain;Stress\n1;0;0\n2;0.1;1\n3;0.2;2\n4;0.3;3\nMean;0.15;1.5\nMax;0.3;30\nStd;0.1;1\n"
    read = curve(tmp_path, text)
    np.testing.assert_array_equal(read.y, [0, 1, 2, 3])
    assert "3 rows that begin with a text left out" in read.notes


def test_a_missing_cell_between_blanks_moves_no_value(tmp_path):
    read = curve(tmp_path, "time strain stress\n0 0.0 0\n1 0.1 10\n2     20\n3 0.3 30\n4 0.4 40\n")
    np.testing.assert_array_equal(read.x, [0, 0.1, 0.3, 0.4])
    np.testing.assert_array_equal(read.y, [0, 10, 30, 40])
    assert "1 row of numbers elsewhere in the file left out" in read.notes


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0,01,1,23\n0,02,2,46\n0,03,3,69\n", "has whole numbers alone in 4 columns: decimal commas and commas"),
        ("Stress [MPa]\n0,5\n1,5\n2,5\n", "has whole numbers alone in 2 columns: decimal commas and commas"),
        ("Strain,Force\n0.1,512.5\n0.2,1,024.5\n0.3,1,536.5\n", "has 2 names over 3 columns: commas in numbers"),
        ("strain\tstress\n1\t0.1\t5\n2\t0.2\t9\n", "has 2 names over 3 columns: which they name is not known"),
        (
            "t;x\n0.5;1.5\n1.5;1,25,3\n2.5;2.5\n",
            "holds '1,25,3' in line 3, while the other numbers have decimal points",
        ),
        (
            "a;t;x\n1;0,5;1\n2;1,5;2\n3;2,5;3.25\n",
            "holds '3.25' in line 4, while the other numbers have decimal commas",
        ),
        (
            "Strain,Stress,Strain,Stress\n0,0,0,0\n0.1,1,0.1,9\n",
            "holds 2 columns of strain and 2 of stress, all called",
        ),
        ("Strain 1;Force 1;Strain 2;Force 2\n0;0;0;0\n0.1;1;0.1;9\n", "holds 2 columns of strain and 2 of force"),
    ],
)
def test_what_could_mean_two_things_is_refused(tmp_path, text, why):
    with pytest.raises(Unusable) as raised:
        curve(tmp_path, text)
    assert why in str(raised.value)


def test_one_of_several_curves_can_be_named(tmp_path):
    text = "Strain 1;Stress 1;Strain 2;Stress 2\n0.0;0;0;0\n0.1;1;0.1;9\n0.2;2;0.2;8\n"
    np.testing.assert_array_equal(curve(tmp_path, text, x="Strain 2", y="Stress 2").y, [0, 9, 8])


def test_titles_dates_and_footers_are_no_reason_to_refuse(tmp_path):
    text = "Sample A\n1,2\n2,4\n3,7\n"
    np.testing.assert_array_equal(curve(tmp_path, text).y, [2, 4, 7])
    text = "Date;Strain;Stress\n05.01.2024;0,0;0\n05.01.2024;0,1;1\n05.01.2024;0,2;2\nVersion;1.2.3;x\n"
    np.testing.assert_array_equal(curve(tmp_path, text).x, [0, 0.1, 0.2])


@pytest.mark.parametrize(
    ("header", "name", "unit"),
    [
        ("Strain mm/mm", "Strain", "mm/mm"),
        ("Tensile strain, mm/mm", "Tensile strain", "mm/mm"),
        ("Stress N/mm2", "Stress", "N/mm2"),
        ("Stress (1)", "Stress (1)", None),
        ("Strain (1)", "Strain", "1"),
    ],
)
def test_units_that_look_like_others(header, name, unit):
    assert read_header(header) == (name, unit)


def agreed(tmp_path, *headers):
    curves = [curve(tmp_path, f"Strain,{header}\n0,0\n0.1,5\n0.2,9\n") for header in headers]
    common = agreement.agree(curves, CurveFiles(), "curves")
    return [(lambda c=c: agreement.shape_curve(c, common, CurveFiles())) for c in curves], common


@pytest.mark.parametrize("unknown", ["divisions", "mPa"])
def test_a_unit_that_is_not_known_is_not_taken_for_another(tmp_path, unknown):
    (one, two, three), common = agreed(tmp_path, "Stress [MPa]", "Stress [MPa]", f"Stress [{unknown}]")
    np.testing.assert_array_equal(one().y, two().y)
    with pytest.raises(Unusable, match=f"states the unit '{unknown}' of stress, which cannot be turned into 'MPa'"):
        three()
    (one, _), common = agreed(tmp_path, f"Stress [{unknown}]", f"Stress [{unknown}]")
    assert common.units[1].name == unknown
    np.testing.assert_array_equal(one().y, [0, 5, 9])


def test_a_strain_that_may_be_in_per_cent_is_told(tmp_path):
    read = curve(tmp_path, "Strain,Stress [MPa]\n0,0\n2.5,5\n5,9\n")
    shaped = agreement.shape_curve(read, agreement.agree([read], CurveFiles(), "curves"), CurveFiles())
    assert "states no unit of strain, taken as 1, though it reaches 5" in shaped.notes


def test_two_curves_one_after_the_other_are_not_joined():
    x, y = np.array([0, 0.1, 0.2, 0, 0.1, 0.2, 0.3, 0.4]), np.array([0, 1, 2, 0, 10, 20, 30, 40.0])
    with pytest.raises(Unusable, match=r"jumps back from x = 0.2 to 0 after point 3 of 8 and then goes farther"):
        shaping.first_rise(x, y, loading_only=True)
    x, y = np.array([0, 0.1, 0.2, 0.3, 0, 0.1, 0.2, 0.3]), np.array([0, 1, 2, 3, 0, 10, 20, 30.0])
    with pytest.raises(Unusable, match=r"jumps back from x = 0.3 to 0 after point 4 of 8 and then goes as far"):
        shaping.first_rise(x, y, loading_only=True)
    cycles = np.concatenate([np.linspace(0, 2, 9), np.linspace(1.8, 0, 8), np.linspace(0.2, 3, 9)])
    assert shaping.first_rise(cycles, cycles, loading_only=True)[0][-1] == 3
