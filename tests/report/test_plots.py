"""Figures say what they show: units, clusters, synthetic data; and they render."""

import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from pima_toolkit.drawing import COLOURS, colour_of
from pima_toolkit.errors import DataError
from pima_toolkit.report import plots

MPA = {"units": "MPa", "long_name": "engineering stress"}


def example(clusters=3, latent=2, specimens=90, synthetic=True):
    """An answer and its clusters, made by hand: bilinear curves, small pictures of stripes."""
    rng = np.random.default_rng(0)
    member = np.arange(specimens) % clusters
    mean = np.stack([4 * np.cos(np.arange(latent) + 2.1 * c) for c in range(clusters)])
    strain = np.linspace(0.0, 0.1, 41)
    modulus = 100.0 * (1 + np.arange(clusters))
    curve = np.minimum(strain, 0.03) * modulus[:, None] + 0.1 * modulus[:, None] * np.maximum(strain - 0.03, 0)
    grid = xr.DataArray(strain, dims="strain", attrs={"units": "1", "long_name": "strain"})
    y = xr.DataArray(np.arange(16) * 0.25, dims="y", attrs={"units": "mm"})
    stripes = np.sin(np.arange(16)[:, None] * (1 + np.arange(clusters)) / 2)
    clusters_set = xr.Dataset(
        {
            "weight": ("cluster", np.full(clusters, 1 / clusters)),
            "mean": (("cluster", "latent"), mean),
            "variance": (("cluster", "latent"), np.full((clusters, latent), 0.4)),
            "stress": (("cluster", "strain"), curve, MPA),
            "stress_low": (("cluster", "strain"), 0.9 * curve, MPA),
            "stress_high": (("cluster", "strain"), 1.1 * curve, MPA),
        },
        coords={"strain": grid},
    )
    answer = xr.Dataset(
        {
            "posterior_mean": (
                ("specimen", "latent"),
                mean[member] + np.sqrt(0.4) * rng.normal(size=(specimens, latent)),
            ),
            "cluster": ("specimen", member),
            "stress": (("specimen", "strain"), curve[member] * rng.normal(1, 0.05, (specimens, 1)), MPA),
            "image": (
                ("specimen", "y", "x"),
                stripes.T[member][:, :, None] + 0.2 * rng.normal(size=(specimens, 16, 16)),
                {"long_name": "photograph"},
            ),
        },
        coords={
            "strain": grid,
            "y": y,
            "x": y.rename(y="x"),
            "label": ("specimen", np.resize(["a", "b", "c"], specimens)),
            "density": ("specimen", rng.uniform(0.2, 0.4, specimens), {"units": "g/cm³"}),
        },
        attrs={"synthetic": "yes, made by a formula"} if synthetic else {},
    )
    return answer, clusters_set


def predicted(specimens=90):
    answer, clusters = example(specimens=specimens)
    return (
        clusters[["stress", "stress_low", "stress_high"]]
        .sel(cluster=answer["cluster"].values)
        .rename(cluster="specimen")
    )


def history():
    epoch = np.arange(1, 9)
    return xr.Dataset(
        {
            "elbo": (
                "epoch",
                -100 + 80 * (1 - np.exp(-epoch / 2.0)),
                {"units": "nat per specimen", "long_name": "ELBO"},
            ),
            "terms": (("epoch", "term"), np.stack([-50 / epoch, -10 / epoch], 1), {"units": "nat per specimen"}),
            "occupancy": (("epoch", "cluster"), np.tile([0.2, 0.3, 0.5], (8, 1)), {"units": "1"}),
            "learning_rate": ("epoch", 5e-3 * np.sin(epoch / 3), {"units": "1"}),
        },
        coords={"epoch": epoch, "term": ["image", "stress"]},
    )


def ragged():
    """Three curves, each on its own grid of strain, the last two shorter than the first."""
    t = np.stack([np.linspace(0, end, 20) for end in (0.1, 0.08, 0.05)])
    y = 120 * t
    y[1, 15:], y[2, 10:] = np.nan, np.nan
    stress = xr.DataArray(y, dims=("specimen", "point"), attrs={**MPA, "independent": "strain"})
    return xr.Dataset({"stress": stress}, coords={"strain": (("specimen", "point"), t, {"units": "1"})})


def images_along_latent():
    answer, _ = example()
    table = answer["image"].values[:14].reshape(2, 7, 16, 16)
    return xr.Dataset({"image": (("latent", "step", "y", "x"), table)}, coords={"step": np.linspace(-3, 3, 7)})


