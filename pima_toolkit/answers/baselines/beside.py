"""A fit beside simple methods, on the specimens and folds by which it was checked itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from ...errors import DataError, OptionError
from ...fitting.evidence.belief import told
from ...fitting.evidence.frame import Frame
from ...units import value_with_error
from ..inference import read_new
from ..predictor import Predictor
from ..record import BesideFigures, TrainingRecord
from ..trust.held_out import scores
from .baselines import baselines

#: Name of the fit among the methods.
THIS_FIT = "this fit"
#: Standard errors from which a difference is more than chance explains.
_MORE = 1.645
#: Coverage of the bands.
_BAND = 0.9


@torch.no_grad()
def beside_simple_methods(
    predictor: Predictor,
    record: TrainingRecord,
    data: xr.Dataset,
    modality: str | None = None,
    methods: str | Sequence[str] | None = None,
) -> xr.Dataset:
    """Predict the curves of specimens held out by simple methods too, see :meth:`pima_toolkit.Fit.check`.

    Args:
        predictor: The fit.
        record: Its training; what is found is remembered there.
        data: The training data.
        modality: The curve that is predicted.
        methods: Names of the simple methods.
    """
    physics, neural = predictor.options.physics, list(predictor.options.neural)
    name = next(iter(physics), "") if modality is None else modality
    belief = predictor.belief
    if belief is None or not belief.out_of_fold or belief.judges is None:
        raise DataError(
            "no specimen was held out in this fit, so that there is nothing to set beside simple methods: fit with"
            ' inference="evidence", a curve with known physics, other modalities beside it and crossfit=True'
        )
    if name not in physics:
        raise OptionError(f"{name!r} is no curve with known physics of this fit: use one of {', '.join(physics)}")
    _check_training_data(record, data)
    tensors = read_new(predictor, data)
    present = {one: tensors.present[one] for one in neural}
    judged = torch.stack(list(present.values())).all(0) & tensors.present[name]
    fold = np.where(judged.cpu().numpy(), belief.judges.fold.cpu().numpy(), -1)
    groups = record.settings.groups
    law = physics[name].expert if predictor.specs[name].schema.kind == "curve" else None  # else a table, not a law
    table = baselines(
        data, name, neural, groups=groups, folds=fold, seed=record.settings.seed, expert=law, methods=methods,
        predictions=True,
    )  # fmt: skip
    frame = Frame(predictor.state.decoders, predictor.state.mixture.log_weights)
    heard = told(belief, frame, belief.out_of_fold, present)
    gamma = (frame.log_weights + heard.psi).softmax(1)
    used = table["held_out_fold"].values >= 0
    rows = torch.as_tensor(np.flatnonzero(used), device=gamma.device)
    curves, others = tensors.curves[name].at(rows), frame.deviations(name, heard.deviation)[rows]
    error, inside = scores(predictor, name, curves, others, gamma[rows])
    scale, seen = predictor.state.decoders[name].scale, curves.seen
    squares = (error.square() * seen).sum(1).cpu().numpy() * scale**2
    points = seen.sum(1).cpu().numpy()
    unit = np.arange(len(rows)) if groups is None else np.unique(data[groups].values[used], return_inverse=True)[1]
    rmse = float(np.sqrt(squares.sum() / points.sum()))
    best = str(table.attrs["best"])
    theirs = _mean_squares(table, best, data[name], used) * points
    difference = rmse - float(table["rmse"].sel(baseline=best))
    apart = _error_of_difference(squares, theirs, points, unit)
    own = {
        "rmse": rmse,
        "rmse_std_error": _error_of_difference(squares, 0.0 * squares, points, unit),
        "coverage": float((inside[seen] <= _BAND).double().mean()),
    }
    reading = _reading(difference, apart, rmse, table, best)
    record.facts.setdefault("beside", {})[name] = BesideFigures(
        methods={str(m): float(table["rmse"].sel(baseline=m)) for m in table["baseline"].values},
        rmse=rmse,
        best=best,
        above_best=difference,
        above_best_std_error=apart,
        reading=reading,
    )
    kept = [*own, "rmse_above_best", "rmse_above_best_std_error"]
    best_error = min(rmse, float(table["rmse"].min()))
    row = xr.Dataset({key: ("baseline", [value]) for key, value in own.items()}, {"baseline": [THIS_FIT]})
    row = row.assign(rmse_above_best=row["rmse"], rmse_above_best_std_error=("baseline", [apart]))
    out = xr.concat([row, table[kept]], "baseline", combine_attrs="drop_conflicts")
    out["rmse_above_best"] = out["rmse"] - best_error
    for key in kept:
        out[key].attrs = dict(table[key].attrs)
    about = "standard error of the difference, paired: of simple methods to the best of them, of this fit to that, too"
    out["rmse_above_best_std_error"].attrs["long_name"] = about
    return out.assign_attrs(reading=reading, how=table.attrs["how"], left_out=table.attrs["left_out"])


def _check_training_data(record: TrainingRecord, data: xr.Dataset) -> None:
    expected = record.specimens["specimen"].values
    given = data["specimen"].values if "specimen" in data.coords else np.arange(data.sizes.get("specimen", 0))
    if not np.array_equal(expected, given):
        raise DataError(
            f"data are not what this fit was trained on ({len(given)} specimens, expected {len(expected)} with the same"
            " labels in the same order): give the training data"
        )


def _mean_squares(table: xr.Dataset, method: str, curves: xr.DataArray, used: NDArray[np.bool_]) -> NDArray:
    """Mean squared error of a simple method for each specimen that was used, (n,); equal shares on other grids."""
    predicted = table["prediction"].sel(baseline=method).values[used]
    measured = curves.transpose("specimen", ...).values[used]
    if predicted.shape != measured.shape:
        return np.full(int(used.sum()), float(table["rmse"].sel(baseline=method)) ** 2)
    return np.nanmean(np.square(predicted - measured).reshape(len(measured), -1), axis=1)


def _error_of_difference(one: NDArray, other: NDArray, points: NDArray, unit: NDArray) -> float:
    """Standard error of the difference of two root mean squared errors, from sums of squares (n,), over units."""
    each = []
    for squares in (one, other):
        by_unit, counts = np.bincount(unit, squares), np.bincount(unit, points)
        rms = np.sqrt(by_unit.sum() / counts.sum())
        each.append((by_unit - rms**2 * counts) / (2.0 * max(rms, 1e-300) * counts.sum()))
    apart = each[0] - each[1]
    return float(np.sqrt(len(apart) / max(len(apart) - 1, 1) * np.square(apart).sum()))


def _reading(difference: float, error: float, rmse: float, table: xr.Dataset, best: str) -> str:
    """The result in words."""
    unit = str(table["rmse"].attrs["units"])
    after = "" if unit == "1" else f" {unit}"
    ours, theirs = (f"{value:.3g}{after}" for value in (rmse, float(table["rmse"].sel(baseline=best))))
    words = f"this fit misses specimens held out by {ours}, {best}, the best of the simple methods, by {theirs}"
    apart = value_with_error(abs(difference), error, unit)
    if abs(difference) <= _MORE * error:
        return f"{words}: a difference of {apart}, no more than chance explains."
    return f"{words}: it is {'better' if difference < 0 else 'worse'} by {apart}."
