"""The section on populations and process settings."""

from __future__ import annotations

from ...data import population_names
from ...metrics.association import setting_table, summarise
from ..findings import Findings
from ..page import Picture, Section, Table
from ..plots.settings_plot import plot_settings


def settings(findings: Findings) -> Section | None:
    """Tell whether the populations follow the settings; nothing where there are none, or they were not tested."""
    tested = findings.associations
    if tested is None or tested.sizes["setting"] == 0:
        return None
    specimens = findings.specimens.drop_vars("cluster")
    gamma = specimens["responsibilities"]
    table = Table(["setting", "explained", "p", "p, adjusted", *population_names(specimens)], [])
    values = setting_table(specimens)
    for row in range(tested.sizes["setting"]):
        one = tested.isel(setting=row)
        name = str(one["setting"].item())
        numbers = [f"{100 * float(one.effect):.0f} %", f"{float(one.p_value):.2g}", f"{float(one.p_adjusted):.2g}"]
        table.rows.append([name, *numbers, *summarise(gamma, values[name], str(one.kind.item()))])
    words = (
        "Whether the populations follow what was recorded of each specimen. “Explained” is the share of the setting's"
        f" variance that the populations account for; p is the chance of as much if the {tested.attrs['permutations']}"
        " times shuffled settings had nothing to do with them, adjusted for the number of settings by Holm's method."
        " It says that they go together, not that one causes the other."
    )
    figure = Picture(lambda: plot_settings(specimens, tested), "settings of the specimens of each population")
    about = [words, *filter(None, [tested.attrs.get("reading")])]
    return Section("Populations and settings", about, [table], [figure])
