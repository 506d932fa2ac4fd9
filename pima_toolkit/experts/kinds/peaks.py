r"""Sums of peaks on a background: spectra and diffraction patterns.

.. math:: y(x) = \sum_{k=0}^{K} b_k \Big(\frac{x - x_0}{s}\Big)^k + \sum_{j=1}^{n} A_j\, g(x; \mu_j, w_j, \ldots)

with a shape g that any expert gives which is a formula with a centre. Where a fit begins is found in the curve: the
background by a polynomial under what rises above it, the peaks by scipy's search, of those that rise most from their
surroundings.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy  # loads its parts on first use
from numba import boolean, float64, int64, njit, void
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...compiling import compiled
from ...errors import ExpertError, OptionError
from ..contract.bounds import Bounds
from ..contract.example import Example
from ..contract.parameters import Parameter
from ..formulas.codegen import CURVE
from .evaluated import evaluated
from .expert import Expert
from .formula_expert import SympyExpert

Array = NDArray[np.float64]

#: Most peaks, the highest degree of the background, and the fewest points to look at.
MOST_PEAKS, _MOST_DEGREE, _FEWEST = 60, 6, 3
#: Rounds in which a background is fitted to what lies under it.
_ROUNDS = 40
#: A peak stands above the noise by so many standard deviations, smoothed over so much of its half width.
CLEAR, _SMOOTHED = 4.0, 0.5
#: Least width, in steps of the grid.
_NARROW = 0.3
#: Factor on the widths of a guess, of a further start.
_WIDER = 1.6
#: Of the median absolute deviation of a normal variable.
_MAD = 0.6745

#: Arguments of :func:`_sum`.
_SIGNATURE = void(
    CURVE, boolean[::1], int64, float64, float64, float64[::1], float64[::1], float64[::1], float64[:, ::1]
)


def _sum(shape, shared, background, offset, scale, t, theta, value, jacobian):  # noqa: ANN001, ANN202 - see _SIGNATURE
    """Background and peaks; theta holds the background, the shared parameters of the shape, and each peak's own."""
    n, S = value.size, shared.size
    common = background + int(shared.sum())
    each = S - int(shared.sum())
    count = (theta.size - common) // each
    own, where = np.empty(S), np.empty(S, np.int64)
    one, slopes = np.empty(n), np.empty((n, S))
    jacobian[:] = 0.0
    for k in range(n):
        power, value[k] = 1.0, 0.0
        for b in range(background):
            value[k] += theta[b] * power
            jacobian[k, b] = power
            power *= (t[k] - offset) / scale
    for j in range(count):
        first, alike = common + j * each, background
        for i in range(S):
            if shared[i]:
                where[i] = alike
                alike += 1
            else:
                where[i] = first
                first += 1
            own[i] = theta[where[i]]
        shape(t, own, one, slopes)
        for k in range(n):
            value[k] += one[k]
            for i in range(S):
                jacobian[k, where[i]] += slopes[k, i]


@functools.cache
def _adder() -> Callable[..., None]:
    return compiled(_SIGNATURE)(_sum)


@functools.lru_cache(maxsize=256)
def _compiled(
    shape: SympyExpert, shared: tuple[bool, ...], background: int, offset: float, scale: float
) -> Callable[..., None]:
    adder, peak, alike = _adder(), shape.compiled_curve(), np.array(shared)

    # Compiled in each process, in a moment: what it calls is compiled already.
    @njit(CURVE.signature)
    def curve(t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled
        adder(peak, alike.copy(), background, offset, scale, t, theta, value, jacobian)

    return curve


@dataclass(frozen=True)
class _Roles:
    """What the parameters of a shape are, by their numbers.

    Args:
        height: What the shape is linear in.
        centre: Where it is.
        widths: What makes it wider.
        high: Its largest value at a height of one.
        wide: Its half width at half height, at widths of one.
    """

    height: int
    centre: int
    widths: tuple[int, ...]
    high: float
    wide: float

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, shape: SympyExpert) -> _Roles:
        """Read them off a shape.

        Raises:
            ExpertError: If it is none: it has no centre, no height, or no width.
        """
        names = [p.name for p in shape.parameters]
        centres = [names.index(name) for name in shape.within]
        widths = [k for k, p in enumerate(shape.parameters) if p.unit == "{t}" and k not in centres]
        if len(centres) != 1 or len(shape.linear) != 1 or not widths or shape.covariates:
            raise ExpertError(
                f"{shape.name!r} is no shape of a peak: expected a formula with a height, in which it is linear, a"
                " centre, named in within, and a width in the unit '{t}', such as 'gaussian' or 'pseudo_voigt'"
            )
        middle = np.array([_middle(p) for p in shape.parameters])
        middle[[shape.linear[0], *widths]], middle[centres[0]] = 1.0, 0.0
        x = np.linspace(0.0, 20.0, 4001)
        y = shape.value_and_jacobian(x, middle)[0]
        return cls(shape.linear[0], centres[0], tuple(widths), float(y[0]), float(x[np.argmax(y < 0.5 * y[0])]))