FIGURES = {
    "latent": lambda: plots.plot_latent(*example()),
    "latent_three": lambda: plots.plot_latent(*example(latent=3, clusters=10)),
    "latent_one": lambda: plots.plot_latent(*example(latent=1)),
    "latent_label": lambda: plots.plot_latent(*example(), colour="label"),
    "latent_density": lambda: plots.plot_latent(*example(), colour="density"),
    "curves": lambda: plots.plot_curves(*example(), "stress"),
    "curves_ten": lambda: plots.plot_curves(*example(clusters=10, specimens=2500), "stress"),
    "curves_data": lambda: plots.plot_curves(example()[0].drop_vars("cluster"), example()[1], "stress"),
    "curves_ragged": lambda: plots.plot_curves(ragged(), example()[1], "stress", assigned=[0, 0, 2]),
    "prediction": lambda: plots.plot_prediction(example()[0], predicted(), "stress"),
    "prediction_one": lambda: plots.plot_prediction(example(specimens=1)[0], predicted(1), "stress"),
    "images": lambda: plots.plot_images(example()[0], "image", maximum=13),
    "images_colour": lambda: plots.plot_images(
        xr.Dataset({"image": (("specimen", "channel", "y", "x"), np.random.default_rng(0).uniform(size=(3, 3, 8, 8)))}),
        "image",
    ),
    "images_traverse": lambda: plots.plot_images(images_along_latent(), "image"),
    "confusion": lambda: plots.plot_confusion(list("aaabbbccc"), [2, 2, 2, 0, 0, 1, 1, 1, 1]),
    "history": lambda: plots.plot_history(history()),
    "history_elbo": lambda: plots.plot_history(history()[["elbo"]]),
}


def words(figure):
    """Every text of a figure, in one string."""
    figure.draw_without_rendering()
    return " | ".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize("name", FIGURES)
