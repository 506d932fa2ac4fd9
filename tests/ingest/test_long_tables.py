"""Long files of plain numbers are read in C, to the last bit as they are line by line; all others line by line."""

import numpy as np
import pytest

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats import columns
from pima_toolkit.ingest.formats.columns import TEXT, _sheet_of, _text_sheet
from pima_toolkit.ingest.formats.long_tables import LongTables
from pima_toolkit.ingest.formats.tables import tables_of

ROWS = 4000


def body(delimiter=";", decimal=".", rows=ROWS, form="{:.7g}", seed=0):
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 0.2, rows)
    y = 300 * (1 - np.exp(-50 * x)) + rng.normal(0, 1, rows)
    lines = [delimiter.join(form.format(v) for v in pair) for pair in zip(x, y, strict=True)]
    return "\n".join(lines).replace(".", decimal) + "\n"


@pytest.fixture
def reader():
    return LongTables(_sheet_of)


PLAIN = {
    "semicolons": "Strain [1];Stress [MPa]\n" + body(),
    "commas": "Strain [1],Stress [MPa]\n" + body(","),
    "tabs": "Strain\tStress\n%\tMPa\n" + body("\t"),
    "blanks": "strain stress\n" + body("  "),
    "decimal commas": "Dehnung [%];Kraft [kN]\n" + body(decimal=","),
    "exponents": "Strain [1];Stress [MPa]\n" + body(form="{:+.9e}"),
    "all digits": "Strain [1];Stress [MPa]\n" + body(form="{!r}").replace("np.float64(", "").replace(")", ""),
    "a long head": "".join(f"Key {k}: value\n" for k in range(90))
    + "Width: 8 mm\n\nStrain [1];Stress [MPa]\n"
    + body(),
    "no head": body(),
    "windows": ("Strain [1];Stress [MPa]\n" + body()).replace("\n", "\r\n"),
    "blanks after the sign": "Strain [1]; Stress [MPa]\n" + body("; "),
    "no line at the end": ("Strain [1];Stress [MPa]\n" + body()).rstrip("\n"),
    "blank lines at the end": "Strain [1];Stress [MPa]\n" + body() + "\n\n",
    "a code page": "Temperatur [°C];Spannung [N/mm²]\n" + body(),
    "a mark": "\ufeffStrain [1];Stress [MPa]\n" + body(),
}


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_as_line_by_line(name, tmp_path, reader):
    path = tmp_path / "a.csv"
    path.write_bytes(PLAIN[name].encode("cp1252" if name == "a code page" else "utf-8"))
    (slow,) = tables_of(_text_sheet(path))
    for _ in range(2):  # the second time by what the first one told
        fast = reader.read(path)
        assert fast is not None
        np.testing.assert_array_equal(fast.values, slow.values)
        for part in ("names", "units", "notes", "title", "place", "labels", "above", "lost", "stated"):
            assert getattr(fast, part) == getattr(slow, part), part


def changed(at, line):
    lines = ("Strain [1];Stress [MPa]\n" + body()).splitlines()
    lines[at] = line
    return "\n".join(lines)


