"""Measured compression curves of spinodal shell metamaterials, with pictures drawn from their design."""

from __future__ import annotations

import os

import numpy as np
import xarray as xr

from ._store import PublishedFile

STORED = PublishedFile(
    name="spinodal_compression/spinodal_compression.npz",
    source="github.com/mmc-group/finite-strain-inverse-designed-spinodoids at commit "
    "064af086f70450ba1d5bc300f238d6e8c1e5564f (drivers/data/{X,Y,Z}/*_tes_*.csv)",
    arrays={
        "strain": (-1,),
        "stress": (-1, -1),
        "theta": (-1, 3),
        "load_axis": (-1,),
        "topology": (-1,),
        "morphology": (-1,),
        "image_rendered": (-1, -1, -1),
    },
)


def spinodoid(path: str | os.PathLike[str] | None = None) -> xr.Dataset:
    """321 measured compression curves: 107 spinodal shell morphologies, each loaded along three axes.

    The pictures are renderings of the published design with a random realisation of the structure, not photographs of
    the specimen. Keep the three curves of a morphology together: ``pima.split(data, group="morphology")``.

    Args:
        path: The file ``spinodal_compression.npz`` or its folder; else ``PIMA_DATA``, then the user's cache.

    Returns:
        ``image`` (specimen, y, x) uint8, rendered; ``stress`` (specimen, strain) in MPa by magnitude, the source states
        no unit; coordinates ``morphology``, ``load_axis`` ("x", "y", "z"), ``topology`` ("lamellar", "columnar",
        "cubic") and ``theta`` (specimen, angle), the cone half angles in degrees.

    Raises:
        DataError: If the file is nowhere.
        FileFormatError: If it is not this file.

    Source: Thakolkaran et al. 2025, doi 10.1016/j.eml.2024.102274.
    """
    arrays = STORED.load(path)
    note = "the source states no unit; MPa by magnitude"
    return xr.Dataset(
        {
            "image": (
                ("specimen", "y", "x"),
                arrays["image_rendered"],
                {
                    "units": "1",
                    "long_name": "brightness (rendered)",
                    "notes": "Rendered from the published design angles with a random realisation; not a photograph.",
                },
            ),
            "stress": (
                ("specimen", "strain"),
                arrays["stress"],
                {"units": "MPa", "units_note": note, "long_name": "compressive stress"},
            ),
        },
        coords={
            "specimen": np.arange(len(arrays["stress"])),
            "strain": (
                "strain",
                arrays["strain"].astype(np.float64),
                {"units": "1", "long_name": "compressive strain"},
            ),
            "morphology": ("specimen", arrays["morphology"].astype(np.int64), {"long_name": "morphology"}),
            "load_axis": ("specimen", np.array(["x", "y", "z"])[arrays["load_axis"]], {"long_name": "load axis"}),
            "topology": (
                "specimen",
                np.array(["lamellar", "columnar", "cubic"])[arrays["topology"]],
                {"long_name": "topology"},
            ),
            "theta": (
                ("specimen", "angle"),
                arrays["theta"].astype(np.float64),
                {"units": "degree", "long_name": "cone half angle"},
            ),
            "angle": ("angle", np.array(["x", "y", "z"]), {"long_name": "axis of the cone"}),
        },
        attrs={
            "title": "Spinodal shell metamaterials in compression (curves measured, pictures rendered)",
            "source": STORED.source,
            "licence": "MIT (Mechanics, Materials, Computing group, TU Delft, 2024)",
            "citation": "Thakolkaran, Espinal, Dhulipala, Kumar, Portela 2025, Experiment-informed finite-strain "
            "inverse design of spinodal metamaterials, Extreme Mechanics Letters 74, 102274, "
            "doi 10.1016/j.eml.2024.102274",
            "notes": "Curves: loading branch only, interpolated to 100 strains, (0, 0) prepended. Pictures: drawn from "
            "the design angles, shell of 20 % volume (assumed), one random realisation per morphology, load axis "
            "vertical. "
            f"Stress: {note}.",
        },
    )
