"""Parameters in the panels: units that follow or are typed, steps of sliders, residuals."""

import numpy as np
import pytest
from pima_widgets.cluster_panel import ClusterPanel
from pima_widgets.expert_panel import ExpertPanel
from pima_widgets.formula_units import units_of
from pima_widgets.parameter_table import ParameterRow

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError


@pytest.mark.parametrize(
    ("formula", "t_unit", "y_unit", "expected"),
    [
        ("K * t**n", "1", "MPa", {"K": "MPa", "n": "1"}),
        # How K goes with seconds to the power of n no unit can say.
        ("K * t**n", "s", "MPa", {"K": None, "n": "1"}),
        ("K * (t / tau)**n", "s", "MPa", {"K": "MPa", "tau": "s", "n": "1"}),
        ("a * t + b * sqrt(t) + c", "s", "mm", {"a": "mm/s", "b": "mm/s**(1/2)", "c": "mm"}),
        ("A * exp(-t / tau)", "s", "V", {"A": "V", "tau": "s"}),
        ("E * t / (1 + (t / t0)**n)", "%", "MPa", {"E": "MPa/%", "t0": "%", "n": "1"}),
        ("max(a * t, b)", "s", "V", {"a": "V/s", "b": "V"}),
        ("where(t < t0, a * t, b)", "s", "V", {"t0": "s", "a": "V/s", "b": "V"}),
        ("a * heaviside(t - t0)", "s", "V", {"a": "V", "t0": "s"}),
        ("a * b * t", "s", "V", {"a": None, "b": None}),
        ("sqrt(a * t)", "s", "V", {"a": "V**2/s"}),
        # The logarithm of seconds: the formula contradicts itself, so nothing follows.
        ("a * log(t)", "s", "V", {"a": None}),
        ("a * log(t) + b", "1", "1", {"a": "1", "b": "1"}),
    ],
)
def test_units_follow_from_those_of_the_data(formula, t_unit, y_unit, expected):
    assert units_of(formula, "t", t_unit, y_unit) == expected


def test_units_of_the_data_and_typed_ones_reach_the_plugin_file(lines, tmp_path):
    panel = ExpertPanel(lines)
    panel.formula.value = "a * strain**n + b"
    assert [one.unit.value for one in panel.table.rows] == ["MPa", "1", "MPa"]
    panel.table.rows[2].unit.value = "N/mm**2"
    panel.formula.value = "a * strain**n + b + c * strain"
    panel.name.value = "law"
    path = panel.save(tmp_path / "law.py")
    with pima.experts.use_manager(pima.experts.Manager()):
        (loaded,) = pima.load_plugin(path)
    assert {p.name: p.unit for p in loaded.parameters} == {"a": "MPa", "n": "1", "b": "N/mm**2", "c": "MPa"}


def test_a_unit_that_does_not_follow_must_be_typed(lines, tmp_path):
    data = lines.assign_coords(strain=lines.strain.assign_attrs(units="%"))
    panel = ExpertPanel(data)
    panel.formula.value = "a * strain**n"
    assert [one.unit.value for one in panel.table.rows] == ["", "1"]
    assert panel.fit().fitted.shape == (1, 2)
    for keep in (panel.register, lambda: panel.save(tmp_path / "law.py")):
        with pytest.raises(ExpertError, match="the unit of a does not follow"):
            keep()
    panel.table.rows[0].unit.value = "MPa"
    assert "unit='MPa'" in panel.save(tmp_path / "law.py").read_text()
    # With another formula the unit follows: what was typed stays.
    panel.formula.value = "a * strain"
    assert panel.table.rows[0].unit.value == "MPa"


def test_a_proposed_unit_follows_the_formula(lines):
    data = lines.assign_coords(strain=lines.strain.assign_attrs(units="s"))
    panel = ExpertPanel(data)
    panel.formula.value = "a * strain"
    assert panel.table.rows[0].unit.value == "MPa/s"
    panel.formula.value = "a * strain**2"
    assert panel.table.rows[0].unit.value == "MPa/s**2"


def test_sliders_of_a_known_expert_carry_the_units_of_the_data(lines, small_model):
    fit = small_model().fit(lines, epochs=2, crossmodal_epochs=1, progress=False)
    panel = ClusterPanel(fit, lines)
    assert [one.unit.value for one in panel.refit.sliders.rows] == ["MPa"]


