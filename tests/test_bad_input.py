"""Whatever is wrong with the data or the options: one sentence, the fix in it, before any training."""

import numpy as np
import pytest
import xarray as xr

import pima_toolkit as pima
from pima_toolkit.errors import DataError, ExpertError, OptionError, PimaError, PimaWarning, ShapeError

N, T = 12, 10


def good():
    rng = np.random.default_rng(0)
    t = np.linspace(0.0, 1.0, T)
    label = np.arange(N) % 2
    return xr.Dataset(
        {
            "image": (("specimen", "y", "x"), label[:, None, None] + 0.1 * rng.standard_normal((N, 6, 6))),
            "stress": (
                ("specimen", "strain"),
                (1 + label[:, None]) * t + 0.1 * rng.standard_normal((N, T)),
                {"units": "MPa"},
            ),
        },
        coords={"strain": t, "specimen": [f"p{d}" for d in range(N)]},
    )


def model(**options):
    return pima.PIMA(
        {"image": pima.Neural(), "stress": pima.Physics("proportional")}, **{"clusters": 2, "latent_dim": 2, **options}
    )


@pytest.fixture(autouse=True)
def _no_training(monkeypatch):
    """A sentence must come before the first step."""
    from pima_toolkit.fitting import trained_model

    def never(*job):
        raise AssertionError("training began")

    monkeypatch.setattr(trained_model, "train_restarts", never)


def refused(data, error, words, make=model):
    with pytest.raises(error, match=words) as caught:
        make().fit(data, progress=False)
    text = str(caught.value)
    assert isinstance(caught.value, PimaError)
    assert isinstance(caught.value, ValueError)
    assert len(text) < 400
    assert "\n" not in text
    assert caught.value.__cause__ is None


def test_good_data_reach_training():
    with pytest.raises(AssertionError, match="training began"):
        model().fit(good(), progress=False)


# -- the dataset -----------------------------------------------------------------------------------------------------


def test_no_specimen_dim():
    refused(good().rename(specimen="sample"), DataError, r"no 'specimen' dim \(its dims: .*sample.*rename one")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.zeros((3, 4)), r"numpy.ndarray, expected an xarray.Dataset.*xr.Dataset\("),
        ({"image": np.zeros(3)}, r"dict, expected an xarray.Dataset"),
        (None, r"NoneType, expected an xarray.Dataset"),
        (good().image, r"DataArray, expected a Dataset.*to_dataset"),
    ],
    ids=["array", "dict", "None", "DataArray"],
)
def test_no_dataset(data, words):
    refused(data, DataError, words)


def test_no_specimens():
    refused(good().isel(specimen=slice(0, 0)), DataError, r"holds no specimens.*size 0")


def test_one_specimen():
    refused(good().isel(specimen=[0]), DataError, r"one specimen.*at least two", lambda: model(clusters=1))


def test_fewer_specimens_than_clusters():
    refused(good(), DataError, r"12 specimens cannot fill 13 clusters.*fewer clusters", lambda: model(clusters=13))


def test_more_latent_dimensions_than_specimens():
    make = lambda: model(latent_dim=10**6)  # noqa: E731
    refused(good(), DataError, r"12 specimens cannot tell 1000000 latent dimensions apart: ask for fewer", make)


def test_a_training_that_needs_much_memory_tells_it_and_one_beyond_the_machine_is_refused(monkeypatch):
    from pima_toolkit.fitting import memory

    with monkeypatch.context() as small:
        small.setattr(memory, "_SMALL", 0)
        small.setattr(memory, "memory", lambda device: (1e5, 1e8))
        with (
            pytest.warns(PimaWarning, match=r"takes about 0\.\d GB of memory .* lower batch_size \(it is 256\)"),
            pytest.raises(AssertionError, match="training began"),
        ):
            model().fit(good(), progress=False)
        small.setattr(memory, "memory", lambda device: (1e5, 1e6))
        refused(good(), OptionError, "of memory beside the data, and 0.0 of 0.0 GB are free")
    free, whole = memory.memory(memory.torch.device("cpu"))
    assert 0 < free <= whole


