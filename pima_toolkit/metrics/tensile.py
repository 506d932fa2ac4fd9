r"""What every report of a tension test has, from the measured curve: E, Rp0.2, Rm, Ag and A, each with how it was had.

The modulus E is the slope of the least-squares line through the points from 10 to 40 % of Rp0.2, which is found with it
by iteration. With the strain :math:`e_0` at which that line meets zero,

.. math:: R_{p0.2} = E\,(e - e_0 - 0.002) \text{ at the curve},\quad A_g = e_m - e_0 - R_m / E,\quad
    A = e_f - e_0 - R_f / E

where m is the largest stress and f the last point before fracture: the stress falls by more than five times its fall
before, to below 2 % of the largest.

Source: ISO 6892-1:2019, sections 3, 13, 18 and 20, annexes A.3.6 and G.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..data.names import closest
from ..errors import DataError, OptionError
from ..signatures import tells_misfits
from ..units import find_unit, unit_of

#: The quantities and their units, in the order of a report.
UNITS = {"E": "GPa", "Rp0.2": "MPa", "Rm": "MPa", "Ag": "%", "A": "%"}
#: Shares of Rp0.2 between which the modulus is measured.
RANGE = (0.1, 0.4)
#: Fewest points of the line, and those that the standard asks for.
_FEWEST, _ASKED = 5, 50
#: The standard asks for a relative standard error of the slope of at most this.
_SURE = 0.01
#: A slope that changes by more than this within the range is told.
_STRAIGHT = 0.1
#: Plastic strain of the proof strength.
_PROOF = 0.002
#: A proof strength between points that differ by more than this share of it is none.
_COARSE = 0.1
#: Stresses within this share of the largest are its plateau.
_PLATEAU = 0.001
#: Dataset variables that hold the quantities, along ``tensile_quantity``.
VALUE, ERROR, ABOUT = "tensile_value", "tensile_std_error", "tensile_about"


@dataclass(frozen=True)
class TensileTest:
    """The quantities of one curve.

    Attributes:
        values: By the names of ``UNITS``; NaN where a quantity could not be had.
        std_error: Standard error of E in its unit; NaN where it is not known.
        about: How each was had, or why not.
    """

    values: dict[str, float]
    std_error: float
    about: dict[str, str]


@dataclass(frozen=True)
class _Line:
    """The elastic line: slope in MPa, strain where it meets zero, and what to say of it."""

    slope: float
    origin: float
    std_error: float
    last: int
    said: str


def tensile_test(strain: np.ndarray, stress: np.ndarray, modulus: float | None = None) -> TensileTest:
    """Quantities of one engineering curve.

    Args:
        strain: (T,) in 1, increasing, finite.
        stress: (T,) in MPa.
        modulus: E in MPa, for a curve too coarse to give it: the elastic line goes through the origin then.
    """
    values = dict.fromkeys(UNITS, float("nan"))
    about = dict.fromkeys(UNITS, "")
    if strain.size < _FEWEST or not stress.max(initial=0.0) > 0:
        few = f"{strain.size} points" if strain.size < _FEWEST else "no stress above zero"
        return TensileTest(values, float("nan"), dict.fromkeys(UNITS, f"the curve has {few}"))
    peak = int(stress.argmax())
    values["Rm"] = float(stress[peak])
    passed = peak < strain.size - 1
    about["Rm"] = "largest stress" if passed else "largest stress, at the last point: a lower bound if it did not break"
    line: _Line | str = _elastic_line(strain, stress, peak)
    if modulus is not None:
        line = _Line(modulus, 0.0, float("nan"), 1, "as given, its line through the origin")
    if isinstance(line, str):
        about |= {"E": line, "Rp0.2": f"needs E: {line}"}
        at = f"total extension {100 * strain[peak]:.3g} %"
        about["Ag"] = f"needs E ({at} at Rm)" if passed else _NOT_PASSED
        about["A"] = f"needs E, which the curve does not give ({at} at Rm)"
        return TensileTest(values, float("nan"), about)
    values["E"], about["E"] = line.slope / 1e3, line.said
    proof = _proof_strength(strain, stress, line)
    if isinstance(proof, str):
        about["Rp0.2"] = proof
    else:
        values["Rp0.2"], about["Rp0.2"] = proof
    if passed:
        flat = np.flatnonzero(stress >= (1 - _PLATEAU) * stress[peak])
        middle = 0.5 * (strain[flat[0]] + strain[flat[-1]])
        values["Ag"] = 100 * float(middle - line.origin - stress[peak] / line.slope)
        about["Ag"] = f"plastic strain at Rm, total {100 * (middle - line.origin):.3g} %"
    else:
        about["Ag"] = _NOT_PASSED
    end = _fracture(stress, peak)
    last = strain.size - 1 if end is None else end
    plastic = 100 * float(strain[last] - line.origin - stress[last] / line.slope)
    if end is None:
        left = 100 * stress[-1] / stress[peak]
        about["A"] = f"no fracture in the curve, which ends at {left:.0f} % of Rm: A is at least {plastic:.3g} %"
    else:
        values["A"], about["A"] = (
            plastic,
            f"plastic strain at fracture, at {100 * stress[end] / stress[peak]:.0f} % of Rm",
        )
    return TensileTest(values, line.std_error / 1e3, about)


_NOT_PASSED = "the stress rises to the last point, so its largest value was not passed"


def _elastic_line(strain: np.ndarray, stress: np.ndarray, peak: int) -> _Line | str:
    """The line through 10 to 40 % of Rp0.2, or why there is none."""
    reference, seen = 0.5 * float(stress[peak]), []
    line: _Line | str = ""
    for _ in range(50):
        previous = None if isinstance(line, str) else line
        line = _line_between(strain, stress, RANGE[0] * reference, RANGE[1] * reference, previous)
        if isinstance(line, str):
            break
        proof = _proof_strength(strain, stress, line)
        new = float(stress[peak]) if isinstance(proof, str) else proof[0]
        if (new, line.slope) in seen:  # the same points again
            break
        seen.append((new, line.slope))
        reference = new
    return line


def _line_between(
    strain: np.ndarray, stress: np.ndarray, low: float, high: float, previous: _Line | None
) -> _Line | str:
    """The least-squares line through the first rise from one stress to another, or why there is none.

    Points are chosen by the stress that the line before gives at their strain: by their own, noise would flatten it.
    """
    if previous is None:
        above = int(np.argmax(stress > high))
        below = np.flatnonzero(stress[:above] < low)
        first = int(below[-1]) + 1 if below.size else 0
    else:
        ends = previous.origin + np.array([low, high]) / previous.slope
        first = int(np.searchsorted(strain, ends[0], side="left"))
        above = max(int(np.searchsorted(strain, ends[1], side="right")), 1)
    x, y = strain[first:above], stress[first:above]
    shown = f"{low:.3g} to {high:.3g} MPa (10 to 40 % of Rp0.2)"
    if x.size < _FEWEST:
        return f"{x.size} points from {shown}, at least {_FEWEST} are needed"
    slope, std_error, centre = _slope(x, y)
    if not slope > 0:
        return f"the stress does not rise with the strain from {shown}"
    said = f"slope from {shown}, {x.size} points" + (
        f" of {_ASKED} that ISO 6892-1 asks for" if x.size < _ASKED else ""
    )
    if std_error > _SURE * slope:
        said += f"; its standard error is {100 * std_error / slope:.2g} %, ISO 6892-1 asks for 1 %"
    half = x.size // 2
    if half >= _FEWEST:
        parts = [_slope(x[:half], y[:half]), _slope(x[half:], y[half:])]
        change, sure = parts[1][0] / slope - parts[0][0] / slope, np.hypot(parts[0][1], parts[1][1]) / slope
        if abs(change) > max(_STRAIGHT, 3 * sure):
            said += f"; not straight, the slope of its upper half is {100 * change:+.0f} % of E from that of the lower"
    return _Line(slope, centre - float(y.mean()) / slope, std_error, above - 1, said)


def _slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope of the least-squares line, its standard error, and the mean of x."""
    centre = float(x.mean())
    u, v = x - centre, y - y.mean()
    square = float(u @ u)
    slope = float(u @ v) / square
    rest = v - slope * u
    return slope, float(np.sqrt(rest @ rest / max(x.size - 2, 1) / square)), centre


