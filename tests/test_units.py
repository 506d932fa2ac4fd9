"""Units over columns: what is one and what is not, and that conversion is the definition."""

import subprocess
import sys

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.ingest.headers import canonical, read_header, slug
from pima_toolkit.units import (
    _EXACT,
    _TABLE,
    _expression,
    dimension,
    find_unit,
    interval_text,
    unit_of,
    value_with_error,
)


@pytest.mark.parametrize(
    ("header", "name", "unit", "word"),
    [
        ("Stress [MPa]", "Stress", "MPa", "stress"),
        ("strain (%)", "strain", "%", "strain"),
        ("Force/kN", "Force", "kN", "force"),
        ("Load in kN", "Load", "kN", "force"),
        ("Dehnung [%]", "Dehnung", "%", "strain"),
        ("Spannung [N/mm²]", "Spannung", "N/mm²", "stress"),
        ("Traversenweg [µm]", "Traversenweg", "µm", "displacement"),
        ("stress_MPa", "stress", "MPa", "stress"),
        ("Standardkraft N", "Standardkraft", "N", "force"),
        ("eps []", "eps", "1", "strain"),
        ('\ufeff"Strain"', "Strain", None, "strain"),
        ("Stress (true)", "Stress (true)", None, "stress"),
        ("strain 1", "strain 1", None, "strain"),
        ("Sample C", "Sample C", None, "sample_c"),
        ("Strain rate [1/s]", "Strain rate", "1/s", "strain_rate"),
        ("Zeit", "Zeit", None, "time"),
        ("Deriv. Weight (%/°C)", "Deriv. Weight (%/°C)", None, "deriv_weight_c"),
        ("Ewe/V", "Ewe", "V", "ewe"),
        ("<I>/mA", "<I>", "mA", "i"),
        ("Sample (A)", "Sample", "A", "sample"),
        ("Stress (A)", "Stress (A)", None, "stress"),
        ("Crosshead speed [mm/min]", "Crosshead speed", "mm/min", "crosshead_speed"),
    ],
)
def test_headers_as_people_write_them(header, name, unit, word):
    assert read_header(header) == (name, unit)
    assert canonical(name)[0] == word


@pytest.mark.parametrize(
    ("value", "unit", "to", "expected"),
    [
        (12.5, "%", "1", 0.125),
        (1, "GPa", "MPa", 1000),
        (1, "psi", "Pa", 6894.757293168361),
        (1, "N/mm²", "MPa", 1),
        (1, "lbf", "N", 4.4482216152605),
        (1, "inch", "mm", 25.4),
        (25, "µm", "mm", 0.025),
        (300, "K", "°C", 26.85),
        (212, "degF", "degC", 100),
        (-40, "degF", "degC", -40),
        (90, "min", "h", 1.5),
    ],
)
def test_conversions(value, unit, to, expected):
    assert find_unit(unit).to(find_unit(to), np.array(value)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "quantity", "base", "factor"),
    [
        ("mm/min", "speed", "mm/s", 1 / 60),
        ("1/s", "frequency", "Hz", 1),
        ("mA/cm²", "[current] / [length] ** 2", "A/m²", 10),
        ("cm^-1", "1 / [length]", "1/m", 100),
        ("kN·m", "torque", "Nm", 1000),
        ("mbar", "stress", "Pa", 100),
        ("µV", "voltage", "V", 1e-6),
        ("lb/in²", "stress", "psi", 1),
        ("Pa s", "[mass] / [length] / [time]", "Pa*s", 1),
        ("deg", "angle", "rad", np.pi / 180),
        ("mAh", "charge", "Ah", 1e-3),
    ],
)
def test_products_and_rarer_units_are_looked_up(text, quantity, base, factor):
    unit = find_unit(text)
    assert unit.quantity == quantity == find_unit(base).quantity
    assert unit.to(find_unit(base), np.array(1.0)) == pytest.approx(factor, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["point", "Start", "Avg", "at", "S1", "A3", "T2", "P1", "counts/turn", "pH", "V vs. Ref.", "", "1/1", "(MPa)/s"],
)
def test_words_and_names_of_specimens_are_no_units(text):
    assert find_unit(text) is None
    assert unit_of(text).to(unit_of(text), np.array(2.0)) == 2


