r"""Lines of spectra and diffraction patterns.

The true Voigt line, which no short formula holds.
It needs the Faddeeva function :math:`w(z) = e^{-z^2} \mathrm{erfc}(-iz)`, here by the rational series of Weideman
1994 (SIAM J. Numer. Anal. 31, 1497) of 32 terms, good to 12 digits for Im z >= 0; its derivative is
:math:`w' = -2 z w + 2i/\sqrt\pi`. This is also how an expert is written by hand: :meth:`Voigt.predict` in torch, and
:meth:`Voigt.compiled_curve` in numba with its derivatives.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from numba import float64, njit, void
from numpy.typing import NDArray
from torch import Tensor

from pima_toolkit import Example, Expert, Parameter


def _series(terms: int) -> tuple[float, NDArray[np.float64]]:
    """Compute Weideman's scale L and coefficients, the highest power first."""
    scale = math.sqrt(terms / math.sqrt(2))
    k = np.arange(-2 * terms + 1, 2 * terms)
    t = scale * np.tan(k * np.pi / (4 * terms))
    f = np.concatenate([[0.0], np.exp(-(t**2)) * (scale**2 + t**2)])
    coefficients = np.real(np.fft.fft(np.fft.fftshift(f))) / (4 * terms)
    return scale, coefficients[1 : terms + 1][::-1].copy()


_SCALE, _COEFFICIENTS = _series(32)
_ROOT_PI, _ROOT_2 = math.sqrt(math.pi), math.sqrt(2)


class Voigt(Expert):
    r"""A Lorentzian seen through a Gaussian instrument: the convolution of both.

    .. math:: y = \frac{A}{s \sqrt{2\pi}} \mathrm{Re}\, w\left(\frac{x - \mu + i\gamma}{s \sqrt 2}\right)

    Valid for: one line of finite lifetime, broadened by the instrument or by heat; background subtracted.
    Source: Voigt 1912, Sitzungsber. Bayer. Akad. Wiss. 42, 603.
    """

    name, t = "voigt", "x"
    parameters = (
        Parameter("A", unit="{y}*{t}", description="area"),
        Parameter("mu", unit="{t}", description="centre"),
        Parameter("s", unit="{t}", lower=0.0, description="standard deviation of the Gaussian"),
        Parameter("gamma", unit="{t}", lower=0.0, description="half width at half height of the Lorentzian"),
    )
    linear = (0,)
    within = ("mu",)
    example = Example(t=(0, 10), parameters={"A": 200, "mu": 4, "s": 0.5, "gamma": 0.4}, y="intensity", y_unit="count")

    def predict(self, t: Tensor, theta: Tensor) -> Tensor:
        """Evaluate in torch; shapes as in :meth:`pima_toolkit.Expert.predict`."""
        A, mu, s, gamma = (theta[..., i].unsqueeze(-1) for i in range(4))
        t = t.to(dtype=theta.dtype, device=theta.device)
        across = (t - mu) / (s * _ROOT_2)
        z = torch.complex(across, (gamma / (s * _ROOT_2)).expand_as(across))
        below = _SCALE - 1j * z
        ratio = (_SCALE + 1j * z) / below
        total = torch.zeros_like(z)
        for coefficient in _COEFFICIENTS:
            total = total * ratio + float(coefficient)
        w = 2 * total / below**2 + 1 / (_ROOT_PI * below)
        return A / (s * math.sqrt(2 * math.pi)) * w.real

    def compiled_curve(self) -> Callable[..., None]:
        """Compile :func:`_curve`, which has the signature of :meth:`pima_toolkit.Expert.compiled_curve`."""
        return _compiled()


@functools.cache
def _compiled() -> Callable[..., None]:
    signature = void(float64[::1], float64[::1], float64[::1], float64[:, ::1])
    try:
        return njit(signature, error_model="numpy", cache=True)(_curve)
    except RuntimeError:  # no folder can be written for the machine code: compile in every process
        return njit(signature, error_model="numpy")(_curve)


def _curve(t, theta, value, jacobian) -> None:  # noqa: ANN001 - numba's signature stands above
    A, mu, s, gamma = theta[0], theta[1], theta[2], theta[3]
    width = s * _ROOT_2
    height = 1 / (s * math.sqrt(2 * math.pi))
    for k in range(t.size):
        z = complex((t[k] - mu) / width, gamma / width)
        below = _SCALE - 1j * z
        ratio = (_SCALE + 1j * z) / below
        total = 0j
        for coefficient in _COEFFICIENTS:
            total = total * ratio + coefficient
        w = 2 * total / (below * below) + 1 / (_ROOT_PI * below)
        slope = -2 * z * w + 2j / _ROOT_PI
        value[k] = A * height * w.real
        jacobian[k, 0] = height * w.real
        jacobian[k, 1] = -A * height * slope.real / width
        jacobian[k, 2] = -A * height * (w.real + (slope * z).real) / s
        jacobian[k, 3] = -A * height * slope.imag / width
