r"""What is done to a measured curve before it is a modality; pure functions of arrays, each says what it did.

A physics curve is a function y(x) on strictly increasing x. A test gives a path: it pauses, goes back, unloads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.reading_log import Unusable, count

#: Fewest points of a curve.
FEWEST = 3
#: Share of the range by which x may go back from one reading to a later one without being called unloading.
_JITTER = 0.02
#: The tangent of the toe correction spans this share of the stress at which its search ends.
_TANGENT = 0.15
#: A toe or a preload is told where it is more than this share of the rise to half of the largest y.
_SEEN = 0.1
#: Fewest points of a curve whose foot is judged.
_FOOT = 12
#: Largest share of the range of y that a step of a common grid may take.
_STEP = 0.05
#: A change of y below this share of its range is noise.
_DEAD = 0.02
#: Points of each curve at which its steepness is looked at.
_KNOTS = 400

Shaped = tuple[np.ndarray, np.ndarray, list[str]]


def drop_gaps(x: np.ndarray, y: np.ndarray) -> Shaped:
    """Points without x or y left out.

    Raises:
        Unusable: If fewer than three points remain.
    """
    keep = np.isfinite(x) & np.isfinite(y)
    lost = int((~keep).sum())
    if keep.sum() < FEWEST:
        raise Unusable(f"has {count(int(keep.sum()), 'point')} with numbers for x and y, at least {FEWEST} are needed")
    if not lost:
        return x, y, []
    return x[keep], y[keep], [f"{count(lost, 'point')} without a value left out"]


def positive(x: np.ndarray, y: np.ndarray, each: bool = False) -> Shaped:
    """Signs turned where nearly all of x and y is negative: compression, as some machines record it.

    Args:
        x: (T,), finite.
        y: (T,), finite.
        each: Turn x or y alone too: some machines count only one of them negative, and loading does positive work. Not
            for a stretch, which is below 1 in compression where the stress is negative.
    """
    turned = [np.count_nonzero(v <= 0) > 0.95 * v.size and v.min() < 0 for v in (x, y)]
    if all(turned):
        return 0.0 - x, 0.0 - y, ["x and y were negative (compression): signs turned"]
    if not any(turned):
        return x, y, []
    others = [np.count_nonzero(v >= 0) > 0.95 * v.size and v.max() > 0 for v in (y, x)]
    for k, axis in enumerate("xy"):
        if each and turned[k] and others[k]:
            note = f"{axis} was negative beside a positive {'yx'[k]} (compression): its sign turned"
            return (0.0 - x, y, [note]) if k == 0 else (x, 0.0 - y, [note])
    return x, y, []


def one_clock(time: np.ndarray) -> None:
    """Refuse times that begin again: the readings after a pause are no unloading.

    Raises:
        Unusable: Naming where.
    """
    span = np.ptp(time)
    steps = np.diff(time)
    if (steps < -_JITTER * span).any() and not (steps <= 0).all():
        at = int(np.argmax(steps < -_JITTER * span))
        raise Unusable(
            f"has a time that goes back from {time[at]:g} to {time[at + 1]:g} after point {at + 1} of {time.size}: was "
            "the clock started again? Part the file, or name another column, x=..."
        )


def first_rise(x: np.ndarray, y: np.ndarray, loading_only: bool) -> Shaped:
    """The points at which x is farther than ever before, in increasing order of x; equal x averaged.

    What follows the farthest point (unloading) and loops on the way are left out. x may run either way.

    Args:
        x: (T,), finite.
        y: (T,), finite.
        loading_only: False: a curve that goes back by more than 2 % of its range is refused instead.

    Raises:
        Unusable: If x goes back and must not, or stands still; if it begins again in one step and goes about as far as
            before or farther, as where a file holds two curves.
    """
    if x.size >= FEWEST and (np.diff(x) > 0).all():
        return x, y, []  # as most files are
    forward = x if x[np.abs(x - x[0]).argmax()] >= x[0] else -x
    span = forward.max() - forward.min()
    if span == 0:
        raise Unusable(f"has the same x, {x[0]:g}, at every point")
    end = int(np.flatnonzero(forward == forward.max())[-1])
    farthest = np.maximum.accumulate(forward)
    back = farthest - forward > _JITTER * span
    if back.any() and not loading_only:
        raise Unusable(
            f"goes back in x at point {int(back.argmax()) + 1} of {x.size} (unloading or a loop), so that y is no "
            "function of x: loading_only=True keeps the first rise"
        )
    for at in np.flatnonzero(np.diff(forward) < -_JITTER * span):
        risen = farthest[at] - forward[: at + 1].min()
        later = forward[at + 1 :]
        returns = [np.flatnonzero(later > farthest[at] - share * risen) for share in (0, 0.25)]
        again = any(r.size and r[0] >= FEWEST for r in returns)
        if forward[at] - forward[at + 1] > 0.5 * risen and again:
            farther = "farther" if returns[0].size else "as far"
            raise Unusable(
                f"jumps back from x = {x[at]:g} to {x[at + 1]:g} after point {at + 1} of {x.size} and then goes "
                f"{farther}: are these two curves? Part the file"
            )
    keep = forward >= farthest
    keep[end + 1 :] = False
    u, group = np.unique(forward[keep], return_inverse=True)
    mean = np.bincount(group, weights=y[keep]) / np.bincount(group)
    notes = []
    after = x.size - end - 1
    if after:
        notes.append(f"{count(after, 'point')} after the farthest x left out" + (" (unloading)" if back.any() else ""))
    if lost := int((~keep[:end]).sum()):
        notes.append(f"{count(lost, 'point')} where x went back left out")
    if twice := int(keep.sum()) - u.size:
        notes.append(f"{count(twice, 'point')} at an x that was there already averaged with it")
    if u.size < FEWEST:
        raise Unusable(f"has {count(u.size, 'point')} at different x on its first rise, at least {FEWEST} are needed")
    return (u, mean, notes) if forward is x else (0.0 - u[::-1], mean[::-1], notes)


def origin_of_tangent(x: np.ndarray, y: np.ndarray) -> float | None:
    r"""Where the steepest tangent of a loading curve meets y = 0; None where the curve does not rise.

    The tangent is the steepest least-squares line over stretches in which y rises by 15 % of its largest value,
    searched in the first half of the range of x and up to half of the largest y there, so that neither a plateau nor
    densification is taken for the elastic line.

    Args:
        x: (T,), strictly increasing.
        y: (T,).

    Source: the construction of ASTM D638, annex on toe compensation.
    """
    half = int(np.searchsorted(x, 0.5 * (x[0] + x[-1]), side="right"))
    top = y[:half].max()
    rising = np.maximum.accumulate(y[: half + FEWEST])
    start = np.arange(max(1, int(np.searchsorted(rising, 0.5 * top, side="left"))))
    stop = np.maximum(np.searchsorted(rising, rising[start] + _TANGENT * top) + 1, start + FEWEST)
    stop = np.minimum(stop, x.size)
    x, y = x[: stop.max()], y[: stop.max()]  # of a metal's curve a hundredth: what follows is no tangent
    sums = np.concatenate([np.zeros((4, 1)), np.cumsum([x, y, x * x, x * y], axis=1)], axis=1)
    n = stop - start
    sx, sy, sxx, sxy = sums[:, stop] - sums[:, start]
    spread = n * sxx - sx**2
    slope = np.divide(n * sxy - sx * sy, spread, out=np.full(n.size, -np.inf), where=(spread > 0) & (n >= FEWEST))
    best = int(slope.argmax())
    if not (np.isfinite(slope[best]) and slope[best] > 0):
        return None
    return float((sx[best] - sy[best] / slope[best]) / n[best])


def correct_toe(x: np.ndarray, y: np.ndarray) -> Shaped:
    """The origin moved to where the steepest tangent meets y = 0; what was measured before it is left out.

    Seating of the specimen bends the foot of a curve; see `origin_of_tangent`.

    Args:
        x: (T,), strictly increasing.
        y: (T,).

    Raises:
        Unusable: If no stretch rises, or too little is left.
    """
    origin = origin_of_tangent(x, y)
    if origin is None:
        raise Unusable("does not rise, so the toe correction finds no tangent: zero=None")
    keep = x >= origin - 1e-9 * (x[-1] - x[0])
    if keep.sum() < FEWEST:
        raise Unusable(f"has {count(int(keep.sum()), 'point')} after the toe correction (by {origin:g}): zero=None")
    lost = int((~keep).sum())
    note = f"toe: origin of x moved to {origin:.4g}" + (f", {count(lost, 'point')} before it left out" if lost else "")
    return np.maximum(x[keep] - origin, 0.0), y[keep], [note]


def correct_preload(x: np.ndarray, y: np.ndarray) -> Shaped:
    """The origin moved back to where the steepest tangent meets y = 0, before the first point.

    A machine may set x to 0 when the specimen bears a preload already.

    Args:
        x: (T,), strictly increasing.
        y: (T,).

    Raises:
        Unusable: If no stretch rises.
    """
    origin = origin_of_tangent(x, y)
    if origin is None:
        raise Unusable("does not rise, so the correction of its preload finds no tangent: zero=None")
    if origin >= x[0]:
        return x, y, []
    return x - origin, y, [f"preload: origin of x moved to {origin:.4g}, where the tangent meets y = 0"]


def found_at_zero(x: np.ndarray, y: np.ndarray) -> list[str]:
    """What to say of the foot of a loading curve that is not corrected: seating (a toe), or a preload."""
    origin, top = origin_of_tangent(x, y), y.max()
    if origin is None or top <= 0 or x.size < _FOOT:
        return []
    half = x[int(np.argmax(y >= 0.5 * top))] - x[0]
    if origin - x[0] > _SEEN * half and y[0] < _SEEN * top:
        return [f'its foot is bent: the steepest tangent meets y = 0 at x = {origin:.4g} (zero="toe" moves x there)']
    if origin - x[0] < -_SEEN * half and y[0] > 0.02 * top:
        return [f'begins at y = {y[0]:.4g}, as after a preload (zero="preload" moves the origin to x = {origin:.4g})']
    return []


def to_true(strain: np.ndarray, stress: np.ndarray, mode: str) -> Shaped:
    r"""Engineering to true stress and strain, at constant volume.

    .. math:: \varepsilon = \pm\ln(1 \pm e),\quad \sigma = s\,(1 \pm e)

    with + for tension and - for compression, both counted positive. Valid to the onset of necking, in tension.

    Args:
        strain: (T,), dimensionless, increasing.
        stress: (T,).
        mode: ``"tension"`` or ``"compression"``.

    Raises:
        Unusable: If a specimen is shortened by its whole length or more.
    """
    sign = 1.0 if mode == "tension" else -1.0
    stretch = 1 + sign * strain
    if stretch.min() <= 0:
        raise Unusable(f"has the strain {strain.max():g}, which in {mode} leaves no length: is it in per cent?")
    notes = [f"engineering to true, {mode}"]
    peak = int(stress.argmax())
    if mode == "tension" and peak < strain.size - 1:
        notes.append(f"true stress holds up to necking, at the latest strain {strain[peak]:.4g}")
    return sign * np.log(stretch), stress * stretch, notes


def inside(x: np.ndarray, y: np.ndarray, window: tuple[float, float]) -> Shaped:
    """The points with x in the window.

    Raises:
        Unusable: If fewer than three are.
    """
    keep = (x >= window[0]) & (x <= window[1])
    if keep.sum() < FEWEST:
        raise Unusable(
            f"has {count(int(keep.sum()), 'point')} with x from {window[0]:g} to {window[1]:g} (its x: {x[0]:g} to "
            f"{x[-1]:g})"
        )
    return x[keep], y[keep], [] if keep.all() else [f"{count(int((~keep).sum()), 'point')} outside the window left out"]


def common_grid(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], low: float, high: float, points: int
) -> tuple[np.ndarray, str]:
    """A grid for several curves that does not thin their steep parts.

    Equal steps, unless in one of them most curves change by more than a twentieth of their range, as where an elastic
    part is a hundredth of the strain: then half of the points go in equal steps of x, half in equal steps of y.

    Args:
        curves: x and y of each, x increasing.
        low: First point.
        high: Last point.
        points: Their number.

    Returns:
        The grid (points,), increasing, and what to say of it: empty for equal steps.
    """
    even = np.linspace(low, high, points)
    ways = [_way(x, y) for x, y in curves]
    steepest = np.array([np.diff(np.interp(even, x, way)).max() for x, way in ways])
    if np.median(steepest) <= _STEP:
        return even, ""
    knots = np.unique(np.concatenate([np.quantile(x, np.linspace(0, 1, _KNOTS)) for x, _ in ways] + [even]))
    knots = knots[(knots >= low) & (knots <= high)]
    mean = np.mean([np.interp(knots, x, way) for x, way in ways], axis=0)
    along = (knots - low) / (high - low) + (mean - mean[0]) / max(mean[-1] - mean[0], 1e-12)
    grid = np.interp(np.linspace(0, along[-1], points), along, knots)
    grid[0], grid[-1] = low, high
    left = float(np.median([np.diff(np.interp(grid, x, way)).max() for x, way in ways]))
    said = ", closer where the curves are steep"
    return grid, said + (f", still up to {100 * left:.0f} % of y in a step" if left > _STEP else "")


def _way(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far y has gone up and down along x, in its ranges; what is below a fiftieth of its range is noise."""
    span = np.ptp(y)
    if span == 0:
        return x, np.zeros(x.size)
    steps = np.empty(x.size)
    last = y[0]
    for k, value in enumerate(y.tolist()):
        if abs(value - last) > _DEAD * span:
            last = value
        steps[k] = last
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(steps)))]) / span
    kept = np.flatnonzero(np.diff(way, prepend=-1.0) > 0)  # a straight line between the changes, not stairs
    kept = np.union1d(kept, [0, x.size - 1])
    return x, np.interp(x, x[kept], way[kept])


def on_grid(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """y on another grid by straight lines between the points, NaN outside the measured range; (grid,)."""
    slack = 1e-9 * (x[-1] - x[0])
    out = np.interp(grid, x, y)
    out[(grid < x[0] - slack) | (grid > x[-1] + slack)] = np.nan
    return out
