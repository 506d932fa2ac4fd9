r"""Lines of spectra and diffraction patterns."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Gaussian(SympyExpert):
    r"""A line broadened by many small causes, or by the instrument.

    .. math:: y = A\, e^{-(x - \mu)^2 / 2 w^2}

    Valid for: one line, its centre measured, background subtracted.
    Source: Gauss 1809, Theoria motus corporum coelestium, §177.
    """

    name, t, formula = "gaussian", "x", "A * exp(-((x - mu) / w)**2 / 2)"
    parameters = (
        Parameter("A", unit="{y}", description="height"),
        Parameter("mu", unit="{t}", description="centre"),
        Parameter("w", unit="{t}", lower=0.0, description="standard deviation; full width at half height is 2.355 w"),
    )
    within = ("mu",)
    example = Example(t=(0, 10), parameters={"A": 100, "mu": 4, "w": 0.8}, y="intensity", y_unit="count")


class Lorentzian(SympyExpert):
    r"""A line broadened by its finite lifetime.

    .. math:: y = \frac{A w^2}{(x - \mu)^2 + w^2}

    Valid for: one line, its centre measured, background subtracted.
    Source: Lorentz 1906, Proc. Kon. Ned. Akad. Wet. 8, 591.
    """

    name, t, formula = "lorentzian", "x", "A / (1 + ((x - mu) / w)**2)"
    parameters = (
        Parameter("A", unit="{y}", description="height"),
        Parameter("mu", unit="{t}", description="centre"),
        Parameter("w", unit="{t}", lower=0.0, description="half width at half height"),
    )
    within = ("mu",)
    example = Example(t=(0, 10), parameters={"A": 100, "mu": 4, "w": 0.8}, y="intensity", y_unit="count")


class PseudoVoigt(SympyExpert):
    r"""A Gaussian and a Lorentzian of one width, mixed.

    .. math:: y = A \left[\frac{\eta w^2}{(x-\mu)^2 + w^2} + (1-\eta)\, 2^{-(x-\mu)^2/w^2}\right]

    Valid for: one line of X-ray or neutron diffraction, background subtracted; within 1 % of a true Voigt line.
    Source: Thompson, Cox & Hastings 1987, J. Appl. Cryst. 20, 79.
    """

    name, t = "pseudo_voigt", "x"
    formula = "A * (eta / (1 + ((x - mu) / w)**2) + (1 - eta) * exp(-log(2) * ((x - mu) / w)**2))"
    parameters = (
        Parameter("A", unit="{y}", description="height"),
        Parameter("mu", unit="{t}", description="centre"),
        Parameter("w", unit="{t}", lower=0.0, description="half width at half height"),
        Parameter("eta", lower=0.0, upper=1.0, description="share of the Lorentzian"),
    )
    within = ("mu",)
    example = Example(t=(0, 10), parameters={"A": 100, "mu": 4, "w": 0.8, "eta": 0.4}, y="intensity", y_unit="count")
