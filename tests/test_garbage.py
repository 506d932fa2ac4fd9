"""Public functions called with anything: an error raised on purpose, or an answer; never what was met inside."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import OptionError, PimaError
from pima_toolkit.signatures import misfit, tells_misfits

SPECIMENS = 12


class Odd:
    """A thing that nobody expects."""


def good():
    rng, t = np.random.default_rng(0), np.linspace(0.1, 1.0, 10)
    label = np.arange(SPECIMENS) % 2
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), label[:, None, None] + 0.1 * rng.standard_normal((SPECIMENS, 6, 6))),
            "stress": (("specimen", "strain"), (1 + label[:, None]) * t + 0.1 * rng.standard_normal((SPECIMENS, 10))),
        },
        {"strain": t},
    )


def anything():
    texts = ["", "x", "\x1b[31m", "../../etc", "\u00e9" * 5000, "\U0001f642\udcff", b"x"]
    numbers = [-1, 0, 1.5, 1e308, float("nan"), float("inf"), 10**30, True]
    others = [None, [], {}, Odd(), np.array([]), np.array([np.nan]), ["x", 1], {"a": 1}, (1, 2, 3), [[1], [2, 3]]]
    return [*texts, *numbers, *others, good(), lambda: 0]


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    """Public functions with arguments that they take, by name."""
    folder, data = tmp_path_factory.mktemp("garbage"), good()
    model = pima.PIMA({"image": pima.Neural(), "stress": pima.Physics("proportional")}, 2, 2)
    fit = model.fit(data, epochs=1, progress=False)
    fit.save(folder / "fit.pima")
    training = dict.fromkeys(inspect.signature(pima.PIMA.fit).parameters)
    for name in ("self", "data", "checkpoint", "callbacks", "tracker", "progress"):
        training.pop(name)
    line = {"t": np.arange(5.0), "y": np.arange(5.0)}
    return {
        "PIMA": (pima.PIMA, {"modalities": {"stress": pima.Physics("proportional")}, "clusters": 2}, ()),
        "Neural": (pima.Neural, {}, ()),
        "Physics": (pima.Physics, {"expert": "proportional"}, ()),
        "check": (model.check, {"data": data}, tuple(training)),
        "infer": (fit.infer, {"data": data}, ()),
        "generate": (fit.generate, {"cluster": 0, "n": 2}, ()),
        "decode": (fit.decode, {"position": [[0.0, 0.0]]}, ()),
        "traverse": (fit.traverse, {"cluster": 0, "steps": 2}, ()),
        "load": (pima.load, {"path": folder / "fit.pima"}, ()),
        "open_data": (pima.open_data, {"path": folder / "fit.nc"}, ()),
        "save_data": (pima.save_data, {"data": data, "path": folder / "data.nc"}, ()),
        "expert.fit": (pima.get_expert("affine").fit, line, ()),
        "SympyExpert": (pima.SympyExpert, {"formula": "a*x", "t": "x"}, ()),
        "Parameter": (pima.Parameter, {"name": "a"}, ()),
        "from_folder": (pima.from_folder, {"path": folder, "progress": False}, ()),
        "CurveFiles": (pima.CurveFiles, {}, ()),
        "ImageFiles": (pima.ImageFiles, {}, ()),
        "split": (pima.split, {"data": data}, ()),
        "value_with_error": (pima.value_with_error, {"value": 1.0, "error": 0.1, "unit": "MPa"}, ()),
        "tensile_quantities": (pima.tensile_quantities, {"data": data}, ()),
        "geometry": (pima.geometry, {"data": data}, ()),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_anything_is_refused_in_a_sentence_or_answered(doors, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # "x" is a fine name of a file
    calls = [
        (name, argument, value)
        for name, (function, _, more) in doors.items()
        for argument in (*inspect.signature(function).parameters, *more)
        if argument not in ("training", "client")
        for value in anything()
    ]
    wrong = []
    for name, argument, value in calls:
        function, usual, _ = doors[name]
        try:
            function(**{**usual, argument: value})
        except PimaError as error:
            assert not set(str(error)) & set("\x1b\udcff")  # noqa: PT017 - every call is to be seen
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            wrong.append(f"{name}({argument}={value!r:.30}): {type(error).__name__}: {error!s:.80}")
    assert not wrong, "\n".join(wrong)


def test_an_argument_that_breaks_a_function_is_named_and_one_that_works_is_not_asked():
    @tells_misfits
    def doubled(value: float, names: tuple[str, ...] = (), *, way: str | None = None) -> float:
        return 2 * value + len(names) / (way != "none")

    assert doubled(2.0, "ab") == 6.0
    for arguments, words in (
        (({},), r"value=\{\}: expected a number"),
        ((1.0, 3), "names=3: expected a list"),
        (([],), r"value=\[\]: expected a number"),
    ):
        with pytest.raises(OptionError, match=words):
            doubled(*arguments)
    with pytest.raises(ZeroDivisionError):  # no type is wrong: a mistake stays one
        doubled(1.0, way="none")
    with pytest.raises(TypeError, match="wey"):
        doubled(1.0, wey=None)
    assert misfit("int | Literal['auto']", "auto") is None
    assert misfit("int", np.int64(3)) is None
    assert misfit("int", 10**30) == "a whole number"
    assert misfit("Sequence[str] | None", ["a", 1]) == "a list, each of it text"
    assert misfit("Mapping[str, Modality]", 3) == "a table"
    assert misfit("Modality | None", 3) is None  # what it cannot know
