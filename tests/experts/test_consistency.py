"""Units that contradict each other are told; units that are not known, or not stated, never are."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit import SympyExpert
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import experts

STRAIN, TIME = np.linspace(0, 0.1, 30), np.linspace(0.5, 10, 30)
POWER = SympyExpert("K * strain**n", t="strain", units={"K": "MPa"}, bounds={"n": (0, 1)})
LINE = SympyExpert("E * strain", t="strain", units={"E": "MPa"})
KINK = SympyExpert("E * (min(strain, eps_y) + h * max(strain - eps_y, 0))", t="strain", units={"E": "MPa"})
DECAY = SympyExpert("A*exp(-t/tau) + c", units={"A": "MPa", "tau": "s", "c": "MPa"})
OFFSET = SympyExpert("A*(t - 3)", units={"A": "MPa/s"})
LOGARITHM = SympyExpert("a + b*log(t)", units={"a": "MPa", "b": "MPa"})
GRAINS = SympyExpert("s + k*d**-0.5", t="d", units={"s": "MPa", "k": "MPa*um**0.5"})
RATE = SympyExpert("A*exp(-Q/(8.314*T))", t="T", units={"A": "1/s", "Q": "J/mol"})
PLASTIC = SympyExpert("(A + B*e**n)*(1 + C*log(rate))", t="e", covariates=("rate",), units={"A": "MPa", "B": "MPa"})

#: Expert, units of inputs, unit of the curves, and what is declared wrongly.
CONTRADICTIONS = [
    (POWER, {"strain": "1"}, "N", "K in MPa"),
    (POWER, {"strain": "1"}, "GPa", "K in MPa"),
    (POWER, {"strain": "%"}, "MPa", "K in MPa"),
    (LINE, {"strain": "mm"}, "N", "E in MPa"),
    (LINE, {"strain": "%"}, "MPa", "E in MPa"),
    (KINK, {"strain": "%"}, "MPa", "E in MPa"),
    (DECAY, {"t": "min"}, "MPa", "tau in s"),
    (DECAY, {"t": "K"}, "MPa", "tau in s"),
    (DECAY, {"t": "s"}, "N", "A in MPa and c in MPa"),
    (OFFSET, {"t": "s"}, "N", "A in MPa/s"),
    (LOGARITHM, {"t": "s"}, "GPa", "a in MPa and b in MPa"),
    (GRAINS, {"d": "mm"}, "MPa", r"k in MPa\*um\*\*0.5"),
    (RATE, {"T": "K"}, "1/min", "A in 1/s"),
]


@pytest.mark.parametrize(("expert", "units", "y_unit", "wrong"), CONTRADICTIONS)
def test_a_contradiction_is_one_sentence(expert, units, y_unit, wrong):
    t = STRAIN if expert.t == "strain" else TIME
    with pytest.raises(ExpertError, match=rf"declares {wrong}, which contradicts curves in {y_unit} over"):
        expert.check_units(t, units, y_unit)


#: The same laws where nothing is wrong, nothing is stated, or the text is none we know.
QUIET = [
    *(
        (POWER, {"strain": t}, y)
        for t, y in (("1", "MPa"), ("1", "N/mm²"), ("1", "1"), ("1", "a.u."), ("mm/mm", "MPa"))
    ),
    *((POWER, {"strain": t}, "MPa") for t in ("counts", "s", "min")),  # K: the stress after one of whatever it is
    *((LINE, {"strain": t}, "MPa") for t in ("1", "-", "mm/mm", "rel.")),
    (KINK, {"strain": "1"}, "MPa"),
    *((DECAY, {"t": t}, "MPa") for t in ("1", "s", "cycles")),
    (OFFSET, {"t": "s"}, "MPa"),  # the 3 is in seconds
    *((LOGARITHM, {"t": t}, "MPa") for t in ("1", "s", "min")),
    (GRAINS, {"d": "µm"}, "N/mm2"),
    *((RATE, {"T": "K"}, y) for y in ("1/s", "1", "mol/s")),
    *((PLASTIC, {"e": "1", "rate": rate}, "MPa") for rate in ("1", "1/s", "per second")),
]


@pytest.mark.parametrize(("expert", "units", "y_unit"), QUIET)
def test_no_false_alarm(expert, units, y_unit):
    expert.check_units(STRAIN if expert.t == "strain" else TIME, units, y_unit)


def test_the_built_in_experts_take_any_units():
    for expert in experts().values():
        for t_unit, y_unit in (("%", "kN"), ("min", "GPa"), ("K", "1")):
            expert.check_units(np.linspace(300, 600, 20), {expert.t: t_unit}, y_unit)


def test_units_that_follow_the_data_are_never_wrong():
    law = SympyExpert("K * strain**n + E * strain", t="strain", units={"K": "{y}", "E": "{y}/{t}"})
    law.check_units(STRAIN, {"strain": "%"}, "lbf")


def test_a_fit_of_curves_and_a_fit_of_a_model_refuse_them():
    y = xr.DataArray(np.tile(0.8 * STRAIN, (4, 1)), dims=("specimen", "strain"), attrs={"units": "GPa"})
    with pytest.raises(
        ExpertError, match="declares E in MPa, which contradicts curves in GPa over strain in 1: nothing"
    ):
        LINE.fit(STRAIN, y)
    data = xr.Dataset({"stress": y}, coords={"strain": STRAIN})
    with pytest.raises(
        ExpertError, match="declares E in MPa, which contradicts curves in GPa over strain in 1: nothing"
    ):
        pima.PIMA({"stress": pima.Physics(LINE)}, clusters=1).fit(data, epochs=1, progress=False)
    assert LINE.fit(STRAIN, y, y_unit="MPa").units == ["MPa"]
