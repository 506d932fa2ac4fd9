r"""Principal components of curves on one grid, points missing or not, and how many of them there are.

The model is that of probabilistic principal components,

.. math:: y_n = m + W a_n + \varepsilon_n, \qquad a_n \sim \mathcal N(0, I_K),\quad \varepsilon_{nt} \sim
          \mathcal N(0, v),

whose maximum-likelihood W spans the K leading principal components where nothing is missing, a closed form. Points that
are missing are left out of the likelihood, and EM climbs it: a missing point is worth what the rest of its curve says
of it. Loadings of neighbouring points have a wide prior of being alike, which counts only where so few curves reach
that nothing else is known: there they go on as beside it. The noise variance has a floor, so that curves without noise
end too.

Source: Tipping & Bishop 1999, J. R. Stat. Soc. B 61, 611; missing values, Ilin & Raiko 2010, J. Mach. Learn. Res. 11,
1957; parameter expansion, Liu, Rubin & Wu 1998; held-out rows and columns, Owen & Perry 2009, Ann. Appl. Stat. 3, 564.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Noise variance is at least this share of the variance of the curves, and a component has at least this share.
_FLOOR, _RANK = 1e-9, 1e-12
#: EM ends when a step gains less than this per point, nats, or after so many steps.
_GAIN, _STEPS = 1e-7, 500
#: The same where only their number is asked for.
_ROUGH = 1e-4, 50
#: For choosing the number: folds of curves, parts of the points of each, most curves and points that are looked at.
_FOLDS, _PARTS, _CURVES, _POINTS = 5, 5, 400, 400
#: And how much lower the error of one more must be, as a share of it, and of the variance of the curves.
_WORTH, _NEGLIGIBLE = 0.03, 1e-6


@dataclass(frozen=True)
class PrincipalComponents:
    """Mean and leading components of curves.

    Args:
        mean: Shape (T,), in the unit of the curves.
        axes: Shape (K, T), orthogonal, each with a mean square of 1 over the points, dimensionless, largest entry
            positive, the most important first.
        std: Standard deviation of the curves' scores along each, shape (K,), in the unit of the curves.
        noise_std: That of what is left at a point, in the unit of the curves.
    """

    mean: Array
    axes: Array
    std: Array
    noise_std: float


def principal_components(
    y: Array, seen: Mask, count: int, *, gain: float = _GAIN, steps: int = _STEPS
) -> PrincipalComponents:
    """Find the mean and the leading components of curves.

    Args:
        y: Curves, shape (N, T); anything where they were not seen.
        seen: Which points were measured, shape (N, T).
        count: Most components to find, at least 1.
        gain: Where points are missing, EM ends when a step gains less than this per point, nats,
        steps: or after so many steps.

    Returns:
        ``count`` components, or fewer where the curves differ in fewer ways than that; none where they are all alike.
    """
    y, centre, scale = _standardised(y, seen)
    if scale == 0.0:
        return PrincipalComponents(centre, np.zeros((0, y.shape[1])), np.zeros(0), 0.0)
    mean, loading, variance = _start(y, count)
    if not seen.all():
        mean, loading, variance = _climbed(y, seen, mean, loading, variance, gain, steps)
    axes, size, _ = np.linalg.svd(loading, full_matrices=False)
    real = size**2 > _RANK * (size[0] ** 2 + variance)
    axes, std = axes.T[real] * np.sqrt(y.shape[1]), size[real] / np.sqrt(y.shape[1])
    # Of several as large as the largest, but for rounding, the first: another machine gives the same sign.
    largest = np.argmax(np.abs(axes) >= (1.0 - 1e-6) * np.abs(axes).max(1, keepdims=True), axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    return PrincipalComponents(centre + scale * mean, axes, scale * std, float(scale * np.sqrt(variance)))


def components_needed(y: Array, seen: Mask, most: int) -> int:
    """Choose the number of components by how well they say points of curves that were both left out.

    Components are found from four fifths of the curves. Of each of the other curves a fifth of the points is hidden and
    said from the rest of it, for every part in turn. The number is the smallest whose mean squared error is at most 3 %
    above the lowest. Of many curves and points an even selection is looked at.

    Args:
        y: Curves, shape (N, T); anything where they were not seen.
        seen: Which points were measured, shape (N, T).
        most: Largest number to try, at least 1.

    Returns:
        A number from 1 to ``most``.
    """
    if most == 1:
        return 1
    rows, columns = (
        np.linspace(0, n - 1, min(n, k)).astype(int) for n, k in zip(y.shape, (_CURVES, _POINTS), strict=True)
    )
    y, seen = y[np.ix_(rows, columns)], seen[np.ix_(rows, columns)]
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(y)) % min(_FOLDS, len(y))
    part = rng.integers(0, _PARTS, y.shape)
    error = np.full((len(y), most), np.nan)
    for k in np.unique(fold):
        test = fold == k
        found = principal_components(y[~test], seen[~test], most, gain=_ROUGH[0], steps=_ROUGH[1])
        error[test] = _hidden_errors(found, y[test], seen[test], part[test], most)
    error = error[np.isfinite(error).all(1)]
    if not len(error):
        return 1
    # Curves without noise: what is smaller than a thousandth of how they differ is nothing to look for.
    rounding = _NEGLIGIBLE * float(np.square(_standardised(y, seen)[2]))
    mean = error.mean(0)
    return int(np.argmax(mean <= (1.0 + _WORTH) * mean.min() + rounding)) + 1


def _hidden_errors(found: PrincipalComponents, y: Array, seen: Mask, part: NDArray[np.int64], most: int) -> Array:
    """Mean squared error of the hidden points of every curve, by number of components, (N, most); NaN without any."""
    squared, points = np.zeros((len(y), most)), np.zeros(len(y))
    loading = (found.axes * found.std[:, None]).T
    for hidden in (seen & (part == p) for p in range(_PARTS)):
        points += hidden.sum(1)
        rest = np.where(seen & ~hidden, y - found.mean, 0.0)
        for k in range(1, most + 1):
            # What the other components would have said is noise to these; beyond those found there is nothing new.
            variance = found.noise_std**2 + (found.std[k:] ** 2).sum()
            variance = max(variance, _FLOOR * (found.noise_std**2 + (found.std**2).sum()), np.finfo(float).tiny)
            score = _posterior(rest, seen & ~hidden, loading[:, :k], variance)[0]
            residual = np.where(hidden, y - found.mean - score @ loading[:, :k].T, 0.0)
            squared[:, k - 1] += np.square(residual).sum(1)
    return squared / np.where(points > 0, points, np.nan)[:, None]


def _standardised(y: Array, seen: Mask) -> tuple[Array, Array, float]:
    """Curves about their mean in units of their standard deviation, 0 where not seen; that mean, and that deviation."""
    points = seen.sum(0)
    centre = np.where(seen, y, 0.0).sum(0) / np.maximum(points, 1)
    if points.any() and not points.all():  # nobody was there: what lies between the neighbours
        place = np.arange(len(points))
        centre = np.interp(place, place[points > 0], centre[points > 0])
    away = np.where(seen, y - centre, 0.0)
    largest = np.abs(np.where(seen, y, 0.0)).max(initial=0.0)
    scale = float(np.sqrt(np.square(away).sum() / max(seen.sum(), 1)))
    if scale <= 1e-13 * largest:  # rounding of the mean
        return away, centre, 0.0
    return away / scale, centre, scale


def _start(y: Array, count: int) -> tuple[Array, Array, float]:
    """Mean, loadings (T, K) and noise variance by the closed form, as if a missing point lay on the mean."""
    N, T = y.shape
    mean = y.mean(0)
    y = y - mean
    # The smaller of the two Gram matrices: its rounding is far below what counts as a component.
    values, vectors = np.linalg.eigh((y @ y.T if N < T else y.T @ y) / N)
    values, vectors = np.maximum(values[::-1][:count], 0.0), vectors[:, ::-1][:, :count]
    total = float(np.square(y).sum() / N)
    if N < T:
        size = np.sqrt(np.where(values > _RANK * values[0], values * N, np.inf))
        vectors = y.T @ vectors / size
    variance = max((total - float(values.sum())) / max(T - len(values), 1), _FLOOR * total / T)
    return mean, vectors * np.sqrt(np.maximum(values - variance, 1e-6 * values)), variance


def _posterior(rest: Array, seen: Mask, loading: Array, variance: float) -> tuple[Array, Array, Array, Array]:
    """What each curve says of its scores: mean (N, K), covariance (N, K, K), and the system that gave them."""
    K = loading.shape[1]
    pairs = (loading[:, :, None] * loading[:, None, :]).reshape(-1, K * K)
    normal = (seen.astype(np.float64) @ pairs).reshape(-1, K, K) + variance * np.eye(K)
    right = rest @ loading
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return (inverse @ right[..., None])[..., 0], variance * inverse, right, normal


def _climbed(
    y: Array, seen: Mask, mean: Array, loading: Array, variance: float, gain: float, steps: int
) -> tuple[Array, Array, float]:
    """Climb the likelihood of the seen points by EM, from a start."""
    (N, T), K = y.shape, loading.shape[1]
    mask, points = seen.astype(np.float64), int(seen.sum())
    before = -np.inf
    for _ in range(steps):
        rest = np.where(seen, y - mean, 0.0)
        score, covariance, right, normal = _posterior(rest, seen, loading, variance)
        quadratic = (np.square(rest).sum() - (right * score).sum()) / variance
        volume = (points - N * K) * np.log(variance) + np.linalg.slogdet(normal)[1].sum()
        likelihood = -0.5 * (quadratic + volume) / points
        if likelihood - before < gain:
            break
        before = likelihood
        # Mean and loadings of each point: regression of its values on the scores and 1.
        known = np.concatenate([score, np.ones((N, 1))], axis=1)
        second = known[:, :, None] * known[:, None, :]
        second[:, :K, :K] += covariance
        left = (mask.T @ second.reshape(N, -1)).reshape(T, K + 1, K + 1)
        solved = _chained(left, y.T @ known, variance)
        loading, mean = solved[:, :K], solved[:, K]
        residual = np.where(seen, y - mean - score @ loading.T, 0.0)
        wide = (mask.T @ covariance.reshape(N, -1)).reshape(T, K, K)
        spread = np.einsum("tk,tkl,tl->", loading, wide, loading)
        variance = max(float(np.square(residual).sum() + spread) / points, _FLOOR)
        # Scores made standard normal again: the same likelihood, reached in far fewer steps.
        middle = score.mean(0)
        wide = covariance.mean(0) + score.T @ score / N - np.outer(middle, middle)
        mean, loading = mean + loading @ middle, loading @ np.linalg.cholesky(wide)
    return mean, loading, variance


def _chained(left: Array, right: Array, weight: float) -> Array:
    """Solve one system for each point, with neighbours' answers, but for the last entry, tied to each other.

    The curves are standardised, so that differences of the order of 1 between neighbours' loadings are a wide prior.

    Args:
        left: Normal matrices, shape (T, Q, Q).
        right: Shape (T, Q); the last entry is the mean's, which is known wherever one curve is.
        weight: Of the squared differences between neighbours; above zero.

    Returns:
        Answers, shape (T, Q), of the block tridiagonal system, by banded Cholesky.
    """
    T, Q = right.shape
    band = np.zeros((Q + 1, T, Q))
    neighbours = np.full((T, 1), 2.0)
    neighbours[0] -= 1.0
    neighbours[-1] -= 1.0
    for d in range(Q):
        band[d, :, : Q - d] = np.diagonal(left, -d, axis1=1, axis2=2)
    band[0, :, :-1] += weight * neighbours
    band[0] += 1e-12 * left.max()
    band[Q, :-1, :-1] = -weight
    return scipy.linalg.solveh_banded(band.reshape(Q + 1, -1), right.reshape(-1), lower=True).reshape(T, Q)
