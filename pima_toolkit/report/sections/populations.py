"""The section on the populations: how many specimens each has, its physics with errors and units, its pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from ...data import population_names
from ...units import interval_text, two_digits, value_with_error
from ..findings import Findings
from ..page import Picture, Section, Table
from ..plots.plots import plot_curves, plot_images

#: Specimens of a population whose pictures are shown.
_PICTURES = 8


def populations(findings: Findings) -> Section:
    """Show the curves and pictures of all populations, then each with its parameters."""
    words = (
        "A value ± its standard error is what is known of the population's mean parameters; “specimens differ by” is"
        " the standard deviation from specimen to specimen, which more measurements do not shrink."
    )
    section = Section("Populations", [words] if findings.parameters.sizes["parameter"] else [])
    section.figures += [_curves(findings, name) for name in findings.curves]
    section.figures += [_centres(findings, name) for name in findings.images]
    section.parts += [_population(findings, c) for c in range(findings.populations.sizes["cluster"])]
    return section


def _curves(findings: Findings, name: str) -> Picture:
    about, data = findings.populations, findings.data
    # Without the data, no specimens: the populations' own curves alone.
    curves = about[[name]].rename(cluster="specimen").isel(specimen=[]) if data is None else data
    assigned = findings.specimens["responsibilities"].values.argmax(1)[: curves.sizes["specimen"]]
    words = f"{name}: the law's curve of each population, with the band that holds 90 % of new measurements"
    words += "" if data is None else ", and the measured specimens"
    return Picture(lambda: plot_curves(curves, about, name, assigned), words)


def _centres(findings: Findings, name: str) -> Picture:
    centres = findings.populations[[name, "cluster"]].rename_dims(cluster="specimen")
    words = f"{name} at the centre of each population, as the network sees it"
    return Picture(lambda: plot_images(centres, name), words)


def _population(findings: Findings, cluster: int) -> Section:
    parameters = findings.parameters.isel(cluster=cluster)
    weight = float(parameters["effective_specimens"])
    share = 100 * weight / findings.specimens.sizes["specimen"]
    section = Section(f"{population_names(findings.parameters)[cluster]}: {weight:.1f} specimens ({share:.0f} %)")
    if findings.portraits is not None:
        section.words += _portrait(findings.portraits.isel(cluster=cluster))
    if parameters.sizes["parameter"]:
        about = f"{parameters.attrs['level']:.0%} interval: {parameters.attrs['method']}"
        table = Table(["parameter", f"value ± standard error ({about})", "specimens differ by", "meaning"], [])
        for p in range(parameters.sizes["parameter"]):
            _add_parameter(table, parameters.isel(parameter=p))
        section.tables.append(table)
    if parameters.sizes["curve"]:
        table = Table(["curve", "noise", "misfit of the law", "starts that agree"], [])
        for name in findings.physics:
            _add_curve(table, parameters.sel(curve=name), findings.modalities[name].unit)
        section.tables.append(table)
    if findings.data is not None:
        for name in findings.images:
            section.figures += _members(findings, findings.data, name, cluster)
    return section


def _portrait(one: xr.Dataset) -> Iterator[str]:
    """What distinguishes a population, and which specimens stand for it."""
    yield str(one["sentence"].item())
    kinds = {name: ", ".join(filter(None, one[name].values.tolist())) for name in ("typical", "extreme", "borderline")}
    yield "; ".join(f"{name}: {labels}" for name, labels in kinds.items() if labels) + "."


def _add_parameter(table: Table, one: xr.Dataset) -> None:
    unit = one["unit"].item()
    name, meaning = str(one["parameter"].item()), str(one["description"].item())
    value = value_with_error(float(one["value"]), float(one["std_error"]), unit)
    value += interval_text(float(one["low"]), float(one["high"]))
    remarks = ["at its bound"] * bool(one["at_bound"])
    remarks += ["not determined by these curves"] * bool(one["unidentified"])
    spread = float(one["scatter_std"])
    differ = f"{two_digits(spread)}{_after(unit)}" if spread > 0 else ""
    table.rows.append([name, "; ".join([value, *remarks]), differ or "–", meaning])
    line = [f"{name:<12} {value}", *([f"(specimens differ by {differ})"] if differ else []), *remarks]
    table.lines.append("   ".join([*line, *([meaning] if meaning else [])]))


def _add_curve(table: Table, one: xr.Dataset, unit: str) -> None:
    """Noise, misfit and agreement of one curve; what is not known is left out."""
    name, after = str(one["curve"].item()), _after(unit)
    noise = f"{float(one['noise_std']):.3g}{after}"
    misfit = f"{two_digits(float(one['misfit']))}{after}" if np.isfinite(one["misfit"]) else ""
    if np.isfinite(one["misfit_ratio"]):
        misfit += f" ({two_digits(float(one['misfit_ratio']))} times its standard error)"
    agreement = f"{100 * float(one['agreement']):.0f} %" if np.isfinite(one["agreement"]) else ""
    table.rows.append([name, noise, misfit or "–", agreement or "–"])
    line = [f"noise of {name}: {noise}", *([f"misfit {misfit}"] if misfit else [])]
    table.lines.append(", ".join([*line, *([f"{agreement} of starts agree"] if agreement else [])]))


def _after(unit: str) -> str:
    """A unit behind a number; nothing for a pure number."""
    return "" if unit == "1" else f" {unit}"


def _members(findings: Findings, data: xr.Dataset, name: str, cluster: int) -> Iterator[Picture]:
    """The first members of a population of which there is a picture."""
    inside = findings.specimens["responsibilities"].values.argmax(1) == cluster
    there = findings.pictured[name]
    members = np.flatnonzero(inside & there)[:_PICTURES]
    lacking = int((inside & ~there).sum())
    if len(members):
        pictures = data.isel(specimen=members)
        named = ", ".join(map(str, data["specimen"].values[members]))
        note = f"; not taken of {lacking} more of the population" if lacking else ""
        words = f"{name} of the first specimens of {population_names(findings.populations)[cluster]}: {named}{note}"
        yield Picture(lambda: plot_images(pictures, name), words)
