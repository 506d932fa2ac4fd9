"""Several tables, sheets, specimens and views in one file or folder: read as they are asked for, or refused by name."""

import numpy as np
import openpyxl
import pytest
from PIL import Image

import pima_toolkit as pima
from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve

X = np.round(np.linspace(0, 3, 10), 2)
CURVES = {f"P{k}": (X[: 8 + k], np.round(10 * k * X[: 8 + k], 2)) for k in (1, 2)}
HEAD = "Strain [%];Stress [MPa]\n"


def rows(x, y, sep=";"):
    return "".join(f"{a}{sep}{b}\n" for a, b in zip(x, y, strict=True))


def workbook(path, hidden=(), **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, content in sheets.items():
        page = book.create_sheet(name)
        for row in content:
            page.append(row)
        page.sheet_state = "hidden" if name in hidden else "visible"
    book.save(path)


def sheet(x, y):
    return [["Strain", "Stress"], ["%", "MPa"], *([float(a), float(b)] for a, b in zip(x, y, strict=True))]


def blocks(folder):
    (folder / "batch.csv").write_text("".join(f"Specimen {n}\n{HEAD}{rows(*c)}\n" for n, c in CURVES.items()))


def sheets(folder):
    results = [["Specimen", "E [MPa]", "Rm [MPa]"], *([f"P{k}", 2000 + k, 30 + k] for k in range(1, 30))]
    workbook(folder / "batch.xlsx", Results=results, **{n: sheet(*c) for n, c in CURVES.items()})


def pairs(folder):
    (x1, y1), (x2, y2) = CURVES.values()
    body = [[*row, x2[k], y2[k]] for k, row in enumerate(zip(x1, y1, strict=True))]
    body.append([None, None, x2[-1], y2[-1]])
    heads = [["P1", None, "P2", None], ["Strain", "Stress"] * 2, ["%", "MPa"] * 2]
    workbook(folder / "batch.xlsx", Data=[*heads, *([None if v is None else float(v) for v in row] for row in body)])


def words(folder):
    (x, y), _ = CURVES.values()
    text = "P1 strain [%];P1 stress [MPa];P2 strain [%];P2 stress [MPa]\n"
    (folder / "batch.csv").write_text(text + "".join(f"{a};{b};{a};{2 * b}\n" for a, b in zip(x, y, strict=True)))


def columns(folder):
    (x, y), _ = CURVES.values()
    text = "Strain [%],P1,P2\n" + "".join(f"{a},{b},{2 * b}\n" for a, b in zip(x, y, strict=True))
    (folder / "batch.csv").write_text(text)


def wide(folder):
    (x, y), _ = CURVES.values()
    lines = [("strain [%]", x), ("P1", y), ("P2", 2 * y)]
    (folder / "batch.csv").write_text("".join(f"{name};{';'.join(map(str, v))}\n" for name, v in lines))


def long(folder):
    text = "Time;Probe;Strain [%];Stress [MPa]\n"
    (folder / "batch.csv").write_text(
        text + "".join(f"{k};P{n};{a};{10 * n * a}\n" for n in (1, 2) for k, a in enumerate(X))
    )


@pytest.mark.parametrize(
    ("make", "way", "why"),
    [
        (blocks, "blocks", r"several tables, 'Specimen P1' \(lines 3 to 11\), 'Specimen P2'"),
        (sheets, "sheets", r"several sheets with tables, .*'P1'.*sheet='...' takes one; specimens=\"sheets\""),
        (pairs, "columns", 'holds 2 columns of strain and 2 of stress, all called the same: specimens="columns"'),
        (words, "columns", "holds 2 columns of strain and 2 of stress"),
        (columns, "columns", r"2 columns beside 'Strain' that are called after specimens \(P1, P2\)"),
        (long, "long", r"holds 2 specimens below each other, which a column names \(P1, P2\): specimens=\"long\""),
        (wide, "rows", r'has names at the beginning of its rows \(P1, P2\).*specimens="rows"'),
    ],
)
def test_several_specimens_are_asked_about_and_read(tmp_path, make, way, why):
    make(tmp_path)
    spec = {"stress": pima.CurveFiles(files="batch*")}
    with pytest.raises(DataError, match=why):
        pima.from_folder(tmp_path, spec)
    data = pima.from_folder(tmp_path, {"stress": pima.CurveFiles(files="batch*", specimens=way)})
    assert data.specimen.values.tolist() == ["P1", "P2"]
    for k in (0, 1):
        one = data.isel(specimen=k)
        y = one.stress.values[np.isfinite(one.stress.values)]
        np.testing.assert_allclose(y, 10 * (k + 1) * X[: y.size], rtol=1e-9)
    assert data.strain.units == "1"
    log = pima.reading_log(data)
    assert log.specimen.tolist() == ["P1", "P2"]
    assert set(log.status) == {"used"}


def test_a_table_of_several_can_be_named(tmp_path):
    blocks(tmp_path)
    path = tmp_path / "batch.csv"
    for table in (1, "Specimen P2", "specimen p2"):
        np.testing.assert_array_equal(read_curve(path, CurveFiles(table=table)).y, CURVES["P2"][1])
    with pytest.raises(Unusable, match=r"no table 'Specimen P3'.*did you mean"):
        read_curve(path, CurveFiles(table="Specimen P3"))
    with pytest.raises(Unusable, match="has 2 tables, so no table 2"):
        read_curve(path, CurveFiles(table=2))
    with pytest.raises(OptionError, match=r"specimens is 'block': .*did you mean 'blocks'"):
        CurveFiles(specimens="block")


def test_columns_asked_for_tell_the_table(tmp_path):
    text = "\tPt\tT\tVf\n\t#\ts\tV\n" + "".join(f"\t{k}\t{k / 2}\t0.1\n" for k in range(30))
    text += "CURVE\tTABLE\n\tPt\tVf\tIm\n\t#\tV\tA\n" + "".join(f"\t{k}\t{k / 10}\t{k / 100}\n" for k in range(9))
    (tmp_path / "a.dta").write_text(text)
    read = read_curve(tmp_path / "a.dta", CurveFiles(x="Vf", y="Im"))
    np.testing.assert_allclose(read.y, np.arange(9) / 100)
    assert [u.name for u in read.units] == ["V", "A"]
    assert any("left out: lines 3 to 32" in note for note in read.notes)


def test_values_of_a_protocol_are_no_second_curve(tmp_path):
    long = np.round(np.linspace(0, 5, 60), 3)
    text = HEAD + rows(long, 2 * long) + "\nNo;E [GPa];Rp\n1;2.1;30\n2;2.2;31\n3;2.3;32\n"
    (tmp_path / "a.csv").write_text(text)
    read = read_curve(tmp_path / "a.csv", CurveFiles())
    assert read.y.size == 60
    assert "3 rows of numbers elsewhere in the file left out" in read.notes


def test_what_is_hidden_is_not_read_and_formulas_need_values(tmp_path):
    old = sheet(np.arange(60.0), np.arange(60.0))
    workbook(tmp_path / "a.xlsx", hidden=["old"], old=old, new=sheet(*CURVES["P1"]))
    np.testing.assert_array_equal(read_curve(tmp_path / "a.xlsx", CurveFiles()).y, CURVES["P1"][1])
    assert read_curve(tmp_path / "a.xlsx", CurveFiles(sheet="old")).y.size == 60
    content = [["Extension", "Force", "Strain", "Stress"], ["mm", "N", "%", "MPa"]]
    content += [[k / 2, 20 * k, f"=A{k + 3}/50*100", f"=B{k + 3}/20"] for k in range(9)]
    workbook(tmp_path / "b.xlsx", Data=content)
    with pytest.raises(Unusable, match="holds formulas in 'Strain', 'Stress' that no program has calculated"):
        read_curve(tmp_path / "b.xlsx", CurveFiles())


def test_one_column_typed_as_text_with_commas(tmp_path):
    content = [["Time [s]", "Strain [%]", "Stress [MPa]"]]
    content += [[k / 2, k / 10, f"{k},5"] for k in range(9)]
    workbook(tmp_path / "a.xlsx", Data=content)
    np.testing.assert_array_equal(read_curve(tmp_path / "a.xlsx", CurveFiles()).y, np.arange(9) + 0.5)


def picture(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), level, dtype=np.uint8)).save(path)


