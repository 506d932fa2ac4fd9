"""The section on the specimens that are worth measuring next."""

from __future__ import annotations

import xarray as xr

from ..findings import Findings
from ..page import Section, Table

#: Specimens shown of a modality.
_ROWS = 10


def next_measurements(findings: Findings) -> Section | None:
    """Rank the specimens that lack a modality; nothing where none does, or the training data were not given."""
    parts = [_modality(name, ranked) for name, ranked in findings.next_measurements.items()]
    if len(parts) < 2:
        return parts[0] if parts else None
    return Section("Worth measuring next", parts=parts)


def _modality(name: str, ranked: xr.Dataset) -> Section:
    count = ranked.sizes["specimen"]
    rows = [
        [str(one["specimen"].item()), f"{float(one['information']):.3f}", str(one["reason"].item())]
        for one in (ranked.isel(specimen=d) for d in range(min(_ROWS, count)))
    ]
    words = (
        f"Of {count} specimens without {name}, those whose measurement should teach most:"
        " about which population the specimen is of, and about that population's physics. In nats; 0.69 nats are a"
        " question of two equal answers settled. Ranked one by one, not as a set. These need not be the specimens"
        f" in doubt above: here are only those without {name}, doubt counts as far as {name} would settle it, and a"
        " specimen in no doubt may still teach a small population's parameters."
    )
    table = Table(["specimen", "expected information", "why"], rows, max(count - _ROWS, 0))
    return Section(f"Worth measuring next: {name}", [words], [table])
