"""The section on what was checked: predictions of specimens held out, training curves, and who is believed how far."""

from __future__ import annotations

from ..findings import Findings
from ..page import Section, Table


def checked(findings: Findings) -> Section | None:
    """Tell how far curves were missed that were held out and those of the training, and how far voices are believed."""
    section = Section("What was checked")
    beside = _beside(findings)
    tables = [_predicted(findings), beside, _described(findings)]
    if any(table.rows for table in tables):
        section.words.append("Errors are root mean squared ones over all measured points.")
    if tables[0].rows:
        section.words.append(
            "Specimens held out were predicted from their other modalities by a fit that had not learned from them. The"
            " band is the model's own 90 % one; the bands shown elsewhere are set right by these specimens."
        )
    if tables[0].rows and not beside.rows:
        section.words.append("fit.check(data) sets these beside simple methods, and the report then has both.")
    section.words += [f"{name}: {one.beside.reading}" for name, one in findings.modalities.items() if one.beside]
    believed = _believed(findings)
    if believed.rows:
        section.words.append(
            "What a voice says of curves it has not seen is believed at 0 (not at all), at 1 (as it says) or in"
            " between, or at more than 1 where it is too shy: as far as that makes the curves of specimens held out"
            " more probable."
        )
    section.tables = [table for table in (*tables, believed) if table.rows]
    return section if section.tables else None


def _predicted(findings: Findings) -> Table:
    head = ["curves of specimens held out", "specimens", "predicted, missed by", "mean of the other curves"]
    table = Table([*head, "populations' average", "points in the band"], [])
    for name, modality in findings.modalities.items():
        figures = modality.predicted
        if figures is None:
            continue
        errors = [modality.in_unit(error) for error in (figures.rmse, figures.mean_curve, figures.average)]
        share = f"{100 * figures.coverage:.1f} %"
        table.rows.append([name, str(figures.specimens), *errors, share])
        table.lines.append(
            f"{name}, of {figures.specimens} specimens held out: predicted, missed by {errors[0]}; by the mean of the"
            f" other curves, {errors[1]}; by the populations' average, {errors[2]}; {share} of the points in the band"
        )
    return table


def _beside(findings: Findings) -> Table:
    table = Table(["curves of specimens held out", "predicted by", "missed by"], [])
    for name, modality in findings.modalities.items():
        for method, error in {} if modality.beside is None else modality.beside.rmse.items():
            table.rows.append([name, method, modality.in_unit(error)])
            table.lines.append(f"{name}, predicted by {method}: missed by {modality.in_unit(error)}")
    return table


def _described(findings: Findings) -> Table:
    table = Table(["training curves", "own law, missed by", "population's curve", "mean of the other curves"], [])
    for name, modality in findings.modalities.items():
        figures = modality.described
        if figures is None:
            continue
        errors = [modality.in_unit(error) for error in (figures.own, figures.population, figures.mean_curve)]
        table.rows.append([name, *errors])
        table.lines.append(
            f"{name}, training curves: missed by each one's own law by {errors[0]}; by its population's curve,"
            f" {errors[1]}; by the mean of the other curves, {errors[2]}"
        )
    return table


def _believed(findings: Findings) -> Table:
    table = Table(["heard", "voice", "how far it is believed"], [])
    for part, voices in findings.believed.items():
        for voice, words in voices.items():
            table.rows.append([part, voice, words])
            table.lines.append(f"{part}: {voice}: {words}")
    return table