def test_figure_renders(name, tmp_path):
    figure = FIGURES[name]()
    figure.savefig(tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    assert figure._repr_png_().startswith(b"\x89PNG")  # what a notebook shows


def test_units_are_on_the_axes():
    assert "engineering stress (MPa)" in words(FIGURES["curves"]())
    assert "density (g/cm³)" in words(FIGURES["latent_density"]())
    assert "ELBO (nat per specimen)" in words(FIGURES["history"]())
    assert "each 4 mm × 4 mm" in words(FIGURES["images"]())


def test_populations_are_called_what_people_call_them():
    answer, clusters = example()
    called = {"population": ("cluster", ["brittle", "ductile", "tough"])}
    titles = [axis.get_title() for axis in plots.plot_curves(answer, clusters.assign_coords(called), "stress").axes]
    assert titles == ["brittle: 30 specimens", "ductile: 30 specimens", "tough: 30 specimens"]
    assert "brittle" in words(plots.plot_latent(answer, clusters.assign_coords(called)))
    belongs = answer.assign_coords(belongs_to=("specimen", np.array(["brittle", "ductile", "tough"])[answer.cluster]))
    assert "tough" in words(plots.plot_images(belongs, "image"))
    plain = example(synthetic=False)
    for figure in (plots.plot_curves(*plain, "stress"), plots.plot_latent(*plain)):
        assert "population 2" in words(figure)
        assert not {"cluster", "expert", "data"} & set(re.findall(r"[a-z]+", words(figure)))


def test_synthetic_data_say_so():
    assert "synthetic data" in words(plots.plot_images(example(synthetic=True)[0], "image"))
    titled = example(synthetic=False)[0].assign_attrs(title="Synthetic lattices")
    assert "synthetic data" in words(plots.plot_images(titled, "image"))
    assert "synthetic data" not in words(plots.plot_images(example(synthetic=False)[0], "image"))


def test_curves_are_drawn_under_their_own_cluster():
    answer, clusters = example()
    figure = plots.plot_curves(answer, clusters, "stress")
    for cluster, axis in enumerate(figure.axes):
        drawn = np.array([line.to_polygons(closed_only=False)[0][-1, 1] for line in axis.collections[0].get_paths()])
        np.testing.assert_allclose(drawn, answer["stress"].values[answer["cluster"] == cluster, -1])
        np.testing.assert_allclose(axis.lines[0].get_ydata(), clusters["stress"].values[cluster])


def test_every_column_of_panels_ends_in_the_values_of_its_axis():
    answer, _ = example(specimens=6)
    curve = answer["stress"]
    figure = plots.plot_prediction(answer, answer.assign(stress_low=0.9 * curve, stress_high=1.1 * curve), "stress")
    assert [axis.get_visible() for axis in figure.axes] == [True] * 6 + [False] * 2
    assert [axis.xaxis.get_tick_params()["labelbottom"] for axis in figure.axes[:6]] == [False] * 2 + [True] * 4


def test_the_axis_of_curves_is_named_as_the_data_name_it():
    answer, clusters = example()
    answer["strain"].attrs["long_name"] = "compressive strain"
    assert plots.plot_curves(answer, clusters, "stress").get_supxlabel() == "compressive strain"


def test_a_picture_stands_above_its_curve():
    truth = xr.Dataset(
        {
            "y": (("specimen", "t"), np.zeros((5, 3))),
            "photo": (("specimen", "r", "c"), np.arange(45.0).reshape(5, 3, 3)),
        }
    )
    answer = truth[["y"]].assign(y_low=truth.y - 1, y_high=truth.y + 1)
    axes = plots.plot_prediction(truth, answer, "y", maximum=5, picture="photo").axes
    assert len(axes) == 16, "two rows of four, a picture and a curve each"
    for k in range(5):
        above, below = axes[8 * (k // 4) + k % 4], axes[8 * (k // 4) + 4 + k % 4]
        np.testing.assert_array_equal(above.images[0].get_array(), truth.photo.values[k])
        assert len(below.lines) == 2
    assert not any(axes[k].get_visible() for k in (9, 10, 11, 13, 14, 15))


def test_no_share_of_a_population_is_cut_off():
    shares = xr.Dataset({"occupancy": (("epoch", "cluster"), [[0.6, 0.4], [0.99, 0.01]])})
    (axis,) = plots.plot_history(shares).axes[:1]
    assert axis.get_ylim()[1] > 1.05


def test_ellipses_span_two_standard_deviations_each_way():
    answer, clusters = example()
    ellipses = plots.plot_latent(answer, clusters).axes[0].patches
    np.testing.assert_allclose([e.center for e in ellipses], clusters["mean"].values)
    np.testing.assert_allclose([[e.width, e.height] for e in ellipses], 4 * np.sqrt(clusters["variance"].values))


def test_two_clusters_are_told_apart_with_any_colour_vision():
    """Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB; distances in CIELAB (1976, white D65)."""
    seen = {
        "protanopia": [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
        "deuteranopia": [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
        "tritanopia": [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
        "all three": np.eye(3).ravel(),
    }
    to_xyz = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])
    part = np.array([[int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)] for colour in COLOURS])
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    for vision, matrix in seen.items():
        xyz = np.clip(linear @ np.reshape(matrix, (3, 3)).T, 0, 1) @ to_xyz.T / to_xyz.sum(1)
        f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        lab = np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)
        apart = np.linalg.norm(lab[:, None] - lab, axis=2)[~np.eye(len(COLOURS), dtype=bool)]
        assert apart.min() > 13, vision


def test_a_cluster_keeps_its_colour_when_others_are_empty():
    answer, clusters = example()
    axis = plots.plot_latent(answer.isel(specimen=answer["cluster"].values == 2), clusters).axes[0]
    from matplotlib.colors import to_hex

    assert to_hex(axis.collections[0].get_facecolor()[0]) == colour_of(2).lower()


def test_nothing_touches_pyplot():
    code = "import sys\nfrom pima_toolkit.report import plots\nplots.plot_confusion([0, 1], [0, 1])\n"
    code += "assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: plots.plot_curves(*example(), "strss"), "no 'strss'"),
        (lambda: plots.plot_curves(*example(), "image"), "use plot_images"),
        (lambda: plots.plot_prediction(example()[0], predicted(5), "stress"), "90 measured and 5 predicted"),
        (lambda: plots.plot_images(example()[0], "stress"), "use plot_curves"),
        (lambda: plots.plot_latent(*example(), colour="colour"), "no 'colour'"),
        (lambda: plots.plot_latent(*example(), colour="image"), "expected"),
        (lambda: plots.plot_history(xr.Dataset()), "no history to draw"),
    ],
)
def test_errors_say_what_to_do(call, says):
    with pytest.raises(DataError, match=says):
        call()


def test_a_gallery_names_its_specimens_and_says_who_has_no_picture():
    values = np.random.default_rng(0).random((3, 4, 4))
    values[1] = np.nan
    names = ["s1", "a very long name of a specimen", "s3"]
    data = xr.Dataset({"image": (("specimen", "y", "x"), values)}, coords={"specimen": names})
    axes = [axis for axis in plots.plot_images(data, "image").axes if axis.get_visible()]
    assert [axis.get_xlabel() for axis in axes] == ["s1", "a very …ecimen", "s3"]
    assert [[text.get_text() for text in axis.texts] for axis in axes] == [[], ["not\nmeasured"], []]
