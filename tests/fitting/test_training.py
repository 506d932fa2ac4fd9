"""Same seed same answer, stopping, restarts, order of specimens, and what training leaves untouched."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import PimaWarning


def numbers(fit):
    """Everything learned, by name."""
    arrays = {name: value.double().numpy() for name, value in fit.predictor.state.arrays().items()}
    if fit.predictor.encoders is not None:
        arrays |= {f"encoders.{k}": v.double().numpy() for k, v in fit.predictor.encoders.state_dict().items()}
    return arrays | {"gamma": fit.specimens.responsibilities.values, "elbo": fit.history.elbo.values}


def assert_equal(one, other):
    one, other = numbers(one), numbers(other)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def data(two_populations):
    return two_populations()


@pytest.fixture(scope="module")
def fitted(data, small_model):
    return small_model().fit(data, seed=3, epochs=4, progress=False)


def test_a_small_fit_is_right(fitted, data):
    assert pima.metrics.cluster_accuracy(data.label, fitted.specimens.cluster) == 1.0
    assert sorted(fitted.parameters.value.values.ravel()) == pytest.approx([2.0, 5.0], abs=0.15)
    assert fitted.history.sizes["epoch"] == 4
    assert not fitted.interrupted
    assert fitted.elbo == float(fitted.history.elbo[-1])
    np.testing.assert_allclose(fitted.history.terms.sum("term"), fitted.history.elbo)
    np.testing.assert_allclose(fitted.history.occupancy.sum("cluster"), 1.0)


def test_training_raises_the_elbo(data, small_model):
    history = small_model().fit(data, epochs=25, progress=False).history.elbo.values
    assert history[-5:].mean() > history[:3].mean() + 0.3


@pytest.mark.parametrize("em", ["epoch", "online"])
@pytest.mark.parametrize("update", ["wls", "adam"])
def test_same_seed_same_answer_and_another_seed_another(data, small_model, em, update):
    fit = lambda seed: small_model().fit(data, seed=seed, epochs=2, em=em, update=update, progress=False)  # noqa: E731
    one = fit(3)
    assert_equal(one, fit(3))
    other = numbers(fit(4))
    assert np.abs(numbers(one)["network.encoders.0.head.weight"] - other["network.encoders.0.head.weight"]).max() > 1e-3


@pytest.mark.filterwarnings("ignore::pima_toolkit.errors.PimaWarning")
def test_the_global_random_state_is_left_alone(data, small_model, tmp_path):
    np.random.seed(5)  # noqa: NPY002 - the global state is what is watched
    torch.manual_seed(5)
    before = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    fit = small_model().fit(data, epochs=2, progress=False)
    fit.infer(data)
    fit.generate(0)
    fit.save(tmp_path / "fit.pima")
    pima.load(tmp_path / "fit.pima")
    pima.PIMA({"feature": pima.Neural()}, 2).fit(data, epochs=2, progress=False)
    after = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1][0] == after[1][0]
    np.testing.assert_array_equal(before[1][1], after[1][1])
    assert before[1][2:] == after[1][2:]


def test_the_answer_does_not_come_from_the_global_random_state(fitted, data, small_model):
    np.random.seed(77)  # noqa: NPY002
    torch.manual_seed(77)
    assert_equal(fitted, small_model().fit(data, seed=3, epochs=4, progress=False))


def test_a_fit_changes_neither_the_data_nor_the_model(data, small_model):
    copy = data.copy(deep=True)
    own = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh())
    model = pima.PIMA({"feature": pima.Neural(encoder=own), "stress": pima.Physics("proportional")}, 2)
    weight = own[0].weight.detach().clone()
    model.fit(data, epochs=2, progress=False)
    assert copy.identical(data)
    assert torch.equal(own[0].weight, weight)


def test_training_leaves_the_number_of_threads_alone():
    """A server or a test that asked torch for one thread keeps it, whatever the solver uses."""
    program = (
        "import torch; torch.set_num_threads(1)\n"
        "import numpy as np, pima_toolkit as pima\n"
        "expert = pima.get_expert('proportional')\n"
        "expert.value_and_jacobian(np.linspace(0, 1, 50), np.ones((20000, 1)))\n"
        "assert torch.get_num_threads() == 1, torch.get_num_threads()\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(p for p in sys.path if p)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_permuting_specimens_permutes_the_answers(data, small_model):
    """To what a shuffled order of summation and of batches allows: clusters and physics, found without luck."""
    order = np.random.default_rng(0).permutation(data.sizes["specimen"])
    one = small_model().fit(data, epochs=6, progress=False)
    other = small_model().fit(data.isel(specimen=order), epochs=6, progress=False)
    there, back = one.infer(data), other.infer(data)
    names = pd_match(there.cluster.values, back.cluster.values)
    np.testing.assert_array_equal(names[there.cluster.values], back.cluster.values)
    for c in range(2):
        np.testing.assert_allclose(
            one.parameters.value.sel(cluster=c), other.parameters.value.sel(cluster=names[c]), rtol=1e-3
        )
    np.testing.assert_allclose(one.specimens.value.isel(specimen=order), other.specimens.value, rtol=1e-3)
    assert list(other.specimens.specimen.values) == list(data.specimen.values[order])


def pd_match(left, right):
    """The cluster of the right that most specimens of each cluster of the left are in."""
    return np.array([np.bincount(right[left == c]).argmax() for c in range(left.max() + 1)])


def test_permuting_specimens_permutes_what_physics_first_finds(data):
    model = pima.PIMA({"stress": pima.Physics("proportional")}, 2)
    order = np.random.default_rng(1).permutation(data.sizes["specimen"])
    one = model.fit(data, epochs=1, progress=False)
    other = model.fit(data.isel(specimen=order), epochs=1, progress=False)
    there, back = one.specimens.isel(specimen=order), other.specimens
    names = pd_match(there.cluster.values, back.cluster.values)
    np.testing.assert_allclose(there.responsibilities, back.responsibilities[:, names], atol=1e-5)


def test_the_order_of_variables_in_the_dataset_does_not_matter(fitted, data, small_model):
    turned = data[["stress", "feature"]]
    assert list(turned.data_vars) != list(data.data_vars)
    assert_equal(fitted, small_model().fit(turned, seed=3, epochs=4, progress=False))
    xr.testing.assert_identical(fitted.infer(turned), fitted.infer(data))


def test_the_order_of_dims_does_not_matter(fitted, data, small_model):
    turned = data.transpose("strain", "kind", "specimen")
    assert_equal(fitted, small_model().fit(turned, seed=3, epochs=4, progress=False))


def test_a_callback_that_returns_true_stops(data, small_model):
    seen = []

    def stop(progress):
        seen.append(progress)
        return progress.epoch == 3

    fit = small_model().fit(data, epochs=30, callbacks=[stop], progress=False)
    assert [p.epoch for p in seen] == [1, 2, 3]
    assert all(p.phase == "joint" and p.epochs == 30 and p.restart == 0 for p in seen)
    assert fit.history.sizes["epoch"] == 3
    assert fit.interrupted
    assert "stopped" in fit.report()
    assert pima.metrics.cluster_accuracy(data.label, fit.specimens.cluster) == 1.0


def test_only_true_itself_stops(data, small_model):
    for value in (1, "yes", np.float64(3.0), None):
        fit = small_model().fit(data, epochs=2, callbacks=[lambda _, value=value: value], progress=False)
        assert fit.history.sizes["epoch"] == 2
        assert not fit.interrupted


def test_every_callback_hears_of_every_epoch_of_both_phases(data, small_model):
    first, second = [], []
    small_model().fit(data, epochs=2, crossmodal_epochs=3, callbacks=[first.append, second.append], progress=False)
    assert first == second
    assert [(p.phase, p.epoch) for p in first] == [("joint", 1), ("joint", 2)] + [("crossmodal", k) for k in (1, 2, 3)]
    assert all(np.isfinite(p.elbo) and sum(p.occupancy) == pytest.approx(1.0) for p in first)


def test_ctrl_c_returns_the_fit_so_far(data, small_model):
    def interrupt(progress):
        if progress.epoch == 3:
            raise KeyboardInterrupt

    fit = small_model().fit(data, epochs=30, callbacks=[interrupt], progress=False)
    assert fit.interrupted
    assert fit.history.sizes["epoch"] == 3
    assert pima.metrics.cluster_accuracy(data.label, fit.specimens.cluster) == 1.0
    assert np.isfinite(fit.parameters.value).all()
    assert "stopped" in fit.report()
    answer = fit.infer(data[["stress"]].isel(specimen=[0, 1])) if fit.predictor.encoders is not None else None
    assert answer is None or answer.cluster[0] != answer.cluster[1]


def test_ctrl_c_in_the_cross_modal_phase_returns_a_fit_that_answers(data, small_model):
    def interrupt(progress):
        if progress.phase == "crossmodal" and progress.epoch == 2:
            raise KeyboardInterrupt

    fit = small_model().fit(data, epochs=4, crossmodal_epochs=20, callbacks=[interrupt], progress=False)
    assert fit.interrupted
    answer = fit.infer(data[["stress"]])
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) == 1.0


def test_an_interrupted_fit_says_why_it_cannot_answer_from_a_subset(data, small_model):
    fit = small_model().fit(data, epochs=5, callbacks=[lambda _: True], progress=False)
    with pytest.raises(pima.errors.TrainingError, match="stopped before its cross-modal encoders"):
        fit.infer(data[["feature"]])
    # With every modality there it answers by the fused posterior.
    answer = fit.infer(data)
    assert pima.metrics.cluster_accuracy(data.label, answer.cluster) == 1.0
    assert np.isfinite(answer.typicality).all()


def test_clusters_that_came_out_the_same_are_seeded_anew(data, small_model):
    """Online too: both clusters start with equal shares of every specimen."""
    from pima_toolkit.fitting.starts import start

    original = start.shared_physics_first
    equal_start = lambda *a: (original(*a)[0], torch.full_like(original(*a)[1], 0.5))  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(start, "shared_physics_first", equal_start)
        fit = small_model().fit(data, epochs=12, progress=False)
    assert int(fit.history.reseeded.sum()) > 0


def test_an_error_of_a_callback_is_the_users_own(data, small_model):
    def wrong(progress):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        small_model().fit(data, epochs=2, callbacks=[wrong], progress=False)


def test_restarts_keep_the_best_elbo(data, small_model):
    seen = {}

    def note(progress):
        if progress.phase == "joint":
            seen[progress.restart] = progress.elbo

    fit = small_model().fit(data, epochs=3, restarts=3, callbacks=[note], progress=False)
    assert sorted(seen) == [0, 1, 2]
    assert len(set(seen.values())) == 3
    assert fit.elbo == max(seen.values())
    assert fit.record.facts["restart"] == max(seen, key=seen.get)


def test_the_first_restart_is_the_fit_without_restarts(data, small_model):
    seen = []
    small_model().fit(
        data, epochs=2, restarts=2, callbacks=[lambda p: seen.append((p.restart, p.elbo))], progress=False
    )
    alone = small_model().fit(data, epochs=2, progress=False)
    assert [elbo for restart, elbo in seen if restart == 0][:2] == alone.history.elbo.values.tolist()


def test_patience_stops_when_the_elbo_stands_still(data, small_model):
    fit = small_model().fit(data, epochs=200, patience=4, learning_rate=1e-7, progress=False)
    elbo = fit.history.elbo.values
    assert 4 < len(elbo) < 200
    assert elbo[-4:].max() <= elbo[:-4].max()
    assert all(elbo[k - 4 : k].max() > elbo[: k - 4].max() for k in range(5, len(elbo))), (
        "stopped no later than it had to"
    )
    assert not fit.interrupted


def test_collapsed_clusters_are_reported(data):
    """Nine clusters for two populations of 24: some end without specimens, or as twins."""
    model = pima.PIMA({"stress": pima.Physics("proportional")}, clusters=12, latent_dim=1)
    rows = data.isel(specimen=slice(0, 14))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = model.fit(rows, epochs=2, progress=False)
    weight = fit.specimens.responsibilities.sum("specimen").values
    said = [str(w.message) for w in caught if issubclass(w.category, PimaWarning)]
    assert bool((weight < 1.0).any()) == any("empty" in text for text in said)


def test_batches_hold_every_specimen_once(fitted, data):
    from pima_toolkit.data import read
    from pima_toolkit.fitting.inputs.spec import schemas
    from pima_toolkit.fitting.inputs.tensors import to_tensors
    from pima_toolkit.fitting.training import TrainingRun

    predictor = fitted.predictor
    tensors = to_tensors(read(data, schemas(predictor.specs)), predictor.specs, "cpu")
    job = TrainingRun(
        predictor.options, fitted.settings, predictor.specs, tensors, torch.device("cpu"), None, "", print
    )
    batches = list(job.batches(5, 1))
    assert sorted(torch.cat(batches).tolist()) == list(range(48))
    assert {len(b) for b in batches} <= {9, 10}
    assert job.rate(0.3) == pytest.approx(5e-3)
    assert job.rate(1.0) == pytest.approx(0.0, abs=1e-12)
    assert job.seed(0, 1) != job.seed(1, 0)
