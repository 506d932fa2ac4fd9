"""A fit in words: populations, physics with errors and units, and what to be careful about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import xarray as xr
from torch.nn import Module

from ..answers.predictor import Predictor
from ..answers.record import TrainingRecord
from ..answers.tables import cluster_parameters
from ..answers.trust.cautions import cautions, sentences
from ..experts.regression.solution import law_of
from ..model.modality import Modality, Physics
from ..units import two_digits, value_with_error


def text_report(predictor: Predictor, record: TrainingRecord) -> str:
    """See :meth:`pima_toolkit.Fit.report`."""
    notes, options = record.facts, predictor.options
    experts = cluster_parameters(predictor, record)
    lines = ["PIMA fit"]
    if notes["title"]:
        lines[0] += f" of {notes['title']}"
    if notes["synthetic"]:
        lines.append("(synthetic data, generated, not measured)")
    lines.append(
        f"{notes['specimens']} specimens, {options.clusters} clusters, {options.latent_dim} latent dimensions, "
        f"seed {record.settings.seed}, {notes['seconds']:.0f} s on {notes['device']}"
    )
    epochs = record.history.sizes["epoch"]
    if epochs:
        lines.append(f"ELBO {float(record.history.elbo[-1]):.5g} nats per specimen after {epochs} epochs")
    for name, option in options.modalities.items():
        template = predictor.specs[name]
        kind = "neural"
        if name in options.physics:
            origin = option.expert.origin
            kind = f"physics, expert {option.expert.name}" + ("" if origin is None else f" of {origin}")
        lines.append(f"  {name} [{template.measured.unit}]: {template.measured.kind}, {kind}")
        if name in options.physics and (law := law_of(name, option.expert)):
            lines.append(f"    {law}")
            lines.append(f"    LaTeX: {option.expert.latex}")
    for c in range(options.clusters):
        weight = float(experts.effective_specimens[c])
        lines += ["", f"cluster {c}: {weight:.1f} specimens ({100 * weight / notes['specimens']:.0f} %)"]
        for p in range(experts.sizes["parameter"]):
            column = experts.isel(cluster=c, parameter=p)
            unit = "" if column.unit.item() == "1" else f" {column.unit.item()}"
            value = value_with_error(float(column.value), float(column.std_error), column.unit.item())
            text = f"  {column.parameter.item():<12} {value}"
            if float(column.scatter_std) > 0:
                text += f"   (specimens differ by {two_digits(float(column.scatter_std))}{unit})"
            if bool(column.at_bound):
                text += "   at its bound"
            if bool(column.unidentified):
                text += "   not determined by these curves"
            lines.append(text)
        lines += [f"  {_curve_line(predictor, experts.sel(cluster=c, curve=curve))}" for curve in experts.curve.values]
    lines += ["", *sentences(cautions(predictor, record), options)]
    return "\n".join(lines)


def in_words(option: Modality) -> str:
    """A modality's options as people say them: ``neural; encoder conv, decoder conv, noise unit``."""
    if isinstance(option, Physics):
        named = {f.name: getattr(option, f.name) for f in fields(option) if f.name != "expert"}
        head = f"expert {option.expert.name}"
    else:
        named = {f.name: getattr(option, f.name) for f in fields(option)}
        head = "neural"
    return f"{head}; " + ", ".join(f"{name} {plain(value)}" for name, value in named.items() if value not in (None, ()))


def plain(value: object) -> str:
    """An option's value without the signs of a programming language."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {plain(part)}" for name, part in value.items())
    if isinstance(value, tuple | list):
        numbers = len(value) == 2 and all(isinstance(part, int | float) for part in value)
        return (" to " if numbers else " and ").join(map(plain, value))
    return (
        f"{value:g}" if isinstance(value, float) else type(value).__name__ if isinstance(value, Module) else str(value)
    )


def _curve_line(predictor: Predictor, row: xr.Dataset) -> str:
    """Noise, misfit and agreement of one curve in one cluster."""
    name = str(row.curve.item())
    unit = predictor.specs[name].measured.unit
    unit = "" if unit == "1" else f" {unit}"
    text = f"noise of {name}: {float(row.noise_std):.3g}{unit}"
    if np.isfinite(row.misfit):
        text += f", misfit {two_digits(float(row.misfit))}{unit}"
    if np.isfinite(row.misfit_ratio):
        text += f" ({two_digits(float(row.misfit_ratio))} times its standard error)"
    if np.isfinite(row.agreement):
        text += f", {100 * float(row.agreement):.0f} % of starts agree"
    return text
