"""scikit-learn's 8x8 digits with a line each: the embedded stand-in for MNIST."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..errors import require
from ._lines import with_lines


def digits(noise_variance: float = 0.01, seed: int = 0) -> xr.Dataset:
    """1797 handwritten digits of 8x8 pixels, each with a noisy line whose slope is the digit.

    Args:
        noise_variance: Variance of the line's noise. The paper's noisy case, 0.5, is read as a variance in its text and
            as a std in its authors' code: pass 0.5 or 0.25.
        seed: Seed of the noise.

    Returns:
        ``image`` (specimen, y, x) float32 in 0..1; ``line`` (specimen, t), dimensionless, t = linspace(0, 1, 20);
        coordinate ``label`` (specimen).

    Raises:
        MissingDependency: Without scikit-learn.

    Source: Trask et al. 2022, figure 2, with other images.
    """
    bunch = require("sklearn.datasets", "the digits").load_digits()
    return with_lines(
        (bunch.images / 16).astype(np.float32),
        bunch.target,
        noise_variance,
        seed,
        {
            "title": "Handwritten digits, 8x8, with lines",
            "source": "Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, the test set as "
            "distributed with scikit-learn",
            "licence": "CC BY 4.0",
            "citation": "Alpaydin, Kaynak 1998, doi 10.24432/C50P49",
        },
    )