def test_units_take_no_library_until_one_is_rare():
    code = "import sys; from pima_toolkit.units import find_unit; find_unit('MPa'); find_unit('Standardkraft')"
    code += "; assert 'pint' not in sys.modules; find_unit('mm/min'); assert 'pint' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_case_is_forgiven_where_only_one_unit_can_be_meant():
    assert find_unit("mpa").name == find_unit("MPA").name == "MPa"
    assert find_unit("KN").name == "kN"
    assert find_unit("mN").factor == 1e-3
    assert find_unit("MN").factor == 1e6
    assert find_unit("mPa") is None  # a millipascal, or a slip: not guessed
    assert find_unit("Nm").quantity == "torque"  # a newton metre, no nanometre
    assert find_unit("nm").quantity == "length"
    assert find_unit("Mn") is None
    assert unit_of("counts/s").quantity == "counts/s"


@given(st.sampled_from(sorted(_EXACT)), st.sampled_from(sorted(_EXACT)), st.floats(-1e6, 1e6))
def test_there_and_back_is_the_same(one, other, value):
    one, other = find_unit(one), find_unit(other)
    if one.quantity == other.quantity:
        there = one.to(other, np.array(value))
        assert other.to(one, there) == pytest.approx(value, rel=1e-9, abs=1e-6 * one.factor + 1e-9)


@given(st.text())
def test_any_text_has_a_slug_and_a_header(text):
    assert slug(slug(text)) == slug(text)
    name, unit = read_header(text)
    assert unit is None or unit
    assert isinstance(canonical(name)[0], str)


@pytest.mark.parametrize(
    ("text", "factor", "exponents"),
    [
        ("GPa", 1e3, (1, -2, 0, 0)),
        ("1/s", 1.0, (0, 0, -1, 0)),
        ("%/min", 0.01 / 60, (0, 0, -1, 0)),
        ("MPa*um**0.5", 1e-3**0.5, (1, -1.5, 0, 0)),
        ("N*m/mm^2", 1e3, (1, -1, 0, 0)),
        ("W", 1e3, (1, 1, -1, 0)),
        ("kg/m3", 1e-12, (1, -4, 2, 0)),
    ],
)
def test_a_unit_is_a_size_and_exponents(text, factor, exponents):
    np.testing.assert_allclose(dimension(text), [np.log(factor), *exponents], atol=1e-12)


@pytest.mark.parametrize(
    "text", ["", "J/mol", "a.u.", "count", "(MPa)/s", "MPa s s", "MPa**1.2.3", "mm/cycle", "mPa", "A"]
)
def test_a_unit_that_is_not_known_is_none(text):
    assert dimension(text) is None


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (198.234, 3.14159, "198.2 ± 3.1"),
        (0.0123456, 0.00012, "0.01235 ± 0.00012"),
        (1234.5, 678.0, "1230 ± 680"),
        (5.0, np.nan, "5 ± ?"),
        (5.0, 0.0, "5 ± ?"),
        (5.0, np.inf, "5 ± ?"),
        (5.0, None, "5 ± ?"),
        (0.0, 2.0, "0.0 ± 2.0"),
        (2.5e-9, 1.2e-10, "2.5e-09 ± 1.2e-10"),
        (1234567.0, 12345.0, "1.235e+06 ± 1.2e+04"),
        (1234567.0, 2.3, "1234567 ± 2.3"),
        (0.123456789012, 1.2e-11, "0.123456789012 ± 1.2e-11"),
    ],
)
def test_numbers_are_written_with_two_digits_of_their_error(value, error, text):
    assert value_with_error(value, error) == text
    assert value_with_error(value, error, "MPa") == f"{text} MPa"


def test_an_interval_stands_behind_its_value():
    assert interval_text(68.123, 71.4) == " (68.12 to 71.4)"
    assert interval_text(float("nan"), 1.0) == ""
    assert interval_text(0.0, float("inf")) == ""


def test_the_table_agrees_with_pint_wherever_pint_has_a_unit():
    """The table is there for spellings and speed: its factors are those of the library."""
    registry = pint.UnitRegistry()
    checked = 0
    for units in _TABLE.values():
        base, *others = units
        for name in others:
            symbols = _expression(base), _expression(name)
            if None in symbols or units[name][1] or name in ("lb", "lbs"):
                continue
            try:
                ratio = registry.Quantity(1.0, symbols[1].replace("Ohm", "ohm"))
                ratio = (ratio / registry.Quantity(1.0, symbols[0].replace("Ohm", "ohm"))).to("").magnitude
            except pint.PintError:
                continue
            assert units[name][0] / units[base][0] == pytest.approx(ratio, rel=1e-9), name
            checked += 1
    assert checked > 30