def test_check_refuses_what_fit_refuses_and_trains_nothing():
    model().check(good(), epochs=3, progress=False)
    with pytest.raises(OptionError, match="learning_rate=0"):
        model().check(good(), learning_rate=0)
    with pytest.raises(DataError, match="one specimen"):
        model().check(good().isel(specimen=[0]))


def test_labels_that_occur_twice():
    data = good().assign_coords(specimen=["a", "a", *map(str, range(N - 2))])
    refused(data, DataError, r"labels occur more than once: a;.*drop_vars\('specimen'\)")


def test_specimens_without_any_modality_are_named():
    data = good()
    data.image[[2, 5]] = np.nan
    data.stress[[2, 5, 6]] = np.nan
    refused(data, DataError, r"specimens p2, p5 have no modality at all: leave them out")


def test_a_modality_the_dataset_does_not_have():
    refused(good().rename(stress="stres"), DataError, r"no modality 'stress'.*did you mean 'stres'\?")


# -- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image", "stress"])
def test_a_modality_that_is_all_nan(name):
    refused(
        good().assign({name: good()[name] * np.nan}),
        DataError,
        rf"'{name}' is missing for every specimen: leave it out",
    )


@pytest.mark.parametrize("name", ["image", "stress"])
def test_a_modality_that_is_constant(name):
    refused(
        good().assign({name: good()[name] * 0 + 3}), DataError, rf"'{name}' is constant: every value is 3.*leave it out"
    )