def _middle(p: Parameter) -> float:
    both = math.isfinite(p.lower) and math.isfinite(p.upper)
    return 0.5 * (p.lower + p.upper) if both else max(p.lower, min(p.upper, 1.0))


class Peaks(Expert):
    """A sum of peaks on a background; ``pima.peaks`` makes it, and ``pima.find_peaks`` finds how many there are.

    Valid for: peaks of one shape that rise from a background without steps, each at least a few points wide.
    Source: Lieber & Mahadevan-Jansen 2003, Applied Spectroscopy 57, 1363, for the background that a fit begins with.

    Args:
        shape: One peak, a formula with a centre, a height and a width.
        count: Number of peaks.
        background: Degree of the polynomial under them; None for none.
        shared: Names of parameters of the shape that all peaks have in common, ``("w", "eta")``.
        places: Lowest and highest centre of each peak; anywhere in the curve by default.
        offset: Where the background's polynomial begins, and what it counts in.
        scale: As there.

    Raises:
        OptionError: If a number is out of range, or a name is of no parameter of the shape.
        ExpertError: If the shape is no peak.
    """

    reported: tuple[Parameter, ...] = ()
    shape: SympyExpert
    count: int
    background: int | None
    shared: tuple[str, ...]
    places: tuple[tuple[float, float], ...] | None
    offset: float
    scale: float
    #: Numbers of the parameters that are heights, and widths.
    heights: tuple[int, ...]
    widths: tuple[int, ...]

    def __init__(
        self,
        shape: Expert,
        count: int,
        background: int | None = 1,
        shared: Sequence[str] = (),
        places: Sequence[tuple[float, float]] | None = None,
        offset: float = 0.0,
        scale: float = 1.0,
    ) -> None:
        if not isinstance(shape, SympyExpert):
            raise ExpertError(f"{shape.name!r} is no formula: a peak is one, such as 'gaussian' or 'pseudo_voigt'")
        roles, names = _Roles.of(shape), [p.name for p in shape.parameters]
        for what, number, most in (("count", count, MOST_PEAKS), ("background", background, _MOST_DEGREE)):
            low = 1 if what == "count" else 0
            none = number is None and what == "background"
            if not none and (not isinstance(number, int) or not low <= number <= most):
                raise OptionError(f"{what}={number!r}: expected a whole number from {low} to {most}")
        shared = (shared,) if isinstance(shared, str) else tuple(shared)
        own = [names[roles.height], names[roles.centre]]
        for name in shared:
            if name not in names or name in own:
                can = ", ".join(n for n in names if n not in own)
                raise OptionError(f"shared={shared!r}: peaks of {shape.name!r} can share {can}")
        if places is not None and (len(places) != count or not all(low < high for low, high in places)):
            raise OptionError(f"places needs the lowest and highest centre of each of {count} peaks, got {places!r}")
        self._keep(
            shape=shape,
            count=count,
            background=background,
            shared=tuple(name for name in names if name in shared),
            places=None if places is None else tuple((float(low), float(high)) for low, high in places),
            offset=float(offset),
            scale=float(scale),
        )
        made = [(None, p) for p in self._of_background()]
        made += [(k, p) for k, p in enumerate(shape.parameters) if p.name in self.shared]
        for j in range(count):
            alone = [(k, p) for k, p in enumerate(shape.parameters) if p.name not in self.shared]
            made += [(k, self._of_peak(p, j, k == roles.height)) for k, p in alone]
        named = f"{count}, {shape.name}" + ("" if background == 1 else f", background={background}")
        named += f", shared=({', '.join(self.shared)},)" if self.shared else ""
        self._keep(
            t=shape.t,
            name=f"peaks({named})",
            parameters=tuple(p for _, p in made),
            reported=tuple(p for _, p in made),
            heights=tuple(i for i, (k, _) in enumerate(made) if k == roles.height),
            widths=tuple(i for i, (k, _) in enumerate(made) if k in roles.widths),
            within=tuple(f"{names[roles.centre]}_{j + 1}" for j in range(count)) if places is None else (),
        )
        self._keep(example=self._example())

    def _keep(self, **values: object) -> None:
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    def _of_background(self) -> list[Parameter]:
        free = self.scale == 1.0 and self.offset == 0.0
        units = ["{y}"] + [f"{{y}}/{{t}}**{k}" if free and k > 1 else "{y}/{t}" if free else "{y}" for k in range(1, 7)]
        degree = -1 if self.background is None else self.background
        about = "" if free else f" of ({self.t} - {self.offset:g})/{self.scale:g}"
        return [Parameter(f"b_{k}", units[k], description=f"background, power {k}{about}") for k in range(degree + 1)]

    def _of_peak(self, p: Parameter, j: int, height: bool) -> Parameter:
        made = replace(p, name=f"{p.name}_{j + 1}", description=f"{p.description.split(';')[0]}, peak {j + 1}")
        if height:
            return replace(made, lower=max(p.lower, 0.0))
        if p.name in self.shape.within and self.places is not None:
            return replace(made, lower=self.places[j][0], upper=self.places[j][1])
        return made

    @property
    def _alike(self) -> tuple[bool, ...]:
        return tuple(p.name in self.shared for p in self.shape.parameters)

    @property
    def common(self) -> int:
        """Number of the parameters that are no single peak's: those of the background, and the shared ones."""
        return (0 if self.background is None else self.background + 1) + len(self.shared)

    def compiled_curve(self) -> Callable[..., None]:
        """The sum with its derivatives, compiled."""
        return _compiled(self.shape, self._alike, self.common - len(self.shared), self.offset, self.scale)

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """The compiled form in torch, differentiable once; shapes as in :meth:`Law.predict`."""
        return evaluated(self, t, theta)

    @property
    def parts(self) -> tuple[Expert, ...]:
        """The shape, and what that is made of."""
        return (self.shape, *self.shape.parts)

    @property
    def guesses(self) -> bool:
        """Peaks are looked for in the curve."""
        return True

    def initial_guess(self, t: Array, y: Array, weights: Array) -> Array:
        """The peaks that rise most, or the largest value within each peak's place, on a background under them."""
        grids = np.broadcast_to(t, (len(y), t.shape[-1]))
        rows = [self._guess(grid[w > 0], row[w > 0]) for grid, row, w in zip(grids, y, weights, strict=True)]
        return np.array(rows)

    def _guess(self, x: Array, y: Array) -> Array:
        if x.size < _FEWEST:  # of a specimen that was not measured
            return np.array([_middle(p) for p in self.parameters])
        order = np.argsort(x)
        x, y = x[order], y[order]
        base, coefficients = self.under(x, y)
        rest = y - base
        if self.places is None:
            seen = candidates(x, rest)
            chosen = sorted(seen, key=lambda one: -one.rise)[: self.count]
            missing = np.linspace(x[0], x[-1], self.count - len(chosen) + 2)[1:-1]
            chosen += [SeenPeak(float(c), 0.0, 0.0, (x[-1] - x[0]) / (4 * self.count)) for c in missing]
            chosen.sort(key=lambda one: one.centre)
        else:
            chosen = [_highest(x, rest, low, high) for low, high in self.places]
        return self.at(chosen, coefficients)

    def bounds(self, t: ArrayLike) -> Bounds:
        """Centres within the grid or their places; widths from what a grid can show to its whole length."""
        bounds, x = super().bounds(t), np.unique(t)
        if x.size < 2:
            return bounds
        for k in self.widths:
            bounds = bounds.narrowed(k, _NARROW * float(np.median(np.diff(x))), float(x[-1] - x[0]))
        return bounds

    def around(self, guess: Array) -> Array:
        """The guess, and the same with wider peaks."""
        widths = np.isin(np.arange(len(self.parameters)), self.widths)
        return np.stack([guess, np.where(widths, _WIDER * guess, guess)], axis=1)

    def at(self, peaks: Sequence[SeenPeak], coefficients: Array) -> Array:
        """Parameters of peaks that were seen, (P,)."""
        roles = _Roles.of(self.shape)
        one = np.array([[_middle(p) for p in self.shape.parameters]] * len(peaks))
        one[:, roles.centre] = [peak.centre for peak in peaks]
        one[:, roles.height] = [max(peak.height, 0.0) / roles.high for peak in peaks]
        one[:, list(roles.widths)] = np.array([[peak.half_width / roles.wide] for peak in peaks])
        alike = np.array(self._alike)
        return np.concatenate([coefficients, np.median(one[:, alike], axis=0), one[:, ~alike].ravel()])

    def under(self, x: Array, y: Array) -> tuple[Array, Array]:
        """A background under a curve, (T,), and its coefficients: fitted again and again to what is not above it."""
        if self.background is None:
            return np.zeros_like(y), np.empty(0)
        basis = np.vander((x - self.offset) / self.scale, self.background + 1, increasing=True)
        cut, noise = y.copy(), noise_of(y)
        coefficients = np.linalg.lstsq(basis, cut, rcond=None)[0]
        for _ in range(_ROUNDS):
            lower = np.minimum(cut, basis @ coefficients + noise)
            if np.abs(lower - cut).max() <= 1e-3 * noise:
                break
            cut, coefficients = lower, np.linalg.lstsq(basis, lower, rcond=None)[0]
        return np.asarray(basis @ coefficients, dtype=np.float64), np.asarray(coefficients, dtype=np.float64)

    def _example(self) -> Example | None:
        example = self.shape.example
        if example is None:
            return None
        low, high = example.t if self.places is None else (self.places[0][0], self.places[-1][1])
        width = (high - low) / (8 * self.count)
        steps = np.linspace(low, high, 2 * self.count + 1)[1::2]
        centres = steps if self.places is None else [0.5 * sum(place) for place in self.places]
        seen = [SeenPeak(float(c), 100.0 - 30.0 * (j % 3), 0.0, width) for j, c in enumerate(centres)]
        degree = 0 if self.background is None else self.background + 1
        theta = self.at(seen, np.array([20.0, 1.0, *[0.0] * degree])[:degree])
        values = {p.name: float(v) for p, v in zip(self.parameters, theta, strict=True)}
        return replace(example, t=(low, high), parameters=values, points=max(60, 20 * self.count))

    def to_dict(self) -> dict[str, object]:
        """Give the shape and what the peaks have in common as JSON-able values."""
        own = ("count", "background", "offset", "scale")
        lists = {"shared": list(self.shared), "places": None if self.places is None else [*map(list, self.places)]}
        named = {name: getattr(self, name) for name in own}
        return {"kind": "peaks", "name": self.name, "shape": self.shape.to_dict(), **named, **lists}

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.shape, self.shared, self.places, self.offset, self.scale)


