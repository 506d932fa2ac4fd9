"""Populations in a sentence each, the specimens that stand for them, and the names that people give."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.answers.portraits import portraits
from pima_toolkit.answers.record import TrainingRecord
from pima_toolkit.errors import OptionError
from pima_toolkit.fitting.options import TrainingSettings
from pima_toolkit.metrics.association import associate


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    kind = np.arange(40) % 2
    slope, start = np.where(kind, 4.0, 2.0) + 0.2 * rng.normal(size=40), 1.0 + 0.2 * rng.normal(size=40)
    slope[6] = 2.8  # far from the others of its kind, and from the other kind
    t = np.linspace(0.0, 1.0, 20)
    y = start[:, None] + slope[:, None] * t + 0.05 * rng.normal(size=(40, 20))
    alloy = np.where(rng.random(40) < 0.9, np.where(kind, "B", "A"), "C")
    coords = {"t": t, "specimen": [f"S{n}" for n in range(40)], "alloy": ("specimen", alloy)}
    coords |= {"day": ("specimen", rng.normal(size=40)), "kind": ("specimen", kind)}
    return xr.Dataset({"y": (("specimen", "t"), y, {"units": "MPa"})}, coords=coords)


@pytest.fixture
def fit(data):
    return pima.PIMA({"y": pima.Physics("affine")}, 2).fit(data, progress=False)


def test_each_population_is_described_by_what_distinguishes_it(fit, data, tmp_path):
    found = fit.portraits()
    steep = int(fit.parameters.value.sel(parameter="slope").argmax("cluster"))
    text = str(found.sentence[steep].item())
    assert text.startswith("slope is higher: 4")
    assert " MPa against 1.9 MPa (" in text
    assert "alloy B: 100% against 0% elsewhere" in text
    assert "day" not in text
    assert "intercept" not in text
    assert "slope is lower" in str(found.sentence[1 - steep].item())
    # Who stands for it is of it; the one that was put aside is the farthest.
    assert set(found.typical[steep].values.tolist()) <= set(data.specimen.values[data.kind == 1])
    assert found.extreme[1 - steep, 0].item() == "S6"

    assert fit.names == []
    assert "population" not in fit.parameters.coords
    names = ["", ""]
    names[steep], names[1 - steep] = "steep", "flat"
    fit.names = names
    assert fit.parameters.population.values.tolist() == names
    assert fit.clusters.population.values.tolist() == names
    assert (fit.specimens.belongs_to.values == np.where(data.kind, "steep", "flat")).all()
    assert (fit.infer(data).belongs_to.values == fit.specimens.belongs_to.values).all()
    assert "\nsteep: " in fit.report()
    assert "belongs_to" not in fit.associations(fit.specimens).setting.values
    again = pima.load(fit.save(tmp_path / "fit.pima"))
    assert again.names == names
    assert again.portraits().population.values.tolist() == names
    again.export(tmp_path / "out")
    assert (tmp_path / "out" / "parameters.csv").read_text().splitlines()[1].split(",")[1] in names
    assert "belongs_to" in (tmp_path / "out" / "specimens.csv").read_text().splitlines()[0]
    page = again.save_report(tmp_path / "report.html").read_text()
    assert "slope is higher" in page
    assert "typical: S" in page
    assert "steep" in page
    for wrong in (["a"], ["a", "a"], ["a", " "], "ab"):
        with pytest.raises(OptionError, match="expected 2 names"):
            again.names = wrong


def record(value, gamma, **coords):
    specimens = xr.Dataset(
        {
            "value": (("specimen", "parameter"), value),
            "responsibilities": (("specimen", "cluster"), gamma),
            "cluster": ("specimen", gamma.argmax(1)),
        },
        coords={"parameter": ["a"], "unit": ("parameter", ["1"]), "specimen": np.arange(len(value)), **coords},
    )
    return TrainingRecord(TrainingSettings(), specimens, xr.Dataset(), {})


def test_of_nothing_nothing_is_told():
    """Populations dealt at random, sixty times: what is told of parameters and settings is chance, 5 % of the time."""
    rng = np.random.default_rng(1)
    told = 0
    for _ in range(60):
        gamma = np.eye(3)[rng.integers(0, 3, 45)]
        one = record(rng.normal(size=(45, 1)), gamma, rate=("specimen", rng.normal(size=45)))
        tested = associate(one.specimens.responsibilities, one.specimens.drop_vars("cluster"), permutations=199)
        told += any(s != "Nothing tells it from the others." for s in portraits(one, tested).sentence.values)
    assert told <= 10


def test_specimens_between_populations_are_borderline():
    gamma = np.eye(2)[np.repeat([0, 1], 10)]
    gamma[3], gamma[12] = [0.55, 0.45], [0.3, 0.7]
    one = record(np.arange(20.0)[:, None], gamma)
    found = portraits(one, associate(one.specimens.responsibilities, one.specimens.drop_vars("cluster")))
    assert found.borderline.values.tolist() == [["3", "12", ""]] * 2
    alone = record(np.arange(20.0)[:, None], np.ones((20, 1)))
    tested = associate(alone.specimens.responsibilities, alone.specimens.drop_vars("cluster"))
    assert portraits(alone, tested).sentence.item() == "It is the only population."
