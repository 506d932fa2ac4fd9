r"""Reliability of answers: whether probabilities and bands hold what they say.

A reliability diagram: of the specimens whose cluster is given with 80 % probability, 80 % should be in it. The coverage
of bands: a new measurement x lies in the band of coverage q where :math:`|2F(x) - 1| \le s(q)`, with F the predicted
distribution and s its calibration (``answers/trust/calibration.py``); of all measured points the share q should.

Source: Niculescu-Mizil and Caruana 2005; Kuleshov, Fenner, Ermon 2018.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...data import closest
from ...errors import DataError, OptionError
from ...fitting.inputs.tensors import Tensors
from ...metrics.scores import calibration_error, match_clusters
from ..inference import read_new
from ..posterior import answer_tensors
from ..predictor import Predictor
from .calibration import predicted_shares

#: Coverages of the curve.
COVERAGES = np.linspace(0.0, 1.0, 21)


def reliability(responsibilities: ArrayLike, labels: ArrayLike, bins: int = 10) -> xr.Dataset:
    """Count how often the most probable cluster is right, by how probable it is said to be.

    Args:
        responsibilities: Shape (specimen, cluster), rows sum to one.
        labels: What the specimens are, shape (specimen,); a cluster stands for a label by eq. (21).
        bins: Number of bins of equal width between 0 and 1.

    Returns:
        Along ``bin``: ``confidence`` and ``accuracy`` (NaN where no specimen is), ``specimens``;
        ``attrs["calibration_error"]`` as :func:`~pima_toolkit.metrics.calibration_error`.

    Raises:
        DataError: If rows do not sum to one.
        ShapeError: If lengths differ.
    """
    error = calibration_error(responsibilities, labels, bins)  # checks both
    probabilities = np.asarray(responsibilities, dtype=np.float64)
    clusters = probabilities.argmax(1)
    match = match_clusters(labels, clusters)
    names = np.asarray(labels).tolist()
    right = np.array([c in match and match[c] == name for c, name in zip(clusters.tolist(), names, strict=True)])
    confidence = probabilities.max(1)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    some = np.where(count > 0, count, np.nan)
    share = {"units": "1"}
    return xr.Dataset(
        {
            "confidence": ("bin", np.bincount(index, confidence, bins) / some, {"long_name": "said", **share}),
            "accuracy": ("bin", np.bincount(index, right, bins) / some, {"long_name": "found", **share}),
            "specimens": ("bin", count, {"long_name": "number of specimens"}),
        },
        coords={"bin": (np.arange(bins) + 0.5) / bins},
        attrs={"calibration_error": error},
    )


def band_coverage(predictor: Predictor, tensors: Tensors) -> xr.Dataset:
    """Share of the measured points inside bands predicted from the other modalities, by coverage.

    Args:
        predictor: The fit.
        tensors: Specimens not trained on.

    Returns:
        ``held`` (modality, coverage) and ``points`` (modality), of the physics modalities that can be judged; none
        where no specimen has a curve and something to predict it from.
    """
    held: dict[str, NDArray[np.float64]] = {}
    points = []
    for name in predictor.options.physics if predictor.any_subset else ():
        shares = predicted_shares(predictor, name, tensors)
        if len(shares):
            reach = np.array([predictor.nominal(name, float(q)) for q in COVERAGES])
            held[name] = np.searchsorted(np.sort(shares), reach, side="right") / len(shares)
            points.append(len(shares))
    values = np.array(list(held.values())).reshape(len(held), len(COVERAGES))
    return xr.Dataset(
        {
            "held": (("modality", "coverage"), values, {"long_name": "share of points inside", "units": "1"}),
            "points": ("modality", np.array(points, dtype=int), {"long_name": "measured points"}),
        },
        coords={"modality": np.array(list(held), dtype=str), "coverage": ("coverage", COVERAGES, {"units": "1"})},
    )


def calibration_of(predictor: Predictor, data: xr.Dataset, labels: str | None) -> xr.Dataset:
    """Judge probabilities and bands by specimens not trained on, see :meth:`pima_toolkit.Fit.calibration`."""
    if labels is not None and labels not in data.variables:
        raise OptionError(f"labels={labels!r} is no coordinate of the data: {closest(labels, data.coords)}")
    tensors = read_new(predictor, data)
    out = band_coverage(predictor, tensors)
    if labels is not None:
        responsibilities = answer_tensors(predictor, tensors, scored=False).log_gamma.exp().cpu().numpy()
        out = xr.merge([out, reliability(responsibilities, data[labels].values)], combine_attrs="no_conflicts")
    elif out.sizes["modality"] == 0:
        raise DataError(
            "there is nothing to judge by: no specimen has a curve with known physics and another modality to predict"
            " it from, and no labels are named; give such specimens, or labels='label'"
        )
    return out
