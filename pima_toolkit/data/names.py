"""How names and specimens are told in messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Hashable, Iterable

import numpy as np
import xarray as xr

#: What answers call their own: a modality of such a name would take its place, and an answer's part is none.
ANSWER_NAMES = frozenset(
    [
        "responsibilities",
        "cluster",
        "posterior_mean",
        "posterior_variance",
        "typicality",
        "out_of_population",
        "outside_range",
        "modality",
        "weight",
        "mean",
        "variance",
        "latent",
        "latent_position",
        "remark",
        "restarts_agree",
        "specimen",
        "step",
        "stranger",
        "parameters",
        "parameters_std",
        "parameter",
        "parameter_modality",
        "unit",
        "population",
        "belongs_to",
        "description",
    ]
)


#: Words that name what specimens were made or measured together in.
BATCHES = frozenset({"batch", "campaign", "charge", "lab", "laboratory", "lot", "plate", "wafer"})


def batches(data: xr.Dataset, fewest: int) -> str | None:
    """Name of the coordinate along specimen that obviously names batches; None where there is none that can be used.

    Its name holds one of :data:`BATCHES` as a word, and some specimens share a value. Of several the one with the
    fewest.

    Args:
        data: The specimens.
        fewest: Values that it must have: of fewer batches nothing could be judged.
    """
    found = {}
    for name, coordinate in data.coords.items():
        words = set(re.split(r"[^a-z]+", str(name).lower()))
        if coordinate.dims == ("specimen",) and words & (BATCHES | {f"{word}s" for word in BATCHES}):
            count = len(np.unique(coordinate.values.astype(str)))
            if fewest <= count < coordinate.size:
                found[str(name)] = count
    return min(found, key=lambda name: (found[name], name), default=None)


def closest(name: object, known: Iterable[Hashable]) -> str:
    """The end of an error's sentence: the names there are, the nearest first asked for."""
    names = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    asked = f"; did you mean {near[0]!r}?" if near else ""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return f"there are {', '.join(map(repr, names[:20])) or 'none'}{more}{asked}"


def measured_names(data: xr.Dataset) -> list[str]:
    """Name the variables that may be modalities: those of specimens that are no flag of who has another."""
    return [str(k) for k, v in data.data_vars.items() if "specimen" in v.dims and not str(k).endswith("_present")]


def specimen_labels(data: xr.Dataset) -> np.ndarray:
    """What to call the specimens, (specimen,): their coordinate's values, or 0, 1, 2 ..."""
    return data["specimen"].values


def population_names(table: xr.Dataset) -> list[str]:
    """What to call the populations along ``cluster``: the names that people gave them, else their numbers."""
    if "population" in table.coords:
        return table["population"].values.astype(str).tolist()
    return [f"population {c}" for c in range(table.sizes["cluster"])]


def few(labels: Iterable[object]) -> str:
    """At most five labels, and how many more."""
    shown = [str(v) for v in labels]
    return ", ".join(shown[:5]) + (f" and {len(shown) - 5} more" if len(shown) > 5 else "")


def says_synthetic(data: xr.Dataset) -> bool:
    """Whether a dataset says of itself that it was generated, by ``attrs["synthetic"]`` or in its title."""
    flag = data.attrs.get("synthetic", False)
    return flag not in (False, 0, "", "false", "False") or "synthetic" in str(data.attrs.get("title", "")).lower()
