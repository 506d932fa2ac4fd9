"""`read` takes good input into one form and ends bad input with one sentence that holds the fix."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pima_toolkit.data import Wanted, check_dataset, closest, common_grid, read
from pima_toolkit.errors import DataError, PimaError, ShapeError


def measure(data, name, *, physics, covariates=(), like=None):
    """One modality, read as it is wanted or as an earlier measurement was."""
    return read(data, {name: Wanted(physics, covariates) if like is None else like.schema})[name]


N, T = 6, 12


@pytest.fixture
def data() -> xr.Dataset:
    rng = np.random.default_rng(0)
    t = np.linspace(0, 0.3, T)
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), rng.integers(0, 256, (N, 5, 4), dtype=np.uint8)),
            "volume": (("specimen", "z", "y", "x"), rng.random((N, 3, 5, 4))),
            "colour": (("specimen", "y", "x", "channel"), rng.random((N, 5, 4, 3))),
            "stress": (("specimen", "strain"), rng.random((N, T)), {"units": "MPa", "long_name": "true stress"}),
            "features": (("specimen", "feature"), rng.random((N, 9))),
            "grain_size": (("specimen",), rng.random(N), {"units": "um"}),
            "ragged": (("specimen", "point"), rng.random((N, T)), {"independent": "own", "units": "MPa"}),
        },
        coords={
            "specimen": list("abcdef"),
            "strain": ("strain", t, {"units": "1"}),
            "own": (("specimen", "point"), t * np.linspace(1, 2, N)[:, None], {"units": "%"}),
            "label": ("specimen", np.arange(N)),
        },
    )


@pytest.mark.parametrize(
    ("name", "kind", "shape"),
    [
        ("image", "image", (5, 4)),
        ("volume", "volume", (3, 5, 4)),
        ("colour", "image", (3, 5, 4)),
        ("stress", "curve", (T,)),
        ("features", "vector", (9,)),
        ("grain_size", "scalar", ()),
    ],
)
def test_kind_follows_from_the_dims(data, name, kind, shape):
    m = measure(data, name, physics=False)
    assert (m.schema.kind, m.values.shape[1:], m.values.dtype) == (kind, shape, np.float32)
    assert m.present.all()
    assert m.observed is None
    assert (m.t is not None) == (kind == "curve")


def test_dims_may_come_in_any_order(data):
    turned = data.transpose("x", "strain", "specimen", ...)
    assert np.array_equal(measure(turned, "stress", physics=True).values, measure(data, "stress", physics=True).values)
    assert measure(turned, "image", physics=False).schema.dims == ("x", "y")
    assert measure(turned, "colour", physics=False).schema.dims == ("channel", "x", "y")
    trained = measure(data, "colour", physics=False)  # at inference the order of the training counts
    assert np.array_equal(measure(turned, "colour", physics=False, like=trained).values, trained.values)


def test_a_short_or_unlabelled_dim_is_a_vector(data):
    assert measure(data.isel(strain=slice(7)), "stress", physics=False).schema.kind == "vector"
    assert measure(data.isel(strain=slice(8)), "stress", physics=False).schema.kind == "curve"
    assert measure(data.drop_vars("strain"), "stress", physics=False).schema.kind == "vector"
    assert measure(data.assign_coords(strain=list("abcdefghijkl")), "stress", physics=False).schema.kind == "vector"


def test_physics_keeps_units_names_and_coordinates(data):
    m = measure(data, "stress", physics=True)
    schema = m.schema
    assert (schema.unit, schema.t_unit, schema.t_name, schema.long_name) == ("MPa", "1", "strain", "true stress")
    assert m.values.dtype == m.t.dtype == np.float64
    assert list(m.schema.coords) == ["strain"]
    assert np.array_equal(m.schema.coords["strain"], data["strain"])


@pytest.mark.parametrize("dtype", ["float16", ">f4", ">f8", "float64", "int16", ">i4", "uint8", "bool"])
@pytest.mark.parametrize("physics", [True, False])
def test_number_types_are_converted(data, dtype, physics):
    typed = (data[["stress"]] * 100).astype(dtype)
    if dtype == "bool":
        typed["stress"] = data["stress"] > 0.5
    m = measure(typed, "stress", physics=physics)
    assert m.values.dtype == (np.float64 if physics else np.float32)
    assert m.values.dtype.isnative
    np.testing.assert_allclose(m.values, typed["stress"].values.astype(float), rtol=1e-6)


def test_the_users_arrays_are_left_alone(data):
    data["stress"] = data["stress"].astype(np.float32)
    data["stress"][1] = np.nan
    before = data.copy(deep=True)
    for physics in (True, False):
        m = measure(data, "stress", physics=physics)
        assert list(m.present) == [True, False, True, True, True, True]
        assert (m.values[1] == 0).all()
    xr.testing.assert_identical(data, before)


def test_arrays_are_fit_for_torch(data):
    for name in data:
        data[name].values.setflags(write=False)
    backwards = data.isel(y=slice(None, None, -1)).transpose("x", ...)
    template = measure(data, "stress", physics=True)
    for m in (
        measure(backwards, "image", physics=False),
        measure(backwards, "colour", physics=False),
        measure(backwards.astype(np.float32), "colour", physics=False),
        measure(data, "ragged", physics=True),
        measure(data.isel(strain=slice(5)), "stress", physics=True, like=template),
    ):
        for array in (m.values, m.t):
            assert array is None or (array.flags.c_contiguous and array.flags.writeable)


def test_gaps_in_a_physics_curve_are_masked(data):
    data["stress"][1, 3:5] = np.nan
    data["stress"][2] = np.nan
    m = measure(data, "stress", physics=True)
    assert m.observed.sum() == N * T - 2 - T
    assert not m.present[2]
    assert (m.values[~m.observed] == 0).all()
    assert np.array_equal(m.mask(), m.observed)


def test_a_flag_says_which_integer_images_are_there(data):
    data["image_present"] = ("specimen", [True, True, False, True, True, True])
    m = measure(data, "image", physics=False)
    assert list(np.flatnonzero(~m.present)) == [2]
    assert (m.values[2] == 0).all()
    data["image_present"] = ("specimen", ["yes"] * N)
    with pytest.raises(DataError, match=r"'image_present' must be boolean"):
        measure(data, "image", physics=False)


def test_ragged_curves_keep_their_grids(data):
    data["ragged"][1, 8:] = np.nan
    data["own"][1, 8:] = np.nan
    data["ragged"][2] = np.nan
    data["own"][2] = np.nan
    m = measure(data, "ragged", physics=True)
    assert m.ragged
    assert (m.schema.t_name, m.schema.t_unit) == ("own", "%")
    assert m.observed[1].sum() == 8
    assert (m.t[1, 8:] == m.t[1, 7]).all()  # padding repeats the last t
    assert np.array_equal(m.t[2], m.t[0])  # a missing specimen has a grid to evaluate an expert on
    grid = common_grid(m)
    assert grid.shape == (T,)
    assert (grid[0], grid[-1]) == (0, m.t.max())
    assert (np.diff(grid) > 0).all()


def test_equal_rows_are_a_shared_grid(data):
    data["own"] = (
        data["strain"]
        .broadcast_like(data["ragged"].rename(point="strain"))
        .rename(strain="point")
        .drop_vars("point", errors="ignore")
    )
    data = data.set_coords("own")
    m = measure(data, "ragged", physics=True)
    assert m.t.shape == (T,)
    assert m.schema.coords["own"].dims == ("point",)


def test_independent_may_name_a_coordinate_along_the_dim(data):
    data = data.assign_coords(plastic=("strain", data["strain"].values ** 2))
    data["stress"].attrs["independent"] = "plastic"
    assert measure(data, "stress", physics=True).schema.t_name == "plastic"


def test_take_selects_specimens(data):
    m = measure(data, "ragged", physics=True)
    part = m.take(np.array([4, 1]))
    assert np.array_equal(part.values, m.values[[4, 1]])
    assert np.array_equal(part.t, m.t[[4, 1]])
    assert measure(data, "stress", physics=True).take(slice(2)).t.shape == (T,)


# --- inference -------------------------------------------------------------------------------------------------------


def test_like_accepts_constant_absent_and_missing_modalities(data):
    stress, image = measure(data, "stress", physics=True), measure(data, "image", physics=False)
    none = data.drop_vars(["stress", "image"]).isel(specimen=[0, 1])
    for template in (stress, image):
        got = measure(none, template.schema.name, physics=template is stress, like=template)
        assert not got.present.any()
        assert got.values.shape == (2, *template.values.shape[1:])
    flat = data.isel(specimen=[0]).assign(stress=lambda d: d["stress"] * 0)
    assert measure(flat, "stress", physics=True, like=stress).present.all()
    gone = data.isel(specimen=[0]).assign(stress=lambda d: d["stress"] * np.nan)
    assert not measure(gone, "stress", physics=True, like=stress).present.any()
    ragged = measure(data, "ragged", physics=True)
    got = measure(none.drop_vars("ragged"), "ragged", physics=True, like=ragged)
    assert np.array_equal(got.t, common_grid(ragged))


def test_like_keeps_the_trained_grid_and_accepts_another(data):
    like = measure(data, "stress", physics=True)
    rounded = data.assign_coords(strain=data["strain"].astype("float32").astype(float))
    assert measure(rounded, "stress", physics=True, like=like).t is like.t
    coarse = data.isel(strain=slice(None, None, 2))
    assert measure(coarse, "stress", physics=True, like=like).t.shape == (N, 6)
    ragged = measure(data, "ragged", physics=True)
    assert measure(data.isel(specimen=[0]), "ragged", physics=True, like=ragged).t.shape == (1, T)


def test_like_refuses_what_does_not_fit(data):
    image, stress = measure(data, "image", physics=False), measure(data, "stress", physics=True)
    with pytest.raises(ShapeError, match=r"trained with \{'y': 5, 'x': 4\}: crop or interpolate"):
        measure(data.isel(x=slice(3)), "image", physics=False, like=image)
    with pytest.raises(ShapeError, match=r"trained with \('specimen', 'y', 'x'\): rename"):
        measure(data.rename(x="u"), "image", physics=False, like=image)
    curve = measure(data, "stress", physics=False)
    assert measure(data.drop_vars("strain"), "stress", physics=False, like=curve).t is curve.t
    with pytest.raises(DataError, match=r"another 'strain' than in training.*interpolate"):
        measure(data.assign_coords(strain=data["strain"] * 2), "stress", physics=False, like=curve)
    data["stress"].attrs["units"] = "Pa"
    with pytest.raises(DataError, match=r"'stress' is in 'Pa', trained in 'MPa': convert"):
        measure(data, "stress", physics=True, like=stress)
    del data["stress"].attrs["units"]
    assert measure(data, "stress", physics=True, like=stress).schema.unit == "1"


# --- bad input, one clear sentence each ------------------------------------------------------------------------------


def _set(name: str, index: tuple, value: float):
    def change(data: xr.Dataset) -> xr.Dataset:
        data[name] = data[name].astype(float)
        data[name][index] = value
        return data

    return change


ALL = slice(None)
BAD = {
    "no specimen dim": (lambda d: d.rename(specimen="n"), "image", False, r"no 'specimen' dim .*data.rename\(n="),
    "no specimens": (lambda d: d.isel(specimen=slice(0)), "image", False, r"holds no specimens"),
    "duplicated labels": (
        lambda d: d.assign_coords(specimen=list("abbcaa")), "image", False,
        r"labels occur more than once: (a, b|b, a); .*drop_vars",
    ),
    "no dataset": (lambda d: d.to_dataframe, "image", False, r"data is builtins\.method, expected an xarray\.Dataset"),
    "a DataArray": (lambda d: d["image"], "image", False, r"is an xarray\.DataArray.*to_dataset"),
    "unknown modality": (lambda d: d, "imgae", False, r"no modality 'imgae': .*did you mean 'image'\?"),
    "a variable of the whole": (lambda d: d.assign(k=("y", np.ones(5))), "k", False, r"lacks 'specimen'"),
    "strings": (lambda d: d.assign(s=("specimen", list("uvwxyz"))), "s", False, r"'s' holds str\w* values.*astype"),
    "complex": (lambda d: d.assign(image=d["image"] * 1j), "image", False, r"holds complex128 values"),
    "empty": (lambda d: d.isel(x=slice(0)), "image", False, r"empty dim: sizes"),
    "all NaN": (_set("stress", (ALL,), np.nan), "stress", True, r"missing for every specimen"),
    "all NaN, ragged": (_set("ragged", (ALL,), np.nan), "ragged", True, r"missing for every specimen"),
    "constant": (lambda d: d.assign(image=d["image"] * 0 + 7), "image", False, r"constant: every value is 7"),
    "constant curve": (lambda d: d.assign(stress=d["stress"] * 0), "stress", True, r"constant: every value is 0"),
    "infinity": (_set("image", (2, 1, 1), np.inf), "image", False, r"no finite float32 numbers, in specimens c:"),
    "too large": (_set("image", (2, 1, 1), 1e300), "image", False, r"no finite float32 numbers, in specimens c:"),
    "infinite stress": (_set("stress", (0, 1), -np.inf), "stress", True, r"no finite float64 .* specimens a:"),
    "NaN in an image": (_set("image", ([1, 3], 0, 0), np.nan), "image", False, r"NaN inside .*: b, d; .*fill the gaps"),
    "ragged neural": (lambda d: d, "ragged", False, r"is ragged \('own' differs.*Physics"),
    "five dims": (lambda d: d.assign(v=d["volume"] * d["stress"]), "v", False, r"4 dims besides .*at most 3"),
    "physics of an image": (lambda d: d, "image", True, r"a physics modality is one curve per specimen.*use Neural"),
    "physics of a scalar": (lambda d: d, "grain_size", True, r"a physics modality is one curve"),
    "no coordinate": (lambda d: d.drop_vars("strain"), "stress", True, r"assign_coords\(strain=values\)"),
    "one point": (lambda d: d.isel(strain=[0]), "stress", True, r"one point along 'strain'"),
    "text coordinate": (lambda d: d.assign_coords(strain=list("abcdefghijkl")), "stress", True, r"holds str\w* values"),
    "falling": (lambda d: d.isel(strain=slice(None, None, -1)), "stress", True, r"falls from 0.3 to .*sort"),
    "falling, neural": (lambda d: d.isel(strain=slice(None, None, -1)), "stress", False, r"falls from 0.3 to .*sort"),
    "duplicated t": (lambda d: d.isel(strain=[0, 1, 1, 2]), "stress", True, r"has the value 0.0272727 twice"),
    "NaN in t": (
        lambda d: d.assign_coords(strain=np.r_[np.nan, d["strain"].values[1:]]), "stress", True,
        r"coordinate 'strain' of 'stress' holds NaN",
    ),
    "independent missing": (lambda d: d.drop_vars("own"), "ragged", True, r"\['independent'\] = 'own', which the data"),
    "independent of other dims": (
        lambda d: d.drop_vars("own").assign_coords(own=("y", np.arange(5.0))), "ragged", True,
        r"has dims \('y',\), expected \('point',\)",
    ),
    "independent not named": (
        lambda d: d.assign(ragged=d["ragged"].drop_attrs()), "ragged", True, r"attrs\['independent'\] = 'own'",
    ),
    "own grid falls": (_set("own", (3, 5), 0.0), "ragged", True, r"falls from .* in specimen d"),
    "own grid has a gap": (_set("own", (3, 5), np.nan), "ragged", True, r"NaN before its end in specimen d"),
    "own grid infinite": (_set("own", (3, 11), np.inf), "ragged", True, r"holds infinities"),
    "own grid missing": (_set("own", (3,), np.nan), "ragged", True, r"values where 'own' is NaN|all NaN in specimen d"),
    "value without t": (_set("own", (3, 11), np.nan), "ragged", True, r"values where 'own' is NaN, in specimens d"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input(data, case):
    change, name, physics, message = BAD[case]
    with pytest.raises(PimaError, match=message) as caught:
        measure(change(data), name, physics=physics)
    assert isinstance(caught.value, (DataError, ShapeError))
    assert "\n" not in str(caught.value)


def test_long_lists_of_specimens_are_cut():
    data = xr.Dataset({"v": (("specimen", "f"), np.eye(9))})
    data["v"][:, 0] = np.nan
    with pytest.raises(DataError, match=r"0, 1, 2, 3, 4 and 4 more"):
        measure(data, "v", physics=False)


def test_closest_lists_the_names():
    assert closest("x", []) == "there are none"
    assert closest("stres", ["stress", "image"]) == "there are 'image', 'stress'; did you mean 'stress'?"


def test_check_dataset_accepts_unlabelled_specimens(data):
    check_dataset(data.drop_vars("specimen"))