@pytest.mark.parametrize("name", ["A{}_front.png {}", "front/A{}.png back/A{}.png"])
def test_views_by_word_or_folder_are_modalities_or_channels(tmp_path, name):
    front, back = ("A{}_front.png", "A{}_back.png") if name.startswith("A") else name.split()
    for k in (1, 2, 3):
        picture(tmp_path / front.format(k), 40 * k)
        picture(tmp_path / back.format(k), 200)
    data = pima.from_folder(tmp_path)
    assert set(data.data_vars) == {"front", "back"}
    one = pima.from_folder(tmp_path, {"image": pima.ImageFiles(files=["front", "back"])})
    np.testing.assert_array_equal(one.image[:, 0], data.front)
    np.testing.assert_array_equal(one.image[:, 1], data.back)
    with pytest.raises(OptionError, match=r'files=\["back", "front"\] takes them as views of one picture'):
        pima.from_folder(tmp_path, {"image": "images"})


@pytest.mark.parametrize("name", ["A{}-{}.png", "A{} ({}).png", "A{}_0{}.png"])
def test_the_table_says_what_is_a_counter(tmp_path, name):
    for k in (1, 2, 3):
        picture(tmp_path / name.format(k, 1), 40 * k)
        picture(tmp_path / name.format(k, 2), 200)
    (tmp_path / "films.csv").write_text("id;power [W]\nA1;1.5\nA2;2.5\nA3;3.5\n")
    data = pima.from_folder(tmp_path)
    assert data.specimen.values.tolist() == ["A1", "A2", "A3"]
    assert data.image.sizes["channel"] == 2
    np.testing.assert_array_equal(data.power, [1.5, 2.5, 3.5])
    np.testing.assert_allclose(data.image[:, 0].mean(("y", "x")), np.array([40, 80, 120]) / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("brightest", "bits", "factor", "said"),
    [
        (4095, None, 4095, "12 of its 16 bits used, the brightest pixel of all is 4095"),
        (1023, None, 1023, "10 of its 16 bits used"),
        (3000, None, 65535, "the brightest pixel of all files of 16 bits is 3000: dark, or a camera of fewer bits"),
        (3000, 12, 4095, "12 of its 16 bits used"),
        (40000, None, 65535, "16 bits"),
    ],
)
def test_the_depth_of_a_camera(tmp_path, brightest, bits, factor, said):
    pixels = np.full((4, 4), brightest // 3, dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / "A1.png")
    pixels[0, 0] = brightest
    Image.fromarray(pixels).save(tmp_path / "A2.png")
    Image.fromarray(np.full((4, 4), 51, dtype=np.uint8)).save(tmp_path / "A3.png")
    data = pima.from_folder(tmp_path, images={"bits": bits})
    np.testing.assert_allclose(data.image.values[1, 0, 0], brightest / factor, rtol=1e-6)
    np.testing.assert_allclose(data.image.values[0, 0, 0], brightest // 3 / factor, rtol=1e-6)
    np.testing.assert_allclose(data.image.values[2], 0.2, rtol=1e-6)
    assert said in pima.reading_log(data).note[0]


def test_a_depth_that_cannot_be(tmp_path):
    Image.fromarray(np.full((4, 4), 5000, dtype=np.uint16)).save(tmp_path / "A1.png")
    with pytest.raises(OptionError, match="bits is 12, and a picture has the brightness 5000, more than 4095"):
        pima.from_folder(tmp_path, images={"bits": 12})
    with pytest.raises(OptionError, match="bits is 20, expected the camera's depth"):
        pima.ImageFiles(bits=20)


def test_rows_without_names_are_numbered(tmp_path):
    """A matrix without words: its first row is the axis, if it rises throughout."""
    axis = np.linspace(37, 48, 30)
    rows = [axis, *(k * axis**2 for k in (1, 2, 3))]
    (tmp_path / "patterns.txt").write_text("\n".join(",".join(f"{v:.5f}" for v in row) for row in rows))
    data = pima.from_folder(tmp_path, curves={"specimens": "rows"}, progress=False)
    assert data.specimen.values.tolist() == ["1", "2", "3"]
    np.testing.assert_allclose(data[next(iter(data.data_vars))].values[1], 2 * axis**2, rtol=1e-6)
    assert "numbered from 1" in pima.reading_log(data).note[0]
    (tmp_path / "patterns.txt").write_text(
        "\n".join(",".join(f"{v:.5f}" for v in row[::1]) for row in [np.sin(axis), *rows])
    )
    with pytest.raises(pima.PimaError, match="an axis in its first row"):
        pima.from_folder(tmp_path, curves={"specimens": "rows"}, progress=False)
