r"""How well simple methods predict one modality from others, on specimens they were not taught.

Everything is learned inside a fold: scales, components, what inner folds choose, and bands. With squared errors
:math:`s_u` over the :math:`n_u` held-out points of unit u (a group, or a specimen), the root mean square error and its
standard error over U units are

.. math:: R^2 = \frac{\sum_u s_u}{\sum_u n_u}, \qquad
          e^2 = \frac{U}{U-1} \sum_u \psi_u^2, \qquad \psi_u = \frac{s_u - R^2 n_u}{2 R \sum_u n_u},

and the standard error of a difference to the best method has the difference of both :math:`\psi_u`: the same specimens
were held out for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...data import closest
from ...errors import OptionError
from ...experts import Expert, get_expert
from ...units import value_with_error
from .folds import make_folds
from .held_out import HeldOut, Predicted
from .inputs import check_names, read_given, read_target, usable
from .methods import METHODS
from .own_parameters import own_parameters

Array = NDArray[np.float64]

_LAW, _SPECTRUM = "law populations", "spectrum"


def baselines(
    data: xr.Dataset,
    target: str,
    given: str | Sequence[str],
    *,
    groups: str | None = None,
    folds: int | str | ArrayLike = 5,
    seed: int = 0,
    expert: str | Expert | None = None,
    methods: str | Sequence[str] | None = None,
    predictions: bool = False,
) -> xr.Dataset:
    """Predict one modality from others by simple methods, on held-out specimens: what any other prediction has to beat.

    The methods: ``"mean"`` of the training specimens; ``"k nearest"`` neighbours on standardised principal components;
    ``"ridge"`` regression, its penalty by leave-one-out, and ``"PLS"``, from principal components of what is given to
    those of the target (99.9 % of its variance, at most 40); ``"extra trees"``; where pictures of at least 32 pixels a
    side are given ``"spectrum"``, kernel ridge regression from the log of their power spectra; and with ``expert``
    ``"law populations"``: each curve fitted by itself, a Gaussian mixture of the fitted parameters (as many components
    as the Bayesian information criterion wants, up to 6), a logistic regression from what is given to these, and the
    mean of the populations' mean curves that it weighs. Numbers of neighbours and components, the kernel's width, and
    penalties of it and of the logistic regression, are those of least error on inner folds of the training specimens.

    Pictures are averaged down in blocks to at most 32 pixels a side (volumes 10) and flattened; every given modality is
    scaled to unit total variance, an entry of a vector to unit variance before. Extra trees see vectors and settings as
    they are, pictures and curves by at most 50 principal components. Settings (numbers, or text as categories) count as
    modalities. Points of the target that were not measured are left out of the scores; neighbours and populations
    average what was measured, the other methods learn from the training mean there. Curves with grids of their own are
    brought to one, by straight lines, inside what was measured.

    Bands are the prediction plus and minus, at each point, the 90 % quantile of the absolute residuals on inner folds.
    These learn from fewer specimens, and errors of new groups count only where groups are named.

    Args:
        data: Dataset with a ``specimen`` dim.
        target: What to predict: a curve, a vector or a scalar, variable or coordinate.
        given: What to predict it from: variables, or coordinates of dims ("specimen",).
        groups: Coordinate of dims ("specimen",) whose equal values are never divided, such as repeats of one design.
            With at most twice as many groups as folds, each group is held out by itself.
        folds: Number of folds; or folds of your own, whole numbers (specimen,) or the coordinate that holds them.
            Specimens of a negative number train always and are never held out.
        seed: Of folds, trees and mixtures: the same seed gives the same table.
        expert: Law of the target curve, by name or as an expert.
        methods: Names of the methods to try; by default all.
        predictions: Add the prediction of every held-out specimen.

    Returns:
        Along ``baseline``, in the target's unit: ``rmse``, root mean square error over all held-out points, and
        ``rmse_std_error`` over groups or specimens; ``rmse_above_best`` and ``rmse_above_best_std_error``, paired by
        the same; ``rmse_by_fold`` (baseline, fold); ``coverage``, share of held-out points in the 90 % band, and
        ``band_width``, its mean; ``seconds``, without what all methods share. ``held_out_fold`` (specimen), -1 for who
        was not held out, can be given as ``folds`` again. On request ``prediction`` (baseline, specimen, ...).
        Attributes say in words what was done (``how``), who was left out (``left_out``), the ``best`` method and the
        result (``reading``).

    Raises:
        DataError: If a name is unknown, values cannot be used, or too few specimens or groups are left.
        OptionError: If an option is misspelt or out of range.
        ShapeError: If the target is a picture.
    """
    names = check_names(data, target, given)
    law = None if expert is None else get_expert(expert)
    tables = [read_given(data, name) for name in names]
    chosen = _methods(methods, law, textured=any(one.spectrum is not None for one in tables))
    wanted = read_target(data, target)
    parameters = own_parameters(law, wanted) if law is not None and _LAW in chosen else None
    use, left_out = usable(data, wanted, tables)
    made = make_folds(data, use, folds, groups, seed)
    own = None if parameters is None else parameters[use]
    task = HeldOut(wanted.take(use), [one.take(use) for one in tables], made, chosen, own)
    predicted = task.run()
    table = _table(task, predicted)
    attrs = {"long_name": "fold in which a specimen was held out, -1 for none"}
    table["held_out_fold"] = ("specimen", _everyone(use, np.maximum(made.number, -1), -1), attrs)
    if predictions:
        values = np.stack([_everyone(use, one.values, np.nan) for one in predicted.values()])
        values = values.reshape(*values.shape[:2], *[values.shape[2]] * len(wanted.dims))
        attrs = {"units": wanted.unit, "long_name": f"{wanted.long_name}, predicted"}
        table["prediction"] = (("baseline", "specimen", *wanted.dims), values, attrs)
        table = table.assign_coords(wanted.coords)
    if "specimen" in data.coords:
        table = table.assign_coords(specimen=data["specimen"].reset_coords(drop=True))
    how = f"{target!r} predicted from {', '.join(map(repr, names))}: {int(use.sum())} specimens, {made.words}"
    if made.always:
        how += f", {made.always} specimens that always train"
    if wanted.resampled:
        how += f"; the curves of {target!r} were brought to one grid of {wanted.values.shape[1]} points"
    if law is not None and _LAW in chosen:
        how += f"; each curve fitted by {law.name!r}"
    words = {"target": target, "given": ", ".join(names), "how": f"{how}.", "left_out": left_out}
    return table.assign_attrs(**words, **_result(table))


def _methods(methods: str | Sequence[str] | None, law: Expert | None, *, textured: bool) -> list[str]:
    """Names of the methods to try, in the order of the table."""
    absent = ([] if law is not None else [_LAW]) + ([] if textured else [_SPECTRUM])
    known = [name for name in METHODS if name not in absent]
    asked = known if methods is None else [methods] if isinstance(methods, str) else list(methods)
    for name in asked:
        if name == _LAW and law is None:
            raise OptionError(f"the method {_LAW!r} needs a law: name one, such as expert='voce'")
        if name == _SPECTRUM and not textured:
            raise OptionError(
                f"the method {_SPECTRUM!r} needs a picture of at least 32 pixels a side among what is given"
            )
        if name not in known:
            raise OptionError(f"{name!r} is no method of baselines: {closest(name, known)}")
    if not asked:
        raise OptionError(f"methods is empty: {closest('', known)}")
    return [name for name in known if name in asked]


def _everyone(use: NDArray[np.bool_], values: NDArray, missing: float) -> NDArray:
    """Values of the specimens that were used, for all specimens."""
    out = np.full((len(use), *values.shape[1:]), missing, dtype=values.dtype)
    out[use] = values
    return out


def _table(task: HeldOut, predicted: Mapping[str, Predicted]) -> xr.Dataset:
    """Scores of every method."""
    folds, target = task.folds, task.target
    held = folds.number >= 0
    y, seen, number = target.values[held], target.observed[held], folds.number[held]
    _, unit = np.unique(folds.units[held], return_inverse=True)
    counts = np.bincount(unit, weights=seen.sum(1))
    rows, influence = {}, {}
    for name, one in predicted.items():
        error = np.where(seen, one.values[held] - y, 0.0)
        squares = np.square(error).sum(1)
        rmse = float(np.sqrt(squares.sum() / seen.sum()))
        by_unit = np.bincount(unit, weights=squares)
        influence[name] = (by_unit - rmse**2 * counts) / (2.0 * max(rmse, 1e-300) * counts.sum())
        by_fold = [np.sqrt(squares[number == k].sum() / seen[number == k].sum()) for k in folds.labels]
        inside = (np.abs(error) <= one.half_width[held])[seen].mean()
        width = 2.0 * one.half_width[held][seen].mean()
        rows[name] = (rmse, _std_error(influence[name]), by_fold, inside, width, one.seconds)
    rmse, error, by_fold, inside, width, seconds = map(np.array, zip(*rows.values(), strict=True))
    best = list(rows)[int(rmse.argmin())]
    apart = np.array([_std_error(influence[name] - influence[best]) for name in rows])
    size = {"units": target.unit}
    of = "baseline"
    return xr.Dataset(
        {
            "rmse": (of, rmse, {**size, "long_name": "root mean square error of held-out points"}),
            "rmse_std_error": (of, error, {**size, "long_name": f"its standard error over {folds.counted}"}),
            "rmse_above_best": (of, rmse - rmse.min(), {**size, "long_name": "error above that of the best method"}),
            "rmse_above_best_std_error": (of, apart, {**size, "long_name": "standard error of the difference, paired"}),
            "rmse_by_fold": ((of, "fold"), by_fold, {**size, "long_name": "root mean square error of each fold"}),
            "coverage": (of, inside, {"long_name": "share of held-out points in the 90 % band"}),
            "band_width": (of, width, {**size, "long_name": "mean width of the 90 % band"}),
            "seconds": (of, seconds, {"units": "s", "long_name": "time of the method alone"}),
        },
        coords={of: list(rows), "fold": folds.labels},
        attrs={"best": best},
    )


def _std_error(influence: Array) -> float:
    """Standard error of a sum of contributions of units; NaN for a single unit."""
    count = len(influence)
    return float(np.sqrt(count / (count - 1) * np.square(influence).sum())) if count > 1 else float("nan")


def _result(table: xr.Dataset) -> dict[str, str]:
    """The result in words."""
    best, unit = str(table.attrs["best"]), str(table["rmse"].attrs["units"])

    def said(name: str) -> str:
        one = table.sel(baseline=name)
        return value_with_error(float(one["rmse"]), float(one["rmse_std_error"]), unit)

    words = f"{best} has the least error of held-out specimens, {said(best)}"
    if best != "mean" and "mean" in table["baseline"]:
        words += f"; the training mean has {said('mean')}"
    elif best == "mean":
        words += ": no other method tried finds anything in what is given"
    return {"reading": f"{words}."}
