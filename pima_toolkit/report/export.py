"""A fit as files other programs read: tables as CSV, Excel and NetCDF, figures as SVG, PDF and PNG.

The tables: ``parameters`` (a row for each population and parameter, with its standard error and unit), ``specimens``
(a row each: responsibilities, cluster, own parameters), ``populations`` (and their curves), ``history`` (a row for each
epoch); where data are given ``predictions`` (a row each, and each curve with its band). They hold nothing that differs
when the same fit is made again: no dates, no seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from ..answers.generation import clusters
from ..answers.inference import infer
from ..answers.predictor import Predictor
from ..answers.record import TrainingRecord
from ..answers.tables import cluster_parameters
from ..data import closest, save_data
from ..errors import OptionError
from . import plots
from .plots.canvas import save_figure
from .sheets import Columns, Tables, header, tables_of, write_csv, write_excel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("csv", "xlsx", "nc")
FIGURES = ("svg", "pdf", "png")


def export(
    predictor: Predictor,
    record: TrainingRecord,
    folder: Path,
    data: xr.Dataset | None = None,
    *,
    formats: Sequence[str] = ("csv",),
    figures: Sequence[str] = ("svg",),
) -> list[Path]:
    """See :meth:`pima_toolkit.Fit.export`."""
    formats, figures = _known("formats", formats, FORMATS), _known("figures", figures, FIGURES)
    answer = None if data is None else infer(predictor, data)
    experts, about = cluster_parameters(predictor, record), clusters(predictor)
    history = record.history.drop_vars("seconds")
    written: list[Path] = []
    tables = fit_tables(record.specimens, experts, about, history, answer)
    if "csv" in formats:
        written += [write_csv(folder / f"{name}.csv", columns) for name, columns in tables.items()]
    if "xlsx" in formats:
        written.append(write_excel(folder / "fit.xlsx", tables))
    if "nc" in formats:
        sets = {"parameters": experts, "specimens": record.specimens, "populations": about, "history": history}
        sets |= {} if answer is None else {"predictions": answer}
        written += [save_data(one, folder / f"{name}.nc") for name, one in sets.items()]
    if figures:
        for name, draw in drawings(predictor, record, about, data, answer):
            figure = draw()
            written += [save_figure(figure, folder / f"{name}.{ending}") for ending in figures]
    return written


def _known(option: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            raise OptionError(f"{option} names {name!r}: {closest(name, known)}")
    return (names,) if isinstance(names, str) else tuple(names)


def fit_tables(
    specimens: xr.Dataset, experts: xr.Dataset, about: xr.Dataset, history: xr.Dataset, answer: xr.Dataset | None
) -> Tables:
    """Everything a fit knows, as tables."""
    training = specimens.assign_coords(specimen=specimens["specimen"])
    tables = {"parameters": parameter_table(experts), "specimens": specimen_table(training)}
    tables |= tables_of(about, "populations", "cluster") | tables_of(history, "history", "epoch")
    return tables if answer is None else tables | tables_of(answer, "predictions")


def parameter_table(experts: xr.Dataset) -> Columns:
    """A row for each population and parameter."""
    count, parameters = experts.sizes["cluster"], experts.sizes["parameter"]
    out: Columns = {"cluster": np.repeat(experts["cluster"].values, parameters)}
    for title, name in (("modality", "parameter_modality"), ("parameter", "parameter")):
        out[title] = np.tile(experts[name].values.astype(str), count)
    for name in ("value", "std_error", "scatter_std", "at_bound"):
        out[name] = experts[name].transpose("cluster", "parameter").values.reshape(-1)
    out["unit"] = np.tile(experts["unit"].values.astype(str), count)
    out["effective_specimens"] = np.repeat(experts["effective_specimens"].values, parameters)
    return out


def specimen_table(training: xr.Dataset) -> Columns:
    """A row for each specimen: what it is called, its cluster, how sure that is, its own parameters with errors."""
    own = [name for name, v in training.variables.items() if "parameter" in v.dims]
    out = tables_of(training.drop_vars(own), "specimens")["specimens"]
    for p, parameter in enumerate(training["parameter"].values):
        unit = str(training["unit"].values[p])
        out[header(str(parameter), unit)] = training["value"].values[:, p]
        out[header(f"{parameter} std_error", unit)] = training["std_error"].values[:, p]
    return out


def drawings(
    predictor: Predictor, record: TrainingRecord, about: xr.Dataset, data: xr.Dataset | None, answer: xr.Dataset | None
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """The figures there are of a fit, by name; most need the data."""
    if record.history.sizes["epoch"]:
        yield "history", lambda: plots.plot_history(record.history)
    for name in predictor.options.neural:
        if predictor.specs[name].measured.kind == "image":
            yield f"populations_{name}", lambda name=name: plots.plot_images(about.rename(cluster="specimen"), name)
    if data is None or answer is None:
        return
    yield "latent", lambda: plots.plot_latent(answer, about)
    assigned = answer["cluster"].values
    for name in predictor.options.physics:
        if name in data:
            yield f"curves_{name}", lambda name=name: plots.plot_curves(data, about, name, assigned=assigned)


def write_answer(dataset: xr.Dataset, path: Path, name: str = "specimens") -> list[Path]:
    """Write an answer or generated specimens as the path's suffix says.

    Args:
        dataset: What ``infer`` or ``generate`` returned.
        path: ``.nc`` or ``.zarr`` hold everything; ``.csv`` a row for each specimen, with each curve in a file
            ``<stem>_<curve>.csv`` beside it; ``.xlsx`` the same as sheets. Pictures are in the first two only.
        name: Of the sheet with a row for each specimen.

    Returns:
        The files.

    Raises:
        OptionError: If the suffix is another.
        StorageError: If a file cannot be written.
    """
    ending = path.suffix.lower()
    if ending in (".nc", ".zarr"):
        return [save_data(dataset, path)]
    if ending not in (".csv", ".xlsx"):
        raise OptionError(f"{path.name!r} ends in none of .nc, .zarr, .csv, .xlsx: name it predictions.csv, say")
    tables = tables_of(dataset, name)
    if ending == ".xlsx":
        return [write_excel(path, tables)]
    return [
        write_csv(path.with_name(path.stem + table.removeprefix(name) + path.suffix), columns)
        for table, columns in tables.items()
    ]
