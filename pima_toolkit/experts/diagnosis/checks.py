"""The checks of a diagnosis: each looks at the curves of one population in one way, and says what it saw.

Probabilities are log10 of p-values, so that a hopeless fit and a poor one are told apart; a check that only describes
has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
from numpy.typing import NDArray

from ..noise.robust import RobustNoise
from ..solvers.noisy_fits import curves_at
from .curves import PopulationCurves
from .lack_of_fit import lack_of_fit, log10_of, log_tail

Array = NDArray[np.float64]

#: Share of the points at either end of a curve that are looked at by themselves.
END = 0.1
#: Fewer specimens, or residuals, say nothing of how they are spread.
_SPECIMENS, _RESIDUALS = 5, 20
#: Shrinkage from which a specimen's own parameter is mostly its population's, and standard errors by which one specimen
#: or point may move a parameter before it is told.
SHRUNK, MOVES = 0.5, 1.0
#: Stretches of t that the range of validity is made of, and standard errors from which one is off.
_STRETCHES, OFF = 20, 4.0


@dataclass(frozen=True)
class Look:
    """What one look at one population gave.

    Args:
        log_p: log10 of the probability of something as odd, were nothing wrong; None of a look that only describes.
        wrong: Sentence if it is too odd, or of a description that should be known.
        right: Sentence if it is not.
        remedy: What to do if it is.
        told: Of a description, whether ``wrong`` is the sentence.
    """

    log_p: float | None
    wrong: str
    right: str
    remedy: str
    told: bool = False


NOTHING = Look(None, "", "There is too little to judge this by.", "")


def along(curves: PopulationCurves, value: float) -> str:
    """A place along the curves with its unit."""
    return f"{value:.3g}" + ("" if curves.t_unit == "1" else f" {curves.t_unit}")


def largest(values: Array) -> tuple[int, int]:
    """Row and column of the largest value."""
    row, column = np.unravel_index(int(np.argmax(values)), values.shape)
    return int(row), int(column)


def residuals_t(curves: PopulationCurves) -> Look:
    """Look whether residuals follow anything smooth along t: another law, a toe, a drift, a saturation."""
    found = lack_of_fit(curves, curves.smooth)
    if found is None:
        return NOTHING
    many = len(curves.names) > 1
    if found.alike > 0.3 or not many:
        where = float(curves.t[largest(np.abs(found.curve))])
        whose = " in all curves alike" if many else ""
        wrong = f"residuals follow a smooth curve along {curves.law.t}{whose}, most at {along(curves, where)}"
        remedy = 'another law; window= where it holds; or noise="misfit"'
    else:
        wrong = f"residuals of each curve wander along {curves.law.t} in their own way"
        remedy = 'noise="autocorrelated" or "misfit"; or a law with one more parameter'
    return Look(
        min(found.shared, found.own) + np.log10(2.0),
        f"{wrong}: {found.size:.2g} noise std ({curves.law.name} misses them)",
        f"Residuals follow nothing smooth along {curves.law.t}: the law {curves.law.name} is not contradicted.",
        remedy,
    )


def residuals_prediction(curves: PopulationCurves) -> Look:
    """Look whether residuals grow with the curve."""
    found = curves.noise_evidence
    return Look(
        _one_sided(found.growth, found.growth_error),
        f"residuals grow with the curve (rank correlation {found.growth:.2f}): large values weigh too much",
        "Residuals are as wide where the curve is large as where it is small.",
        'noise="proportional"',
    )


def autocorrelation(curves: PopulationCurves) -> Look:
    """Look whether neighbouring residuals go together."""
    found = curves.noise_evidence
    return Look(
        _one_sided(found.autocorrelation, found.autocorrelation_error),
        f"neighbouring residuals go together (lag-1 autocorrelation {found.autocorrelation:.2f}): the points say less"
        " than they seem to, and errors are too small",
        "Neighbouring residuals are independent.",
        'noise="autocorrelated" or "misfit", or another law where residuals follow a curve',
    )


def _one_sided(figure: float, error: float) -> float:
    if not np.isfinite(figure):
        return 0.0
    return log10_of(scipy.stats.norm.logsf(figure / error))


def quantiles(curves: PopulationCurves) -> Look:
    """Look for residuals farther off than Gaussian noise puts them."""
    z = curves.standardised[curves.seen]
    if curves.exact or z.size < _RESIDUALS:
        return NOTHING
    if isinstance(curves.noise, RobustNoise):
        return Look(None, "", "Points far off are allowed for: the noise has heavy tails.", "")
    n, p = largest(np.abs(curves.standardised))
    farthest = abs(float(curves.standardised[n, p]))
    single = scipy.stats.t.logsf(_studentised(farthest, z.size), z.size - 2) + np.log(2.0 * z.size)
    tails = scipy.stats.norm.logsf(scipy.stats.kurtosistest(z).statistic)
    far = int((np.abs(z) > 4.0).sum())
    what = f"{far} points are beyond 4 std" if far else "residuals have heavier tails than Gaussian noise"
    where = f"specimen {curves.names[n]} at {along(curves, float(curves.t[n, p]))}"
    return Look(
        log10_of(min(single, tails)) + np.log10(2.0),
        f"{what}, the farthest {farthest:.1f} std ({where}): they pull the fit",
        "Residuals lie on the line of Gaussian noise, none is far off.",
        'noise="robust", or leave such points out (NaN)',
    )


def _studentised(z: float, count: int) -> float:
    """A standardised residual with its own part of the variance left out."""
    return z * np.sqrt((count - 2.0) / max(count - 1.0 - z**2, 1e-6))


def ends(curves: PopulationCurves) -> Look:
    """Look whether the beginning or the end of the curves is off by itself."""
    parts = end_points(curves)
    found = [lack_of_fit(curves, np.stack([part, part * curves.t], -1).astype(np.float64)) for part in parts]
    logs = [0.0 if one is None else one.shared for one in found]
    begin, end = float(curves.t[curves.seen].min()), float(curves.t[curves.seen].max())
    at_start = logs[0] <= logs[1]
    where, side = (parts[0], "first") if at_start else (parts[1], "last")
    worse = found[0 if at_start else 1]
    off = 0.0 if worse is None else float(np.sqrt(np.mean(np.square(worse.curve[where]))))
    if at_start:
        low = float(np.median([t[row].max() for t, row in zip(curves.t, where, strict=True) if row.any()]))
        remedy, cause = (
            f'window=({low:.4g}, {end:.4g}); or zero="toe" or "preload" where the files are read',
            "a toe or slack",
        )
    else:
        high = float(np.median([t[row].min() for t, row in zip(curves.t, where, strict=True) if row.any()]))
        remedy, cause = f"window=({begin:.4g}, {high:.4g})", "saturation or necking"
    return Look(
        min(logs) + np.log10(2.0),
        f"the {side} {END:.0%} of the points are off by {off:.1f} noise std, as by {cause}",
        "Neither the beginning nor the end of the curves is off by itself.",
        remedy,
    )


def end_points(curves: PopulationCurves) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The first and the last tenth of each curve's points along t, at least two, shape (N, T) each."""
    rank = np.argsort(np.argsort(np.where(curves.seen, curves.t, np.inf), axis=1, kind="stable"), axis=1)
    count = curves.seen.sum(1, keepdims=True)
    some = np.maximum(np.round(END * count), 2.0)
    return curves.seen & (rank < some), curves.seen & (rank >= count - some)