def _proof_strength(strain: np.ndarray, stress: np.ndarray, line: _Line) -> tuple[float, str] | str:
    """Stress at which the curve meets the elastic line moved by 0.2 %, and how coarse it is there; or why not."""
    over = stress - line.slope * (strain - line.origin - _PROOF)
    under = np.flatnonzero(over[line.last :] <= 0)
    if not under.size:
        plastic = 100 * float((strain - line.origin - stress / line.slope)[line.last :].max())
        return f"the plastic strain reaches {plastic:.2g} %, not 0.2 %"
    k = line.last + int(under[0])
    share = over[k - 1] / (over[k - 1] - over[k])
    value = float(stress[k - 1] + share * (stress[k] - stress[k - 1]))
    step = abs(float(stress[k] - stress[k - 1]))
    if step > _COARSE * value:
        return f"too coarse: the 0.2 % offset lies between points of {stress[k - 1]:.3g} and {stress[k]:.3g} MPa"
    coarse = f", between points {step:.2g} MPa apart" if step > 0.02 * value else ""
    return value, f"0.2 % offset from the line of E{coarse}"


def _fracture(stress: np.ndarray, peak: int) -> int | None:
    """The last point before fracture; None where the curve ends before."""
    gone = np.flatnonzero(stress[peak:] < 0.02 * stress[peak])
    if not gone.size:
        return None
    k = peak + int(gone[0])
    falls = -np.diff(stress[: k + 1])
    for j in range(k - 1, max(peak, k - 10) - 1, -1):
        before = abs(falls[j - 1]) if j else 0.0
        if falls[j] > 5 * before and falls[j] > 0.05 * stress[peak]:
            return j
    return None


