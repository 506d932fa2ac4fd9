"""JCAMP-DX: plain numbers are read, whatever the ending; packed, cut and several ones are refused by name."""

import numpy as np
import pytest

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve
from pima_toolkit.ingest.formats.registry import read_columns, read_tables

X = np.linspace(4000, 3900, 26)
Y = np.round(8000 - 3000 * np.exp(-(((X - 3950) / 15) ** 2))).astype(int)


def spectrum(body=None, points=26, end=3900, title="a"):
    rows = "".join(f"{X[k]:.0f} {' '.join(map(str, Y[k : k + 6]))}\n" for k in range(0, 26, 6))
    head = f"##TITLE={title}\n##JCAMP-DX=5.00 $$ a comment\n##XUNITS=1/CM\n##YUNITS=TRANSMITTANCE\n##FIRSTX=4000\n"
    head += f"##LASTX={end}\n##XFACTOR=1\n##YFACTOR=0.0001\n##NPOINTS={points}\n##XYDATA=(X++(Y..Y))\n"
    return head + (rows if body is None else body) + "##END=\n"


@pytest.mark.parametrize("name", ["a.jdx", "a.dx", "a.txt", "a.csv"])
def test_lines_of_several_ordinates(tmp_path, name):
    (tmp_path / name).write_text(spectrum())
    read = read_columns(tmp_path / name)
    assert (read.names, read.units) == (("wavenumber", "transmittance"), ("1/cm", None))
    np.testing.assert_allclose(read.values, np.column_stack([X, Y * 1e-4]), rtol=1e-12)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (spectrum("4000A123J4K5%L2\n"), "whose ordinates are compressed"),
        (spectrum(points=30), "of 26 points, though its head says 30: is it cut off"),
        (spectrum(end=3000), "do not begin at the x that their number of values says"),
        (spectrum().replace("##FIRSTX=4000\n", ""), "lacks ##FIRSTX= or ##LASTX="),
        ("##TITLE=a\n##END=\n", "without a table of data"),
    ],
)
def test_what_is_not_plain_is_refused(tmp_path, text, why):
    (tmp_path / "a.jdx").write_text(text)
    with pytest.raises(Unusable, match=why):
        read_columns(tmp_path / "a.jdx")


def test_several_spectra_are_several_tables(tmp_path):
    (tmp_path / "a.jdx").write_text(spectrum(title="one") + spectrum(title="two"))
    assert [table.title for table in read_tables(tmp_path / "a.jdx")] == ["one", "two"]
    with pytest.raises(Unusable, match=r"holds several tables, 'one' \(lines 11 to 15\), 'two'"):
        read_curve(tmp_path / "a.jdx", CurveFiles())
