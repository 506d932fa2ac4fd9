"""A fit in words: populations, physics with errors and units, and what to be careful about."""

from __future__ import annotations

import numpy as np
import xarray as xr

from ..experts import Expert
from .quality import FEWEST, MISFIT_RATIO
from .trained import Trained


def with_error(value: float, error: float) -> str:
    """``198.2 ± 3.1``: two digits of the error, the value to the same place.

    Args:
        value: The number.
        error: Its standard error; not finite where unknown.
    """
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g} ± ?"
    digits = 1 - int(np.floor(np.log10(error)))
    if abs(value) >= 1e6 or digits > 8:
        return f"{value:.4g} ± {error:.2g}"
    return f"{round(value, digits):.{max(digits, 0)}f} ± {round(error, digits):.{max(digits, 0)}f}"


def two_digits(value: float) -> str:
    """Two significant digits without an exponent where people write none: ``360``, ``0.021``, ``1.2e+07``."""
    return f"{float(f'{value:.2g}'):g}"


def text_report(trained: Trained, experts: xr.Dataset) -> str:
    """See :meth:`pima_toolkit.Fit.report`."""
    notes, options = trained.notes, trained.options
    lines = ["PIMA fit"]
    if notes["title"]:
        lines[0] += f" of {notes['title']}"
    if notes["synthetic"]:
        lines.append("(synthetic data, generated, not measured)")
    lines.append(
        f"{notes['specimens']} specimens, {options.clusters} clusters, {options.latent_dim} latent dimensions, "
        f"seed {trained.settings.seed}, {notes['seconds']:.0f} s on {notes['device']}"
    )
    epochs = trained.history.sizes["epoch"]
    if epochs:
        lines.append(f"ELBO {float(trained.history.elbo[-1]):.5g} nats per specimen after {epochs} epochs")
    for name, option in options.modalities.items():
        template = trained.templates[name]
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
            text = f"  {column.parameter.item():<12} {with_error(float(column.value), float(column.std_error))}{unit}"
            if float(column.scatter_std) > 0:
                text += f"   (specimens differ by {two_digits(float(column.scatter_std))}{unit})"
            if bool(column.at_bound):
                text += "   at its bound"
            if bool(column.unidentified):
                text += "   not determined by these curves"
            lines.append(text)
        lines += [f"  {_curve_line(trained, experts.sel(cluster=c, curve=curve))}" for curve in experts.curve.values]
    lines += ["", *cautions(trained, experts)]
    return "\n".join(lines)


def law_of(name: str, expert: Expert) -> str:
    """The law of a curve as people type it, with what is shown instead of what is fitted; empty where it has none."""
    formula = getattr(expert, "formula", "")
    if not formula:
        return ""
    shown = zip((p.name for p in expert.shown), expert.shown_formulas, strict=False)
    also = [f"{parameter} = {text}" for parameter, text in shown if parameter != text]
    return f"{name} = {formula}" + (f", with {', '.join(also)}" if also else "")


def _curve_line(trained: Trained, row: xr.Dataset) -> str:
    """Noise, misfit and agreement of one curve in one cluster."""
    name = str(row.curve.item())
    unit = trained.templates[name].measured.unit
    unit = "" if unit == "1" else f" {unit}"
    text = f"noise of {name}: {float(row.noise_std):.3g}{unit}"
    if np.isfinite(row.misfit):
        text += f", misfit {two_digits(float(row.misfit))}{unit}"
    if np.isfinite(row.misfit_ratio):
        text += f" ({two_digits(float(row.misfit_ratio))} times its standard error)"
    if np.isfinite(row.agreement):
        text += f", {100 * float(row.agreement):.0f} % of starts agree"
    return text


def _misfits(trained: Trained, experts: xr.Dataset) -> list[str]:
    """Sentences on laws that miss their clusters by more than chance, and on those whose optimum is not sure."""
    out = []
    enough = experts.effective_specimens.values >= FEWEST
    for name in map(str, experts.curve.values):
        row = experts.sel(curve=name)
        unit = trained.templates[name].measured.unit
        unit = "" if unit == "1" else f" {unit}"
        law = trained.options.physics[name].expert.name
        out += [
            f"{name}, cluster {c}: the law {law} misses the curves by {two_digits(float(row.misfit[c]))}{unit} on"
            f" average, {two_digits(float(row.misfit_ratio[c]))} times what chance explains: its standard errors say"
            " how well the best curve of this law is found, not how near the truth it is; try another law."
            for c in np.flatnonzero(enough & (row.misfit_ratio.values > MISFIT_RATIO))
        ]
        out += [
            f"{name}, cluster {c}: only {100 * float(row.agreement[c]):.0f} % of starts find the best optimum, so there"
            " may be a better one, or a parameter is not determined."
            for c in np.flatnonzero(row.agreement.values < 0.5)
        ]
        unknown = row.unidentified.values & (row.parameter_modality.values == name)
        for c in np.flatnonzero(unknown.any(1)):
            named = ", ".join(map(str, experts.parameter.values[unknown[c]]))
            out.append(f"{name}, cluster {c}: the curves do not determine {named}: hold a parameter, or measure more.")
    return out


def cautions(trained: Trained, experts: xr.Dataset) -> list[str]:
    """What to be careful about, in sentences; never empty."""
    confidence = trained.training.responsibilities.max("cluster").values
    out = [f"{caution[0].upper()}{caution[1:]}." for caution in trained.notes["cautions"]]
    unsure = int((confidence < 0.9).sum())
    if unsure:
        out.append(f"{unsure} training specimens belong to no cluster with 90 % probability.")
    small = np.flatnonzero(experts.effective_specimens.values < 5)
    if len(small):
        out.append(f"Clusters {', '.join(map(str, small))} hold fewer than five specimens: do not trust their errors.")
    out += _misfits(trained, experts)
    if trained.notes["interrupted"]:
        out.append("Training was stopped by hand before its end.")
    if not out:
        out.append("No warnings.")
    if trained.options.physics:
        out.append("Standard errors take the assignment of specimens to clusters as given.")
    return out
