"""A fit in a file: back to the bit, and nothing else is ever read or executed."""

import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import pima_toolkit as pima
from pima_toolkit.errors import FileFormatError, OptionError, PimaError


@pytest.fixture(scope="module")
def saved(fit, tmp_path_factory):
    path = tmp_path_factory.mktemp("fits") / "fit.pima"
    assert fit.save(path) == path
    return path


def rewrite(path, target, **members):
    """A copy of a saved fit with some members replaced (by bytes) or left out (None)."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = members.get(name.partition(".")[0], source.read(name))
            if content is not None:
                copy.writestr(name, content)
    return target


def about_of(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("about.json"))


# -- there and back --------------------------------------------------------------------------------------------------


def assert_same_fit(one, other, data):
    for subset in ([name] for name in one.predictor.options.modalities):
        xr.testing.assert_identical(one.infer(data[subset]), other.infer(data[subset]))
    xr.testing.assert_identical(one.infer(data), other.infer(data))
    for name in ("parameters", "specimens", "history", "clusters"):
        xr.testing.assert_identical(getattr(one, name), getattr(other, name))
        for variable in getattr(one, name).variables:
            kinds = [getattr(f, name)[variable].dtype.kind for f in (one, other)]
            assert kinds[0] == kinds[1], (name, variable)
    xr.testing.assert_identical(one.generate(0, n=3), other.generate(0, n=3))
    assert one.report() == other.report()
    assert repr(one) == repr(other)
    assert one.model.options.modalities == other.model.options.modalities


def test_answers_are_equal_to_the_bit(fit, saved, test):
    assert_same_fit(fit, pima.load(saved), test)


def test_images_curves_and_labels_come_back(digits_fit, digits, tmp_path):
    again = pima.load(digits_fit.save(tmp_path / "digits.pima"))
    assert_same_fit(digits_fit, again, digits)
    assert again.infer(digits).image.dtype == np.float32
    assert again.specimens.label.dtype == digits.label.dtype
    xr.testing.assert_identical(again.specimens.label.variable, digits.label.variable)


def test_saving_twice_gives_the_same_answers(saved, test, tmp_path):
    once = pima.load(saved)
    twice = pima.load(once.save(tmp_path / "again.pima"))
    assert_same_fit(once, twice, test)


def test_a_text_path_will_do(fit, tmp_path):
    path = fit.save(str(tmp_path / "fit.pima"))
    assert pima.load(str(path)).elbo == fit.elbo


def test_the_folder_of_a_run_will_do(fit, tmp_path):
    with pytest.raises(
        FileFormatError, match=r"is a folder without fit\.pima: expected a folder that `pima fit` wrote"
    ):
        pima.load(tmp_path)
    fit.save(tmp_path / "fit.pima")
    assert pima.load(tmp_path).elbo == fit.elbo


@pytest.mark.slow
def test_another_process_gets_the_same_numbers(fit, saved, test, tmp_path):
    test.to_netcdf(tmp_path / "test.nc")
    program = (
        "import sys, xarray as xr, pima_toolkit as pima\n"
        "pima.load(sys.argv[1]).infer(xr.load_dataset(sys.argv[2]))[['responsibilities']].to_netcdf(sys.argv[3])\n"
    )
    environment = {**os.environ, "PYTHONPATH": ":".join(p for p in sys.path if p)}
    command = [sys.executable, "-c", program, saved, tmp_path / "test.nc", tmp_path / "answer.nc"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    with xr.open_dataset(tmp_path / "answer.nc") as answer:
        np.testing.assert_array_equal(answer.responsibilities, fit.infer(test).responsibilities)


def test_only_whole_files_are_left_behind(fit, tmp_path):
    fit.save(tmp_path / "fit.pima")
    before = (tmp_path / "fit.pima").read_bytes()
    with pytest.raises(OSError):  # noqa: PT011 - whichever the system gives
        fit.save(tmp_path / "fit.pima" / "a file is no folder.pima")
    fit.save(tmp_path / "new folder" / "fit.pima")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["fit.pima", "fit.pima", "new folder"]
    assert len((tmp_path / "fit.pima").read_bytes()) == pytest.approx(len(before), rel=0.01)


COORDINATES = {
    "large integers": lambda n: np.arange(n) + 2**53,
    "texts": lambda n: np.array([f"Prüfling {d}" for d in range(n)]),
    "objects": lambda n: np.array([f"s{d}" for d in range(n)], dtype=object),
    "dates": lambda n: np.datetime64("2024-05-01", "ns") + np.arange(n).astype("timedelta64[D]"),
    "booleans": lambda n: np.arange(n) % 2 == 0,
    "bytes": lambda n: np.arange(n, dtype=np.uint8),
    "small floats": lambda n: np.linspace(0, 1, n, dtype=np.float32),
}


@pytest.mark.parametrize("make", COORDINATES.values(), ids=COORDINATES)
def test_coordinates_of_any_kind_come_back(two_populations, small_model, tmp_path, make):
    data = two_populations(20)
    data = data.assign_coords(batch=("specimen", make(20), {"long_name": "batch", "odd": True}))
    fit = small_model().fit(data, epochs=1, progress=False)
    again = pima.load(fit.save(tmp_path / "fit.pima"))
    np.testing.assert_array_equal(again.specimens.batch.values, data.batch.values)
    assert again.specimens.batch.dtype.kind in (data.batch.dtype.kind, "U")


def test_times_stay_numbers(tmp_path):
    """A coordinate in seconds or days is a number, not a duration of the calendar."""
    rng = np.random.default_rng(0)
    t = np.linspace(0, 30, 10)
    data = xr.Dataset(
        {"creep": (("specimen", "time"), rng.uniform(1, 2, (16, 1)) * t + 0.1 * rng.standard_normal((16, 10)))},
        coords={
            "time": ("time", t, {"units": "seconds"}),
            "age": ("specimen", np.arange(16.0), {"units": "days"}),
        },
    )
    fit = pima.PIMA({"creep": pima.Physics("proportional")}, 1, latent_dim=1).fit(data, epochs=1, progress=False)
    again = pima.load(fit.save(tmp_path / "fit.pima"))
    assert_same_fit(fit, again, data)
    assert again.specimens.age.attrs["units"] == "days"
    assert again.infer(data).time.dtype == np.float64


@pytest.mark.slow
def test_physics_of_every_kind_comes_back(tmp_path):
    """Formulas, windows, own grids, gaps, bounds found in the data."""
    rng = np.random.default_rng(0)
    strain = np.linspace(0, 1, 14) * rng.uniform(0.7, 1.0, (30, 1))
    strain[3, 10:] = np.nan
    stress = np.where(np.arange(30)[:, None] % 2, 50, 90) * np.abs(strain) ** 0.4 + 0.5 * rng.standard_normal((30, 14))
    gaps = stress.copy()
    gaps[rng.random(gaps.shape) < 0.2] = np.nan
    t = np.linspace(0, 1, 14)
    data = xr.Dataset(
        {
            "stress": (("specimen", "point"), stress, {"units": "MPa", "independent": "strain"}),
            "load": (("specimen", "time"), np.where(np.isnan(gaps), np.nan, 3 * t + 0.1 * gaps), {"units": "N"}),
        },
        coords={"strain": (("specimen", "point"), strain), "time": ("time", t, {"units": "s"})},
    )
    power = pima.SympyExpert("K * strain**n", t="strain", units={"K": "{y}"}, bounds={"K": (0, None), "n": (0, 1)})
    model = pima.PIMA(
        {"stress": pima.Physics(power), "load": pima.Physics("affine", "none", "cluster", window=(0.2, 0.9))},
        2,
        latent_dim=1,
        prior_expert=True,
        beta=0.5,
        combine="posterior",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pima.PimaWarning)
        fit = model.fit(data, epochs=2, progress=False)
    again = pima.load(fit.save(tmp_path / "fit.pima"))
    assert_same_fit(fit, again, data)
    assert again.model.options == fit.model.options
    assert again.model.options.physics["load"].window == (0.2, 0.9)


def test_a_stopped_fit_comes_back_stopped(two_populations, small_model, tmp_path):
    data = two_populations(20)
    model = small_model(inference="paper")
    fit = model.fit(data, epochs=4, callbacks=[lambda _: True], progress=False)
    again = pima.load(fit.save(tmp_path / "fit.pima"))
    assert again.interrupted
    assert again.report() == fit.report()
    with pytest.raises(pima.errors.TrainingError):
        again.infer(data[["feature"]])


def test_own_modules_need_the_model(two_populations, tmp_path):
    def model(width=6):
        own = nn.Sequential(nn.Linear(4, width), nn.Tanh())
        return pima.PIMA({"feature": pima.Neural(encoder=own), "stress": pima.Physics("proportional")}, 2, latent_dim=2)

    data = two_populations(20)
    fit = model().fit(data, epochs=2, progress=False)
    path = fit.save(tmp_path / "fit.pima")
    with pytest.raises(OptionError, match=r"encoder of 'feature' was a torch module of your own.*model=PIMA"):
        pima.load(path)
    xr.testing.assert_identical(pima.load(path, model=model()).infer(data), fit.infer(data))
    with pytest.raises(FileFormatError, match="size mismatch"):
        pima.load(path, model=model(width=7))


# -- what is no saved fit --------------------------------------------------------------------------------------------


def contents(saved):
    whole = saved.read_bytes()
    torch_file = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, torch_file)
    empty_zip = io.BytesIO()
    zipfile.ZipFile(empty_zip, "w").close()
    listed = io.BytesIO()
    with zipfile.ZipFile(listed, "w") as file:
        file.writestr("about.json", "[1, 2]")
    return {
        "empty": b"",
        "text": b"not a fit\n" * 100,
        "pickle": pickle.dumps({"a": 1}),
        "torch.save": torch_file.getvalue(),
        "an empty zip": empty_zip.getvalue(),
        "a list for a table": listed.getvalue(),
        **{f"cut at {share}": whole[: int(share * len(whole))] for share in (0.001, 0.3, 0.9, 0.999)},
    }


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "pickle", "torch.save", "an empty zip", "a list for a table"]
    + [f"cut at {share}" for share in (0.001, 0.3, 0.9, 0.999)],
)
def test_files_from_elsewhere_are_refused(saved, tmp_path, kind):
    path = tmp_path / "file.pima"
    path.write_bytes(contents(saved)[kind])
    with pytest.raises(FileFormatError, match=r"file.pima.*expected a file written by Fit.save"):
        pima.load(path)


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(FileFormatError, match=r"nothing.pima does not exist"):
        pima.load(tmp_path / "nothing.pima")
    with pytest.raises(FileFormatError, match=r"is a folder without fit\.pima: .* or a file that Fit\.save wrote"):
        pima.load(tmp_path)


def test_a_newer_version_asks_for_an_update(saved, tmp_path):
    about = about_of(saved)
    about["version"] += 1
    path = rewrite(saved, tmp_path / "newer.pima", about=json.dumps(about))
    with pytest.raises(FileFormatError, match=rf"format version {about['version']}.*update"):
        pima.load(path)


def test_another_format_is_named(saved, tmp_path):
    path = rewrite(saved, tmp_path / "other.pima", about=json.dumps({**about_of(saved), "format": "something else"}))
    with pytest.raises(FileFormatError, match="is not a saved fit"):
        pima.load(path)


@pytest.mark.parametrize("member", ["about", "arrays", "training", "history", "coords"])
@pytest.mark.parametrize("content", [None, b"", b"\x00" * 50, b"{}"], ids=["missing", "empty", "zeros", "braces"])
def test_a_damaged_member_is_a_damaged_file(saved, tmp_path, member, content):
    path = rewrite(saved, tmp_path / "damaged.pima", **{member: content})
    with pytest.raises(FileFormatError, match=r"damaged.pima"):
        pima.load(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_flipped_bytes_are_found_or_harmless(saved, tmp_path, fit, test):
    """Wherever a byte is wrong: a clear error, or the fit itself (in what zip does not read)."""
    whole = bytearray(saved.read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(len(whole), size=60):
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        path = tmp_path / "damaged.pima"
        path.write_bytes(damaged)
        try:
            again = pima.load(path)
        except FileFormatError:
            refused += 1
        else:
            np.testing.assert_array_equal(again.clusters["mean"], fit.clusters["mean"])
    assert refused > 50


@pytest.mark.parametrize(
    "change",
    [
        lambda about: about.pop("options"),
        lambda about: about["options"].update(clusters="two"),
        lambda about: about["options"].update(clusters=5),
        lambda about: about["options"].update(unheard_of=1),
        lambda about: about["modalities"][0][1].update(kind="magic"),
        lambda about: about["modalities"][0][1].update(encoder="resnet"),
        lambda about: about["modalities"][1][1]["expert"].update(name="no such expert"),
        lambda about: about["templates"].pop("feature"),
        lambda about: about["templates"]["stress"].update(scaling=[1.0]),
        lambda about: about.update(version="1"),
        lambda about: about.update(notes=None),
    ],
    ids=range(11),
)
def test_a_table_that_says_something_else_is_refused(saved, tmp_path, change):
    about = about_of(saved)
    change(about)
    with pytest.raises(PimaError):
        pima.load(rewrite(saved, tmp_path / "changed.pima", about=json.dumps(about))).report()


# -- nothing is executed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('touch {path}')",
        "K * strain + __import__('os').system('touch {path}')",
        "(lambda: open('{path}', 'w'))()",
        "exec(\"open('{path}', 'w')\")",
        "K.__class__.__mro__[-1].__subclasses__()",
        "open('{path}', 'w')",
        "K * strain; import os",
    ],
)
def test_a_formula_in_a_file_is_read_and_never_run(two_populations, tmp_path, formula):
    expert = pima.SympyExpert("K * strain", t="strain")
    fit = pima.PIMA({"stress": pima.Physics(expert)}, 2, latent_dim=1).fit(
        two_populations(16), epochs=1, progress=False
    )
    path = fit.save(tmp_path / "fit.pima")
    about = about_of(path)
    assert about["modalities"][0][1]["expert"]["formula"] == "K * strain"
    marker = tmp_path / "executed"
    about["modalities"][0][1]["expert"]["formula"] = formula.format(path=marker)
    with pytest.raises(PimaError):
        pima.load(rewrite(path, tmp_path / "evil.pima", about=json.dumps(about)))
    assert not marker.exists()


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_pickles_are_never_loaded_wherever_they_hide(saved, tmp_path):
    marker = tmp_path / "executed"
    bomb = pickle.dumps(Bomb(marker))
    for member in ("about", "arrays", "training", "history", "coords"):
        with pytest.raises(FileFormatError):
            pima.load(rewrite(saved, tmp_path / "evil.pima", **{member: bomb}))
    (tmp_path / "plain.pima").write_bytes(bomb)
    with pytest.raises(FileFormatError):
        pima.load(tmp_path / "plain.pima")
    torch.save(Bomb(marker), tmp_path / "torch.pima")
    with pytest.raises(FileFormatError):
        pima.load(tmp_path / "torch.pima")
    assert not marker.exists()


def test_members_with_paths_do_not_leave_the_archive(saved, tmp_path):
    path = tmp_path / "fit.pima"
    path.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../outside.txt", "x")
    pima.load(path)
    assert not (tmp_path.parent / "outside.txt").exists()
