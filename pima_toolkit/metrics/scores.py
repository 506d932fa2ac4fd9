"""Scores of groupings, curves and confidence, a function each; the face of this room has their equations."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError, ShapeError, require

#: The names of groups, and for each specimen the place of its group among them.
_Groups = tuple[NDArray, NDArray[np.intp]]


def confusion(labels: ArrayLike, clusters: ArrayLike) -> xr.DataArray:
    """Count the specimens of every label in every cluster.

    Args:
        labels: What the specimens are, shape (specimen,); numbers or text.
        clusters: Where they were put, shape (specimen,); numbers or text.

    Returns:
        Counts, dims (label, cluster), both in sorted order; only values that occur.

    Raises:
        ShapeError: If the two differ in length or are not one-dimensional.
        DataError: If there is no specimen.
    """
    (label_names, rows), (cluster_names, columns) = _both(labels, clusters)
    table = np.zeros((label_names.size, cluster_names.size), dtype=np.int64)
    np.add.at(table, (rows, columns), 1)
    return xr.DataArray(
        table,
        dims=("label", "cluster"),
        coords={"label": label_names, "cluster": cluster_names},
        name="specimens",
        attrs={"units": "1", "long_name": "number of specimens"},
    )


def match_clusters(labels: ArrayLike, clusters: ArrayLike) -> dict[Hashable, Hashable]:
    """Find the one-to-one assignment of clusters to labels that makes most specimens right.

    Args:
        labels: Shape (specimen,).
        clusters: Shape (specimen,).

    Returns:
        Cluster -> label. Where there are more clusters than labels, some clusters have none.

    Raises:
        ShapeError: As :func:`confusion`.

    Source: Trask et al. 2022, eq. (21); solved exactly by the Hungarian algorithm (Kuhn 1955).
    """
    table = confusion(labels, clusters)
    rows, columns = scipy.optimize.linear_sum_assignment(table.values, maximize=True)
    names, groups = table["label"].values.tolist(), table["cluster"].values.tolist()
    return {groups[column]: names[row] for row, column in zip(rows, columns, strict=True)}


def cluster_accuracy(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Share of specimens whose cluster stands for their label, under the best one-to-one assignment.

    Args:
        labels: Shape (specimen,); numbers or text.
        clusters: Shape (specimen,); their number may differ from that of the labels.

    Returns:
        Accuracy between 0 and 1; specimens of a cluster without a label count as wrong.

    Raises:
        ShapeError: As :func:`confusion`.

    Source: Trask et al. 2022, eq. (21).
    """
    table = confusion(labels, clusters).values
    rows, columns = scipy.optimize.linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def nmi(labels: ArrayLike, clusters: ArrayLike) -> float:
    r"""Normalised mutual information of two groupings, between 0 (independent) and 1 (the same).

    .. math:: \mathrm{NMI} = \frac{2\,I(l; c)}{H(l) + H(c)}

    Two groupings that each hold one group only are the same: 1.

    Args:
        labels: Shape (specimen,).
        clusters: Shape (specimen,).

    Raises:
        ShapeError: As :func:`confusion`.

    Source: Vinh, Epps and Bailey 2010, J. Mach. Learn. Res. 11, 2837, NMI_sum.
    """
    score = require("sklearn.metrics", "comparison of groupings").normalized_mutual_info_score
    return float(np.clip(score(*_paired(labels, clusters)), 0.0, 1.0))


def ari(labels: ArrayLike, clusters: ArrayLike) -> float:
    """Rand index of two groupings, adjusted for chance: 1 the same, 0 as good as chance, negative worse.

    Args:
        labels: Shape (specimen,).
        clusters: Shape (specimen,).

    Raises:
        ShapeError: As :func:`confusion`.

    Source: Hubert and Arabie 1985, J. Classification 2, 193, eq. (5).
    """
    score = require("sklearn.metrics", "comparison of groupings").adjusted_rand_score
    return float(score(*_paired(labels, clusters)))


