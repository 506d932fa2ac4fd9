"""The contract of a law: what solvers need of it alone, and declarations of version 0.1 are refused."""

import re

import numpy as np
import pytest

import pima_toolkit as pima
from pima_toolkit.errors import ExpertError
from pima_toolkit.experts import Law, Optimum, load_plugin, solve

RENAMED = {
    "shown": "reported",
    "show": "to_reported",
    "show_jacobian": "reported_jacobian",
    "shown_formulas": "reported_formulas",
    "box": "bounds",
    "curve": "compiled_curve",
    "guess_rows": "initial_guess",
    "trials": "search_grid",
}


class Line(Law):
    """A law that is no expert: it has no verbs, and a solver needs none."""

    name = "line"
    parameters = (pima.Parameter("slope", lower=0),)
    guesses = True

    def predict(self, t, theta):
        return theta * t

    def compiled_curve(self):
        return None

    def not_needed(self, *_):
        raise AssertionError("a solver that is given starts does not ask for this")

    value_and_jacobian = initial_guess = search_grid = not_needed


def test_a_solver_takes_a_law_and_gives_an_optimum():
    t = np.linspace(0, 1, 9)
    found = solve(Line(), t, np.stack([3 * t, -2 * t]), start=np.ones((2, 1, 1)))
    assert isinstance(found, Optimum)
    np.testing.assert_allclose(found.parameters, [[3.0], [0.0]], atol=1e-9)
    assert found.at_bound.tolist() == [[False], [True]]
    assert found.free.tolist() == [[True], [False]]
    assert all(sentence.startswith("converged") for sentence in found.advice)


@pytest.mark.parametrize("old", RENAMED)
@pytest.mark.parametrize("base", [pima.SympyExpert, pima.TorchExpert])
def test_declarations_of_version_0_1_say_their_new_name(base, old):
    sentence = f"the expert class Old declares '{old}', which is called '{RENAMED[old]}' since 0.2"
    with pytest.raises(ExpertError, match=re.escape(sentence)):
        type("Old", (base,), {old: ()})


def test_a_plugin_of_version_0_1_is_left_out_by_itself(tmp_path):
    file = tmp_path / "old.py"
    file.write_text("import pima_toolkit as pima\nclass Old(pima.SympyExpert):\n    shown_formulas = ()\n")
    with pytest.raises(ExpertError, match=r"plugin file old\.py cannot be used: .*'reported_formulas' since 0\.2"):
        load_plugin(file)
    assert "affine" in pima.experts.experts()