def record(curves: PopulationCurves) -> Look:
    """Look at the rows as they were written: values that repeat, that stop at a limit, a path that turns back."""
    repeated, clipped, pairs = 0, 0, 0
    values = np.sort(np.concatenate([np.unique(row[seen]) for row, seen in zip(curves.y, curves.seen, strict=True)]))
    steps = np.diff(values)
    resolution = float(steps[steps > 0.0].min()) if (steps > 0.0).any() else 0.0
    for row, seen in zip(curves.y, curves.seen, strict=True):
        y = row[seen]
        equal = np.diff(y) == 0.0
        extreme = equal & ((y[1:] == y.max(initial=-np.inf)) | (y[1:] == y.min(initial=np.inf)))
        pairs, clipped, repeated = pairs + len(equal), clipped + extreme.sum(), repeated + equal.sum()
    chance = min(resolution / (2.0 * np.sqrt(np.pi) * float(np.median(curves.spread)) + 1e-300), 1.0)
    # A curve that is flat beyond its noise repeats by itself.
    ties = 0.0 if curves.exact else log10_of(scipy.stats.binom.logsf(repeated - 1, pairs, chance))
    back = returning(curves)
    branch = 0.0
    if back.any():
        x = (curves.t - curves.t.min()) / max(float(np.ptp(curves.t)), 1e-300)
        found = lack_of_fit(curves, np.stack([back, back * x], -1).astype(np.float64))
        branch = 0.0 if found is None else min(found.shared, found.own) + np.log10(2.0)
    right = "Nothing in the rows is odd: values do not repeat, stop at a limit, or turn back."
    if branch < ties:
        share = back.sum() / curves.seen.sum()
        wrong = f"{share:.0%} of the points are on a way back along {curves.law.t}, and lie elsewhere: an unloading"
        return Look(
            branch + np.log10(2.0), wrong, right, "keep the loading only: loading_only=True where files are read"
        )
    if 2 * clipped > repeated:
        wrong = f"{clipped + 1} values stand at the highest or lowest of their curve, as where an instrument is full"
        remedy = "leave them out (NaN), or window= up to there"
    else:
        wrong = f"{repeated} values are exactly those before them: rows written twice, or a value that is held"
        remedy = "leave the copies out (NaN): they count as measurements"
    return Look(ties + np.log10(2.0), wrong, right, remedy)


