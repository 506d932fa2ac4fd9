"""The section on what parameters depend on: effects of covariates, and how batches differ."""

from __future__ import annotations

import numpy as np

from ...units import interval_text, value_with_error
from ..findings import Findings
from ..page import Section, Table


def dependence(findings: Findings) -> Section | None:
    """Tell effects with their errors and tests, and batches; nothing where parameters depend on nothing."""
    effects, batches, words, tables = findings.effects, findings.batches, [], []
    if effects is not None:
        words.append(
            "How parameters depend on what is known of each specimen, alike in all populations: the change of a"
            " parameter's scale, the logarithm of a positive one, by one unit. p is the chance of as much without any"
            " effect. Parameters of populations are said at the reference, the training specimens' mean."
        )
        about = f"{effects.attrs['level']:.0%} interval: {effects.attrs['method']}"
        table = Table(["effect", f"value ± standard error ({about})", "of", "p", "reference"], [])
        for k in range(effects.sizes["effect"]):
            one = effects.isel(effect=k)
            name, scale = str(one["effect"].item()), str(one["scale"].item())
            value = value_with_error(float(one["value"]), float(one["std_error"]), str(one["unit"].item()))
            value += interval_text(float(one["low"]), float(one["high"]))
            p, reference = f"{float(one['p_value']):.2g}", f"{float(one['reference']):.5g}"
            table.rows.append([name, value, scale, p, f"{one['term'].item()} = {reference}"])
            table.lines.append(f"{name:<20} {value} of {scale}, p = {p}, at {one['term'].item()} = {reference}")
        tables.append(table)
    if batches is not None:
        words.append(
            f"Specimens of one of {batches.sizes['group']} batches ({batches.attrs['grouped_by']}) share what their"
            " parameters are off by; errors of populations count batches, not specimens, where batches differ."
        )
        table = Table(["parameter", "standard deviation between batches", "of"], [])
        for k in range(batches.sizes["parameter"]):
            one = batches.isel(parameter=k)
            name, scale, std = str(one["parameter"].item()), str(one["scale"].item()), float(one["std"])
            if np.isfinite(std):
                table.rows.append([name, f"{std:.3g}", scale])
                table.lines.append(f"{name:<20} batches differ by {std:.3g} of {scale}")
        tables.append(table)
    return Section("What parameters depend on", words, tables) if words else None
