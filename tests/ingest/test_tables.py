"""Columns of numbers out of text files and workbooks: every way to write one table reads the same."""

import itertools

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats.columns import read_texts, to_number
from pima_toolkit.ingest.formats.encodings import MOST_BYTES, decode
from pima_toolkit.ingest.formats.registry import read_columns

VALUES = np.array([[0.0, -1.5], [0.25, 1234.5], [0.5, 2e-7], [1.0, 3e6], [1.25, 7.0]])


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def rows(delimiter, decimal, values=VALUES):
    return "\n".join(delimiter.join(repr(float(v)).replace(".", decimal) for v in row) for row in values)


@pytest.mark.parametrize(
    ("delimiter", "decimal", "encoding"),
    [
        combination
        for combination in itertools.product(
            ["\t", ";", ",", "|", "  "], ".,", ["utf-8", "utf-8-sig", "utf-16", "cp1252"]
        )
        if combination[:2] != (",", ",")
    ],
)
def test_every_way_to_write_a_table_reads_the_same(tmp_path, delimiter, decimal, encoding):
    header = delimiter.join(["Größe_[µm]", "Kraft_[N]"])
    numbers = read_columns(write(tmp_path / "a.txt", f"{header}\r\n{rows(delimiter, decimal)}\r\n", encoding))
    np.testing.assert_array_equal(numbers.values, VALUES)
    assert [u for u in numbers.units if u is not None][-1] == "N"
    assert numbers.names[1] == "Kraft_"
    assert ("decimal commas" in numbers.notes) == (decimal == ",")


@given(
    st.lists(st.tuples(*[st.floats(-1e12, 1e12)] * 3), min_size=3, max_size=20),
    st.sampled_from([(";", ","), (",", ".")]),
)
def test_numbers_come_back_exactly(tmp_path_factory, values, signs):
    delimiter, decimal = signs
    path = tmp_path_factory.mktemp("a") / "a.csv"
    read = read_columns(write(path, "a;b;c\n".replace(";", delimiter) + rows(delimiter, decimal, values)))
    np.testing.assert_array_equal(read.values, np.array(values))
    assert read.names == ("a", "b", "c")


@given(st.binary(max_size=300))
def test_any_bytes_are_numbers_or_a_reason(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("a") / "a.csv"
    path.write_bytes(content)
    try:
        numbers = read_columns(path)
    except Unusable as error:
        assert str(error)  # noqa: PT017 - either way is right
    else:
        assert np.isfinite(numbers.values).any()
        assert len(numbers.names) == len(numbers.units) == numbers.values.shape[1] >= 2


def test_a_protocol_around_the_numbers(tmp_path):
    text = (
        "Machine;Z250\nSpecimen;A 7\nWidth [mm];10,1\n\nTime;Strain;Stress;State\ns;%;MPa;\n"
        "0,0;0,0;0,0;ok\n1,0;0,1;20,5;ok\n2,0;---;41,0;ok\n3,0;0,3;61,0;stop\n\nEnd of test;;;\n1;2;3\n"
    )
    numbers = read_columns(write(tmp_path / "a.csv", text, "cp1252"))
    assert numbers.names == ("Time", "Strain", "Stress", "State")
    assert numbers.units == ("s", "%", "MPa", None)
    np.testing.assert_array_equal(numbers.values[:4, 1], [0, 0.1, np.nan, 0.3])
    assert np.isnan(numbers.values[:, 3]).all()
    assert "1 row of text among or after the numbers left out" in numbers.notes


def test_the_longest_table_of_a_file_is_taken(tmp_path):
    text = "peak,modulus\n100,2000\nstrain,stress\n0,0\n0.1,5\n0.2,9\nfit a,fit b\n1,2\n3,4\n"
    numbers = read_columns(write(tmp_path / "a.csv", text))
    assert numbers.names == ("strain", "stress")
    np.testing.assert_array_equal(numbers.values, [[0, 0], [0.1, 5], [0.2, 9]])
    assert "3 rows of numbers elsewhere in the file left out" in numbers.notes


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("# strain stress/GPa\n0 0\n1 2\n", ("strain", "stress")),
        ("Strain (%) Stress (MPa)\n0 0\n1 2\n", ("Strain", "Stress")),
        ("test time  axial force\n0 0\n1 2\n", ("test time", "axial force")),
        ("0 0\n1 2\n", ("", "")),
        ("%;MPa\n0;0\n1;2\n", ("", "")),
        ('"a, b","c"\n"0","0"\n"1","2"\n', ("a, b", "c")),
        ("a,b,\n0,0,\n1,2,\n", ("a", "b")),
    ],
)
def test_headers_of_many_kinds(tmp_path, text, names):
    numbers = read_columns(write(tmp_path / "a.txt", text))
    assert numbers.names == names
    np.testing.assert_array_equal(numbers.values, [[0, 0], [1, 2]])


