"""The lines that a report gives to make a fit again: run as printed, they give the same numbers."""

import runpy

import numpy as np

import pima_toolkit as pima
from pima_toolkit.api.program import program


def lines_of(fit):
    return program(fit.predictor, fit.record)


def test_as_printed_it_makes_the_same_fit(two_populations, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pima.save_data(two_populations(), "data.nc")
    model = pima.PIMA(
        {
            "feature": pima.Neural(noise="learned"),
            "stress": pima.Physics("proportional", window=(0.0, 0.8), priors={"slope": (3.0, 50.0)}),
        },
        clusters=2,
        latent_dim=2,
    )
    fit = model.fit(pima.open_data("data.nc"), seed=3, epochs=2, progress=False)
    text = lines_of(fit)
    assert "seed=3, epochs=2" in text
    assert "learning_rate" not in text, "what is a default is left out"
    (tmp_path / "again.py").write_text(text.replace("seed=3", "progress=False, seed=3"), encoding="utf-8")
    again = runpy.run_path("again.py")["fit"]
    np.testing.assert_array_equal(again.parameters["value"], fit.parameters["value"])
    np.testing.assert_array_equal(again.specimens["responsibilities"], fit.specimens["responsibilities"])


def test_what_has_no_name_is_said_to_be_the_users_own(two_populations):
    data = two_populations()[["stress"]]
    law = pima.SympyExpert("slope*strain", t="strain", name="mine")
    fit = pima.PIMA({"stress": pima.Physics(law)}, clusters="auto").fit(data, progress=False)
    text = lines_of(fit)
    assert "# stress_law is your own: slope*strain\n" in text
    assert "'stress': pima.Physics(stress_law)" in text
    assert "clusters='auto'" in text
