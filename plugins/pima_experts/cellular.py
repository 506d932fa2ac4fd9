r"""Foams and lattices in compression."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pima_toolkit import Example, Parameter, SympyExpert
from pima_toolkit.experts import Bounds

from .plasticity import kinks


class GibsonAshbyModulus(SympyExpert):
    r"""Elastic modulus of a foam or lattice against its relative density.

    .. math:: E = C E_s \left(\frac{\rho}{\rho_s}\right)^n

    One covariate: ``E_s``, the modulus of the solid, in the unit of the data. It is known, not fitted: one curve
    determines only C E_s.

    Valid for: relative densities below about 0.3; n is 2 for open cells that bend, 1 for lattices that stretch.
    Source: Gibson & Ashby 1982, Proc. R. Soc. A 382, 43; 1997, Cellular Solids, 2nd ed.
    """

    name, t, covariates = "gibson_ashby_modulus", "relative_density", ("E_s",)
    formula = "C * E_s * relative_density**n"
    parameters = (
        Parameter("C", lower=0.1, upper=4.0, description="factor of the cells' geometry, about 1"),
        Parameter("n", lower=1.0, upper=3.0, description="exponent"),
    )
    example = Example(t=(0.02, 0.3), parameters={"C": 1, "n": 2}, y="modulus", y_unit="MPa", covariates={"E_s": 7e4})


class GibsonAshbyStrength(SympyExpert):
    r"""Plateau stress of a plastic foam against its relative density.

    .. math:: \sigma_{pl} = C \sigma_{ys} \left(\frac{\rho}{\rho_s}\right)^{3/2}

    One covariate: ``sigma_ys``, the yield stress of the solid, in the unit of the data; known, not fitted.

    Valid for: open-cell foams that bend and yield, relative densities below about 0.3.
    Source: Gibson & Ashby 1982, Proc. R. Soc. A 382, 43; 1997, Cellular Solids, 2nd ed.
    """

    name, t, covariates = "gibson_ashby_strength", "relative_density", ("sigma_ys",)
    formula = "C * sigma_ys * relative_density**1.5"
    parameters = (Parameter("C", lower=0.01, upper=4.0, description="factor of the cells' geometry, about 0.3"),)
    example = Example(
        t=(0.02, 0.3), parameters={"C": 0.3}, y="plateau stress", y_unit="MPa", covariates={"sigma_ys": 250}
    )


class Rusch(SympyExpert):
    r"""Compression of a foam through its plateau into densification, as two powers.

    .. math:: \sigma = A \varepsilon^m + B \varepsilon^n, \qquad 0 \leq m < 1 < n

    Valid for: flexible and rigid foams from the plateau into densification; the elastic part is not resolved.
    Source: Rusch 1969, J. Appl. Polym. Sci. 13, 2297.
    """

    name, t, formula = "rusch", "strain", "A * strain**m + B * strain**n"
    parameters = (
        Parameter("A", unit="{y}", lower=0.0, description="height of the plateau"),
        Parameter("m", lower=0.0, upper=1.0, description="slope of the plateau"),
        Parameter("B", unit="{y}", lower=0.0, description="strength of the densification"),
        Parameter("n", lower=1.0, upper=30.0, description="sharpness of the densification"),
    )
    example = Example(t=(0, 0.8), parameters={"A": 0.3, "m": 0.2, "B": 2, "n": 6}, y="stress", y_unit="MPa")


class Densification(SympyExpert):
    r"""Elastic, then a plateau, then densification: three straight lines.

    .. math:: \sigma = E\,[\min(\varepsilon, \varepsilon_y) + h \max(\varepsilon - \varepsilon_y, 0)]
        + D \max(\varepsilon - \varepsilon_D, 0)

    Both kinks stay within the measured strains.

    Valid for: compression of foams and lattices, counted positive, strain from zero to past densification.
    Source: Gibson & Ashby 1997, Cellular Solids, 2nd ed., ch. 5 (the shape); straight lines after linear_hardening.
    """

    name, t = "densification", "strain"
    formula = "E * (min(strain, eps_y) + h * max(strain - eps_y, 0)) + D * max(strain - eps_D, 0)"
    parameters = (
        Parameter("E", unit="{y}/{t}", lower=0.0, description="elastic modulus"),
        Parameter("eps_y", unit="{t}", lower=0.0, description="yield strain"),
        Parameter("h", lower=0.0, upper=1.0, description="slope of the plateau over elastic modulus"),
        Parameter("D", unit="{y}/{t}", lower=0.0, description="slope gained in densification"),
        Parameter("eps_D", unit="{t}", lower=0.0, upper=1.0, description="strain at which densification begins"),
    )
    reported = (
        Parameter("E", unit="{y}/{t}", lower=0.0, description="elastic modulus"),
        Parameter("sigma_pl", unit="{y}", lower=0.0, description="plateau stress, at its beginning"),
        Parameter("H", unit="{y}/{t}", lower=0.0, description="slope of the plateau"),
        Parameter("D", unit="{y}/{t}", lower=0.0, description="slope gained in densification"),
        Parameter("eps_D", unit="{t}", lower=0.0, upper=1.0, description="strain at which densification begins"),
    )
    reported_formulas = ("E", "E * eps_y", "E * h", "D", "eps_D")
    reported_bounds = ("", "", "0 <= H <= E", "", "within strain")
    example = Example(
        t=(0, 0.8),
        parameters={"E": 40, "eps_y": 0.05, "h": 0.02, "D": 30, "eps_D": 0.55},
        y="stress",
        y_unit="MPa",
    )

    def bounds(self, t: ArrayLike) -> Bounds:
        """Narrow the bounds so that both kinks lie within the measured strains."""
        low, high = kinks(self.name, t)
        return super().bounds(t).narrowed(1, low, high).narrowed(4, low, high)

    def initial_guess(
        self, t: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Guess by the same three lines with the slopes E, H and D, in which they are linear."""
        E, H, D, eps_y, eps_D = _SLOPES.initial_guess(t, y, weights).T
        return np.stack([E, eps_y, H / np.where(E > 0, E, 1.0), D, eps_D], axis=-1)


class _Slopes(SympyExpert):
    """Three lines with three free slopes, for the guess of Densification."""

    name, t = "slopes", "strain"
    formula = "E * min(strain, eps_y) + H * max(strain - eps_y, 0) + D * max(strain - eps_D, 0)"
    parameters = (
        Parameter("E", lower=0.0),
        Parameter("H", lower=0.0),
        Parameter("D", lower=0.0),
        Parameter("eps_y"),
        Parameter("eps_D"),
    )

    def search_grid(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Try every pair of kinks in order, at 40 places."""
        places = np.linspace(*kinks(self.name, t), 40)
        first, second = np.triu_indices(places.size, 1)
        free = np.zeros(first.size)
        return np.stack([free, free, free, places[first], places[second]], axis=-1)


_SLOPES = _Slopes()
