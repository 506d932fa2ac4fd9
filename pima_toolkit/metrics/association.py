r"""Tests of whether the populations follow the process settings, by permutation, one for each setting.

.. math:: \mathrm{effect} = \frac{\sum_c W_c \lVert \bar f_c - \bar f \rVert^2}{\sum_d \lVert f_d - \bar f \rVert^2},
          \qquad \bar f_c = \frac{1}{W_c}\sum_d \gamma_{cd} f_d

with f the rank of a number, or one column per category (a number of few values counts as one): the share of the
setting's variance that the clusters explain (the correlation ratio of ranks; for categories Goodman & Kruskal's tau).
Under the null hypothesis the settings were dealt to the specimens at random, so shuffling them gives the effect's
distribution without any assumption on its shape. Clusters were made without looking at the settings, which is what
makes the test valid.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy  # loads its parts on first use
import xarray as xr
from numpy.typing import NDArray

from ..data import closest
from ..errors import DataError, OptionError

Array = NDArray[np.float64]

#: A number with at most this many different values, each twice on average, is set by hand: a category.
_FEW_VALUES = 12
#: More categories than this share of the specimens: a name of each specimen, not a setting.
_NAMES = 0.5


def associate(
    responsibilities: xr.DataArray,
    settings: xr.Dataset,
    names: Sequence[str] | None = None,
    *,
    permutations: int = 9999,
    seed: int = 0,
) -> xr.Dataset:
    """Test every setting against the clusters.

    Args:
        responsibilities: Shape (specimen, cluster), as in ``fit.specimens``.
        settings: Coordinates and variables along ``specimen`` alone; numbers, text or bool. NaN and empty text are
            left out, setting by setting.
        names: Names of the settings to test; by default all that vary and do not name each specimen apart.
        permutations: Number of shuffles; the smallest p-value is 1 / (permutations + 1).
        seed: Seed of the shuffles.

    Returns:
        Along ``setting``, largest effect first: ``effect`` (0 to 1), ``p_value``, ``p_adjusted`` (Holm's, for the
        number of settings looked at), ``kind`` ("number" or "category"), ``specimens`` (how many had the setting).

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
    rng = np.random.default_rng(seed)
    rows = []
    for name, values in table.items():
        known = _known(values)
        features = _features(values[known])
        rows.append((name, *_test(gamma[known], features, permutations, rng), _kind(values), int(known.sum())))
    rows.sort(key=lambda row: (-row[1], row[0]))
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    p = np.array(columns[2], dtype=np.float64)
    return xr.Dataset(
        {
            "effect": ("setting", np.array(columns[1], dtype=np.float64), {"long_name": "share of variance explained"}),
            "p_value": ("setting", p, {"long_name": "permutation test"}),
            "p_adjusted": ("setting", _holm(p), {"long_name": "adjusted for the number of settings (Holm)"}),
            "kind": ("setting", np.array(columns[3], dtype=object)),
            "specimens": ("setting", np.array(columns[4], dtype=np.int64)),
        },
        coords={"setting": np.array(columns[0], dtype=object)},
        attrs={"permutations": permutations, "seed": seed},
    )


#: Variables of ``fit.specimens`` along the same dim that are no settings.
_OWN = ("specimen", "restarts_agree", "stranger")


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


def _features(values: NDArray) -> Array:
    """Return the ranks (N, 1) of numbers, or one column per category (N, K)."""
    if _kind(values) == "number":
        return scipy.stats.rankdata(values)[:, None]
    return (values[:, None] == np.array(sorted(set(values.tolist())), dtype=values.dtype)).astype(np.float64)


def _test(gamma: Array, features: Array, permutations: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the effect and p-value of one setting."""
    centred = features - features.mean(0)
    total = np.square(centred).sum()
    if total == 0.0 or len(gamma) < 3:
        return 0.0, 1.0
    weight = gamma.sum(0)
    used = weight > 1e-9
    share = gamma[:, used] / np.sqrt(weight[used])

    def effect(order: NDArray, axis: int = -1) -> NDArray:
        dealt = centred[np.moveaxis(order, axis, -1).astype(np.intp)]
        return np.square(np.einsum("nc,...nk->...ck", share, dealt)).sum((-1, -2)) / total

    # About 100 MB at a time, whatever the number of specimens.
    batch = max(1, 4_000_000 // (features.size * max(int(used.sum()), 1)))
    result = scipy.stats.permutation_test(
        (np.arange(len(gamma), dtype=np.float64),),
        effect,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=permutations,
        batch=batch,
        alternative="greater",
        rng=rng,
    )
    return float(result.statistic), float(result.pvalue)


def _holm(p: Array) -> Array:
    """Adjust p-values by Holm's step-down method: the chance of any false finding stays below the p-value shown."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def summarise(responsibilities: xr.DataArray, values: NDArray) -> list[str]:
    """Describe one setting in words, cluster by cluster: ``median 12 (10 to 15)`` or ``A: 80 %, B: 20 %``.

    Args:
        responsibilities: Shape (specimen, cluster).
        values: The setting, shape (specimen,).
    """
    gamma = responsibilities.transpose("specimen", "cluster").values
    known = _known(values)
    gamma, values = gamma[known], values[known]
    words = []
    for weight in gamma.T:
        if weight.sum() < 0.5:
            words.append("no specimens")
        elif _kind(values) == "number":
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
