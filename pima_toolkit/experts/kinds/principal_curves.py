r"""Laws learned from the curves themselves, for curves, vectors and numbers that nobody has a formula for.

.. math:: E(t; a) = m(t) + \sum_{k=1}^{K} a_k\, B_k(t)

with m the mean of the training curves and :math:`B_k` their leading principal components (functional principal
components), on the grid of the curves and linear between its points. The curves carry no unit: each has a mean square
of 1 over the grid, so that :math:`a_k` has the unit of the data and says by how much a specimen's curve departs.
Entries of a vector are its points; of a single number the parameter is the number.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from numba import float64, njit, void
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from ...errors import ExpertError, FileFormatError, OptionError, ShapeError
from ..contract.bounds import Bounds
from ..contract.example import Example
from ..contract.inputs import Inputs
from ..contract.parameters import NAME, Parameter
from ..solvers.principal_components import components_needed, principal_components
from .expert import Expert

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

#: The name that asks for a law to be learned, and what such a law is called unless it is told otherwise.
NAME_OF_LAW = "principal_curves"
#: Without ``components``: at most so many, and at most one for so many curves.
_MOST, _CURVES_EACH = 12, 3
#: Curves with grids of their own: most points of the grid that is made of them.
_POINTS = 1024


class PrincipalCurves(Expert):
    """The mean of some curves plus a weighted sum of their leading principal curves: a law learned, not written.

    :func:`principal_curves` makes one of curves, and so does a fit with ``Physics("principal_curves")``. Linear
    in all its parameters. Outside the grid it is constant: :attr:`range` says how far it knows.

    Valid for: curves like those it was learned from, between the ends of their grid.

    Source: Ramsay & Silverman 2005, Functional Data Analysis, chapter 8.

    Args:
        grid: Where mean and principal curves are known, increasing, shape (T,), in the unit of t.
        mean: Mean curve, shape (T,), in the unit of the curves.
        curves: Principal curves, shape (K, T), dimensionless.
        std: Standard deviation of the scores along each, shape (K,), in the unit of the curves.
        noise_std: That of what the law leaves at a point, in the unit of the curves.
        t: Name of the independent variable.
        name: How people ask for it.

    Raises:
        ExpertError: If the arrays do not fit together, or hold what is no number.
    """

    grid: Array
    mean: Array
    curves: Array
    std: Array
    noise_std: float
    numbered = True
    _digest: str

    def __init__(
        self,
        grid: ArrayLike,
        mean: ArrayLike,
        curves: ArrayLike,
        std: ArrayLike,
        noise_std: float,
        *,
        t: str = "t",
        name: str = NAME_OF_LAW,
    ) -> None:
        arrays = [np.array(part, dtype=np.float64, order="C") for part in (grid, mean, curves, std)]
        points, (K, width) = arrays[0].size, arrays[2].shape if arrays[2].ndim == 2 else (0, 0)
        fits = [a.shape for a in arrays] == [(points,), (points,), (K, points), (K,)] and K >= 1 and width >= 1
        if not fits or not all(np.isfinite(a).all() for a in arrays) or not (np.diff(arrays[0]) > 0).all():
            raise ExpertError(
                "principal curves need a grid (T,) of increasing points, a mean (T,), curves (K, T) and"
                f" std (K,), all finite, got the shapes {', '.join(str(a.shape) for a in arrays)}"
            )
        for array in arrays:
            array.setflags(write=False)
        variance = np.square([*arrays[3], float(noise_std)])
        described = "the number itself" if points == 1 else "principal curve {}, {:.3g} % of the variance"
        content = b"".join(array.tobytes() for array in (*arrays, variance))
        values = {
            "name": name,
            "t": "t" if _is_taken(t) else t,
            "grid": arrays[0],
            "mean": arrays[1],
            "curves": arrays[2],
            "std": arrays[3],
            "noise_std": float(noise_std),
            "linear": tuple(range(K)),
            "parameters": tuple(
                Parameter(f"a{k}", unit="{y}", description=described.format(k, 100 * share))
                for k, share in enumerate(variance[:-1] / variance.sum(), 1)
            ),
            "_digest": hashlib.sha256(content).hexdigest(),
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    @property
    def components(self) -> int:
        """Number K of principal curves."""
        return len(self.curves)

    @property
    def range(self) -> tuple[float, float]:
        """First and last t that it was learned on; outside the law is constant."""
        return float(self.grid[0]), float(self.grid[-1])

    @property
    def formula(self) -> str:
        """The law in words, for reports; nothing reads it back."""
        if len(self.grid) == 1:
            return "a1"
        return _summed([f"{p.name} * principal curve {k}" for k, p in enumerate(self.parameters, 1)], "mean curve")

    @property
    def latex(self) -> str:
        """The law as LaTeX."""
        if len(self.grid) == 1:
            return "a_{1}"
        t = self.t.replace("_", r"\_")
        terms = [rf"a_{{{k}}} B_{{{k}}}(\mathrm{{{t}}})" for k in range(1, self.components + 1)]
        return _summed(terms, rf"m(\mathrm{{{t}}})", r"\dots")

    @property
    def example(self) -> Example:
        """The mean curve moved by a standard deviation along each principal curve."""
        values = {p.name: float(std) for p, std in zip(self.parameters, self.std, strict=True)}
        return Example(self.range, values)

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch, differentiably in both; shapes as in :meth:`Law.predict`."""
        like = {"dtype": theta.dtype, "device": theta.device}
        grid = torch.tensor(self.grid, **like)
        table = torch.tensor(np.vstack([self.mean, self.curves]).T.copy(), **like)
        x = t.to(**like).clamp(grid[0], grid[-1])
        left = (torch.searchsorted(grid, x.contiguous(), right=True) - 1).clamp(0, max(len(grid) - 2, 0))
        right = (left + 1).clamp(max=len(grid) - 1)
        share = ((x - grid[left]) / (grid[right] - grid[left]).clamp(min=torch.finfo(x.dtype).tiny))[..., None]
        here = table[left] + share * (table[right] - table[left])
        return here[..., 0] + (here[..., 1:] @ theta[..., None])[..., 0]

    def compiled_curve(self) -> Callable[..., None]:
        """The compiled form; the arrays are part of its machine code, made once for each law and session."""
        return _compiled(self)

    def to_dict(self) -> dict[str, object]:
        """Give the law as JSON-able values, its arrays as lists of numbers."""
        return {
            "kind": NAME_OF_LAW,
            "name": self.name,
            "t": self.t,
            "grid": self.grid.tolist(),
            "mean": self.mean.tolist(),
            "curves": self.curves.tolist(),
            "std": self.std.tolist(),
            "noise_std": self.noise_std,
        }

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self._digest)


