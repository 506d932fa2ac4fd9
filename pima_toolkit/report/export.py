"""A fit as files that other programs read: tables as CSV, Excel and NetCDF, figures as SVG, PDF and PNG.

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

from ..data import closest, read_entries, reading_details, reading_log, save_data
from ..data.files import path_of, safe_name
from ..errors import OptionError, StorageError
from .findings import Findings
from .plots.canvas import save_figure
from .plots.plots import plot_curves, plot_history, plot_images, plot_latent
from .sheets import Columns, Tables, header, tables_of, write_csv, write_excel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("csv", "xlsx", "nc")
FIGURES = ("svg", "pdf", "png")


def known_kinds(formats: Sequence[str] = ("csv",), figures: Sequence[str] = ("svg",)) -> dict[str, tuple[str, ...]]:
    """Check the kinds of files that are asked for, before any work is done for them.

    Raises:
        OptionError: If one is unknown.
    """
    return {"formats": _known("formats", formats, FORMATS), "figures": _known("figures", figures, FIGURES)}


def export(findings: Findings, folder: Path, *, formats: Sequence[str], figures: Sequence[str]) -> list[Path]:
    """Write the tables and figures of a fit to a folder, see :meth:`pima_toolkit.Fit.export`.

    Args:
        findings: Those of a fit; predictions are of ``new``, be they the training data or other specimens.
        folder: Where to.
        formats: Of the tables, as :func:`known_kinds` returns them.
        figures: Of the figures, likewise.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"{folder} is a file, expected a folder for tables and figures: give another name")
    written: list[Path] = []
    tables = fit_tables(findings)
    if "csv" in formats:
        names: set[str] = set()
        written += [write_csv(folder / f"{safe_name(name, names)}.csv", columns) for name, columns in tables.items()]
    if "xlsx" in formats:
        written.append(write_excel(folder / "fit.xlsx", tables))
    if "nc" in formats:
        sets = {"parameters": findings.parameters, "specimens": findings.specimens}
        sets |= {"populations": findings.populations, "history": _history(findings)}
        sets |= {} if findings.predictions is None else {"predictions": findings.predictions}
        written += [save_data(one, folder / f"{name}.nc") for name, one in sets.items()]
    if figures:
        names = set()
        for name, draw in drawings(findings):
            figure, name = draw(), safe_name(name, names)
            written += [save_figure(figure, folder / f"{name}.{ending}") for ending in figures]
    return written


