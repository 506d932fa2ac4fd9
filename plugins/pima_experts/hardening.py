r"""Plastic hardening: flow stress against plastic strain, of some also rate and temperature."""

from __future__ import annotations

from pima_toolkit import Example, Parameter, SympyExpert

_QUANTITY = "true stress over plastic strain"


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
    quantity = _QUANTITY
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
    quantity = _QUANTITY
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
    quantity = _QUANTITY
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
    quantity = _QUANTITY
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
    quantity = _QUANTITY
    example = Example(
        t=(0, 0.3),
        parameters={"A": 350, "B": 275, "n": 0.36, "C": 0.022, "m": 1.0},
        y="true stress",
        y_unit="MPa",
        covariates={"strain_rate": 1000, "temperature": 0.2},
    )


class ZerilliArmstrongBcc(SympyExpert):
    r"""Dislocations past thermal barriers that strain does not change: metals of body-centred cubic lattice.

    .. math:: \sigma = C_0 + C_1\, e^{-C_3 T + C_4 T \ln\dot\varepsilon} + C_5 \varepsilon^n

    Two covariates, each a number per specimen: ``strain_rate`` in 1/s and ``temperature`` in K.

    Valid for: iron, tantalum and their like, at low to high rates, before necking. Rate and temperature can be told
    apart only from specimens at several of each.
    Source: Zerilli & Armstrong 1987, J. Appl. Phys. 61, 1816, eq. 11.
    """

    name, t, covariates = "zerilli_armstrong_bcc", "strain", ("strain_rate", "temperature")
    formula = "C_0 + C_1 * exp(-C_3 * temperature + C_4 * temperature * log(strain_rate)) + C_5 * strain**n"
    parameters = (
        Parameter("C_0", unit="{y}", lower=0.0, description="athermal stress, of grains and solutes"),
        Parameter("C_1", unit="{y}", lower=0.0, description="thermal stress at 0 K"),
        Parameter("C_3", unit="1/K", lower=0.0, upper=0.1, description="softening with temperature"),
        Parameter("C_4", unit="1/K", lower=0.0, upper=0.01, description="sensitivity to the rate, times temperature"),
        Parameter("C_5", unit="{y}", lower=0.0, description="hardening coefficient"),
        Parameter("n", lower=0.0, upper=1.0, description="hardening exponent"),
    )
    quantity = _QUANTITY
    example = Example(
        t=(0, 0.3),
        parameters={"C_0": 65, "C_1": 1033, "C_3": 0.00698, "C_4": 0.000415, "C_5": 266, "n": 0.289},
        y="true stress",
        y_unit="MPa",
        covariates={"strain_rate": 1000, "temperature": 300},
    )


class ZerilliArmstrongFcc(SympyExpert):
    r"""Dislocations past each other, the more of them the further strained: metals of face-centred cubic lattice.

    .. math:: \sigma = C_0 + C_2 \sqrt{\varepsilon}\, e^{-C_3 T + C_4 T \ln\dot\varepsilon}

    Two covariates, each a number per specimen: ``strain_rate`` in 1/s and ``temperature`` in K.

    Valid for: copper, aluminium and their like, at low to high rates, before necking. Rate and temperature can be told
    apart only from specimens at several of each.
    Source: Zerilli & Armstrong 1987, J. Appl. Phys. 61, 1816, eq. 10.
    """

    name, t, covariates = "zerilli_armstrong_fcc", "strain", ("strain_rate", "temperature")
    formula = "C_0 + C_2 * sqrt(strain) * exp(-C_3 * temperature + C_4 * temperature * log(strain_rate))"
    parameters = (
        Parameter("C_0", unit="{y}", lower=0.0, description="athermal stress, of grains and solutes"),
        Parameter("C_2", unit="{y}", lower=0.0, description="hardening coefficient at 0 K"),
        Parameter("C_3", unit="1/K", lower=0.0, upper=0.1, description="softening with temperature"),
        Parameter("C_4", unit="1/K", lower=0.0, upper=0.01, description="sensitivity to the rate, times temperature"),
    )
    quantity = _QUANTITY
    example = Example(
        t=(0, 0.3),
        parameters={"C_0": 65, "C_2": 890, "C_3": 0.0028, "C_4": 0.000115},
        y="true stress",
        y_unit="MPa",
        covariates={"strain_rate": 1000, "temperature": 300},
    )


class NortonHoff(SympyExpert):
    r"""Viscoplastic flow of hot metal that hardens as it flows.

    .. math:: \sigma = K (\varepsilon_0 + \varepsilon)^n \dot\varepsilon^m e^{\beta / T}

    Two covariates, each a number per specimen: ``strain_rate`` in 1/s and ``temperature`` in K. The consistency of the
    three-dimensional law is K over the power 1 + m of the root of 3.

    Valid for: hot forming, above half the melting temperature. m, and K with beta, can be told only from specimens at
    several rates and temperatures.
    Source: Norton 1929, The Creep of Steel at High Temperatures; Hoff 1954, Q. Appl. Math. 12, 49.
    """

    name, t, covariates = "norton_hoff", "strain", ("strain_rate", "temperature")
    formula = "K * (eps_0 + strain)**n * strain_rate**m * exp(beta / temperature)"
    parameters = (
        Parameter("K", unit="{y}", lower=0.0, description="consistency at 1/s and high temperature", log=True),
        Parameter("eps_0", unit="{t}", lower=0.0, description="strain undergone before"),
        Parameter("n", lower=0.0, upper=1.0, description="hardening exponent"),
        Parameter("m", lower=0.0, upper=1.0, description="sensitivity to the strain rate"),
        Parameter("beta", unit="K", lower=0.0, description="softening with temperature"),
    )
    quantity = _QUANTITY
    example = Example(
        t=(0, 0.5),
        parameters={"K": 8, "eps_0": 0.02, "n": 0.12, "m": 0.14, "beta": 3500},
        y="true stress",
        y_unit="MPa",
        covariates={"strain_rate": 1, "temperature": 1273},
    )
