"""The sections of a report, one a file: each takes the findings and gives its part of the page, or None.

Text and page walk the same sections, so both say the same. A section is added by a file here and a line in
``SECTIONS``, or from a package by the hook ``pima_report_sections``::

    from pima_toolkit import hookimpl
    from pima_toolkit.report import Findings, Section


    def corrosion(findings: Findings) -> Section | None:
        if "corrosion_rate" not in findings.specimens:
            return None
        return Section("Corrosion", [f"Mean rate {float(findings.specimens['corrosion_rate'].mean()):.3g} mm/a."])


    @hookimpl
    def pima_report_sections():
        return {"corrosion": corrosion}
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import cast

from ...errors import OptionError, PluginWarning
from ...plugins.registry import Registry
from ..findings import Findings
from ..page import Section

#: Takes the findings and gives a section, or None where there is nothing to say.
MakesSection = Callable[[Findings], Section | None]


def _checked(function: object) -> MakesSection:
    if not callable(function):
        raise OptionError(f"{function!r} is no report section: expected a function from Findings to a Section or None")
    return cast("MakesSection", function)


_HERE = "pima_toolkit.report.sections"
#: The sections by name, in the order of the report; those of plugins follow.
SECTIONS: Registry[MakesSection] = Registry(
    "report section",
    hook="pima_report_sections",
    check=_checked,
    error=OptionError,
    ours={
        "checked": f"{_HERE}.checked:checked",
        "measured": f"{_HERE}.measured:measured",
        "populations": f"{_HERE}.populations:populations",
        "tensile": f"{_HERE}.tensile:tensile",
        "dependence": f"{_HERE}.dependence:dependence",
        "latent_map": f"{_HERE}.latent_map:latent_map",
        "settings": f"{_HERE}.settings:settings",
        "trust": f"{_HERE}.trust:trust",
        "next_measurements": f"{_HERE}.next_measurements:next_measurements",
        "predictions": f"{_HERE}.predictions:predictions",
        "files": f"{_HERE}.files:files",
        "methods": f"{_HERE}.methods:methods",
        "making": f"{_HERE}.making:making",
    },
)


def sections_of(findings: Findings) -> list[Section]:
    """Make the sections that have something to say, in the order of ``SECTIONS``.

    A section of a plugin that raises is left out with a warning: it costs nobody the rest of the report.
    """
    made = []
    for name, section in SECTIONS.all().items():
        record = SECTIONS.source(name)
        if record is None:
            made.append(section(findings))
            continue
        try:
            made.append(_one(section(findings)))
        except Exception as error:  # noqa: BLE001 - a stranger's function
            warnings.warn(
                f"the report section {name!r} of {record.origin} was left out: {type(error).__name__}: {error}",
                PluginWarning,
                stacklevel=2,
            )
    return [section for section in made if section is not None]


def _one(section: object) -> Section | None:
    if section is None or isinstance(section, Section):
        return section
    raise TypeError(f"it gave {type(section).__name__}, expected a Section or None")
