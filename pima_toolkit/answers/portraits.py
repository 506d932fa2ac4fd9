"""What distinguishes each population, in a sentence, and specimens that stand for it."""

from __future__ import annotations

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ..data import specimen_labels
from ..metrics.association import setting_table
from .record import TrainingRecord, named
from .trust.cautions import SURE

#: A difference is told from so many standard deviations, or such a difference of shares; found by chance in this share
#: of cases, and at most so many of each kind; specimens named.
_LARGE, _SHARE, _FALSE, _MOST, _NAMED = 0.8, 0.2, 0.05, 3, 3


def portraits(record: TrainingRecord, tested: xr.Dataset) -> xr.Dataset:
    """Describe the populations, see :meth:`pima_toolkit.Fit.portraits`.

    Args:
        record: The training.
        tested: Settings against the populations, as :func:`~pima_toolkit.metrics.association.associate` gives.
    """
    specimens = record.specimens
    gamma, best = specimens["responsibilities"].values, specimens["cluster"].values
    C, labels = gamma.shape[1], specimen_labels(specimens).astype(str)
    followed = [str(name) for name in tested["setting"].values[tested["q_value"].values < _FALSE]]
    settings = setting_table(specimens.drop_vars("cluster"), followed) if followed else {}
    by_parameter = _parameters(specimens, best, C)
    distance, words = _distance(specimens["value"].values, best), []
    chosen: dict[str, list[list[str]]] = {"typical": [], "extreme": [], "borderline": []}
    for c in range(C):
        told = [*by_parameter[c], *_settings(settings, best == c)]
        alone = "It is the only population." if C == 1 else "Nothing tells it from the others."
        words.append(f"{'; '.join(told)}." if told else alone)
        members = np.flatnonzero(best == c)
        members = members[np.argsort(distance[members], kind="stable")]
        unsure = np.flatnonzero((gamma.max(1) < SURE) & (np.argsort(-gamma, axis=1)[:, :2] == c).any(1))
        unsure = unsure[np.argsort(gamma[unsure].max(1), kind="stable")]
        for name, rows in zip(chosen, (members, members[::-1], unsure), strict=True):
            chosen[name].append([*labels[rows[:_NAMED]], *[""] * (_NAMED - len(rows))])
    about = {
        "typical": "specimens nearest to the middle of the population",
        "extreme": "specimens farthest from it",
        "borderline": "specimens that may as well be of another population",
    }
    return named(
        xr.Dataset(
            {
                "sentence": ("cluster", np.array(words, dtype=object), {"long_name": "what distinguishes it"}),
                **{
                    name: (("cluster", "rank"), np.array(rows, dtype=object), {"long_name": about[name]})
                    for name, rows in chosen.items()
                },
            },
            coords={"cluster": np.arange(C)},
        ),
        record,
    )


def _parameters(specimens: xr.Dataset, best: NDArray, clusters: int) -> list[list[str]]:
    """Parameters by which each population differs from the rest, the largest difference first."""
    value, found = specimens["value"].values, []
    for c in range(clusters):
        for p in range(value.shape[1]):
            known = np.isfinite(value[:, p])
            own, rest = value[known & (best == c), p], value[known & (best != c), p]
            if min(len(own), len(rest)) < 3:
                continue
            squares = np.square(own - own.mean()).sum() + np.square(rest - rest.mean()).sum()
            within = np.sqrt(squares / (len(own) + len(rest) - 2))
            if not within > 0.0:
                continue
            p_value = float(scipy.stats.mannwhitneyu(own, rest).pvalue)
            found.append((c, p, float((own.mean() - rest.mean()) / within), np.median(own), np.median(rest), p_value))
    q = scipy.stats.false_discovery_control([one[-1] for one in found]) if found else []
    kept = [one for one, value in zip(found, q, strict=True) if value < _FALSE and abs(one[2]) > _LARGE]
    kept.sort(key=lambda one: -abs(one[2]))
    names, units = specimens["parameter"].values, specimens["unit"].values
    out: list[list[str]] = [[] for _ in range(clusters)]
    for c, p, size, own, rest, _ in kept:
        unit = "" if units[p] == "1" else f" {units[p]}"
        side = "higher" if size > 0 else "lower"
        out[c].append(f"{names[p]} is {side}: {own:.3g}{unit} against {rest:.3g}{unit} ({abs(size):.1f} std)")
    return [told[:_MOST] for told in out]


def _settings(settings: dict[str, NDArray], mine: NDArray[np.bool_]) -> list[str]:
    """Settings by which specimens of a population differ from the rest, in words."""
    told = []
    for name, values in settings.items():
        if values.dtype.kind == "f" and len(np.unique(values[np.isfinite(values)])) > 2:
            known = np.isfinite(values)
            own, rest = values[known & mine], values[known & ~mine]
            if not (len(own) and len(rest)):
                continue
            above = float(scipy.stats.mannwhitneyu(own, rest).statistic) / (len(own) * len(rest))
            if abs(above - 0.5) > _SHARE:
                side = "higher" if above > 0.5 else "lower"
                told.append((abs(above - 0.5), f"{name} is {side}: {np.median(own):.3g} against {np.median(rest):.3g}"))
            continue
        shares = [(v, float(np.mean(values[mine] == v)), float(np.mean(values[~mine] == v))) for v in np.unique(values)]
        value, own, rest = max(shares, key=lambda one: one[1] - one[2])
        if own - rest > _SHARE:
            told.append((own - rest, f"{name} {value}: {own:.0%} against {rest:.0%} elsewhere"))
    return [words for _, words in sorted(told, key=lambda one: -one[0])][:_MOST]


def _distance(value: NDArray, best: NDArray) -> NDArray:
    """Distance of each specimen's parameters from its population's middle, in its standard deviations, (specimen,)."""
    out = np.zeros(len(best))
    for c in np.unique(best):
        rows = best == c
        own = value[rows]
        middle = np.nanmedian(own, axis=0) if np.isfinite(own).any() else np.zeros(own.shape[1])
        away = own - middle
        size = np.sqrt(np.nanmean(np.square(away), axis=0)) if len(own) else 1.0
        out[rows] = np.nan_to_num(np.square(away / np.where(size > 0.0, size, 1.0))).sum(1)
    return out