def returning(curves: PopulationCurves) -> NDArray[np.bool_]:
    """Points on a way back along t, shape (N, T); none where points have no order at all."""
    out = np.zeros(curves.y.shape, dtype=bool)
    for n, seen in enumerate(curves.seen):
        at = np.flatnonzero(seen)
        down = np.diff(curves.t[n, at]) < 0.0
        turns = int(np.sum(down[1:] != down[:-1]))
        if 0 < down.sum() < len(down) and turns <= 0.1 * len(down):
            out[n, at[1:]] = down
    return out


def individual_fits(curves: PopulationCurves) -> Look:
    """Look for a specimen that its own fit misses by more than the others are missed."""
    if curves.exact or len(curves.names) < 3:
        return NOTHING
    squares, freedom = own_squares(curves)
    with np.errstate(invalid="ignore", divide="ignore"):
        others = (squares.sum() - squares) / (freedom.sum() - freedom)
        ratio = np.where(freedom > 0, squares / np.maximum(freedom, 1) / others, 0.0)
    pairs = zip(ratio, freedom, strict=True)
    logs = [log_tail(float(one), float(f), float(freedom.sum() - f)) for one, f in pairs]
    worst = int(np.argmin(logs))
    return Look(
        logs[worst] + np.log10(len(logs)),
        f"specimen {curves.names[worst]} is missed by {np.sqrt(ratio[worst]):.1f} times what the others are missed by",
        "No specimen is missed by more than the others.",
        'look at its file (column, unit, date); leave it out; noise="robust" for single points',
    )


def own_squares(curves: PopulationCurves) -> tuple[Array, Array]:
    """Squares that each specimen's own fit leaves, and their degrees of freedom, shape (N,) each."""
    r = curves.without_slopes(curves.residual[..., None])[..., 0]
    return np.square(r).sum(1), curves.seen.sum(1) - (np.square(curves.slopes).sum(1) > 0.5).sum(1)


def parameters(curves: PopulationCurves) -> Look:
    """Look for a specimen whose parameters, or whose whole curve's size, are none of the others'."""
    if curves.scatter is None or len(curves.names) < _SPECIMENS:
        return NOTHING
    z = apart(np.column_stack([curves.deviation, sizes(curves)]))
    logs = np.asarray(scipy.stats.t.logsf(np.abs(z), len(z) - 2)) + np.log(2.0 * z.size)
    n, p = largest(-logs)
    what = [*curves.parameters, "the size of the curve"][p]
    return Look(
        log10_of(logs[n, p]),
        f"specimen {curves.names[n]}: {what} is {abs(z[n, p]):.1f} standard deviations off the other specimens'",
        "No specimen's parameters are beyond what the others' scatter explains.",
        "look at its file (unit, dimensions); leave it out; one population more (clusters=)",
    )


def sizes(curves: PopulationCurves) -> Array:
    """How many times each specimen's measured curve is what was expected of it, shape (N,)."""
    expected = curves_at(curves.law, curves.bounds, curves.packed, curves.centre, curves.held)
    weight = np.where(curves.seen & np.isfinite(expected), curves.weights, 0.0)
    f, y = np.where(weight > 0.0, expected, 0.0), np.where(weight > 0.0, curves.y, 0.0)
    return (weight * f * y).sum(1) / np.maximum((weight * f * f).sum(1), 1e-300)


