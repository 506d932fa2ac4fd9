"""Times of clocks as an axis."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.ingest.formats.clock import elapsed, is_clock, seconds
from pima_toolkit.ingest.formats.curves import CurveFiles, read_curve
from pima_toolkit.ingest.shaping import one_clock


@given(st.integers(0, 86399), st.sampled_from([".", ","]), st.integers(0, 999))
def test_every_time_of_day_comes_back(second, sign, thousandth):
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{sign}{thousandth:03d}"
    assert seconds(clock) == pytest.approx(second + thousandth / 1000, abs=1e-9)


@given(st.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2099, 1, 1)), st.sampled_from(["T", " "]))
def test_a_date_and_a_time_count_from_1970(moment, between):
    text = moment.strftime(f"%Y-%m-%d{between}%H:%M:%S")
    expected = moment.replace(microsecond=0, tzinfo=datetime.UTC).timestamp()
    assert seconds(text) == expected


def test_halves_of_the_day_and_what_is_no_time():
    assert seconds("12:00:05 AM") == 5
    assert seconds("1:00:00 pm") == 13 * 3600
    assert seconds("31.12.2021 00:00:01") == seconds("2021-12-31 00:00:01")
    assert [seconds(t) for t in ("05:30", "1:75:00", "99.99.2021 00:00:00", "a:b:c")] == [None] * 4
    assert is_clock("05:30")
    assert not is_clock("5:3 ratio")


def test_midnight_is_passed():
    times, note = elapsed(np.array([86390.0, 86395.0, np.nan, 3.0]))
    np.testing.assert_array_equal(times, [0, 5, np.nan, 13])
    assert note == "clock times as seconds since the first of them"


def write(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    return read_curve(tmp_path / "a.csv", CurveFiles())


def test_a_clock_is_the_time_of_a_curve(tmp_path):
    rows = "".join(f"00:00:{k:02d}.5;{k * k};20\n" for k in range(9))
    read = write(tmp_path, "Time;Force [N];Temperature [°C]\n" + rows)
    assert (read.names, read.units[0].name) == (("time", "force"), "s")
    np.testing.assert_allclose(read.x, np.arange(9))
    rows = "".join(f"00:{k:02d};{k * k};20\n" for k in range(9))
    with pytest.raises(Unusable, match="holds '00:00', which may be min:s or h:min"):
        write(tmp_path, "Time;Force [N];Temperature [°C]\n" + rows)


def test_a_clock_that_was_started_again_is_no_unloading():
    with pytest.raises(Unusable, match="goes back from 4 to 0 after point 5 of 8: was the clock started again"):
        one_clock(np.array([0, 1, 2, 3, 4, 0, 1, 2.0]))
    one_clock(np.array([5, 4, 3, 2.0]))  # a countdown
    one_clock(np.array([0, 1, 1, 2.0]))
