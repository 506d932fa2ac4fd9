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
from .learned import Learned

Array = NDArray[np.float64]
#: Predictions (h, T) of the held-out specimens for one candidate, made when they are asked for.
Prediction = Callable[[], Array]
Method = Callable[[Learned], list[Prediction]]

#: Numbers of nearest neighbours, and of the components among which they are near.
NEIGHBOURS, NEAR_COMPONENTS = (1, 2, 3, 5, 8, 13, 21), (2, 5, 15, 50)
#: Most components of partial least squares.
PLS_COMPONENTS = 10
#: Penalties of ridge regression as shares of the sum of squares of what is given.
PENALTIES = np.logspace(-6.0, 3.0, 28)
TREES = 300
#: Most populations of the mixture of fitted parameters, its restarts, and the inverse penalties of the classifier.
POPULATIONS, RESTARTS, INVERSE_PENALTIES = 6, 3, (0.1, 1.0, 10.0, 100.0, 1000.0)
#: Fitted parameters farther from the median than so many robust standard deviations count as that far.
_FAR = 10.0


def mean(learned: Learned) -> list[Prediction]:
    """Predict the mean of the training specimens."""
    return [learned.average]


def nearest(learned: Learned) -> list[Prediction]:
    """Predict from the nearest training specimens, weighted by 1 / distance, on standardised principal components."""
    std = learned.scores.std(0)
    z, held = learned.scores / std, learned.held_scores / std
    neighbours = require("sklearn.neighbors", "baselines").NearestNeighbors
    out: list[Prediction] = []
    for size in NEAR_COMPONENTS:
        search = neighbours(n_neighbors=min(NEIGHBOURS[-1], len(z))).fit(z[:, :size])
        distance, index = search.kneighbors(held[:, :size])
        weight = 1.0 / np.maximum(distance, 1e-9)
        out += [lambda w=weight[:, :k], i=index[:, :k]: learned.averages(w, i) for k in NEIGHBOURS]
    return out


def ridge(learned: Learned) -> list[Prediction]:
    """Predict by ridge regression between principal components; each has the penalty of least leave-one-out error."""
    alphas = PENALTIES * np.square(learned.scores).sum()
    model = require("sklearn.linear_model", "baselines").RidgeCV(alphas, alpha_per_target=True)
    model.fit(learned.scores, learned.target_scores)
    predicted = model.predict(learned.held_scores).reshape(len(learned.held_scores), -1)
    return [lambda: learned.curves(predicted)]


def pls(learned: Learned) -> list[Prediction]:
    """Predict by partial least squares between principal components."""
    count = min(PLS_COMPONENTS, learned.scores.shape[1], len(learned.scores) - 1)
    with warnings.catch_warnings():  # where few components explain the training target fully, it says so and stops
        warnings.simplefilter("ignore", UserWarning)
        model = require("sklearn.cross_decomposition", "baselines").PLSRegression(count, scale=False)
        model.fit(learned.scores, learned.target_scores)
    centre = learned.scores.mean(0), learned.target_scores.mean(0)

    def predicted(k: int) -> Array:
        slopes = model.x_rotations_[:, :k] @ model.y_loadings_[:, :k].T
        return learned.curves((learned.held_scores - centre[0]) @ slopes + centre[1])

    return [lambda k=k: predicted(min(k, count)) for k in range(1, PLS_COMPONENTS + 1)]


def extra_trees(learned: Learned) -> list[Prediction]:
    """Predict by extremely randomised trees."""
    trees = require("sklearn.ensemble", "baselines").ExtraTreesRegressor
    model = trees(TREES, min_samples_leaf=2, random_state=learned.seed)
    scores = learned.target_scores
    model.fit(learned.table, scores if scores.shape[1] > 1 else scores[:, 0])
    predicted = model.predict(learned.held_table).reshape(len(learned.held_table), -1)
    return [lambda: learned.curves(predicted)]


def law_populations(learned: Learned) -> list[Prediction]:
    """Predict the mean curves of populations of fitted parameters, weighted by what a classifier says of them.

    The number of populations is that of the least Bayesian information criterion.
    """
    phi = np.asarray(learned.parameters)
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
            mixtures(k, n_init=RESTARTS, reg_covar=1e-3, random_state=learned.seed).fit(z)
            for k in range(1, min(POPULATIONS, len(z) // 3) + 1)
        ]
        gamma = min(tried, key=lambda one: one.bic(z)).predict_proba(z)
        label = gamma.argmax(1)
        there = np.unique(label)
        if len(there) < 2:
            return [learned.average] * len(INVERSE_PENALTIES)
        middle = learned.averages(gamma[:, there].T)
        shares = [
            classifier(C=c, max_iter=2000).fit(learned.scores, label).predict_proba(learned.held_scores)
            for c in INVERSE_PENALTIES
        ]
    return [lambda share=share: share @ middle for share in shares]


#: By name, in the order of the table; the last needs a law.
METHODS: Mapping[str, Method] = {
    "mean": mean,
    "k nearest": nearest,
    "ridge": ridge,
    "PLS": pls,
    "extra trees": extra_trees,
    "law populations": law_populations,
}