class LearnedInFit(Expert):
    """Mean and principal curves that a fit learns from its training curves, where nobody has a law for them.

    Parameters a1, a2, ... in the unit of the curves. Until they are learned there is no law: this is what
    ``Physics("principal_curves")`` holds before a fit, and :meth:`learned` makes a law of curves.

    Args:
        components: Number of principal curves; None: as many as it takes to say points that were left out, at most 12
            and at most a third of the specimens.

    Raises:
        OptionError: If the number is no whole number of at least 1.
    """

    name = NAME_OF_LAW
    parameters = ()
    numbered = True
    components: int | None

    def __init__(self, components: int | None = None) -> None:
        whole = isinstance(components, int | np.integer) and not isinstance(components, bool)
        if components is not None and not (whole and components >= 1):
            raise OptionError(
                f"components={components!r}: expected a whole number of at least 1, or None to choose by the curves"
            )
        object.__setattr__(self, "components", None if components is None else int(components))

    def __setattr__(self, key: str, value: object) -> None:
        raise AttributeError(f"experts do not change: make a new one instead of setting {key!r}")

    def learned(self, t: ArrayLike, curves: ArrayLike, variable: str = "t", name: str = NAME_OF_LAW) -> PrincipalCurves:
        """Learn the law from curves, see :func:`principal_curves`."""
        grid, y = _on_one_grid(*_checked(t, curves))
        seen = np.isfinite(y)
        count, most = self.components, min(len(y) - 1, len(grid))
        if count is not None and count > most:
            raise OptionError(
                f"components={count} cannot be learned from {len(y)} curves of {len(grid)} points: ask for at most"
                f" {most}, or leave components out"
            )
        if count is None:
            count = components_needed(y, seen, max(1, min(_MOST, (len(y) - 1) // _CURVES_EACH, most)))
            found = principal_components(y, seen, count)
        else:
            found = principal_components(y, seen, count)
            if 0 < len(found.std) < count:
                raise OptionError(
                    f"components={count}: the {len(y)} curves differ in {len(found.std)} ways and no more, what is left"
                    f" is rounding: ask for at most {len(found.std)}, or leave components out"
                )
        if not len(found.std):
            raise ExpertError(
                f"the {len(y)} curves are all the same: principal curves say how curves differ, and here is nothing to"
                " learn"
            )
        # Of a single number the parameter is the number itself: nobody asks how far it lies from an average.
        mean = np.zeros(1) if len(grid) == 1 else found.mean
        return PrincipalCurves(grid, mean, found.axes, found.std, found.noise_std, t=variable, name=name)

    def _refuse(self, *_: object) -> NoReturn:
        raise ExpertError(
            f"{self.name!r} is no law yet, PIMA.fit learns it from the training curves: to use it alone, or with given"
            " parameters, learn it first, expert = pima.principal_curves(t, curves)"
        )

    def bounds(self, t: ArrayLike) -> Bounds:
        """Refuse: there are no parameters yet."""
        self._refuse(t)

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Refuse: there is no law yet."""
        self._refuse(t, theta)

    def compiled_curve(self) -> Callable[..., None]:
        """Refuse: there is no law yet."""
        self._refuse()

    def value_and_jacobian(self, t: Inputs, theta: ArrayLike) -> tuple[Array, Array]:
        """Refuse: there is no law yet."""
        self._refuse(t, theta)

    def to_lmfit(self, prefix: str = "") -> lmfit.Model:
        """Refuse: there is no law yet."""
        self._refuse(prefix)

    def to_dict(self) -> dict[str, object]:
        """Give what is to be learned as JSON-able values."""
        return {"kind": NAME_OF_LAW, "name": self.name, "components": self.components}

    def _content(self) -> tuple[object, ...]:
        return (*super()._content(), self.components)

    def __repr__(self) -> str:
        number = "as many as needed" if self.components is None else self.components
        return f"<expert {self.name!r}: to be learned from the curves of a fit, components: {number}>"


def principal_curves(
    t: ArrayLike, curves: ArrayLike, components: int | None = None, *, variable: str = "t", name: str = NAME_OF_LAW
) -> PrincipalCurves:
    """Learn a law from curves that nobody has a formula for: their mean and leading principal curves.

    Points may be missing: they are left out of the likelihood of probabilistic principal components. Curves on grids of
    their own are interpolated to one, never across a missing point, which is even half in t and half in the points that
    were measured. The result is an expert as any other: fit it, or give it to :class:`~pima_toolkit.Physics`, which
    then does not learn one of its own.

    Args:
        t: Shared grid, shape (T,), or one for each curve, shape (N, T), increasing; a shorter curve repeats its last t.
        curves: Shape (N, T); NaN where not measured.
        components: Number of principal curves. None: the smallest whose error in saying hidden points of curves that
            were left out is at most 3 % above the lowest, at most 12 and at most a third of the curves.
        variable: Name of the independent variable.
        name: How people ask for the law, where it is registered or compared.

    Returns:
        The law, its parameters a1 to aK in the unit of the curves.

    Raises:
        ExpertError: If there are fewer than two curves, or they are all the same.
        OptionError: If there are not so many components in the curves.
        ShapeError: If the arrays do not fit together, or t does not increase.
    """
    return LearnedInFit(components).learned(t, curves, variable, name)


def read_principal_curves(values: dict[str, Any]) -> PrincipalCurves | LearnedInFit:
    """Read back what ``to_dict`` of either wrote.

    Raises:
        FileFormatError: If something is missing, or is no number.
    """
    try:
        if "components" in values:
            return LearnedInFit(values["components"])
        arrays = (values[part] for part in ("grid", "mean", "curves", "std", "noise_std"))
        return PrincipalCurves(*arrays, t=str(values["t"]), name=str(values["name"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"the saved principal curves cannot be read: {error}") from None


def _is_taken(name: str) -> bool:
    """Whether an independent variable cannot have this name: it is a parameter's, or none that a function takes."""
    return not NAME.fullmatch(name) or (name[0] == "a" and name[1:].isdigit())


def _summed(terms: list[str], first: str, dots: str = "...") -> str:
    shown = terms if len(terms) <= 4 else [*terms[:2], dots, terms[-1]]
    return " + ".join([first, *shown])


@functools.lru_cache(maxsize=32)
def _compiled(law: PrincipalCurves) -> Callable[..., None]:
    grid, table = law.grid.copy(), np.ascontiguousarray(np.vstack([law.mean, law.curves]).T)

    @njit(void(float64[::1], float64[::1], float64[::1], float64[:, ::1]), error_model="numpy")
    def curve(t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled
        for k in range(value.size):
            x = min(max(t[k], grid[0]), grid[-1])
            low, high = 0, grid.size - 1
            while high - low > 1:
                middle = (low + high) // 2
                if grid[middle] <= x:
                    low = middle
                else:
                    high = middle
            share = (x - grid[low]) / (grid[high] - grid[low]) if high > low else 0.0
            total = table[low, 0] + share * (table[high, 0] - table[low, 0])
            for p in range(theta.size):
                slope = table[low, p + 1] + share * (table[high, p + 1] - table[low, p + 1])
                jacobian[k, p] = slope
                total += theta[p] * slope
            value[k] = total

    return curve


def _checked(t: ArrayLike, curves: ArrayLike) -> tuple[Array, Array]:
    """Grids and the curves of which anything was measured, float64; NaN where not measured."""
    t, y = np.asarray(t, dtype=np.float64), np.array(curves, dtype=np.float64)
    if y.ndim != 2 or t.shape not in {y.shape[1:], y.shape} or y.shape[1] < 1:
        raise ShapeError(
            f"curves have the shape {y.shape} and t {t.shape}: expected curves (N, T) and t (T,) or as the curves"
        )
    if np.isinf(y).any() or not np.isfinite(t).all():
        raise ShapeError(
            "curves hold infinities, or t what is no finite number: a point that was not measured is NaN in the curves"
            " alone, and a shorter curve repeats its last t"
        )
    there = np.isfinite(y).any(1)
    if there.sum() < 2:
        raise ExpertError(
            f"principal curves are learned from how curves differ, and {there.sum()} were given: at least two are"
            " needed, better twenty"
        )
    y, t = y[there], t if t.ndim == 1 else t[there]
    step = np.diff(t, axis=-1)
    # Padding repeats the last t; between points that were measured it increases.
    counted = np.ones(step.shape, bool) if t.ndim == 1 else np.isfinite(y[:, 1:])
    if (step < 0).any() or (counted & (step == 0)).any():
        raise ShapeError("t does not increase along every curve: sort its points, and keep one of those at the same t")
    return t, y


def _on_one_grid(t: Array, y: Array) -> tuple[Array, Array]:
    """One grid (T',) with a measured point everywhere, and the curves on it, NaN where not measured."""
    seen = np.isfinite(y)
    if t.ndim == 2:
        grid = _grid_of(t, seen)
        y = np.stack([_interpolated(grid, *row) for row in zip(t, y, seen, strict=True)])
    else:
        grid = t
    known = np.isfinite(y).any(0)
    return grid[known], y[:, known]


def _grid_of(t: Array, seen: NDArray[np.bool_]) -> Array:
    """The points of all curves where they are few; else as many as the longest has, by how many were measured there."""
    points = np.unique(t[seen])
    count = min(int(seen.sum(1).max()), _POINTS)
    if len(points) <= count:
        return points
    ordered = np.sort(t[seen])
    rank = np.arange(len(ordered)) / (len(ordered) - 1)
    share = 0.5 * rank + 0.5 * (ordered - ordered[0]) / (ordered[-1] - ordered[0])
    return np.unique(np.interp(np.linspace(0.0, 1.0, max(count, 2)), share, ordered))


def _interpolated(grid: Array, t: Array, y: Array, seen: NDArray[np.bool_]) -> Array:
    """One curve on another grid: straight between neighbours that were both measured, NaN elsewhere."""
    first, last = np.flatnonzero(seen)[[0, -1]]
    t, y = t[first : last + 1], y[first : last + 1]
    if len(t) == 1:
        return np.where(grid == t, y, np.nan)
    left = np.clip(np.searchsorted(t, grid, side="right") - 1, 0, len(t) - 2)
    share = (grid - t[left]) / (t[left + 1] - t[left])
    value = np.where(
        share == 0.0, y[left], np.where(share == 1.0, y[left + 1], y[left] + share * (y[left + 1] - y[left]))
    )
    return np.where((grid >= t[0]) & (grid <= t[-1]), value, np.nan)
