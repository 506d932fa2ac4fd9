"""A fit that was killed and resumed equals the uninterrupted one to the bit; nothing else is resumed."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

import pima_toolkit as pima
from pima_toolkit.errors import FileFormatError, TrainingError
from pima_toolkit.fitting.state import load_optimiser, optimiser_arrays, read_arrays, write_arrays


class Killed(RuntimeError):
    """Stands for a power cut."""


def numbers(fit):
    arrays = {name: value.double().numpy() for name, value in fit.predictor.state.arrays().items()}
    if fit.predictor.encoders is not None:
        arrays |= {f"encoders.{k}": v.double().numpy() for k, v in fit.predictor.encoders.state_dict().items()}
    history = fit.history.drop_vars("seconds")
    arrays |= {f"history.{name}": history[name].values for name in history.data_vars}
    return arrays | {"gamma": fit.specimens.responsibilities.values, "experts": fit.parameters.value.values}


def assert_equal(one, other):
    one, other = numbers(one), numbers(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def data(two_populations):
    return two_populations()


def die_at(*moments):
    """A callback that raises the first time each (phase, restart, epoch) is reached."""
    left = list(moments)

    def callback(progress):
        moment = progress.phase, progress.restart, progress.epoch
        if moment in left:
            left.remove(moment)
            raise Killed(str(moment))

    return callback


SETTINGS = {
    "epoch": {"em": "epoch"},
    "online": {"em": "online"},
    "adam": {"update": "adam"},
    "adam online": {"update": "adam", "em": "online"},
    "restarts": {"restarts": 2},
}
MOMENTS = [("joint", 0, 1), ("joint", 0, 3), ("crossmodal", 0, 2)]


@pytest.mark.parametrize(
    ("settings", "expert"),
    [(s, "proportional") for s in SETTINGS.values()]
    + [(SETTINGS[s], "linear_hardening") for s in ("online", "adam", "adam online")],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")  # straight lines put the yield strain anywhere
def test_killed_and_resumed_equals_uninterrupted(data, small_model, tmp_path, settings, expert):
    settings = {"epochs": 4, "crossmodal_epochs": 3, "seed": 2, "progress": False, **settings}
    model = small_model(expert, inference="paper")
    whole = model.fit(data, **settings)
    moments = [*MOMENTS, ("joint", 1, 2)] if "restarts" in settings else MOMENTS
    callback = die_at(*moments)
    deaths = 0
    while True:
        try:
            fit = model.fit(data, checkpoint=tmp_path, callbacks=[callback], **settings)
            break
        except Killed:
            deaths += 1
    assert deaths == len(moments)
    assert_equal(fit, whole)


def test_a_finished_checkpoint_answers_at_once_and_the_same(data, small_model, tmp_path):
    seen = []
    settings = {"epochs": 3, "checkpoint": tmp_path, "progress": False}
    one = small_model().fit(data, **settings)
    again = small_model().fit(data, callbacks=[seen.append], **settings)
    assert seen == []
    assert_equal(one, again)


def test_a_fit_stopped_by_a_callback_goes_on_from_its_checkpoint(data, small_model, tmp_path):
    settings = {"epochs": 5, "progress": False}
    whole = small_model().fit(data, **settings)
    stopped = small_model().fit(
        data, checkpoint=tmp_path, callbacks=[lambda p: p.phase == "joint" and p.epoch == 2], **settings
    )
    assert stopped.interrupted
    assert stopped.history.sizes["epoch"] == 2
    assert_equal(small_model().fit(data, checkpoint=tmp_path, **settings), whole)


def test_more_restarts_go_on_where_fewer_ended(data, small_model, tmp_path):
    small_model().fit(data, epochs=2, checkpoint=tmp_path, progress=False)
    seen = []
    more = small_model().fit(data, epochs=2, restarts=2, checkpoint=tmp_path, callbacks=[seen.append], progress=False)
    assert {p.restart for p in seen if p.phase == "joint"} == {1}
    assert_equal(more, small_model().fit(data, epochs=2, restarts=2, progress=False))


def test_only_whole_files_are_left_behind(data, small_model, tmp_path):
    with pytest.raises(Killed):
        small_model().fit(
            data, epochs=3, checkpoint=tmp_path / "new" / "folder", callbacks=[die_at(("joint", 0, 2))], progress=False
        )
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["restart-0.safetensors"]


OTHERS = {
    "another value in the curve": lambda d: d.assign(stress=d.stress.copy(data=d.stress + 1e-3)),
    "another feature": lambda d: d.assign(feature=d.feature**2),
    "the same curves in another unit": lambda d: d.assign(stress=d.stress * 1000),
    "fewer specimens": lambda d: d.isel(specimen=slice(0, 40)),
    "a missing curve": lambda d: d.assign(stress=d.stress.where(d.specimen != "s003")),
    "another grid": lambda d: d.assign_coords(strain=d.strain * 2),
}


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_a_checkpoint_of_other_data_is_refused(data, small_model, tmp_path, change):
    small_model().fit(data, epochs=1, checkpoint=tmp_path, progress=False)
    with pytest.raises(TrainingError, match=r"made with other data or options.*another checkpoint folder"):
        small_model().fit(change(data), epochs=1, checkpoint=tmp_path, progress=False)


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({"consistency": 5.0}, {}),
        ({"latent_dim": 3}, {}),
        ({"clusters": 3}, {}),
        ({"expert": "affine"}, {}),
        ({"expert": pima.SympyExpert("slope * strain", t="strain", bounds={"slope": (0, 9)})}, {}),
        ({}, {"seed": 1}),
        ({}, {"epochs": 2}),
        ({}, {"learning_rate": 1e-3}),
        ({}, {"em": "epoch"}),
        ({}, {"update": "adam"}),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")
def test_a_checkpoint_of_other_options_is_refused(data, small_model, tmp_path, options, settings):
    small_model().fit(data, epochs=1, em="online", checkpoint=tmp_path, progress=False)
    with pytest.raises(TrainingError, match="made with other data or options"):
        small_model(**options).fit(
            data, **{"epochs": 1, "em": "online", "checkpoint": tmp_path, **settings}, progress=False
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"upper": 90.0}, {"upper": 91.0}),
        ({"formula": "slope * t"}, {"formula": "slope * t**2"}),
    ],
    ids=["bounds", "formula"],
)
def test_a_checkpoint_of_an_expert_that_only_looks_the_same_is_refused(data, small_model, tmp_path, one, other):
    """Same name, same parameters: its bounds or its formula still make it another."""

    def named(formula="slope * t", upper=50.0):
        return type(
            "Twin",
            (pima.SympyExpert,),
            {
                "__module__": __name__,
                "name": "twin",
                "t": "t",
                "formula": formula,
                "parameters": (pima.Parameter("slope", lower=0.0, upper=upper),),
            },
        )()

    small_model(named(**one)).fit(data, epochs=1, checkpoint=tmp_path, progress=False)
    with pytest.raises(TrainingError, match="made with other data or options"):
        small_model(named(**other)).fit(data, epochs=1, checkpoint=tmp_path, progress=False)


def test_a_gap_where_a_zero_was_is_other_data(data, small_model, tmp_path):
    """A value of 0 that becomes missing changes no number in the arrays, but what they mean."""
    zero = data.assign(stress=data.stress.copy())
    zero.stress[5, 0] = 0.0
    zero.stress[6, 3] = np.nan
    gap = zero.assign(stress=zero.stress.copy())
    gap.stress[5, 0] = np.nan
    small_model().fit(zero, epochs=1, checkpoint=tmp_path, progress=False)
    with pytest.raises(TrainingError, match="made with other data"):
        small_model().fit(gap, epochs=1, checkpoint=tmp_path, progress=False)


def test_a_checkpoint_with_other_fields_is_named(data, small_model, tmp_path):
    """Written by other hands: each field is looked at, and the sentence names it."""
    fit = lambda: small_model().fit(data, epochs=1, crossmodal_epochs=1, checkpoint=tmp_path, progress=False)  # noqa: E731
    fit()
    path = tmp_path / "restart-0.safetensors"
    arrays, notes = read_arrays(path)
    first = next(name for name in arrays if name.startswith("network."))
    for changed, told, words in (
        (arrays, notes | {"done": "1"}, "done is '1', not a whole number"),
        (arrays, {k: v for k, v in notes.items() if k != "history"}, "it lacks 'history'"),
        ({k: v for k, v in arrays.items() if k != first}, notes, first.removeprefix("network.")),
        (arrays | {first: arrays[first].flatten()[:1]}, notes, first.removeprefix("network.")),
        (arrays, [], "its notes are no table"),
    ):
        write_arrays(path, changed, told)
        with pytest.raises(FileFormatError, match=f"restart-0.safetensors is damaged .*{re.escape(words)}.*remove it"):
            fit()
    path.unlink()
    fit()


def test_a_damaged_checkpoint_is_named(data, small_model, tmp_path):
    small_model().fit(data, epochs=1, checkpoint=tmp_path, progress=False)
    path = tmp_path / "restart-0.safetensors"
    for content in (path.read_bytes()[:1000], b"", b"nonsense" * 40):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"restart-0.safetensors is not a file of pima_toolkit"):
            small_model().fit(data, epochs=1, checkpoint=tmp_path, progress=False)


PROGRAM = """
import sys
import xarray as xr, pima_toolkit as pima

