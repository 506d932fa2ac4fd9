"""Measured tension curves of 304L steel and 6061-T6 aluminium, every curve on its own strain grid."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr

from ..errors import OptionError
from ._store import PublishedFile

STORED = PublishedFile(
    name="metal_tension/sandia_304L_6061.npz",
    source="github.com/sandialabs/matcal at commit d1a534023acfbd8b3aa6a56f9caa3085f51c9159 "
    "(documentation/advanced_examples)",
    arrays={
        "ss304L_strain": (-1, -1),
        "ss304L_stress_MPa": (-1, -1),
        "ss304L_strain_rate": (-1,),
        "ss304L_file": (-1,),
        "al6061_strain": (-1, -1),
        "al6061_stress_MPa": (-1, -1),
        "al6061_direction": (-1,),
        "al6061_temperature_C": (-1,),
        "al6061_file": (-1,),
    },
)

_PREFIXES = {"304L": "ss304L", "6061": "al6061"}


def metal_tension(
    alloy: str = "304L", until_peak: bool = True, path: str | os.PathLike[str] | None = None
) -> xr.Dataset:
    """Engineering stress-strain curves in tension: 64 of 304L bar, or 57 of 6061-T6 plate.

    Args:
        alloy: ``"304L"`` (five strain rates) or ``"6061"`` (three directions, four temperatures).
        until_peak: Cut each curve at its largest stress: NaN after it. Beyond it the specimen necks, and engineering
            strain is no longer the material's. False: to half the peak, as the file has it.
        path: The file ``sandia_304L_6061.npz`` or its folder; else ``PIMA_DATA``, then the user's cache.

    Returns:
        ``stress`` (specimen, point) in MPa with the coordinate ``strain`` (specimen, point), named in
        ``attrs["independent"]``; coordinates ``strain_rate`` in 1/s, or ``direction`` and ``temperature`` in degC, and
        ``file``, all (specimen).

    Raises:
        OptionError: If the alloy is another.
        DataError: If the file is nowhere.
        FileFormatError: If it is not this file.
    """
    if alloy not in _PREFIXES:
        raise OptionError(f"alloy={alloy!r} is not there, expected one of {', '.join(map(repr, _PREFIXES))}")
    arrays = STORED.load(path)
    prefix = _PREFIXES[alloy]
    strain = arrays[f"{prefix}_strain"].astype(np.float64)
    stress = arrays[f"{prefix}_stress_MPa"].astype(np.float64)
    if until_peak:
        after = np.arange(stress.shape[1]) > np.nanargmax(stress, axis=1)[:, None]
        longest = int((~after).sum(axis=1).max())
        strain, stress = (np.where(after, np.nan, a)[:, :longest] for a in (strain, stress))
    coords: dict[str, object] = {
        "specimen": np.arange(len(stress)),
        "strain": (("specimen", "point"), strain, {"units": "1", "long_name": "engineering strain"}),
        "file": ("specimen", arrays[f"{prefix}_file"], {"long_name": "file at the source"}),
    }
    if alloy == "304L":
        rates = arrays["ss304L_strain_rate"].astype(np.float64)
        # the file keeps float32: 0.0001 must read 0.0001
        coords["strain_rate"] = ("specimen", rates.round(6), {"units": "1/s", "long_name": "strain rate"})
    else:
        coords["direction"] = ("specimen", arrays["al6061_direction"], {"long_name": "direction in the plate"})
        temperature = arrays["al6061_temperature_C"].astype(np.float64)
        coords["temperature"] = ("specimen", temperature, {"units": "degC", "long_name": "temperature"})
    stress_attrs = {"units": "MPa", "long_name": "engineering stress", "independent": "strain"}
    return xr.Dataset(
        {"stress": (("specimen", "point"), stress, stress_attrs)},
        coords=coords,
        attrs={
            "title": f"Measured tension curves of {'304L bar' if alloy == '304L' else '6061-T6 plate'}",
            "source": STORED.source,
            "licence": "BSD-3-Clause (National Technology & Engineering Solutions of Sandia, 2025)",
            "citation": "MatCal, Sandia National Laboratories, github.com/sandialabs/matcal",
            "notes": "Every curve on its own strain grid; stress converted from ksi, temperature from degrees Rankine; "
            + ("cut at the peak." if until_peak else "until stress falls to half its peak."),
        },
    )