def test_a_slider_that_comes_back_rounded_has_not_moved(lines, small_model):
    fit = small_model().fit(lines, epochs=2, crossmodal_epochs=1, progress=False)
    (one,) = ClusterPanel(fit, lines).refit.sliders.rows
    shown, revision = [], one.value
    one._changed = lambda: shown.append(one.value)
    one.slider.value += 1e-9 * one.slider.step
    assert (shown, one.value) == ([], revision)
    one.slider.value += one.slider.step
    assert shown == [pytest.approx(revision + one.slider.step, rel=1e-5)]


@pytest.mark.parametrize(
    ("value", "bounds"),
    [(2591.823, (0.0, None)), (-3.3, (None, None)), (0.07, (0.0, 1.0)), (1.0, (0.0, 1.0)), (0.0, (0.0, None))],
)
def test_a_value_lies_on_a_step_of_its_slider_within_its_bounds(value, bounds):
    lower, upper = (edge if one is None else one for one, edge in zip(bounds, (-np.inf, np.inf), strict=True))
    one = ParameterRow(pima.Parameter("a", lower=lower, upper=upper), value, lambda: None, editable=True)
    steps = (one.slider.value - one.slider.min) / one.slider.step
    assert one.slider.value == value
    assert steps == pytest.approx(round(steps), abs=1e-6)
    assert lower <= one.slider.min <= value <= one.slider.max <= upper * (1 + 1e-12)
    assert 100 <= (one.slider.max - one.slider.min) / one.slider.step <= 900


def test_every_group_has_its_law_its_band_and_its_residuals(lines, small_model):
    fit = small_model().fit(lines, epochs=2, crossmodal_epochs=1, progress=False)
    panel = ClusterPanel(fit, lines)
    here, clusters = panel.refit, fit.clusters
    best = panel.grouping.best
    assert [band["colour"] for band in here.chart.bands] == [0, 1]
    np.testing.assert_array_equal(here.chart.bands[1]["low"], clusters["stress_low"].values[1])
    left = np.frombuffer(here.residuals.y, "<f4").reshape(here.residuals.shape)
    np.testing.assert_allclose(left, lines.stress.values - clusters["stress"].values[best], atol=1e-5)
    # A group that was changed is none of the fit's: it has no law until it is refitted.
    panel.select(np.flatnonzero(best == 0)[:2].tolist())
    panel.move("population 1")
    assert here.chart.bands == []
    assert here.residuals.layout.display == "none"
    panel.select([])
    solution = panel.refit_group("population 1")
    assert [band["colour"] for band in here.chart.bands] == [1]
    (band,) = here.chart.bands
    at = solution.band(np.array(band["x"]), of="specimen").isel(cluster=0)
    for end in ("low", "high"):
        np.testing.assert_allclose(band[end], at[end], rtol=1e-9)
    assert here.residuals.layout.display is None


def test_what_is_typed_or_fitted_stays_to_all_its_digits():
    value, upper = 0.1234567890123456, 1234567.125
    one = ParameterRow(pima.Parameter("a", upper=upper), value, lambda: None, editable=False)
    assert (one.value, one.bounds) == (value, (-np.inf, upper))
    one.number.value = 98765.4321012345
    assert one.slider.value == pytest.approx(one.value, rel=0.01)
    assert one.value == 98765.4321012345


def test_bounds_priors_and_held_values_are_those_of_the_refit_and_reset_forgets_them(lines, small_model):
    panel = ClusterPanel(small_model().fit(lines, epochs=2, crossmodal_epochs=1, progress=False), lines)
    free = panel.refit_group("population 0")
    slope = float(free.fitted[0, 0])
    (one,) = panel.refit.sliders.rows
    assert one.value == slope
    one.upper.value = repr(0.9 * slope)
    bounded = panel.refit_group("population 0")
    assert bounded.fitted[0, 0] == pytest.approx(0.9 * slope)
    assert bounded.at_bound.all()
    one.upper.value, one.prior.value = "", f"{2 * slope!r} ± 1e-6"
    assert panel.refit_group("population 0").fitted[0, 0] == pytest.approx(2 * slope, rel=1e-3)
    one.prior.value = "two"
    panel.refit_button.click()
    assert "expected mean ± standard deviation" in panel.error.value
    one.lower.value = "many"
    assert "expected a number" in panel.error.value
    panel._reset()
    (one,) = panel.refit.sliders.rows
    assert (one.lower.value, one.prior.value, panel.refit.outcome.value) == ("", "", "")
    assert panel.refit_group("population 0").fitted[0, 0] == pytest.approx(slope, rel=1e-6)