def apart(values: Array) -> Array:
    """Deviation of each of N specimens from the others, in their standard deviations, shape as ``values`` (N, K).

    Student's t with N - 2 degrees of freedom where the specimens are Gaussian: each against the rest.
    """
    N, away = len(values), values - values.mean(0)
    square = np.square(away).sum(0) - np.square(away) * N / (N - 1)
    std = np.sqrt(np.maximum(square, 0.0) / (N - 2) * N / (N - 1))
    size = np.sqrt(np.mean(np.square(values), axis=0))
    return np.where(std > 1e-9 * size, away * N / (N - 1) / np.where(std > 0.0, std, 1.0), 0.0)


def predictive_check(curves: PopulationCurves) -> Look:
    """Look whether as much of the curves is inside the population's band as the population says."""
    if curves.scatter is None or len(curves.names) < _SPECIMENS:
        return NOTHING
    rows, drawn = curves.drawn
    y, seen = curves.y[rows], curves.seen[rows]
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    count = np.maximum(seen.sum(1), 1)
    inside = ((y >= low) & (y <= high) & seen).sum(1) / count
    chance = ((drawn >= low) & (drawn <= high) & seen).sum(2) / count
    mean, std = chance.mean(0), chance.std(0)
    z = float((inside - mean).sum() / max(np.sqrt(np.square(std).sum()), 1e-12))
    where = "inside" if z > 0 else "outside"
    return Look(
        log10_of(scipy.stats.norm.logsf(abs(z)) + np.log(2.0)),
        f"the population's 90 % band holds {inside.mean():.0%} of the measured points, more {where} than it says",
        f"The population's 90 % band holds {inside.mean():.0%} of the measured points, as it should.",
        "another number of clusters, or another law",
    )


def pit(curves: PopulationCurves) -> Look:
    """Look whether specimens lie in their population as a Gaussian of its parameters says."""
    u = transformed(curves)
    if u is None or len(u) < _RESIDUALS:
        return NOTHING
    return Look(
        log10_of(np.log(max(float(scipy.stats.kstest(u, "uniform").pvalue), 1e-300))),
        "specimens do not lie in their population as a Gaussian of its parameters has it: it may be two, or lopsided",
        "Probability integral transforms are even: the population's scatter is as it says.",
        "one population more (clusters=); or depends_on=, groups=",
    )


def transformed(curves: PopulationCurves) -> Array | None:
    """Probability integral transform of each specimen's distance from its population, shape (N,); None of few.

    The distance leaves the specimen itself out of mean and covariance: F with P and N - 1 - P degrees of freedom.
    """
    b = curves.deviation - curves.deviation.mean(0)
    b = b[:, np.abs(b).max(0) > 0.0]
    N, P = b.shape
    if curves.scatter is None or P == 0 or max(P + 3, _SPECIMENS) > N:
        return None
    size = b.std(0)
    whole = np.linalg.pinv((b / size).T @ (b / size), rcond=1e-10, hermitian=True)
    leverage = np.einsum("np,pq,nq->n", b / size, whole, b / size) * N / (N - 1)
    # Distance from the rest, from the share of the whole's squares that is one's own.
    ratio = leverage / np.maximum(1.0 - leverage, 1e-9) * (N - 1 - P) / P
    return np.asarray(scipy.stats.f.cdf(ratio, P, N - 1 - P))


def shrinkage(curves: PopulationCurves) -> Look:
    """Tell how much of specimens' own parameters is their population's."""
    share = shrunk(curves)
    if share is None:
        return NOTHING
    names = curves.parameters
    listed = ", ".join(f"{name} {s:.0%}" for name, s in zip(names, share, strict=True))
    much = [name for name, s in zip(names, share, strict=True) if s > SHRUNK]
    return Look(
        None,
        f"own curves say little of single specimens' {', '.join(much)}: values are mostly the population's ({listed})",
        f"Specimens' own curves decide their parameters (shrinkage: {listed}).",
        "measure more of each; or hold such parameters: fixed=",
        bool(much),
    )


def shrunk(curves: PopulationCurves) -> Array | None:
    """One less the standard deviation of specimens' own parameters over the population's, shape (free,)."""
    if curves.scatter is None or len(curves.names) < _SPECIMENS:
        return None
    of = np.sqrt(np.diagonal(curves.scatter)[curves.free])
    own = np.sqrt(np.mean(np.square(curves.deviation), axis=0))
    return np.where(of > 0.0, np.clip(1.0 - own / np.where(of > 0.0, of, 1.0), 0.0, 1.0), 1.0)