def test_thousands_and_quoted_decimal_commas(tmp_path):
    text = "a;b\n1.234,5;0,1\n12.345.678,0;0,2\n"
    np.testing.assert_array_equal(read_columns(write(tmp_path / "a.csv", text)).values[:, 0], [1234.5, 12345678])
    text = 'a,b\n"1,234.5",0.1\n"2,000.25",0.2\n'
    np.testing.assert_array_equal(read_columns(write(tmp_path / "a.csv", text)).values[:, 0], [1234.5, 2000.25])
    text = 'a,b\n"1,5","0,1"\n"2,5","0,2"\n'
    np.testing.assert_array_equal(read_columns(write(tmp_path / "a.csv", text)).values, [[1.5, 0.1], [2.5, 0.2]])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\n \n\r\n", "is empty: it holds blank lines alone"),
        (b"strain,stress\n", "has no two columns of numbers side by side"),
        (b"1\n2\n3\n", "has no two columns of numbers"),
        (bytes(range(256)) * 4, "is no text"),
        (b"\xff\xfe\x00", "is no text"),
        (
            b"strain,stress\n0,1,2,5\n0,2,3,5\n0,3,4,5\n",
            "has 2 names over 4 columns: commas in numbers and commas between",
        ),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, content, why):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(Unusable) as raised:
        read_columns(path)
    assert why in str(raised.value)


def test_a_very_large_text_is_not_read(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(MOST_BYTES + 1)  # a hole: it takes no space
    with pytest.raises(Unusable, match="bytes of text, more than the 100 million"):
        decode(tmp_path / "a.csv")


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, content in sheets.items():
        page = book.create_sheet(name)
        for row in content:
            page.append(row)
    book.save(path)
    return path


def test_workbooks(tmp_path):
    curve = [["Strain", "Stress"], ["%", "MPa"], [0, 0], [1, 20.5], [None, 30], [3, 40]]
    path = workbook(tmp_path / "a.xlsx", Notes=[["Operator", "N. N."], [1, 2]], Data=curve)
    numbers = read_columns(path)
    assert numbers.names == ("Strain", "Stress")
    assert numbers.units == ("%", "MPa")
    np.testing.assert_array_equal(numbers.values, [[0, 0], [1, 20.5], [np.nan, 30], [3, 40]])
    assert numbers.notes[0] == "sheet 'Data' of 2"
    np.testing.assert_array_equal(read_columns(path, sheet=0).values, [[1, 2]])
    typed = workbook(tmp_path / "b.xlsx", Data=[["a", "b"], ["0,5", "1,5"], ["1,0", "2,5"]])
    np.testing.assert_array_equal(read_columns(typed).values, [[0.5, 1.5], [1, 2.5]])
    with pytest.raises(Unusable, match=r"no sheet 'data' \(its sheets: Notes, Data\)"):
        read_columns(path, sheet="data")
    with pytest.raises(Unusable, match="no sheet 2"):
        read_columns(path, sheet=2)
    with pytest.raises(Unusable, match=r"no sheet with two columns of numbers \(its sheets: A, B\)"):
        read_columns(workbook(tmp_path / "c.xlsx", A=[["x"]], B=[]))
    (tmp_path / "d.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    with pytest.raises(Unusable, match="is no readable Excel workbook"):
        read_columns(tmp_path / "d.xlsx")
    (tmp_path / "e.xlsx").touch()
    with pytest.raises(Unusable, match="is empty"):
        read_columns(tmp_path / "e.xlsx")


def test_tables_of_texts(tmp_path):
    text = "Specimen;Power [W];Batch\nä 1;1,5;x, y\nä 2;;z\n"
    expected = [["Specimen", "Power [W]", "Batch"], ["ä 1", "1.5", "x, y"], ["ä 2", "", "z"]]
    assert read_texts(write(tmp_path / "a.csv", text, "cp1252")) == expected
    assert [to_number(c) for c in ("1.5", "x")] == [1.5, None]
    assert np.isnan(to_number("n/a"))


def test_old_code_pages_keep_the_units(tmp_path):
    rows = "".join(f"{k},5;{k},0\n" for k in range(9))
    western = f"Prüfung 7\nDehnung [%];Spannung [N/mm²]\n{rows}"
    numbers = read_columns(write(tmp_path / "a.csv", western, "cp1252"))
    assert numbers.units == ("%", "N/mm²")
    assert "read as cp1252" in numbers.notes
    assert read_texts(write(tmp_path / "b.csv", f"Odkształcenie;Siła\n{rows}", "cp1250"))[0][1] == "Siła"


def test_the_sheet_that_is_the_table(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Notes=[["Notes"], ["load cell changed"]], Data=[["Probe"], ["P1"], ["P2"]])
    assert read_texts(path) == [["Notes"], ["load cell changed"]]
    assert read_texts(path, worth=lambda rows: sum(row[0].startswith("P") for row in rows))[1:] == [["P1"], ["P2"]]


@pytest.mark.parametrize(("header", "expected"), [("Dehnung [%]", 7.0), ("Dehnung", 0.07), ("strain (percent)", 7.0)])
def test_cells_shown_as_percentages_are_not_divided_twice(tmp_path, header, expected):
    """Such a cell holds 0.07 and shows 7 %: under a header that says % the 7 is meant, else the 0.07."""
    book = openpyxl.Workbook()
    book.active.append([header, "Spannung [MPa]"])
    for k in range(5):
        book.active.append([0.07 * k, 10.0 * k])
        book.active.cell(k + 2, 1).number_format = "0.00%"
    book.save(tmp_path / "a.xlsx")
    numbers = read_columns(tmp_path / "a.xlsx")
    np.testing.assert_array_equal(numbers.values[1], [expected, 10.0])
    book.active["A3"].number_format = "General"  # typed as it is meant
    book.save(tmp_path / "a.xlsx")
    np.testing.assert_array_equal(read_columns(tmp_path / "a.xlsx").values[1:3, 0], [0.07, 2 * expected])