@pytest.mark.parametrize("name", ["image", "stress"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinities_are_named(name, value):
    data = good()
    data[name][4, 3] = value
    refused(data, DataError, rf"'{name}'.*no finite.*in specimens p4: remove them or make the specimen NaN")


def test_numbers_beyond_float32_in_a_picture():
    data = good()
    data.image[4, 3, 0] = 1e300
    refused(data, DataError, r"'image'.*no finite float32.*p4")


@pytest.mark.parametrize("name", ["image", "stress"])
@pytest.mark.parametrize("kind", ["texts", "objects", "complex", "dates"])
def test_values_that_are_no_numbers(name, kind):
    data = good()
    values = {
        "texts": data[name].astype(str),
        "objects": data[name].astype(object),
        "complex": data[name].astype(complex),
        "dates": data[name].astype("datetime64[s]").astype("datetime64[ns]"),
    }[kind]
    refused(data.assign({name: values}), DataError, rf"'{name}' holds .* values, expected real numbers: convert with")


def test_nan_inside_a_picture_names_the_specimens():
    data = good()
    data.image[3, 0, 0] = np.nan
    data.image[7, 2, 2] = np.nan
    refused(
        data,
        DataError,
        r"'image' holds NaN inside present specimens: p3, p7;.*fill the gaps, or set the whole specimen",
    )


def test_more_bad_specimens_than_a_sentence_holds():
    data = good()
    data.image[:, 0, 0] = np.nan
    refused(data, DataError, r"p0, p1, p2, p3, p4 and 7 more")


# -- the independent variable ----------------------------------------------------------------------------------------


def test_t_that_falls():
    t = good().strain.values.copy()
    t[[4, 5]] = t[[5, 4]]
    refused(good().assign_coords(strain=t), DataError, r"'strain' of 'stress' falls from.*strictly increasing.*sort it")


def test_t_with_a_value_twice():
    t = good().strain.values.copy()
    t[5] = t[4]
    refused(good().assign_coords(strain=t), DataError, r"has the value 0.444444 twice.*keep one")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_t_that_is_not_finite(value):
    t = good().strain.values.copy()
    t[5] = value
    refused(good().assign_coords(strain=t), DataError, r"'strain' of 'stress' holds NaN or infinity: drop")


def test_no_t():
    refused(good().drop_vars("strain"), DataError, r"no coordinate 'strain'.*assign_coords\(strain=values\)")


def test_t_of_texts():
    refused(good().assign_coords(strain=list("abcdefghij")), DataError, r"'strain'.*expected real numbers")


def ragged(**attrs):
    data = good()
    stress = data.stress.values
    strain = np.tile(data.strain.values, (N, 1)) * np.linspace(0.8, 1, N)[:, None]
    return xr.Dataset(
        {"image": data.image, "stress": (("specimen", "point"), stress, attrs)},
        coords={"strain": (("specimen", "point"), strain)},
    )


def test_a_ragged_curve_that_does_not_say_over_what():
    refused(ragged(), DataError, r"\.attrs\['independent'\] = 'strain'")


def test_a_ragged_curve_over_something_that_is_not_there():
    refused(ragged(independent="strian"), DataError, r"'strian'.*does not have.*correct the name")


def test_a_ragged_curve_whose_t_falls_names_the_specimen():
    data = ragged(independent="strain")
    data.strain[5, 3] = 0.0
    refused(data, DataError, r"'strain' of 'stress'.*(falls|twice).*p5")


def test_a_ragged_neural_modality():
    make = lambda: pima.PIMA({"stress": pima.Neural()}, 2)  # noqa: E731
    refused(
        ragged(independent="strain"),
        DataError,
        r"'stress' is ragged.*interpolate it.*or describe it by a Physics",
        make,
    )


# -- shapes ----------------------------------------------------------------------------------------------------------


def test_physics_of_a_picture():
    make = lambda: pima.PIMA({"image": pima.Physics("affine")}, 2)  # noqa: E731
    refused(good(), ShapeError, r"'image' has dims.*one curve per specimen.*use Neural", make)


def test_a_modality_without_specimens():
    refused(good().assign(image=good().image[0]), ShapeError, r"'image' has dims \('y', 'x'\) and lacks 'specimen'")


def test_a_picture_of_too_many_dims():
    data = good().expand_dims(a=2, b=2)
    refused(data.assign(stress=good().stress), ShapeError, r"at most 3.*call one 'channel'")


def test_a_curve_of_one_point():
    refused(good().isel(strain=[3]), ShapeError, r"one point along 'strain'.*at least two")


# -- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"responsibilities": "exakt"},
            r"responsibilities='exakt' is unknown: use one of 'exact', 'latent', 'sampled'",
        ),
        ({"combine": "produkt"}, r"combine='produkt' is unknown: use one of 'product', 'posterior'"),
        ({"crossmodal": "gauss"}, r"crossmodal='gauss' is unknown: use one of 'mixture', 'gaussian', 'dropout'"),
        ({"clusters": 0}, r"clusters=0: expected a whole number of at least 1"),
        ({"clusters": 2.0}, r"clusters=2.0: expected a whole number"),
        ({"clusters": "two"}, r"clusters='two': expected a whole number"),
        ({"clusters": True}, r"clusters=True: expected a whole number"),
        ({"latent_dim": 0}, r"latent_dim=0: expected a whole number of at least 1"),
        ({"consistency": -1.0}, r"consistency=-1.0: expected a number of at least 0"),
        ({"consistency": float("nan")}, r"consistency=nan: expected a number"),
        ({"beta": 0.0}, r"beta=0.0: expected a positive number"),
        ({"beta": "x"}, r"beta='x': expected a positive number"),
        ({"beta": float("inf")}, r"beta=inf: expected a positive number"),
        ({"combine": ["product"]}, r"combine=\['product'\] is unknown"),
    ],
    ids=str,
)
def test_options_of_the_model(options, words):
    with pytest.raises(OptionError, match=words):
        model(**options)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"em": "onlin"}, r"em='onlin' is unknown: use one of 'epoch', 'online'"),
        ({"update": "sgd"}, r"update='sgd' is unknown: use one of 'wls', 'adam'"),
        ({"precision": "float16"}, r"precision='float16' is unknown"),
        ({"start": "anywhere"}, r"start='anywhere' is unknown: use one of 'auto', 'random'"),
        ({"device": "gpu"}, r"device='gpu' is unknown: use \"auto\", \"cpu\" or \"cuda\""),
        ({"epochs": 0}, r"epochs=0: expected a whole number of at least 1"),
        ({"batch_size": 1}, r"batch_size=1: expected a whole number of at least 2"),
        ({"restarts": 0}, r"restarts=0"),
        ({"patience": 0}, r"patience=0"),
        ({"seed": -1}, r"seed=-1: expected a whole number of at least 0"),
        ({"seed": None}, r"seed=None: expected a whole number"),
        ({"learning_rate": 0.0}, r"learning_rate=0.0: expected a positive number"),
        ({"learning_rate": float("nan")}, r"learning_rate=nan"),
        ({"learning_rate": 1000}, r"learning_rate=1000: expected a positive number of at most 1, such as 0.005"),
        ({"learning_rate": "fast"}, r"learning_rate='fast': expected a positive number"),
        ({"weight_decay": -0.1}, r"weight_decay=-0.1"),
        ({"weight_decay": 1000.0}, r"weight_decay=1000.0: expected a number of at least 0 and at most 200"),
    ],
    ids=str,
)
def test_settings_of_the_fit(settings, words):
    with pytest.raises(OptionError, match=words):
        model().fit(good(), **{"progress": False, **settings})


