r"""Scores of an answer: clusters against labels, curves against measurements, confidence against success.

Every measure of clusters compares two groupings of the same specimens through their table of counts n_lc (label l,
cluster c). Accuracy is eq. (21),

.. math:: \mathrm{accuracy} = \max_m \frac1N \sum_d \mathbb 1[\,l_d = m(c_d)\,] = \max_m \frac1N \sum_c n_{m(c)c}

over the one-to-one assignments m of clusters to labels. Labels judge a fit that never saw them; nothing here is used
in training.

Source: Trask et al. 2022, eq. (21) and section 3.
"""

from .scores import (
    ari,
    calibration_error,
    cluster_accuracy,
    confusion,
    coverage,
    entropy,
    latent_order,
    match_clusters,
    nmi,
    occupancy,
    rmse,
)

__all__ = [
    "ari",
    "calibration_error",
    "cluster_accuracy",
    "confusion",
    "coverage",
    "entropy",
    "latent_order",
    "match_clusters",
    "nmi",
    "occupancy",
    "rmse",
]
