"""The simple methods: each is fitted in one fold and predicts the held-out specimens once for each of its candidates.

A candidate is a value of what a method leaves open (the number of neighbours, of components); inner folds choose. A
method has the same candidates in every fold; one that asks for more neighbours or components than there are takes all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from ...errors import require
from .learned import TrainingFold

Array = NDArray[np.float64]
#: Predictions (h, T) of the held-out specimens for one candidate, made when they are asked for.
Prediction = Callable[[], Array]
Method = Callable[[TrainingFold], list[Prediction]]

#: Numbers of nearest neighbours, and of the components among which they are near.
NEIGHBOURS, NEAR_COMPONENTS = (1, 2, 3, 5, 8, 13, 21), (2, 5, 15, 50)
#: Most components of partial least squares.
PLS_COMPONENTS = 10
#: Penalties of ridge regression as shares of the sum of squares of what is given.
PENALTIES = np.logspace(-6.0, 3.0, 28)
TREES = 300
#: Widths of the kernel in median distances, its penalties, and most specimens that it is spanned by.
WIDTHS, KERNEL_PENALTIES, SPANNED = (0.5, 1.0, 2.0, 5.0), np.logspace(-4.0, 1.0, 11), 500
#: Most populations of the mixture of fitted parameters, its restarts, and the inverse penalties of the classifier.
POPULATIONS, RESTARTS, INVERSE_PENALTIES = 6, 3, (0.1, 1.0, 10.0, 100.0, 1000.0)
#: Fitted parameters farther from the median than so many robust standard deviations count as that far.
_FAR = 10.0


def mean(fold: TrainingFold) -> list[Prediction]:
    """Predict the mean of the training specimens."""
    return [fold.average]


def nearest(fold: TrainingFold) -> list[Prediction]:
    """Predict from the nearest training specimens, weighted by 1 / distance, on standardised principal components."""
    std = fold.scores.std(0)
    z, held = fold.scores / std, fold.held_scores / std
    neighbours = require("sklearn.neighbors", "baselines").NearestNeighbors
    out: list[Prediction] = []
    for size in NEAR_COMPONENTS:
        search = neighbours(n_neighbors=min(NEIGHBOURS[-1], len(z))).fit(z[:, :size])
        distance, index = search.kneighbors(held[:, :size])
        weight = 1.0 / np.maximum(distance, 1e-9)
        out += [lambda w=weight[:, :k], i=index[:, :k]: fold.averages(w, i) for k in NEIGHBOURS]
    return out


def ridge(fold: TrainingFold) -> list[Prediction]:
    """Predict by ridge regression between principal components; each has the penalty of least leave-one-out error."""
    alphas = PENALTIES * np.square(fold.scores).sum()
    model = require("sklearn.linear_model", "baselines").RidgeCV(alphas, alpha_per_target=True)
    model.fit(fold.scores, fold.target_scores)
    predicted = model.predict(fold.held_scores).reshape(len(fold.held_scores), -1)
    return [lambda: fold.curves(predicted)]


def pls(fold: TrainingFold) -> list[Prediction]:
    """Predict by partial least squares between principal components."""
    count = min(PLS_COMPONENTS, fold.scores.shape[1], len(fold.scores) - 1)
    with warnings.catch_warnings():  # where few components explain the training target fully, it says so and stops
        warnings.simplefilter("ignore", UserWarning)
        model = require("sklearn.cross_decomposition", "baselines").PLSRegression(count, scale=False)
        model.fit(fold.scores, fold.target_scores)
    centre = fold.scores.mean(0), fold.target_scores.mean(0)

    def predicted(k: int) -> Array:
        slopes = model.x_rotations_[:, :k] @ model.y_loadings_[:, :k].T
        return fold.curves((fold.held_scores - centre[0]) @ slopes + centre[1])

    return [lambda k=k: predicted(min(k, count)) for k in range(1, PLS_COMPONENTS + 1)]


def extra_trees(fold: TrainingFold) -> list[Prediction]:
    """Predict by extremely randomised trees."""
    trees = require("sklearn.ensemble", "baselines").ExtraTreesRegressor
    model = trees(TREES, min_samples_leaf=2, random_state=fold.seed)
    scores = fold.target_scores
    model.fit(fold.table, scores if scores.shape[1] > 1 else scores[:, 0])
    predicted = model.predict(fold.held_table).reshape(len(fold.held_table), -1)
    return [lambda: fold.curves(predicted)]


def spectrum(fold: TrainingFold) -> list[Prediction]:
    """Predict by kernel ridge regression from the log power spectra of pictures, with whatever else is given."""
    x, held = fold.spectra, fold.held_spectra
    if x is None or held is None:
        return [fold.average]
    library = require("sklearn.kernel_approximation", "baselines")
    some = x[np.random.default_rng(fold.seed).permutation(len(x))[:SPANNED]]
    squares = require("scipy.spatial.distance", "baselines").pdist(some, "sqeuclidean")
    median = float(np.median(squares)) or 1.0
    out: list[Prediction] = []
    for width in WIDTHS:
        # Of as many specimens as span it this is the kernel itself.
        span = library.Nystroem(gamma=0.5 / (width**2 * median), n_components=len(some), random_state=fold.seed)
        features = span.fit_transform(x)
        mean = features.mean(0)
        u, s, axes = np.linalg.svd(features - mean, full_matrices=False)
        there, known = (span.transform(held) - mean) @ axes.T, u.T @ fold.target_scores
        for penalty in KERNEL_PENALTIES:
            shrunk = (s / (s**2 + penalty))[:, None] * known
            out.append(lambda there=there, shrunk=shrunk: fold.curves(there @ shrunk))
    return out


def law_populations(fold: TrainingFold) -> list[Prediction]:
    """Predict the mean curves of populations of fitted parameters, weighted by what a classifier says of them.

    The number of populations is that of the least Bayesian information criterion.
    """
    phi = np.asarray(fold.parameters)
    centre = np.median(phi, axis=0)
    spread = 1.4826 * np.median(np.abs(phi - centre), axis=0)
    spread = np.where(spread > 0.0, spread, np.maximum(phi.std(0), 1e-12))
    z = np.clip((phi - centre) / spread, -_FAR, _FAR)
    mixtures = require("sklearn.mixture", "baselines").GaussianMixture
    classifier = require("sklearn.linear_model", "baselines").LogisticRegression
    unsettled = require("sklearn.exceptions", "baselines").ConvergenceWarning
    with warnings.catch_warnings():  # a baseline that has not settled is still one
        warnings.simplefilter("ignore", unsettled)
        tried = [
            mixtures(k, n_init=RESTARTS, reg_covar=1e-3, random_state=fold.seed).fit(z)
            for k in range(1, min(POPULATIONS, len(z) // 3) + 1)
        ]
        gamma = min(tried, key=lambda one: one.bic(z)).predict_proba(z)
        label = gamma.argmax(1)
        there = np.unique(label)
        if len(there) < 2:
            return [fold.average] * len(INVERSE_PENALTIES)
        middle = fold.averages(gamma[:, there].T)
        shares = [
            classifier(C=c, max_iter=2000).fit(fold.scores, label).predict_proba(fold.held_scores)
            for c in INVERSE_PENALTIES
        ]
    return [lambda share=share: share @ middle for share in shares]


#: By name, in the order of the table; the last two need a picture of some size, and a law.
METHODS: Mapping[str, Method] = {
    "mean": mean,
    "k nearest": nearest,
    "ridge": ridge,
    "PLS": pls,
    "extra trees": extra_trees,
    "spectrum": spectrum,
    "law populations": law_populations,
}
