"""The report of a fit as one HTML file that needs nothing else: to read, to print, to send.

Text and numbers come from the same tables as :func:`~pima_toolkit.report.text.text_report`; the figures are those of
``plots``, kept inside the file. It opens without a network and holds no script.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import xarray as xr

from ..answers.generation import clusters
from ..answers.inference import infer
from ..answers.predictor import Predictor
from ..answers.record import TrainingRecord
from ..answers.tables import cluster_parameters
from ..answers.trust.cautions import SURE, cautions, how_stable, sentences
from ..answers.trust.planning import measured, next_measurements
from ..data import unused_files
from ..errors import DataError
from ..experts.regression.solution import law_of
from ..metrics.association import associate, setting_table, summarise
from ..units import two_digits, value_with_error
from . import plots
from .page import Picture, Section, Table, picture, write_page
from .plots.setting_plots import plot_settings
from .text import in_words, plain

#: Rows of a table of specimens; of more, the file says how many there are.
_ROWS = 40
#: Pictures of a population.
_PICTURES = 8


def save_report(
    predictor: Predictor,
    record: TrainingRecord,
    path: Path,
    data: xr.Dataset | None = None,
    new: xr.Dataset | None = None,
) -> Path:
    """See :meth:`pima_toolkit.Fit.save_report`."""
    notes = record.facts
    return write_page(
        path,
        title=str(notes["title"] or "a PIMA fit"),
        subtitle=f"{notes['specimens']} specimens, {predictor.options.clusters} clusters"
        + (" · synthetic data, generated, not measured" if notes["synthetic"] else ""),
        cautions=sentences(cautions(predictor, record), predictor.options),
        sections=list(_sections(predictor, record, data, new)),
    )


def _sections(
    predictor: Predictor, record: TrainingRecord, data: xr.Dataset | None, new: xr.Dataset | None
) -> Iterator[Section]:
    about = clusters(predictor)
    if data is not None:
        _same_specimens(record, data)
    seen = None if data is None else infer(predictor, data)
    yield _data(predictor, record, data)
    yield _populations(predictor, record, about, data)
    if seen is not None:
        yield _map(about, seen)
    if setting_table(record.specimens.drop_vars("cluster")):
        yield _settings(predictor, record)
    yield _trust(predictor, record, seen)
    if data is not None:
        yield from _next(predictor, record, data)
    if new is not None:
        yield _predictions(predictor, new)
    yield _made(predictor, record)


def _same_specimens(record: TrainingRecord, data: xr.Dataset) -> None:
    expected = record.specimens["specimen"].values
    given = data["specimen"].values if "specimen" in data.dims else np.zeros(0)
    if not np.array_equal(expected, given):
        raise DataError(
            f"data are not what this fit was trained on ({len(given)} specimens, expected {len(expected)} with the same"
            " labels in the same order): give the training data, and others as `new`"
        )


def _data(predictor: Predictor, record: TrainingRecord, data: xr.Dataset | None) -> Section:
    table = Table(["modality", "kind", "described by", "size", "unit", "specimens with it"], [])
    for name, option in predictor.options.modalities.items():
        template = predictor.specs[name]
        measured = template.measured
        size = " × ".join(map(str, measured.values.shape[1:])) or "1"
        if name in predictor.options.physics:
            size = f"{len(template.t)} points of {measured.t_name}, {template.t[0]:.4g} to {template.t[-1]:.4g}"
            size += "" if measured.t_unit == "1" else f" {measured.t_unit}"
        kind = f"expert {option.expert.name}" if name in predictor.options.physics else "a neural network"
        present = record.facts["present"][name]
        unit = "–" if measured.unit == "1" else measured.unit
        table.rows.append([name, measured.kind, kind, size, unit, f"{present} of {record.facts['specimens']}"])
    words = ["These data are synthetic: generated, not measured."] if record.facts["synthetic"] else []
    words += [law for name, option in predictor.options.physics.items() if (law := law_of(name, option.expert))]
    section = Section("What was measured", words, [table])
    files = None if data is None else unused_files(data)
    if files is not None:
        used, rest = files
        section.words.append(
            f"{used} files were read, {len(rest)} could not be used." if rest else f"{used} files were read."
        )
        rows = [[entry.file, entry.specimen or "–", entry.modality or "–", entry.note] for entry in rest[:_ROWS]]
        if rows:
            head = ["file that could not be used", "specimen", "modality", "why"]
            section.tables.append(Table(head, rows, max(len(rest) - _ROWS, 0)))
    return section


def _populations(predictor: Predictor, record: TrainingRecord, about: xr.Dataset, data: xr.Dataset | None) -> Section:
    experts = cluster_parameters(predictor, record)
    gamma = record.specimens["responsibilities"].values
    words = (
        "A value ± its standard error is what is known of the population's mean parameters; “specimens differ by” is"
        " the standard deviation from specimen to specimen, which more measurements do not shrink."
    )
    section = Section("Populations", [words] if experts.sizes["parameter"] else [])
    for name in predictor.options.physics:
        # Without the data, no specimens: the populations' own curves alone.
        shown = about[[name]].rename(cluster="specimen").isel(specimen=[]) if data is None else data
        figure = plots.plot_curves(shown, about, name, gamma.argmax(1)[: shown.sizes["specimen"]])
        note = f"{name}: the expert's curve of each population, with the band that holds 90 % of new measurements"
        section.figures.append(picture(figure, note + ("" if data is None else ", and the measured specimens")))
    images = [name for name in predictor.options.neural if predictor.specs[name].measured.kind == "image"]
    for name in images:
        centres = plots.plot_images(about[[name, "cluster"]].rename_dims(cluster="specimen"), name)
        section.figures.append(picture(centres, f"{name} at the centre of each population, as the network sees it"))
    for c in range(predictor.options.clusters):
        weight = float(experts["effective_specimens"][c])
        part = Section(f"Cluster {c}: {weight:.1f} specimens, {100 * weight / record.facts['specimens']:.0f} %")
        rows = [_parameter(experts.isel(cluster=c, parameter=p)) for p in range(experts.sizes["parameter"])]
        if rows:
            part.tables.append(Table(["parameter", "value ± standard error", "specimens differ by", "meaning"], rows))
        for name in images if data is not None else ():
            part.figures += _pictures(record, name, c, data)
        section.parts.append(part)
    return section


def _parameter(one: xr.Dataset) -> list[str]:
    unit = "" if one["unit"].item() == "1" else f" {one['unit'].item()}"
    value = value_with_error(float(one["value"]), float(one["std_error"]), one["unit"].item())
    spread = float(one["scatter_std"])
    bound = "; at its bound" if bool(one["at_bound"]) else ""
    differ = f"{two_digits(spread)}{unit}" if spread > 0 else "–"
    return [str(one["parameter"].item()), value + bound, differ, str(one["description"].item())]


def _pictures(record: TrainingRecord, name: str, cluster: int, data: xr.Dataset) -> Iterator[Picture]:
    """The first members of a cluster of which there is a picture."""
    inside = record.specimens["responsibilities"].values.argmax(1) == cluster
    there = measured(data, name)
    members = np.flatnonzero(inside & there)[:_PICTURES]
    lacking = int((inside & ~there).sum())
    if len(members):
        shown = plots.plot_images(data.isel(specimen=members), name)
        named = ", ".join(map(str, data["specimen"].values[members]))
        note = f"; not taken of {lacking} more of the cluster" if lacking else ""
        yield picture(shown, f"{name} of the first specimens of cluster {cluster}: {named}{note}")


def _map(about: xr.Dataset, seen: xr.Dataset) -> Section:
    words = "Each point is a specimen; specimens that look and behave alike lie together."
    figure = picture(plots.plot_latent(seen, about), "specimens in latent space")
    return Section("Latent map", [words], figures=[figure])


def _settings(predictor: Predictor, record: TrainingRecord) -> Section:
    specimens = record.specimens.drop_vars("cluster")
    found = associate(specimens["responsibilities"], specimens)
    head = ["setting", "explained", "p", "p, adjusted", *(f"cluster {c}" for c in range(predictor.options.clusters))]
    table = Table(head, [])
    values = setting_table(specimens)
    for row in range(found.sizes["setting"]):
        one = found.isel(setting=row)
        name = str(one["setting"].item())
        numbers = [f"{100 * float(one.effect):.0f} %", f"{float(one.p_value):.2g}", f"{float(one.p_adjusted):.2g}"]
        table.rows.append([name, *numbers, *summarise(specimens["responsibilities"], values[name])])
    words = (
        "Whether the populations follow what was recorded of each specimen. “Explained” is the share of the setting's"
        f" variance that the clusters account for; p is the chance of as much if the {found.attrs['permutations']}"
        " times shuffled settings had nothing to do with them, adjusted for the number of settings by Holm's method."
        " It says that they go together, not that one causes the other."
    )
    figure = picture(plot_settings(specimens, found), "settings of the specimens of each cluster")
    return Section("Clusters and settings", [words], [table], [figure])


def _trust(predictor: Predictor, record: TrainingRecord, seen: xr.Dataset | None) -> Section:
    gamma = record.specimens["responsibilities"].values
    best = gamma.max(1)
    sure = int((best >= SURE).sum())
    words = (
        f"{sure} of {len(best)} specimens belong to one cluster with at least {100 * SURE:.0f} % probability, given"
        " all that was measured of them."
    )
    section = Section("How far to trust it", [words, how_stable(record)])
    for name in predictor.options.physics:
        shares = predictor.calibration[name]
        inside = float(np.interp(0.9, shares, np.linspace(0.0, 1.0, len(shares))))
        section.words.append(
            f"Bands of {name}: the model's own 90 % band held {100 * inside:.1f} % of the training points; the bands"
            " shown are recalibrated so that they hold what they say there. On specimens unlike the training ones they"
            " may hold less."
        )
    labels = record.specimens["specimen"].values
    doubt = np.argsort(best, kind="stable")[: int((best < SURE).sum())]
    if len(doubt):
        rows = [[str(labels[d]), *(f"{100 * g:.0f} %" for g in gamma[d])] for d in doubt[:_ROWS]]
        head = ["specimens in doubt", *(f"cluster {c}" for c in range(gamma.shape[1]))]
        section.tables.append(Table(head, rows, max(len(doubt) - _ROWS, 0)))
    if seen is not None:
        strange = np.flatnonzero(seen["out_of_population"].values)
        rows = [[str(labels[d]), f"{float(seen['typicality'][d]):.1e}"] for d in strange[:_ROWS]]
        if rows:
            head = ["specimens unlike every cluster", "typicality"]
            section.tables.append(Table(head, rows, max(len(strange) - _ROWS, 0)))
        else:
            section.words.append("No training specimen is unlike every cluster.")
    if record.history.sizes["epoch"]:
        section.figures.append(picture(plots.plot_history(record.history), "how the training went, epoch by epoch"))
    return section


def _next(predictor: Predictor, record: TrainingRecord, data: xr.Dataset) -> Iterator[Section]:
    for name, present in record.facts["present"].items():
        if present == record.facts["specimens"] or predictor.encoders is None:
            continue
        ranked = next_measurements(predictor, data, name)
        rows = [
            [str(one["specimen"].item()), f"{float(one['information']):.3f}", str(one["reason"].item())]
            for one in (ranked.isel(specimen=d) for d in range(min(10, ranked.sizes["specimen"])))
        ]
        words = (
            f"Of {ranked.sizes['specimen']} specimens without {name}, those whose measurement should teach most:"
            " about which population the specimen is of, and about that population's physics. In nats; 0.69 nats are a"
            " question of two equal answers settled. Ranked one by one, not as a set. These need not be the specimens"
            f" in doubt above: here are only those without {name}, doubt counts as far as {name} would settle it, and a"
            " specimen in no doubt may still teach a small population's parameters."
        )
        table = Table(["specimen", "expected information", "why"], rows, max(ranked.sizes["specimen"] - 10, 0))
        yield Section(f"Worth measuring next: {name}", [words], [table])


def _predictions(predictor: Predictor, new: xr.Dataset) -> Section:
    answer = infer(predictor, new)
    count = predictor.options.clusters
    table = Table(["specimen", *(f"cluster {c}" for c in range(count)), "typicality", "remark"], [])
    for d in range(min(answer.sizes["specimen"], _ROWS)):
        one = answer.isel(specimen=d)
        numbers = [f"{100 * float(g):.0f} %" for g in one["responsibilities"].values]
        numbers.append(f"{float(one['typicality']):.2g}")
        known = np.isfinite(one["typicality"].item())
        table.rows.append(
            [str(one["specimen"].item()), *(numbers if known else ["–"] * len(numbers)), str(one["remark"].item())]
        )
    table.more = max(answer.sizes["specimen"] - _ROWS, 0)
    section = Section(f"Predictions for {answer.sizes['specimen']} new specimens", tables=[table])
    for name in predictor.options.physics:
        if name in new:
            figure = plots.plot_prediction(new, answer, name)
        else:
            figure = plots.plot_curves(answer, clusters(predictor), name)
        section.figures.append(picture(figure, f"{name} of the new specimens"))
    return section


def _made(predictor: Predictor, record: TrainingRecord) -> Section:
    notes, options, settings = record.facts, predictor.options, record.settings
    rows = [["software", ", ".join(f"{name} {number}" for name, number in notes["versions"].items())]]
    rows.append(["time", f"{notes['seconds']:.0f} s on {notes['device']}"])
    rows.append(["training data", f"sha256 {notes['data']}"])
    rows += [[name, in_words(option)] for name, option in options.modalities.items()]
    rows += [[_title(f.name), plain(getattr(options, f.name))] for f in fields(options) if f.name != "modalities"]
    rows += [[_title(f.name), plain(getattr(settings, f.name))] for f in fields(settings)]
    words = ["The same data, options, seed, versions and machine give the same numbers."]
    return Section("How it was made", words, [Table(["", ""], rows)])


def _title(name: str) -> str:
    return name.replace("_", " ")
