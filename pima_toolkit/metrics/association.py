r"""Tests of whether the populations follow the process settings, by permutation, one for each setting.

.. math:: \mathrm{effect} = \frac{\sum_c W_c \lVert \bar f_c - \bar f \rVert^2}{\sum_d \lVert f_d - \bar f \rVert^2},
          \qquad \bar f_c = \frac{1}{W_c}\sum_d \gamma_{cd} f_d

with f the rank of a number, or one column per category (a number of few values counts as one): the share of the
setting's variance that the clusters explain (the correlation ratio of ranks; for categories Goodman & Kruskal's tau).
Under the null hypothesis the settings were dealt to the specimens at random, so shuffling them gives the effect's
distribution without any assumption on its shape. Clusters were made without looking at the settings, which is what
makes the test valid.

Specimens of one batch are alike in more than the settings. A setting that changes from batch to batch was dealt to
whole batches, and whole batches are shuffled; one that changes within batches is shuffled inside each. Source:
Winkler et al. 2015 (NeuroImage 123, 253).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ..data import batches, closest, few
from ..errors import DataError, OptionError

Array = NDArray[np.float64]

#: A number with at most this many different values, each twice on average, is set by hand: a category.
_FEW_VALUES = 12
#: Effects up to this are none, but for rounding.
_ROUNDING = 1e-12
#: More categories than this share of the specimens: a name of each specimen, not a setting.
_NAMES = 0.5


def associate(
    responsibilities: xr.DataArray,
    settings: xr.Dataset,
    names: Sequence[str] | None = None,
    *,
    permutations: int = 9999,
    seed: int = 0,
    groups: str | None = "auto",
) -> xr.Dataset:
    """Test every setting against the clusters.

    Args:
        responsibilities: Shape (specimen, cluster), as in ``fit.specimens``.
        settings: Coordinates and variables along ``specimen`` alone; numbers, text or bool. NaN and empty text are
            left out, setting by setting.
        names: Names of the settings to test; by default all that vary and do not name each specimen apart.
        permutations: Number of shuffles; the smallest p-value is 1 / (permutations + 1).
        seed: Seed of the shuffles.
        groups: Name of what tells the batch of each specimen; ``"auto"``: one whose name says so; None: every specimen
            was made by itself.

    Returns:
        Along ``setting``, largest effect first: ``effect`` (0 to 1), ``p_value``, ``p_adjusted`` (Holm's, for the
        number of settings looked at), ``q_value`` (Benjamini and Hochberg's: of settings up to it that share are false
        findings), ``kind`` ("number" or "category"), ``specimens`` (how many had the setting), ``shuffled``
        ("specimens", "batches", or "within batches"), ``units`` (how many were shuffled). ``attrs["reading"]`` says
        what was done about batches, empty where there are none.

    Raises:
        DataError: If a name is unknown or not one value per specimen.
        OptionError: If there are too few permutations.
    """
    if permutations < 99:
        raise OptionError(f"permutations={permutations}: at least 99 are needed for a p-value of 0.01")
    table = setting_table(settings, names)
    gamma = responsibilities.transpose("specimen", "cluster").values
    if len(gamma) != settings.sizes["specimen"]:
        raise DataError(
            f"the settings are of {settings.sizes['specimen']} specimens and the responsibilities of {len(gamma)}:"
            " give the settings of the same specimens, in the same order"
        )
    named = batches(settings, 2) if groups == "auto" else groups
    batch = None if named is None else np.unique(_batch(settings, named).astype(str), return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    rows = []
    for name, values in table.items():
        known = _known(values)
        dealt = Dealt.of(values[known], None if batch is None or name == named else batch[known])
        kind = _kind(values[known][dealt.first])
        found = _test(gamma[known], _features(values[known], kind), dealt, permutations, rng)
        rows.append((name, *found, kind, int(known.sum()), dealt.words, len(dealt.first)))
    rows.sort(key=lambda row: (-row[1], row[0]))
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 7
    p = np.array(columns[2], dtype=np.float64)
    return xr.Dataset(
        {
            "effect": ("setting", np.array(columns[1], dtype=np.float64), {"long_name": "share of variance explained"}),
            "p_value": ("setting", p, {"long_name": "permutation test"}),
            "p_adjusted": ("setting", _holm(p), {"long_name": "adjusted for the number of settings (Holm)"}),
            "q_value": ("setting", scipy.stats.false_discovery_control(p) if len(p) else p, {"long_name": "FDR"}),
            "kind": ("setting", np.array(columns[3], dtype=object)),
            "specimens": ("setting", np.array(columns[4], dtype=np.int64)),
            "shuffled": ("setting", np.array(columns[5], dtype=object)),
            "units": ("setting", np.array(columns[6], dtype=np.int64)),
        },
        coords={"setting": np.array(columns[0], dtype=object)},
        attrs={"permutations": permutations, "seed": seed, "reading": _reading(named, batch, rows)},
    )


def _batch(settings: xr.Dataset, name: str) -> NDArray:
    along = {str(k): v.values for k, v in settings.variables.items() if v.dims == ("specimen",)}
    if name not in along:
        raise OptionError(
            f'groups={name!r} is nothing along specimen: {closest(name, along)}; or groups=None, or "auto"'
        )
    return along[name]


def _reading(named: str | None, batch: NDArray | None, rows: Sequence[tuple]) -> str:
    """What was done about batches, in a sentence; empty where there are none."""
    if batch is None:
        return ""
    by = {words: [row[0] for row in rows if row[5] == words] for words in ("batches", "within batches")}
    parts = [f"{few(names)} {_SHUFFLED[words]}" for words, names in by.items() if names]
    return f"Specimens of one {named} count together ({batch.max() + 1} of them): {'; '.join(parts) or 'nothing else'}."


#: What is said of a setting, by what was shuffled.
_SHUFFLED = {
    "batches": "changes with it, so that whole ones were shuffled",
    "within batches": "changes within it, and was shuffled there",
}
#: Variables of ``fit.specimens`` along the same dim that are no settings.
_OWN = ("specimen", "restarts_agree", "stranger", "belongs_to")


def setting_table(settings: xr.Dataset, names: Sequence[str] | None = None) -> dict[str, NDArray]:
    """Collect the settings by name, each (specimen,).

    Args:
        settings: Coordinates and variables along ``specimen``.
        names: Names of the settings; by default all that vary and do not name each specimen apart.

    Raises:
        DataError: If a name is unknown, or not one value per specimen.
    """
    single = {str(k): v.values for k, v in settings.variables.items() if v.dims == ("specimen",)}
    if names is not None:
        for name in names:
            if name not in single:
                raise DataError(f"there is no setting {name!r} of dims ('specimen',): {closest(name, single)}")
        return {name: single[name] for name in names}
    return {name: values for name, values in single.items() if name not in _OWN and _is_setting(values)}


def _is_setting(values: NDArray) -> bool:
    known = values[_known(values)]
    if values.dtype.kind not in "biufUOT" or known.size < 2:
        return False
    different = len(set(known.tolist()))
    return different > 1 and (values.dtype.kind in "iuf" or different <= max(2, _NAMES * known.size))


def _known(values: NDArray) -> NDArray[np.bool_]:
    if values.dtype.kind in "biu":
        return np.ones(len(values), dtype=bool)
    if values.dtype.kind == "f":
        return np.isfinite(values)
    return np.array([isinstance(v, str) and v.strip() != "" for v in values], dtype=bool)


def _kind(values: NDArray) -> str:
    """Tell a number from a category.

    Ranks see whether clusters differ in the middle of a number; five strain rates ask for more than that.
    """
    if values.dtype.kind not in "iuf":
        return "category"
    known = values[_known(values)]
    return "category" if len(np.unique(known)) <= min(_FEW_VALUES, len(known) // 2) else "number"


def _features(values: NDArray, kind: str) -> Array:
    """Return the ranks (N, 1) of numbers, or one column per category (N, K)."""
    if kind == "number":
        return scipy.stats.rankdata(values)[:, None]
    return (values[:, None] == np.array(sorted(set(values.tolist())), dtype=values.dtype)).astype(np.float64)


@dataclass(frozen=True)
class Dealt:
    """What a setting was dealt to, and is shuffled among.

    Args:
        words: "specimens", "batches" or "within batches".
        first: The first specimen of each, (units,).
        unit: Number of the unit that each specimen is of, (N,).
        stratum: Number of the batch that each unit stays in, (units,); None: all may change places.
    """

    words: str
    first: NDArray[np.int64]
    unit: NDArray[np.int64]
    stratum: NDArray[np.int64] | None = None

    @staticmethod
    def of(values: NDArray, batch: NDArray[np.int64] | None) -> Dealt:
        """Look at a setting and the batch of each specimen, (N,) each; None: there are no batches."""
        every = np.arange(len(values))
        if batch is None:
            return Dealt("specimens", every, every)
        _, first, batch = np.unique(batch, return_index=True, return_inverse=True)
        if (values[first][batch] == values).all():
            return Dealt("batches", first, batch)
        return Dealt("within batches", every, every, batch)


def _test(
    gamma: Array, features: Array, dealt: Dealt, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the effect and p-value of one setting."""
    centred = features - features.mean(0)
    if np.square(centred).sum() == 0.0 or len(gamma) < 3:
        return 0.0, 1.0
    weight = gamma.sum(0)
    used = weight > 1e-9
    # What every unit has of the clusters, and of specimens.
    units = len(dealt.first)
    share, count = np.zeros((units, int(used.sum()))), np.bincount(dealt.unit).astype(np.float64)
    np.add.at(share, dealt.unit, gamma[:, used] / np.sqrt(weight[used]))
    values = centred[dealt.first]

    def effect(order: NDArray, axis: int = -1) -> NDArray:
        shuffled = values[np.moveaxis(order, axis, -1).astype(np.intp)]
        mean = np.einsum("n,...nk->...k", count, shuffled) / len(gamma)
        off = len(gamma) * np.square(mean).sum(-1)
        between = np.square(np.einsum("nc,...nk->...ck", share, shuffled)).sum((-1, -2)) - off
        share_of = between / (np.einsum("n,...nk->...", count, np.square(shuffled)) - off)
        return np.where(share_of > _ROUNDING, share_of, 0.0)

    # About 100 MB at a time, whatever the number of specimens.
    batch = max(1, 4_000_000 // (values.size * max(int(used.sum()), 1)))
    if dealt.stratum is not None:
        return _within(effect, dealt.stratum, permutations, batch, rng)
    result = scipy.stats.permutation_test(
        (np.arange(units, dtype=np.float64),),
        effect,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=permutations,
        batch=batch,
        alternative="greater",
        rng=rng,
    )
    return float(result.statistic), float(result.pvalue)


def _within(
    effect: Callable[[NDArray], NDArray],
    stratum: NDArray[np.int64],
    permutations: int,
    batch: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Effect and p-value where specimens change places within their batches only."""
    home, observed, as_large = np.argsort(stratum, kind="stable"), float(effect(np.arange(len(stratum)))), 0
    for start in range(0, permutations, batch):
        size = min(batch, permutations - start)
        order = np.empty((size, len(stratum)), dtype=np.intp)
        order[:, home] = np.argsort(stratum + rng.random((size, len(stratum))), axis=1)
        as_large += int((effect(order) >= observed * (1.0 - 1e-12)).sum())
    return observed, (1 + as_large) / (1 + permutations)


def _holm(p: Array) -> Array:
    """Adjust p-values by Holm's step-down method: the chance of any false finding stays below the p-value shown."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def summarise(responsibilities: xr.DataArray, values: NDArray, kind: str | None = None) -> list[str]:
    """Describe one setting in words, cluster by cluster: ``median 12 (10 to 15)`` or ``A: 80 %, B: 20 %``.

    Args:
        responsibilities: Shape (specimen, cluster).
        values: The setting, shape (specimen,).
        kind: "number" or "category"; None: as its values look.
    """
    gamma = responsibilities.transpose("specimen", "cluster").values
    known = _known(values)
    gamma, values = gamma[known], values[known]
    words, kind = [], kind or _kind(values)
    for weight in gamma.T:
        if weight.sum() < 0.5:
            words.append("no specimens")
        elif kind == "number":
            low, middle, high = weighted_quantiles(values.astype(np.float64), weight, (0.25, 0.5, 0.75))
            words.append(f"{middle:.4g}" if low == high else f"median {middle:.4g} ({low:.4g} to {high:.4g})")
        else:
            kinds = sorted(set(values.tolist()))
            shares = {kind: weight[values == kind].sum() / weight.sum() for kind in kinds}
            top = sorted(shares, key=lambda kind: -shares[kind])
            shown = [f"{_label(kind)} {100 * shares[kind]:.0f} %" for kind in top[:4] if shares[kind] >= 0.005]
            rest = sum(shares[kind] >= 0.005 for kind in top[4:])
            words.append(", ".join(shown) + (f", {rest} more" if rest else ""))
    return words


def _label(kind: object) -> str:
    return f"{kind:g}:" if isinstance(kind, float) else f"{kind}:"


def weighted_quantiles(values: Array, weight: Array, probabilities: Sequence[float]) -> Array:
    """Return quantiles of weighted values: the smallest value with at least that share of the weight at or below it."""
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weight[order])
    targets = np.asarray(probabilities) * cumulative[-1]
    return values[order][np.minimum(np.searchsorted(cumulative, targets - 1e-12), len(values) - 1)]
