"""Names and units over a table: lines of units, marks, preambles and counts, in every order that programs write."""

import numpy as np
import pytest

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve
from pima_toolkit.ingest.headers import canonical

TIME = np.arange(12) * 0.5
STRAIN = np.round(np.linspace(0.05, 3.9, 12), 2)
STRESS = np.round(30 * (1 - np.exp(-STRAIN)), 2)


def rows(*columns, sep="\t", decimal="."):
    cells = (
        [c if isinstance(c, str) else f"{c:.2f}".replace(".", decimal) for c in row]
        for row in zip(*columns, strict=True)
    )
    return "\n".join(sep.join(row) for row in cells) + "\n"


def curve(tmp_path, text, name="a.csv", **options):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_curve(tmp_path / name, CurveFiles(**options))


COUNT = [str(k + 1) for k in range(12)]
LINES = {
    "a unit that nobody knows": "Time\tStrain\tStress\tKnob\ns\t%\tMPa\tturns\n" + rows(TIME, STRAIN, STRESS, TIME),
    "most units unknown here": "Rate\tStrain\tStress\tTorque\n1/s\t%\tMPa\tNm\n" + rows(TIME, STRAIN, STRESS, TIME),
    "how a channel was sampled": "Time\tStrain\tStress\ns\t%\tMPa\nSmp\tMax\tAvg\n" + rows(TIME, STRAIN, STRESS),
    "when it was started": "Time;Strain;Stress\ns;%;MPa\nBegin;03.04.2022;09:15:10\n"
    + rows(TIME, STRAIN, STRESS, sep=";"),
    "numbers of channels": "Time\tStrain\tStress\ns\t%\tMPa\n1\t2\t3\n" + rows(TIME, STRAIN, STRESS),
    "a # over the count": "#\tStrain [%]\tStress [MPa]\n" + rows(COUNT, STRAIN, STRESS),
    "a # as a unit": "Pt\tStrain\tStress\n#\t%\tMPa\n" + rows(COUNT, STRAIN, STRESS),
    "comments": "# run 3, 2 bars, 4 tries\n# Strain [%], Stress [MPa]\n" + rows(STRAIN, STRESS, sep=","),
    "a preamble as wide as the table": "Norm;ISO;527\nWidth;10,1;mm\nZero;0,10;0,20\n\nTime;Strain;Stress\ns;%;MPa\n"
    + rows(TIME, STRAIN, STRESS, sep=";", decimal=",")
    + "\nE;2,1;GPa\n",
    "key = value": "area=20\nunits=s,%,MPa\ncolumns=time,strain,stress\nSTART\n"
    + rows(TIME, STRAIN, STRESS, sep=",")
    + "END\npeak=1,2,3\n",
    "units in the preamble": "Strain unit: %\nStress unit: MPa\n\nStrain\tStress\n" + rows(STRAIN, STRESS),
    "a header of stated length": "9\nrig\n0.1;1.1;0.0\n0.2;2.2;0.0\n0.3;3.3;0.0\n0.4;4.4;0.0\n0.5;5.5;0.0\n\n"
    "Time [s];Strain [%];Stress [MPa]\n" + rows(TIME, STRAIN, STRESS, sep=";"),
    "remarks": "Strain [%];Stress [MPa];Remark\n"
    + rows(STRAIN, STRESS, sep=";").replace("\n", ";crack at 5 mm\n", 4).replace(";crack at 5 mm", "", 3),
    "pages": "".join(
        f"Page {k}\nStrain [%];Stress [MPa]\n{rows(STRAIN[4 * k : 4 * k + 4], STRESS[4 * k : 4 * k + 4], sep=';')}"
        for k in range(3)
    ),
    "on its side": "\n".join(
        name + ";" + ";".join(f"{v:.2f}" for v in values)
        for name, values in (("Strain [%]", STRAIN), ("Stress [MPa]", STRESS))
    ),
    "exponents of Fortran": "   STRAIN    STRESS\n   (%)   (MPa)\n"
    + "".join(f"  {x / 10:.5f}D+01  {y / 100:.6f}D+02\n" for x, y in zip(STRAIN, STRESS, strict=True)),
    "LabVIEW": "Samples\t12\t12\t\nX0\t0.0\t0.0\t\n***End_of_Header***\t\t\t\n"
    "X_Value\tStrain (%)\tStress (MPa)\tComment\n" + rows(TIME, STRAIN, STRESS),
    "a comma before every line": ',"Time","Strain","Stress",\n,"(s)","(%)","(MPa)",\n'
    + "".join(f',"{t}","{x}","{y}"\n' for t, x, y in zip(TIME, STRAIN, STRESS, strict=True)),
    "units beside the names, on its side": "\n".join(
        f"{name};" + ";".join(f"{v:.2f}" for v in values)
        for name, values in (("Strain;%", STRAIN), ("Stress;MPa", STRESS))
    ),
    "remarks in the first column": "Remark;Strain [%];Stress [MPa]\n"
    + rows([*[""] * 6, "crack", *[""] * 5], STRAIN, STRESS, sep=";"),
    "numbers of channels above the names": "1;2;3\nTime;Strain;Stress\ns;%;MPa\n" + rows(TIME, STRAIN, STRESS, sep=";"),
    "ranges below the units": "Time;Strain;Stress\ns;%;MPa\n0...9;0...4;0...50\n" + rows(TIME, STRAIN, STRESS, sep=";"),
    "names in two lines": "Time;Tensile;Tensile\n;strain;stress\ns;%;MPa\n" + rows(TIME, STRAIN, STRESS, sep=";"),
    "zeros above the numbers": "Time;Strain;Stress\ns;%;MPa\nOffset;0.00;0.12\n" + rows(TIME, STRAIN, STRESS, sep=";"),
    "French": "Temps (s);Allongement (%);Contrainte (MPa)\n" + rows(TIME, STRAIN, STRESS, sep=";", decimal=","),
    "a moment in every row": "Stamp;Strain [%];Stress [MPa]\n"
    + rows([f"2022-04-03 09:15:{k:02d}.5" for k in range(12)], STRAIN, STRESS, sep=";"),
}


