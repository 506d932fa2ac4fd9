r"""Plastic hardening: flow stress against plastic strain."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert


class Hollomon(SympyExpert):
    r"""Power-law hardening from zero stress.

    .. math:: \sigma = K \varepsilon^n

    Valid for: true stress against true plastic strain, from yield to necking (which comes at a strain of n).
    Source: Hollomon 1945, Trans. AIME 162, 268.
    """

    name, t, formula = "hollomon", "strain", "K * strain**n"
    parameters = (
        Parameter("K", unit="{y}", lower=0.0, description="strength coefficient"),
        Parameter("n", lower=0.0, upper=1.0, description="strain-hardening exponent"),
    )
    example = Example(t=(0, 0.2), parameters={"K": 530, "n": 0.26}, y="true stress", y_unit="MPa")


class Ludwik(SympyExpert):
    r"""Power-law hardening from a yield stress.

    .. math:: \sigma = \sigma_y + K \varepsilon^n

    Valid for: true stress against true plastic strain of metals with a clear yield stress, before necking.
    Source: Ludwik 1909, Elemente der technologischen Mechanik (Springer, Berlin).
    """

    name, t, formula = "ludwik", "strain", "sigma_y + K * strain**n"
    parameters = (
        Parameter("sigma_y", unit="{y}", lower=0.0, description="yield stress"),
        Parameter("K", unit="{y}", lower=0.0, description="strength coefficient"),
        Parameter("n", lower=0.0, upper=1.0, description="strain-hardening exponent"),
    )
    example = Example(t=(0, 0.2), parameters={"sigma_y": 250, "K": 500, "n": 0.5}, y="true stress", y_unit="MPa")


class Swift(SympyExpert):
    r"""Power-law hardening of a metal that was strained before.

    .. math:: \sigma = K (\varepsilon_0 + \varepsilon)^n

    Valid for: true stress against true plastic strain of prestrained metals and sheet, before necking.
    Source: Swift 1952, J. Mech. Phys. Solids 1, 1.
    """

    name, t, formula = "swift", "strain", "K * (eps_0 + strain)**n"
    parameters = (
        Parameter("K", unit="{y}", lower=0.0, description="strength coefficient"),
        Parameter("eps_0", unit="{t}", lower=0.0, description="strain undergone before"),
        Parameter("n", lower=0.0, upper=1.0, description="strain-hardening exponent"),
    )
    example = Example(t=(0, 0.2), parameters={"K": 600, "eps_0": 0.01, "n": 0.2}, y="true stress", y_unit="MPa")


class Voce(SympyExpert):
    r"""Hardening that saturates.

    .. math:: \sigma = \sigma_s - (\sigma_s - \sigma_y)\, e^{-\varepsilon/\varepsilon_c}

    Fitted as (sigma_y, rise, eps_c) with sigma_s = sigma_y + rise, so that the saturation stress stays above the yield
    stress.

    Valid for: true stress against true plastic strain where dislocations recover as they multiply: aluminium, copper,
    steels when warm.
    Source: Voce 1948, J. Inst. Met. 74, 537.
    """

    name, t, formula = "voce", "strain", "sigma_y + rise * (1 - exp(-strain / eps_c))"
    parameters = (
        Parameter("sigma_y", unit="{y}", lower=0.0, description="yield stress"),
        Parameter("rise", unit="{y}", lower=0.0, description="saturation stress less yield stress"),
        Parameter("eps_c", unit="{t}", lower=0.0, description="characteristic strain"),
    )
    reported = (
        Parameter("sigma_y", unit="{y}", lower=0.0, description="yield stress"),
        Parameter("sigma_s", unit="{y}", lower=0.0, description="saturation stress"),
        Parameter("eps_c", unit="{t}", lower=0.0, description="characteristic strain"),
    )
    reported_formulas = ("sigma_y", "sigma_y + rise", "eps_c")
    reported_bounds = ("", "sigma_s >= sigma_y", "")
    example = Example(
        t=(0, 0.2), parameters={"sigma_y": 120, "rise": 180, "eps_c": 0.05}, y="true stress", y_unit="MPa"
    )


class JohnsonCook(SympyExpert):
    r"""Hardening, strain rate and temperature, each a factor.

    .. math:: \sigma = (A + B \varepsilon^n)(1 + C \ln \dot\varepsilon^*)(1 - T^{*m})

    Two covariates, each a number per specimen and dimensionless: ``strain_rate``, over the reference rate (above 0),
    and ``temperature``, homologous: (T - T_room) / (T_melt - T_room), from 0 to 1.

    Valid for: metals at high rates, monotone loading, no change of mechanism. The factors can be told apart only from
    specimens at several rates and several temperatures: otherwise hold C or m by fixed={"C": ...}.
    Source: Johnson & Cook 1983, Proc. 7th Int. Symp. Ballistics, 541.
    """

    name, t, covariates = "johnson_cook", "strain", ("strain_rate", "temperature")
    formula = "(A + B * strain**n) * (1 + C * log(strain_rate)) * (1 - temperature**m)"
    parameters = (
        Parameter("A", unit="{y}", lower=0.0, description="yield stress at the reference rate and temperature"),
        Parameter("B", unit="{y}", lower=0.0, description="hardening coefficient"),
        Parameter("n", lower=0.0, upper=1.0, description="hardening exponent"),
        Parameter("C", lower=0.0, upper=1.0, description="sensitivity to the strain rate"),
        Parameter("m", lower=0.0, upper=10.0, description="exponent of thermal softening"),
    )
    example = Example(
        t=(0, 0.3),
        parameters={"A": 350, "B": 275, "n": 0.36, "C": 0.022, "m": 1.0},
        y="true stress",
        y_unit="MPa",
        covariates={"strain_rate": 1000, "temperature": 0.2},
    )
