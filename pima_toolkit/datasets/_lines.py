"""The second modality of the digits: a noisy line whose slope is the digit (Trask et al. 2022, figure 2)."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import OptionError

#: Points of a line.
POINTS = 20


def with_lines(
    images: np.ndarray, labels: np.ndarray, noise_variance: float, seed: int, attrs: dict[str, str]
) -> xr.Dataset:
    """Images of digits and their lines, ``line = label * t + noise``.

    Args:
        images: (specimen, y, x), float32 in 0..1.
        labels: (specimen,) digits 0..9.
        noise_variance: Variance (not std) of the noise.
        seed: Seed of the noise.
        attrs: Attributes of the dataset.
    """
    if not np.isfinite(noise_variance) or noise_variance < 0:
        raise OptionError(f"noise_variance is {noise_variance!r}, expected a number >= 0; it is a variance, not a std")
    t = np.linspace(0, 1, POINTS)
    noise = np.random.default_rng(seed).standard_normal((labels.size, POINTS), dtype=np.float32)
    line = (labels[:, None] * t + np.sqrt(noise_variance) * noise).astype(np.float32)
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), images, {"units": "1", "long_name": "brightness"}),
            "line": (("specimen", "t"), line, {"units": "1", "long_name": "digit times t, plus noise"}),
        },
        coords={
            "specimen": np.arange(labels.size),
            "t": ("t", t, {"units": "1", "long_name": "t"}),
            "label": ("specimen", labels.astype(np.int64), {"long_name": "digit"}),
        },
        attrs={
            **attrs,
            "notes": f"line is generated: label * t + noise of variance {noise_variance:g} (std "
            f"{np.sqrt(noise_variance):.4g}), seed {seed}; the images are not.",
            "noise_variance": float(noise_variance),
            "seed": int(seed),
        },
    )