@pytest.mark.parametrize("kind", LINES)
def test_names_and_units_are_found_by_the_numbers(tmp_path, kind):
    read = curve(tmp_path, LINES[kind])
    assert (read.names, [u.name for u in read.units]) == (("strain", "stress"), ["%", "MPa"])
    np.testing.assert_allclose(read.x, STRAIN, rtol=1e-12)
    np.testing.assert_allclose(read.y, STRESS, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("how a channel was sampled", "line 3 below the names left out"),
        ("numbers of channels", "line 3, the numbers of the channels, left out"),
        ("units in the preamble", "unit of 'Strain' from line 1: %"),
        ("pages", "one table on 3 pages (lines 3 to 6, lines 9 to 12, lines 15 to 18), its header again on each"),
        ("on its side", "quantities stand in rows: turned"),
        ("a moment in every row", "'Stamp': clock times as seconds since the first of them"),
    ],
)
def test_what_was_left_out_is_told(tmp_path, kind, note):
    assert note in curve(tmp_path, LINES[kind]).notes


def test_numbers_that_stand_for_no_value(tmp_path):
    cells = [f"{y:.3E}" for y in STRESS]
    cells[3], cells[5], cells[7], cells[8] = "9.91E+37", "-9999", "Ovld", "1.#INF"
    read = curve(tmp_path, "Strain [%],Stress [MPa]\n" + rows(STRAIN, cells, sep=","))
    assert np.flatnonzero(np.isnan(read.y)).tolist() == [3, 5, 7, 8]
    assert "2 numbers in 'Stress' (-9999, 9.91e+37) taken for no value" in read.notes
    large = curve(tmp_path, "Strain [%],Stress [kPa]\n" + rows(STRAIN, [*["-9998"] * 6, *["-9999"] * 6], sep=","))
    assert np.isfinite(large.y).all()  # nothing is far from it


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<!DOCTYPE html>\n<html><script>\n0.0, 1.0,\n0.1, 2.0,\n0.2, 3.0\n</script></html>\n", "is a web page"),
        ("<table>\n0.0, 1.0\n0.1, 2.0\n0.2, 3.0\n</table>\n", "is a web page"),
        ("<?xml version='1.0'?>\n<Workbook>\n1,2\n2,3\n</Workbook>\n", "is XML, not a table"),
        (b"PK\x03\x04 and more", "a workbook or another zip archive"),
        (b"\xd0\xcf\x11\xe0 and more", "an old Excel workbook"),
        (b"%PDF-1.4 and more", "a PDF"),
        (
            "[Channels]\nStrain=2\n[Data]\n" + rows(TIME, STRAIN, STRESS, sep=";"),
            "without names over the columns, though they are mentioned above .line 2, 'Strain=2'",
        ),
    ],
)
def test_what_is_no_table_or_has_no_names_is_refused(tmp_path, content, why):
    with pytest.raises(Unusable, match=why):
        curve(tmp_path, content)


@pytest.mark.parametrize(
    ("name", "unit", "word"),
    [
        ("Extension", "%", ("strain", "strain")),
        ("Dehnung", "mm", ("displacement", "length")),
        ("Spannung", "V", ("spannung", None)),
        ("Crosshead speed", "mm/min", ("crosshead_speed", None)),
        ("Load", "lbs", ("force", "force")),
        ("Charge", "kN", ("force", "force")),
        ("Charge", "C", ("charge", None)),
        ("Tension", "MPa", ("stress", "stress")),
        ("Max. stress", "MPa", ("max_stress", None)),
        ("Strain at break", "%", ("strain_at_break", None)),
        ("Prüfkraft", None, ("force", "force")),
        ("応力", "MPa", ("stress", "stress")),
        ("Napětí", "MPa", ("stress", "stress")),
    ],
)
def test_a_unit_decides_what_a_name_means(name, unit, word):
    assert canonical(name, unit) == word


def test_very_long_fields_and_rows_cost_little(tmp_path):
    long = "Strain_" * 20_000
    read = curve(tmp_path, f"{long};Stress [MPa]\n" + rows(STRAIN, STRESS, sep=";"))
    assert read.headers == (long, "Stress")
    digits = "1" * 100_000
    read = curve(tmp_path, "Strain [%];Stress [MPa]\n" + rows(STRAIN, STRESS, sep=";") + f"9;{digits}\n")
    np.testing.assert_array_equal(read.x[:12], STRAIN)
    with pytest.raises(Unusable, match=r"60,000 columns in a row.*, more than the 50,000"):
        curve(tmp_path, "1;" * 59_999 + "1\n")