def test_misspelt_keywords_are_pythons_own_error():
    with pytest.raises(TypeError, match="sed"):
        model().fit(good(), sed=0)
    with pytest.raises(TypeError, match="cluster"):
        pima.PIMA({"image": pima.Neural()}, cluster=2)
    with pytest.raises(TypeError, match="nois"):
        pima.Neural(nois="unit")
    with pytest.raises(TypeError, match="scater"):
        pima.Physics("affine", scater="none")


def test_an_unknown_expert_names_those_there_are():
    with pytest.raises(ExpertError, match=r"'lineer_hardening'.*'linear_hardening'"):
        pima.Physics("lineer_hardening")


def test_modalities_that_are_no_modalities():
    with pytest.raises(OptionError, match=r"modalities is empty: name at least one"):
        pima.PIMA({}, 2)
    with pytest.raises(OptionError, match=r"modality 'image' is 'conv': expected pima.Neural\(\) or pima.Physics"):
        pima.PIMA({"image": "conv"}, 2)
    with pytest.raises(OptionError, match=r"modality 'image' is <class.*expected pima.Neural\(\)"):
        pima.PIMA({"image": pima.Neural}, 2)


def test_a_window_without_points():
    make = lambda: pima.PIMA({"stress": pima.Physics("affine", window=(0.31, 0.36))}, 2)  # noqa: E731
    refused(good(), OptionError, r"window=\(0.31, 0.36\) of 'stress' keeps 1 points of 0 to 1.*needs at least 2", make)


def test_flips_along_a_dim_that_is_not_there():
    make = lambda: pima.PIMA({"image": pima.Neural(flips=("z",))}, 2)  # noqa: E731
    refused(good(), OptionError, r"flips=\('z',\) of 'image' names 'z': its dims are \('y', 'x'\)", make)


def test_whole_numbers_of_numpy_are_whole_numbers():
    """``clusters=data.label.max() + 1`` is a numpy integer."""
    assert model(clusters=np.int64(3), latent_dim=np.int32(2)).options.clusters == 3
    with pytest.raises(AssertionError, match="training began"):
        model().fit(good(), seed=np.int64(4), epochs=np.int32(3), progress=False)


# -- what is not wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "uint8", "bool", ">f4", ">f8", ">i2"])
def test_every_type_of_number_reaches_training(dtype):
    data = (good() * 10).clip(0, 20).astype(dtype).assign_coords(strain=good().strain.astype(">f4"))
    with pytest.raises(AssertionError, match="training began"):
        model().fit(data, progress=False)


def test_no_labels_at_all_reach_training():
    with pytest.raises(AssertionError, match="training began"):
        model().fit(good().drop_vars("specimen"), progress=False)


def test_gaps_in_a_curve_reach_training():
    data = good()
    data.stress[3, 2:5] = np.nan
    with pytest.raises(AssertionError, match="training began"):
        model().fit(data, progress=False)
