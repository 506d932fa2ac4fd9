r"""Distribution function and quantiles of curves drawn from several populations, each with Gaussian noise, as loops.

.. math:: F(x) = \sum_c \gamma_c \frac1K \sum_k \Phi\!\left(\frac{x - E_{ck}}{\sigma_c}\right)

Draws are sorted, so that only those within reach of the noise are looked at: the others count whole or not at all. A
quantile starts between those of the single populations, which can be told from ranks alone, and goes on by Newton's
steps, or by bisection where these leave the bracket or shrink too slowly. :math:`\Phi` is read from a table by cubic
interpolation, to 3e-10.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ..compiling import compiled

Array = NDArray[np.float64]

#: Standard deviations from which a draw counts whole or not at all: the normal distribution leaves 6e-16 there.
_REACH = 8.0
#: Intervals of the table per standard deviation.
_FINE = 64
#: Populations of less responsibility count nowhere.
NEGLIGIBLE = 1e-9


def _table() -> Array:
    """Coefficients of the normal distribution function's cubics, (interval, 4), from -_REACH to _REACH."""
    z = np.linspace(-_REACH, _REACH, round(2 * _REACH * _FINE) + 1)
    value, slope = torch.special.ndtr(torch.from_numpy(z)).numpy(), np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi) / _FINE
    rise = np.diff(value)
    square, cube = 3.0 * rise - 2.0 * slope[:-1] - slope[1:], slope[:-1] + slope[1:] - 2.0 * rise
    return np.stack([value[:-1], slope[:-1], square, cube], axis=1)


PHI = _table()


@compiled(nogil=True)
def _rank(draws, x):  # noqa: ANN001, ANN202 - compiled, as all of these
    """Number of sorted draws below x."""
    low, high = 0, draws.size
    while low < high:
        middle = (low + high) // 2
        if draws[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled(nogil=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _distribution(draws, std, x, phi):  # noqa: ANN001, ANN202
    """Distribution function and density at x of one population's draws (K,) with noise."""
    first, last = _rank(draws, x - _REACH * std), _rank(draws, x + _REACH * std)
    value, slope, step, end = 0.0, 0.0, _FINE / std, phi.shape[0]
    for k in range(first, last):
        u = (x - draws[k]) * step + _REACH * _FINE
        i = min(max(int(u), 0), end - 1)
        r = u - i
        value += phi[i, 0] + r * (phi[i, 1] + r * (phi[i, 2] + r * phi[i, 3]))
        slope += phi[i, 1] + r * (2.0 * phi[i, 2] + r * 3.0 * phi[i, 3])
    return (first + value) / draws.size, slope * step / draws.size


@compiled(nogil=True, error_model="numpy")
def _mixture(draws, std, weights, x, phi):  # noqa: ANN001, ANN202
    """Distribution function and density at x of all populations (cluster, K)."""
    total, value, slope = 0.0, 0.0, 0.0
    for c in range(weights.size):
        if weights[c] > NEGLIGIBLE:
            F, f = _distribution(draws[c], std[c], x, phi)
            total += weights[c]
            value += weights[c] * F
            slope += weights[c] * f
    return value / total, slope / total


@compiled(nogil=True, error_model="numpy")
def probabilities(draws, std, weights, x, phi, out):  # noqa: ANN001, ANN201
    """Write F(x) into ``out`` (specimen, point).

    Args:
        draws: Sorted, (cluster, specimen or 1, point, draw).
        std: Of the noise, (cluster, specimen or 1, point).
        weights: Responsibilities, (specimen, cluster).
        x: Shape (specimen, point).
        phi: The table :data:`PHI`.
        out: Shape (specimen, point).
    """
    for n in range(x.shape[0]):
        a, b = min(n, draws.shape[1] - 1), min(n, std.shape[1] - 1)
        for t in range(x.shape[1]):
            out[n, t] = _mixture(draws[:, a, t], std[:, b, t], weights[n], x[n, t], phi)[0]


@compiled(nogil=True, error_model="numpy")
def _bracket(draws, std, weights, p):  # noqa: ANN001, ANN202
    """Bracket of a quantile, from ranks of each population's draws (cluster, K); of all finite ones; least noise."""
    size = draws.shape[1]
    below = min(max(int(np.floor(p * size - 1e-9)), 0), size - 1)
    above = min(max(int(np.ceil(p * size + 1e-9)) - 1, 0), size - 1)
    low, high, lowest, highest, narrow = np.inf, -np.inf, np.inf, -np.inf, np.inf
    for c in range(weights.size):
        if weights[c] > NEGLIGIBLE:
            own, away = draws[c], _REACH * std[c]
            narrow = min(narrow, std[c])
            low, high = min(low, own[below] - away), max(high, own[above] + away)
            first, last = _rank(own, -1.7e308), _rank(own, np.inf) - 1
            if first <= last:  # what is infinite leaves a bracket of the others
                lowest, highest = min(lowest, own[first] - away), max(highest, own[last] + away)
    return low, high, lowest, highest, narrow


@compiled(nogil=True, error_model="numpy")
def _quantile(draws, std, weights, p, phi):  # noqa: ANN001, ANN202
    """Quantile of one point: Newton's steps inside a bracket."""
    low, high, lowest, highest, narrow = _bracket(draws, std, weights, p)
    if high > highest and _mixture(draws, std, weights, highest, phi)[0] < p:
        return np.inf
    if low < lowest and _mixture(draws, std, weights, lowest, phi)[0] > p:
        return -np.inf
    low, high = max(low, lowest), min(high, highest)
    x, before, step = 0.5 * (low + high), high - low, high - low
    for _ in range(300):
        value, slope = _mixture(draws, std, weights, x, phi)
        value -= p
        if value < 0.0:
            low = x
        else:
            high = x
        new = x - value / slope if slope > 0.0 else np.inf
        if not low < new < high or abs(2.0 * value) > abs(before * slope):
            new = 0.5 * (low + high)
        before, step, x = step, new - x, new
        # Newton's steps square the distance: the next one is beyond float64.
        if abs(step) < 1e-6 * narrow or high - low <= 4e-16 * (abs(low) + abs(high)):
            break
    return x


@compiled(nogil=True, error_model="numpy")
def quantiles(draws, std, weights, probability, phi, out):  # noqa: ANN001, ANN201
    """Write the quantiles of F into ``out`` (specimen, point).

    Args:
        draws: Sorted, (cluster, specimen or 1, point, draw).
        std: Of the noise, (cluster, specimen or 1, point).
        weights: Responsibilities, (specimen, cluster).
        probability: Shape (specimen,); infinite quantiles where it is 0 or 1.
        phi: The table :data:`PHI`.
        out: Shape (specimen, point).
    """
    for n in range(out.shape[0]):
        a, b, p = min(n, draws.shape[1] - 1), min(n, std.shape[1] - 1), probability[n]
        if p <= 0.0 or p >= 1.0:
            out[n, :] = -np.inf if p <= 0.0 else np.inf
            continue
        for t in range(out.shape[1]):
            out[n, t] = _quantile(draws[:, a, t], std[:, b, t], weights[n], p, phi)