def _known(option: str, names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            raise OptionError(f"{option} names {name!r}: {closest(name, known)}")
    return (names,) if isinstance(names, str) else tuple(names)


def _history(findings: Findings) -> xr.Dataset:
    """Return the table of epochs without its seconds: the same fit made again gives the same file."""
    return findings.history.drop_vars("seconds")


def fit_tables(findings: Findings) -> Tables:
    """Lay out everything that a fit knows as tables, by name."""
    specimens = findings.specimens
    tables = {
        "parameters": parameter_table(findings.parameters),
        "specimens": specimen_table(specimens.assign_coords(specimen=specimens["specimen"])),
    }
    if "tensile_value" in specimens:
        tables["test_report"] = tensile_table(specimens)
    tables |= tables_of(findings.populations, "populations", "cluster")
    tables |= tables_of(_history(findings), "history", "epoch")
    given = findings.data if findings.data is not None else findings.new
    if given is not None and read_entries(given):
        tables["files"] = file_table(given)
    return tables if findings.predictions is None else tables | tables_of(findings.predictions, "predictions")


def parameter_table(parameters: xr.Dataset) -> Columns:
    """Lay out the parameters, a row for each population and parameter."""
    clusters, count = parameters.sizes["cluster"], parameters.sizes["parameter"]
    out: Columns = {"cluster": np.repeat(parameters["cluster"].values, count)}
    if "population" in parameters.coords:
        out["population"] = np.repeat(parameters["population"].values.astype(str), count)
    for title, name in (("modality", "parameter_modality"), ("parameter", "parameter")):
        out[title] = np.tile(parameters[name].values.astype(str), clusters)
    for name in ("value", "std_error", "low", "high", "scatter_std", "at_bound"):
        out[name] = parameters[name].transpose("cluster", "parameter").values.reshape(-1)
    out["unit"] = np.tile(parameters["unit"].values.astype(str), clusters)
    for name in ("level", "method"):
        out[f"interval_{name}"] = np.repeat(parameters.attrs[name], clusters * count)
    out["effective_specimens"] = np.repeat(parameters["effective_specimens"].values, count)
    return out


def specimen_table(specimens: xr.Dataset) -> Columns:
    """Lay out the specimens, a row each: label, cluster, responsibilities, its own parameters with errors."""
    own = [name for name, v in specimens.variables.items() if {"parameter", "tensile_quantity"} & set(v.dims)]
    out = tables_of(specimens.drop_vars(own), "specimens")["specimens"]
    for p, parameter in enumerate(specimens["parameter"].values):
        unit = str(specimens["unit"].values[p])
        out[header(str(parameter), unit)] = specimens["value"].values[:, p]
        for name in ("std_error", "low", "high"):
            if name in specimens:  # a fit of an older file has no intervals of specimens
                out[header(f"{parameter} {name}", unit)] = specimens[name].values[:, p]
    if "tensile_value" in specimens:
        table = specimens["tensile_value"].transpose("specimen", "tensile_quantity")
        for q, quantity in enumerate(table["tensile_quantity"].values.astype(str)):
            out[header(quantity, str(table["tensile_unit"].values[q]))] = table.values[:, q]
    return out


def tensile_table(specimens: xr.Dataset) -> Columns:
    """Lay out what every test report has, a row for each specimen and quantity, with how it was had or why not."""
    table = specimens[["tensile_value", "tensile_std_error", "tensile_about"]].transpose("specimen", "tensile_quantity")
    count, quantities = table.sizes["specimen"], table.sizes["tensile_quantity"]
    return {
        "specimen": np.repeat(specimens["specimen"].values, quantities),
        "quantity": np.tile(table["tensile_quantity"].values.astype(str), count),
        "value": table["tensile_value"].values.reshape(-1),
        "std_error": table["tensile_std_error"].values.reshape(-1),
        "unit": np.tile(table["tensile_unit"].values.astype(str), count),
        "about": table["tensile_about"].values.astype(str).reshape(-1),
    }


def file_table(data: xr.Dataset) -> Columns:
    """Lay out what became of each file a dataset was made from, with what was read of curves."""
    log = reading_log(data)
    details = reading_details(data).drop(columns="note")
    both = log.merge(details, how="left", on=["file", "specimen", "modality"])
    return {str(name): both[name].where(both[name].notna(), "").to_numpy() for name in both}


def drawings(findings: Findings) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Yield the figures of a fit by name, drawn when called; most need the data."""
    about, data, answer = findings.populations, findings.new, findings.predictions
    if findings.history.sizes["epoch"]:
        yield "history", lambda: plot_history(findings.history)
    for name in findings.images:
        yield f"populations_{name}", lambda name=name: plot_images(about.rename_dims(cluster="specimen"), name)
    if data is None or answer is None:
        return
    yield "latent", lambda: plot_latent(answer, about)
    assigned = answer["cluster"].values
    for name in findings.curves:
        if name in data:
            yield f"curves_{name}", lambda name=name: plot_curves(data, about, name, assigned=assigned)


def write_answer(dataset: xr.Dataset, path: str | Path, name: str = "specimens") -> list[Path]:
    """Write an answer or generated specimens in the format that the path's suffix names.

    Args:
        dataset: What ``infer`` or ``generate`` returned.
        path: ``.nc`` or ``.zarr`` hold everything; ``.csv`` a row for each specimen, with each curve in a file
            ``<stem>_<curve>.csv`` beside it; ``.xlsx`` the same as sheets. Pictures are in the first two only.
        name: Name of the sheet with a row for each specimen.

    Returns:
        The files written.

    Raises:
        OptionError: If the suffix is none of these.
        StorageError: If a file cannot be written.
    """
    path = path_of(path)
    ending = path.suffix.lower()
    if ending in (".nc", ".zarr"):
        return [save_data(dataset, path)]
    if ending not in (".csv", ".xlsx"):
        raise OptionError(f"{path.name!r} ends in none of .nc, .zarr, .csv, .xlsx: name it predictions.csv, say")
    tables = tables_of(dataset, name)
    if ending == ".xlsx":
        return [write_excel(path, tables)]
    names: set[str] = set()
    return [
        write_csv(
            path
            if table == name
            else path.with_name(safe_name(path.stem + table.removeprefix(name), names) + path.suffix),
            columns,
        )
        for table, columns in tables.items()
    ]