def rmse(truth: ArrayLike | xr.DataArray, predicted: ArrayLike | xr.DataArray) -> float:
    """Root mean square difference, in the unit of the data, over all points measured (NaN = not measured).

    Args:
        truth: Measured values, any shape; arrays of xarray are matched by the names of their dims.
        predicted: Predicted values, the same shape.

    Raises:
        ShapeError: If shapes or dims differ.
        DataError: If there is no measured point, or a prediction is missing at one.
    """
    measured, model = _measured(truth, predicted)
    return float(np.sqrt(np.mean((measured - model) ** 2)))


def coverage(truth: ArrayLike | xr.DataArray, low: ArrayLike | xr.DataArray, high: ArrayLike | xr.DataArray) -> float:
    """Share of measured points inside their band, between 0 and 1; a 90 % band should hold 0.9 of them.

    Args:
        truth: Measured values, any shape, NaN = not measured.
        low: Lower edge of the band, the same shape and unit.
        high: Upper edge of the band, the same shape and unit.

    Raises:
        ShapeError: If shapes or dims differ.
        DataError: If there is no measured point, or the band is upside down.
    """
    measured, lower, upper = _measured(truth, low, high)
    if (lower > upper).any():
        raise DataError("the lower edge of the band lies above the upper one: give low, then high")
    return float(np.mean((measured >= lower) & (measured <= upper)))


def occupancy(responsibilities: ArrayLike | xr.DataArray) -> NDArray[np.float64]:
    """Share of the specimens in each cluster, shape (cluster,); sums to one.

    Args:
        responsibilities: Shape (specimen, cluster), rows sum to one.

    Raises:
        DataError: If rows do not sum to one.
    """
    return _probabilities(responsibilities).mean(0)


def entropy(responsibilities: ArrayLike | xr.DataArray) -> NDArray[np.float64]:
    """Entropy of each specimen's responsibilities in nats, from 0 (sure) to log C (undecided), shape (specimen,).

    Args:
        responsibilities: Shape (specimen, cluster), rows sum to one.

    Raises:
        DataError: If rows do not sum to one.
    """
    probabilities = _probabilities(responsibilities)
    logs = np.log(probabilities, out=np.zeros_like(probabilities), where=probabilities > 0)
    return -(probabilities * logs).sum(1) + 0.0  # + 0.0: no negative zero


def calibration_error(responsibilities: ArrayLike | xr.DataArray, labels: ArrayLike, bins: int = 10) -> float:
    r"""Expected calibration error: how far confidence is from success.

    .. math:: \mathrm{ECE} = \sum_b \frac{n_b}{N} \left|\mathrm{accuracy}_b - \mathrm{confidence}_b\right|

    over bins of equal width of the largest responsibility; a cluster stands for a label by eq. (21).

    Args:
        responsibilities: Shape (specimen, cluster), rows sum to one.
        labels: Shape (specimen,).
        bins: Number of bins between 0 and 1.

    Returns:
        Between 0 (of answers given with 80 % confidence, 80 % are right) and 1.

    Raises:
        DataError: If rows do not sum to one.
        ShapeError: If lengths differ.

    Source: Naeini, Cooper and Hauskrecht 2015, AAAI 29.
    """
    probabilities = _probabilities(responsibilities)
    clusters = probabilities.argmax(1)
    match = match_clusters(labels, clusters)
    names = np.asarray(labels).tolist()
    right = np.array([c in match and match[c] == name for c, name in zip(clusters.tolist(), names, strict=True)])
    confidence = probabilities.max(1)
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(index, weights=right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(names))