def influence(curves: PopulationCurves) -> Look:
    """Tell how far the population's parameters move without one specimen."""
    moved = without_one(curves)
    if moved is None:
        return NOTHING
    n, p = largest(np.abs(moved))
    words = (
        f"without specimen {curves.names[n]}, {curves.parameters[p]} moves by {abs(moved[n, p]):.1f} standard errors"
    )
    return Look(
        None,
        words,
        f"No specimen decides by itself: {words}.",
        "look at it; leave it out and compare",
        bool(abs(moved[n, p]) > MOVES),
    )


def without_one(curves: PopulationCurves) -> Array | None:
    """Change of the population's mean without each specimen, in its standard errors, shape (N, free)."""
    N = len(curves.names)
    if N < 3 or curves.scatter is None:
        return None
    b = curves.deviation
    error = np.sqrt(np.square(b - b.mean(0)).sum(0) / (N - 1) / N)
    return (b.mean(0) - b) / (N - 1) / np.where(error > 0.0, error, 1.0)


def influence_point(curves: PopulationCurves) -> Look:
    """Tell how far single points move their own curve's parameters."""
    distance = cook(curves)
    n, p = largest(distance)
    words = (
        f"without its point at {along(curves, float(curves.t[n, p]))}, the parameters of {curves.names[n]} move by"
        f" {np.sqrt(distance[n, p]):.1f} standard errors"
    )
    return Look(
        None,
        words,
        f"No point decides by itself: {words}.",
        'leave it out (NaN), or noise="robust"',
        bool(distance[n, p] > MOVES),
    )


def cook(curves: PopulationCurves) -> Array:
    """Cook's distance of every point: squared standard errors by which its curve's parameters move without it."""
    leverage = np.minimum(np.square(curves.slopes).sum(-1), 0.999)
    rank = np.maximum((np.square(curves.slopes).sum(1) > 0.5).sum(1), 1)[:, None]
    return np.square(curves.standardised) * leverage / (1.0 - leverage) / rank


def validity(curves: PopulationCurves) -> Look:
    """Tell along which stretch of t the curves bear the law out."""
    begin, end = (float(f(curves.t[curves.seen])) for f in (np.min, np.max))
    centres, mean, error = stretches(curves)
    off = np.abs(mean) > OFF * error
    whole = (
        f"The curves bear the law out from {along(curves, begin)} to {along(curves, end)}, where they were measured."
    )
    if not off.any():
        return Look(None, "", whole, "")
    edges = np.concatenate([[begin], 0.5 * (centres[1:] + centres[:-1]), [end]])
    runs = np.split(np.arange(len(off)), np.flatnonzero(np.diff(off)) + 1)
    good = [run for run in runs if not off[run[0]]]
    if not good:
        return Look(None, "the curves bear the law out nowhere", "", "another law", told=True)
    longest = max(good, key=len)
    low, high = float(edges[longest[0]]), float(edges[longest[-1] + 1])
    words = f"the curves bear the law out from {along(curves, low)} to {along(curves, high)} only"
    return Look(None, words, "", f"window=({low:.4g}, {high:.4g}), or another law", told=True)


def stretches(curves: PopulationCurves) -> tuple[Array, Array, Array]:
    """Centres of stretches of t of as many points each, mean standardised residual there, and its standard error."""
    t, z = curves.t[curves.seen], curves.standardised[curves.seen]
    order = np.argsort(t, kind="stable")
    parts = np.array_split(order, int(np.clip(len(order) // 5, 1, _STRETCHES)))
    centres = np.array([t[part].mean() for part in parts])
    return centres, np.array([z[part].mean() for part in parts]), np.array([1.0 / np.sqrt(len(part)) for part in parts])


#: Every check by its name, in the order they are told.
CHECKS: dict[str, tuple[str, Callable[[PopulationCurves], Look]]] = {
    "residuals_t": ("residuals along t", residuals_t),
    "residuals_prediction": ("residuals and prediction", residuals_prediction),
    "autocorrelation": ("autocorrelation", autocorrelation),
    "quantiles": ("quantiles of the residuals (Q-Q)", quantiles),
    "ends": ("beginning and end", ends),
    "record": ("rows as written", record),
    "individual_fits": ("individual fits", individual_fits),
    "parameters": ("parameters of the specimens", parameters),
    "predictive_check": ("predictive check", predictive_check),
    "pit": ("probability integral transform", pit),
    "shrinkage": ("shrinkage", shrinkage),
    "influence": ("influence of one specimen", influence),
    "influence_point": ("influence of one point", influence_point),
    "validity": ("range of validity", validity),
}