modalities = {"feature": pima.Neural(), "stress": pima.Physics("proportional")}
model = pima.PIMA(modalities, clusters=2, latent_dim=2, inference="paper")
say = lambda p: print(p.phase, p.epoch, flush=True)
data = xr.load_dataset(sys.argv[1])
fit = model.fit(data, epochs=12, em="epoch", checkpoint=sys.argv[2], callbacks=[say], progress=False)
fit.save(sys.argv[3])
"""


@pytest.mark.slow
def test_killed_by_the_system_and_resumed_in_another_process(data, small_model, tmp_path):
    """SIGKILL while it trains: no clean-up runs, and the next process goes on to the same numbers."""
    environment = {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p)}
    data.to_netcdf(tmp_path / "data.nc")
    folder = tmp_path / "checkpoint"
    command = [sys.executable, "-c", PROGRAM, tmp_path / "data.nc", folder, tmp_path / "resumed.pima"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if line.split() == ["joint", "5"]:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait(30) == -signal.SIGKILL
    assert (folder / "restart-0.safetensors").exists()
    resumed = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert resumed.returncode == 0, resumed.stderr
    phase, epoch = resumed.stdout.split("\n")[0].split()
    assert phase == "joint"
    assert 4 <= int(epoch) <= 12
    whole = small_model().fit(data, epochs=12, em="epoch", progress=False)
    assert_equal(pima.load(tmp_path / "resumed.pima"), whole)


def test_a_checkpoint_costs_little(data, small_model, tmp_path):
    """Every epoch writes a file over the last one, and a small one."""
    small_model().fit(data, epochs=10, crossmodal_epochs=10, checkpoint=tmp_path, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crossmodal-0.safetensors", "restart-0.safetensors"]
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) < 2e6


def test_moments_come_back_laid_out_as_their_parameter():
    """The fused Adam pairs entries as they lie in memory: a convolution's moments in another order are scrambled."""

    def steps(optimiser, parameter, count):
        for k in range(count):
            generator = torch.Generator().manual_seed(k)
            parameter.grad = torch.randn(4, 3, 3, 3, generator=generator).to(memory_format=torch.channels_last)
            optimiser.step()

    def fresh():
        values = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(9))
        parameter = torch.nn.Parameter(values.to(memory_format=torch.channels_last))
        return parameter, torch.optim.AdamW([parameter], 1e-2, fused=True)

    one, optimiser = fresh()
    steps(optimiser, one, 3)
    kept = {name: value.contiguous().clone() for name, value in optimiser_arrays("n", optimiser, [one]).items()}
    other, again = fresh()
    other.data.copy_(one.data)
    load_optimiser("n", again, [other], kept)
    steps(optimiser, one, 2)
    steps(again, other, 2)
    assert torch.equal(one, other)
