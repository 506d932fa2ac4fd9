"""Layouts as programs of laboratories write them: each is read as its program means it, or refused with the reason."""

import numpy as np
import pytest

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve, read_curves
from pima_toolkit.ingest.formats.registry import kind_by_name

X = np.round(np.linspace(0, 3, 13), 3)
Y = np.round(40 * (1 - np.exp(-X)), 3)


def write(tmp_path, head, row, foot=""):
    """A file of a head and a line for each point, with x, y and the point's number."""
    path = tmp_path / "A1.txt"
    rows = "".join(row(k, x, y) for k, (x, y) in enumerate(zip(X, Y, strict=True)))
    path.write_text(head + rows + foot, encoding="utf-8")
    return path


def german(text):
    return text.replace(".", ",")


PROGRAMS = {
    "names by numbers above, and a mark": (
        (
            "Version\t3.0F\nTitle\tA1\nNsig\t3\nSig1\tTime (min)\nSig2\tTemperature (°C)\nSig3\tWeight (mg)\n"
            "OrgFile\tC:\\A1.001\nStartOfData\n-3.0\n"
        ),
        lambda k, x, y: f"{x}\t{y}\t7.5\n",
        (("Time", "min"), ("Temperature", "degC")),
    ),
    "how channels were sampled, between names and units": (
        (
            "catman\nT0 = 12.03.2021 14:05:33\n\nTime  1\tMX840_Kraft\tMX840_Dehnung\nHW\tMX840A\tMX840A\n"
            "SR = 50 Hz\tSR = 50 Hz\tSR = 50 Hz\ns\tkN\tµm/m\n"
        ),
        lambda k, x, y: german(f"{k}.0\t{y}\t{x}\n"),
        (("MX840_Dehnung", "microstrain"), ("MX840_Kraft", "kN")),
    ),
    "units of channels above, in a block of its own": (
        (
            "LabVIEW Measurement\t\nSeparator\tTab\n***End_of_Header***\t\n\t\nChannels\t2\t\t\nSamples\t13\t13\t\n"
            "Y_Unit_Label\tN\tmm\t\nX0\t0.0E+0\t0.0E+0\t\n***End_of_Header***\t\t\t\nX_Value\tForce\tExtension\tComment\n"
        ),
        lambda k, x, y: f"{k / 2}\t{y}\t{x}\n",
        (("Extension", "mm"), ("Force", "N")),
    ),
    "units under some columns alone": (
        (
            "Curve Name:\n  !$A1, 12.3 mg\n\nCurve Values:\n       Index             t         Value\n"
            "                       [s]          [mW]\n"
        ),
        lambda k, x, y: f"{k:12d}{x:14.3f}{y:14.3f}\n",
        (("t", "s"), ("Value", "mW")),
    ),
    "names behind a heading of the block, numbers behind an empty cell": (
        (
            "Test:\tA1\n\nInterval and data points:\t1\t13\nInterval data:\tPoint No.\tShear Strain\tShear Stress\n"
            "\t\t[%]\t[Pa]\n\n"
        ),
        lambda k, x, y: german(f"\t{k + 1}\t{x}\t{y}\n"),
        (("Shear Strain", "%"), ("Shear Stress", "Pa")),
    ),
    "amplifiers above, states of alarms beside": (
        (
            "Model,GL840\nCH,Signal name,Input,Range,Filter,Span\nCH1,Load,DC,20mV,Off,0.0000,20.0000,mV\n"
            "CH2,Way,DC,20mV,Off,0.0000,20.0000,mV\nData\n"
            "Number,Date&Time,ms,CH1,Alarm1-10\nNO.,Time,ms,mV,A1234567890\n"
        ),
        lambda k, x, y: f"{k + 1},2021/03/12 14:05:{33 + k:02d},0,{y:+.4f},LLLLLLLLLL\n",
        (("Date&Time", "s"), ("CH1", "mV")),
    ),
    "an unnamed counter, and columns that stand still": (
        "1)\tHeat from 25.00°C to 300.00°C\n\n\tTime\tCycle\tHeat Flow\n\tmin\t\tmW\n",
        lambda k, x, y: f"{k}\t{x}\t1\t{y}\n",
        (("Time", "min"), ("Heat Flow", "mW")),
    ),
    "what has passed in days": (
        "Rec#\tCyc#\tTestTime\tStepTime\tVolts\n",
        lambda k, x, y: f"{k + 1}\t0\t0d 00:00:{k:02d}.50\t0d 00:00:{k:02d}.50\t{y}\n",
        (("TestTime", "s"), ("Volts", "")),
    ),
    "moments before and after noon": (
        "Timestamp,Temperature (F)\n",
        lambda k, x, y: f"3/12/2021 {'11:59:5' if k < 5 else '12:00:0'}{(5 + k) % 10} {'AM' if k < 5 else 'PM'},{y}\n",
        (("Timestamp", "s"), ("Temperature", "degF")),
    ),
    "names that end in numbers, beside remarks": (
        "Channel 1;Channel 2;Operator;Room\n",
        lambda k, x, y: f"{x + 0.25};{y};lab;12b\n",
        (("Channel 1", ""), ("Channel 2", "")),
    ),
    "commas before units": (
        "Zeit, s\tWeg, mm\tKraft, kN\n",
        lambda k, x, y: german(f"{k}.0\t{x}\t{y}\n"),
        (("Weg", "mm"), ("Kraft", "kN")),
    ),
    "values of a protocol are no names": (
        "Thorlabs\n#Date;20210312\n[SpectrumHeader]\n#XAxisUnit;nm_air\n#YAxisUnit;intensity\n#Length;25\n[Data]\n",
        lambda k, x, y: f"{x + 0.25};{y:.7e}\n",
        (("column 0", ""), ("column 1", "")),
    ),
    "nor are those between blanks": (
        (
            "Data from A1.txt Node\n\nDate: Fri Mar 12 14:05:33 CET 2021\nUser: lab\nBoxcar width: 5\n"
            ">>>>>Begin Spectral Data<<<<<\n"
        ),
        lambda k, x, y: f"{x + 0.25}\t{y}\n",
        (("column 0", ""), ("column 1", "")),
    ),
    "nor is the name of a file": (
        "; C:\\data\\A1.raw\n_FILEVERSION=2\n_STEPSIZE=0.0200\n_2THETACOUNTS\n",
        lambda k, x, y: f"      {x + 0.25:.5f}       {y:.3f}\n",
        (("column 0", ""), ("column 1", "")),
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_names_and_units_of_programs(tmp_path, name):
    head, row, expected = PROGRAMS[name]
    read = read_curve(write(tmp_path, head, row), CurveFiles())
    assert tuple((h, u.name if u else "") for h, u in zip(read.headers, read.units, strict=True)) == expected
    np.testing.assert_array_equal(read.y, Y)


def side_by_side(tmp_path, first, names):
    """Two specimens, three columns each: in the second one x and y are twice as large."""
    cells = {"Force": lambda x, y: y, "Stroke": lambda x, y: x, "Time": lambda x, y: 9 - x}
    line = lambda k, x, y: "\t".join(str(cells[n](f * x, f * y)) for f in (1, 2) for n in names) + "\n"  # noqa: E731
    return write(tmp_path, f"{first}\n" + "\t".join(names * 2) + "\n", line)


@pytest.mark.parametrize(
    "names", [("Force", "Stroke", "Time"), ("Time", "Force", "Stroke"), ("Stroke", "Time", "Force")]
)
def test_each_specimen_side_by_side_has_its_own_columns(tmp_path, names):
    path = side_by_side(tmp_path, "1 _ 1\t\t\t1 _ 2", names)
    with pytest.raises(Unusable, match=r"holds 2 columns of .* all called the same"):
        read_curve(path, CurveFiles())
    found = read_curves(path, CurveFiles(specimens="columns"))
    assert [label for label, _ in found] == ["1 _ 1", "1 _ 2"]
    for times, (_, curve) in zip((1, 2), found, strict=True):
        assert curve.names == ("displacement", "force")
        np.testing.assert_array_equal([curve.x, curve.y], [times * X, times * Y])
    assert not any("not" in note for _, curve in found for note in curve.notes)
    over_time = read_curves(path, CurveFiles(specimens="columns", x="Time"))
    assert [curve.names for _, curve in over_time] == [("time", "force")] * 2


def test_what_is_taken_of_each_specimen_side_by_side_is_told(tmp_path):
    head = "Crosshead [mm];Extensometer [mm];Force [N]"
    path = write(tmp_path, f"{head};{head}\n", lambda k, x, y: f"{3 * x};{x};{y};{3 * x};{2 * x};{y}\n")
    found = read_curves(path, CurveFiles(specimens="columns"))
    np.testing.assert_array_equal([curve.x for _, curve in found], [X, 2 * X])
    assert all("'Extensometer' taken for x, not 'Crosshead'" in curve.notes for _, curve in found)


def test_columns_of_unknown_names_that_come_again_are_several_specimens(tmp_path):
    head = "film A1,,film A2,\nWavelength (nm),%T,Wavelength (nm),%T\n"
    path = write(tmp_path, head, lambda k, x, y: f"{x},{y},{x},{2 * y},\n", "\nfilm A1\nCollection Time: 3/12/2021\n")
    with pytest.raises(Unusable, match="holds 2 times columns called Wavelength, %T, side by side"):
        read_curve(path, CurveFiles())
    with pytest.raises(Unusable, match="has 2 columns of t, '%T', '%T': which one is meant"):
        read_curve(path, CurveFiles(y="%T"))
    found = read_curves(path, CurveFiles(specimens="columns"))
    assert [label for label, _ in found] == ["film A1", "film A2"]
    np.testing.assert_array_equal([curve.y for _, curve in found], [Y, 2 * Y])


def test_a_word_for_a_quantity_asks_for_one_of_its_columns(tmp_path):
    path = write(tmp_path, "Crosshead [mm];Extensometer [mm];Force [N]\n", lambda k, x, y: f"{2 * x};{x};{y}\n")
    read = read_curve(path, CurveFiles(x="displacement"))
    np.testing.assert_array_equal(read.x, X)
    assert "'Extensometer' taken for x, not 'Crosshead'" in read.notes
    head = "True strain;Eng. strain;True stress;Eng. stress\n"
    path = write(tmp_path, head, lambda k, x, y: f"{x};{x};{y};{2 * y}\n")
    np.testing.assert_array_equal(read_curve(path, CurveFiles(x="True strain", y="Eng. stress")).y, 2 * Y)


def test_strains_of_pictures_are_several(tmp_path):
    head = '"Count", "Time_0", "exx [1] - Lagrange", "eyy [1] - Lagrange", "Load [N]"\n'
    path = write(tmp_path, head, lambda k, x, y: f"{k}, {k / 2}, {-x / 3}, {x}, {y}\n")
    with pytest.raises(Unusable, match="has 2 columns of strain, 'exx"):
        read_curve(path, CurveFiles())


def test_endings_of_test_machines_and_spectrometers():
    assert {kind_by_name(f"a{ending}") for ending in (".TRA", ".dpt", ".uxd", ".tab")} == {"curves"}