@dataclass(frozen=True)
class SeenPeak:
    """A peak as seen in a curve: where, how high, how far it rises from its surroundings, and its half width."""

    centre: float
    height: float
    rise: float
    half_width: float


def noise_of(y: Array) -> float:
    """Standard deviation of the noise, from second differences, in which smooth curves all but vanish."""
    if y.size < 5:
        return float(np.std(y))
    second = y[:-2] - 2 * y[1:-1] + y[2:]
    found = float(np.median(np.abs(second))) / (_MAD * math.sqrt(6.0))
    return found if found > 0.0 else 1e-9 * float(np.ptp(y)) + 1e-300


def candidates(x: Array, y: Array) -> list[SeenPeak]:
    """Peaks of a curve without background, (T,), by how far they rise from their surroundings; weak ones too."""
    signal = scipy.signal
    step = (x[-1] - x[0]) / max(x.size - 1, 1)
    tried = signal.find_peaks(y, prominence=CLEAR * noise_of(y))[0]
    if tried.size:
        half = 0.5 * float(np.median(signal.peak_widths(y, tried, rel_height=0.5)[0]))
    else:
        half = 0.05 * x.size
    y = scipy.ndimage.gaussian_filter1d(y, max(_SMOOTHED * half, 1.0))
    found, about = signal.find_peaks(y, prominence=0.0)
    widths = signal.peak_widths(y, found, rel_height=0.5)[0]
    pairs = zip(found, about["prominences"], widths, strict=True)
    return [SeenPeak(float(x[k]), float(y[k]), float(rise), max(0.5 * width, 1.0) * step) for k, rise, width in pairs]


def _highest(x: Array, y: Array, low: float, high: float) -> SeenPeak:
    inside = np.flatnonzero((x >= low) & (x <= high))
    if not inside.size:
        return SeenPeak(0.5 * (low + high), 0.0, 0.0, 0.25 * (high - low))
    k = int(inside[np.argmax(y[inside])])
    below = np.abs(x - x[k])[y < 0.5 * y[k]]
    width = min(float(below.min(initial=np.inf)), 0.5 * (high - low))
    return SeenPeak(float(x[k]), float(y[k]), 0.0, width)