def latent_order(clusters: xr.Dataset, modality: str) -> float:
    """Measure whether clusters near each other in latent space have physics near each other (sequential embedding).

    Spearman's rank correlation, over all pairs of clusters, between the distance of their latent means and the
    root mean square distance of their expert curves.

    Args:
        clusters: As ``fit.clusters``: ``mean`` (cluster, latent) and the expert curves of each physics modality.
        modality: Name of a physics modality.

    Returns:
        Between -1 and 1; 1 = the latent space is ordered as the physics is.

    Raises:
        DataError: If the modality is unknown, or there are fewer than three clusters (one pair has no order).

    Source: Trask et al. 2022, section 3.1 and figure 4; the measure is ours.
    """
    if modality not in clusters:
        raise DataError(
            f"no curves named {modality!r} in the clusters; there are {sorted(map(str, clusters.data_vars))}"
        )
    centres = clusters["mean"].transpose("cluster", ...).values
    curves = clusters[modality].transpose("cluster", ...).values
    if len(centres) < 3:
        raise DataError(f"latent order needs at least three clusters, got {len(centres)}")
    first, second = np.triu_indices(len(centres), k=1)
    near = np.linalg.norm(centres[first] - centres[second], axis=-1)
    alike = np.sqrt(np.nanmean((curves[first] - curves[second]) ** 2, axis=-1))
    return float(scipy.stats.spearmanr(near, alike).statistic)


def _both(labels: ArrayLike, clusters: ArrayLike) -> tuple[_Groups, _Groups]:
    """Read two groupings of the same specimens.

    Raises:
        ShapeError: If the two differ in length or are not one-dimensional.
        DataError: If there is no specimen.
    """
    both = _groups(labels, "labels"), _groups(clusters, "clusters")
    rows, columns = (numbers.size for _, numbers in both)
    if rows != columns:
        raise ShapeError(f"{rows} labels and {columns} clusters: give one of each per specimen, in the same order")
    return both


def _paired(labels: ArrayLike, clusters: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Number the groups of two groupings from 0: scikit-learn takes other numbers for measurements, and warns."""
    (_, rows), (_, columns) = _both(labels, clusters)
    return rows, columns


def _groups(values: ArrayLike, what: str) -> _Groups:
    """Names of the groups in sorted order, and the number of each specimen's."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ShapeError(f"{what} have shape {array.shape}; expected one per specimen, shape (specimen,)")
    if array.size == 0:
        raise DataError(f"there are no {what}: give at least one specimen")
    return np.unique(array, return_inverse=True)


def _probabilities(responsibilities: ArrayLike | xr.DataArray) -> NDArray[np.float64]:
    if isinstance(responsibilities, xr.DataArray):
        responsibilities = responsibilities.transpose(..., "cluster")
    array = np.asarray(responsibilities, dtype=np.float64)
    if array.ndim != 2:
        raise ShapeError(f"responsibilities have shape {array.shape}; expected (specimen, cluster)")
    if array.size == 0 or not np.allclose(array.sum(1), 1.0, atol=1e-4):
        raise DataError("responsibilities must be given for at least one specimen, and each row must sum to one")
    return array


def _measured(truth: ArrayLike | xr.DataArray, *others: ArrayLike | xr.DataArray) -> list[NDArray[np.float64]]:
    """Pick the measured points of the truth and the same points of the others, each flat, float64."""
    arrays = [np.asarray(truth, dtype=np.float64)]
    for other in others:
        if isinstance(truth, xr.DataArray) and isinstance(other, xr.DataArray):
            other = _like(other, truth)
        arrays.append(np.asarray(other, dtype=np.float64))
        if arrays[-1].shape != arrays[0].shape:
            raise ShapeError(
                f"shapes {arrays[0].shape} and {arrays[-1].shape} differ: compare the same specimens and points"
            )
    seen = ~np.isnan(arrays[0])
    if not seen.any():
        raise DataError("no measured point to compare with: every value is NaN")
    if any(np.isnan(array[seen]).any() for array in arrays[1:]):
        raise DataError("predictions are NaN at measured points: predict the same specimens on the same points")
    return [array[seen] for array in arrays]


def _like(other: xr.DataArray, truth: xr.DataArray) -> xr.DataArray:
    """Reorder the other array to the truth's dims; refuse it where its coordinates name other points."""
    if set(truth.dims) != set(other.dims):
        raise ShapeError(f"dims {truth.dims} and {other.dims} differ: compare the same modality")
    try:
        xr.align(truth, other, join="exact")
    except ValueError as error:
        raise ShapeError(f"the coordinates differ, so these are not the same specimens and points: {error}") from None
    return other.transpose(*truth.dims)