@tells_misfits
def tensile_quantities(
    data: xr.Dataset, modalities: str | Sequence[str] | None = None, *, modulus: float | None = None
) -> xr.Dataset:
    """What every report of a tension test has, of each measured curve: E, Rp0.2, Rm, Ag and A.

    Of compression, with signs turned, E and Rp0.2 (the 0.2 % offset) alone have a meaning.

    Args:
        data: Curves of stress against strain with units, engineering ones or true ones of `pima.from_folder`.
        modalities: Which curves; None: all that are stress against strain.
        modulus: E in GPa of the material, where curves are too coarse to give it; its line goes through the origin.

    Returns:
        Along ``specimen`` and ``tensile_quantity``: ``tensile_value`` in ``tensile_unit`` (GPa, MPa, %), NaN where a
        quantity could not be had; ``tensile_std_error``, of E; ``tensile_about``, how it was had, with the range of
        the modulus, or why not. Of several modalities a quantity is called ``"stress.Rm"``.

    Raises:
        DataError: If there is no such curve.
        OptionError: If a modality is not there.

    Source: ISO 6892-1:2019, see :mod:`pima_toolkit.metrics.tensile`.
    """
    names = [modalities] if isinstance(modalities, str) else modalities
    for name in names or ():
        if name not in data.data_vars:
            raise OptionError(f"the dataset has no curve {name!r}: {closest(name, data.data_vars)}")
    chosen = [str(n) for n in (data.data_vars if names is None else names) if is_stress_against_strain(data, str(n))]
    if not chosen or (names is not None and len(chosen) < len(names)):
        raise DataError(
            "there is no curve of stress against strain with its units: data['stress'].attrs['units'] = 'MPa', and a "
            "coordinate whose name holds 'strain' in '1' or '%'"
        )
    labels, units, values, errors, about = [], [], [], [], []
    for name in chosen:
        tests = _tests_of(data, name, None if modulus is None else 1e3 * modulus)
        for quantity, unit in UNITS.items():
            labels.append(quantity if len(chosen) == 1 else f"{name}.{quantity}")
            units.append(unit)
            values.append([test.values[quantity] for test in tests])
            errors.append([test.std_error if quantity == "E" else np.nan for test in tests])
            about.append([test.about[quantity] for test in tests])
    dims = ("specimen", "tensile_quantity")
    return xr.Dataset(
        {
            VALUE: (dims, np.array(values, dtype=float).T),
            ERROR: (dims, np.array(errors, dtype=float).T, {"long_name": "standard error"}),
            ABOUT: (dims, np.array(about, dtype=str).T, {"long_name": "how it was had, or why not"}),
        },
        coords={
            "specimen": data["specimen"],
            "tensile_quantity": labels,
            "tensile_unit": ("tensile_quantity", units),
        },
    )


def is_stress_against_strain(data: xr.Dataset, name: str) -> bool:
    """Whether a variable is curves (specimen, point) of a stress, with its unit, against a strain."""
    variable = data[name]
    dims = [str(d) for d in variable.dims if d != "specimen"]
    if len(dims) != 1 or "specimen" not in variable.dims:
        return False
    axis = str(variable.attrs.get("independent", dims[0]))
    unit = find_unit(str(variable.attrs.get("units", "")))
    if axis not in data.coords or unit is None or unit.quantity != "stress":
        return False
    called = f"{axis} {data[axis].attrs.get('long_name', '')}".casefold()
    own = find_unit(str(data[axis].attrs.get("units", "1")))
    return re.search(r"(?<!pre)(?<!\w)(\w*_)?strain(?!_rate| rate)", called) is not None and (
        own is not None and own.quantity == "strain"
    )


def _tests_of(data: xr.Dataset, name: str, modulus: float | None) -> list[TensileTest]:
    """The quantities of each specimen, of curves in any units, and in true stress too."""
    variable = data[name]
    dim = next(str(d) for d in variable.dims if d != "specimen")
    axis = data[str(variable.attrs.get("independent", dim))]
    y = variable.transpose("specimen", dim).values.astype(float)
    x = np.broadcast_to(axis.transpose(..., dim).values.astype(float), y.shape)
    x = unit_of(str(axis.attrs.get("units", "1"))).to(unit_of("1"), x)
    y = unit_of(str(variable.attrs["units"])).to(unit_of("MPa"), y)
    if str(variable.attrs.get("long_name", "")).startswith("true "):
        if variable.attrs.get("loading") != "tension":
            return [
                _nothing("the curve is one of true stress: they are defined for engineering stress and strain")
            ] * len(y)
        x, y = np.expm1(x), y * np.exp(-x)
    return [_of_row(own_x, own_y, modulus) for own_x, own_y in zip(x, y, strict=True)]


def _of_row(strain: np.ndarray, stress: np.ndarray, modulus: float | None) -> TensileTest:
    there = np.isfinite(strain) & np.isfinite(stress)
    if not there.any():
        return _nothing("no curve")
    strain, stress = strain[there], stress[there]
    if (np.diff(strain) <= 0).any():
        return _nothing("the strain does not increase throughout")
    return tensile_test(strain, stress, modulus)


def _nothing(why: str) -> TensileTest:
    """No quantity at all."""
    return TensileTest(dict.fromkeys(UNITS, float("nan")), float("nan"), dict.fromkeys(UNITS, why))
