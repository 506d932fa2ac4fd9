"""Encodings of text files: German ones first, whatever little there is beyond ASCII."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.ingest.formats.columns import read_texts
from pima_toolkit.ingest.formats.encodings import code_page, decode
from pima_toolkit.ingest.formats.registry import read_columns

ROWS = "".join(f"{k},5;{k},0\n" for k in range(9))
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(ASCII, st.sampled_from("äöüÄÖÜßéµ°±·×²³§"), ASCII)
def test_one_sign_is_never_chinese(before, sign, after):
    text = f"{before} {sign} {after}"
    assert code_page(text.encode("cp1252")) == "cp1252"


@pytest.mark.parametrize("header", ["Temp. [°C];E' [MPa]", "Dehnung [µm/m];Kraft [N]", "Breite;Fläche [mm²]"])
def test_one_sign_keeps_the_unit(tmp_path, header):
    path = tmp_path / "a.csv"
    path.write_bytes(f"{header}\r\n{ROWS}".encode("latin-1"))
    assert decode(path)[0].splitlines()[0] == header
    assert any(unit is not None for unit in read_columns(path).units)


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("Odkształcenie [%];Naprężenie [MPa]", "cp1250"),
        ("Деформация [%];Напряжение [МПа]", "cp1251"),
        ("ひずみ[%];応力[MPa]", "shift_jis"),
        ("Température [°C];Contrainte [MPa]", "cp1252"),
    ],
)
def test_other_alphabets_are_told_by_their_letters(tmp_path, header, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(f"{header}\n{ROWS}".encode(encoding))
    assert read_texts(path)[0] == header.split(";")