OTHERS = {
    "a gap": changed(2000, "0.1;"),
    "a word for none": changed(2000, "0.1;OVERLOAD"),
    "a comment": changed(2000, "# 0.1;5"),
    "a title": changed(2000, "Specimen 2"),
    "a field more": changed(2000, "0.1;5;7"),
    "a field less": changed(2000, "0.1"),
    "another decimal sign": changed(2000, "0.1;5,3"),
    "thousands": changed(2000, "0.1;1,234.5"),
    "summary": "Strain [1];Stress [MPa]\n" + body() + "Mean;100.2\n",
    "two tables": "Strain [1];Stress [MPa]\n" + body() + "\nSpecimen 2\nStrain [1];Stress [MPa]\n" + body(),
    "times": "Time;Force [N]\n" + "".join(f"00:{k // 60:02}:{k % 60:02};{k}.5\n" for k in range(6000)),
    "whole numbers between commas": "".join(f"{k},{k + 7}\n" for k in range(12_000)),
    "a date": changed(2000, "0.1;2024-01-02"),
    "infinity": changed(2000, "0.1;inf"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_anything_else_is_read_line_by_line(name, tmp_path, reader):
    path = tmp_path / "a.csv"
    path.write_text("Strain [1];Stress [MPa]\n" + body(seed=1))
    assert reader.read(path) is not None  # its header is known then
    path.write_text(OTHERS[name])
    assert reader.read(path) is None


def test_a_number_that_stands_for_no_value_is_found_in_the_middle(tmp_path, reader):
    path = tmp_path / "a.csv"
    path.write_text(changed(2000, "0.1;-9999"))
    (slow,) = tables_of(_text_sheet(path))
    fast = reader.read(path)
    np.testing.assert_array_equal(fast.values, slow.values)
    assert fast.notes == slow.notes != ()


def test_one_header_over_other_numbers(tmp_path, reader):
    """What is remembered of a header holds only for numbers written alike."""
    path = tmp_path / "a.csv"
    for decimal, delimiter in ((".", ";"), (",", ";"), (".", ";")):
        path.write_text("Dehnung;Kraft\n" + body(delimiter, decimal, seed=3))
        (slow,) = tables_of(_text_sheet(path))
        np.testing.assert_array_equal(reader.read(path).values, slow.values)


def test_very_long_files_come_in_pieces(tmp_path, reader, monkeypatch):
    monkeypatch.setattr("pima_toolkit.ingest.formats.long_tables._AT_ONCE", 0)
    monkeypatch.setattr("pima_toolkit.ingest.formats.long_tables._ROWS", 700)
    path = tmp_path / "a.csv"
    path.write_text("Strain [1];Stress [MPa]\n" + body())
    (slow,) = tables_of(_text_sheet(path))
    np.testing.assert_array_equal(reader.read(path).values, slow.values)


def test_a_very_long_file_is_refused_by_its_first_lines(tmp_path, reader, monkeypatch):
    monkeypatch.setattr("pima_toolkit.ingest.formats.long_tables._AT_ONCE", 0)
    path = tmp_path / "a.csv"
    path.write_text("Time [s];Strain [1];Stress [MPa]\n" + body().replace("\n", ";7;000\n"))
    with pytest.raises(Unusable) as whole:
        list(tables_of(_text_sheet(path)))
    with pytest.raises(Unusable, match="3 names over 4 columns") as early:
        reader.read(path)
    assert str(early.value) == str(whole.value)


def test_a_few_numbers_of_a_protocol_refuse_no_long_file(tmp_path, reader, monkeypatch):
    monkeypatch.setattr("pima_toolkit.ingest.formats.long_tables._AT_ONCE", 0)
    path = tmp_path / "a.csv"
    path.write_text("Width;Length;Mass\n8.1;50;3;1\n\nStrain [1];Stress [MPa]\n" + body())
    (slow,) = tables_of(_text_sheet(path))
    assert reader.read(path) is None or reader.read(path).names == slow.names
    assert TEXT.read(path).names == slow.names


def test_what_is_long_and_no_numbers_alone_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("pima_toolkit.ingest.formats.encodings.MOST_BYTES", 1000)
    path = tmp_path / "a.csv"
    path.write_text("Strain [1];Stress [MPa]\n" + body())
    assert len(TEXT.read(path).values) == ROWS
    path.write_text(changed(2000, "a remark"))
    with pytest.raises(Unusable, match=r"with other lines among its numbers, more than the 1,000 .*limits"):
        TEXT.read(path)


def test_short_files_are_not_touched(tmp_path, reader):
    path = tmp_path / "a.csv"
    path.write_text("Strain [1];Stress [MPa]\n" + body(rows=50))
    assert reader.read(path) is None
    assert len(TEXT.read(path).values) == 50


def test_the_reader_of_texts_asks_it(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("Strain [1];Stress [MPa]\n" + body())
    monkeypatch.setattr(columns, "_text_sheet", None)  # line by line would fail
    assert len(TEXT.read(path).values) == ROWS
