"""Predict, upload, click, walk, save: by the method and by what a page would set."""

import io
from datetime import UTC, datetime

import numpy as np
import pytest
from pima_widgets.crossmodal_panel import CrossModalPanel
from pima_widgets.curves_and_pictures import curves_of
from pima_widgets.uploads import levels_of

import pima_toolkit as pima
from pima_toolkit.errors import DataError, OptionError, ShapeError


@pytest.fixture
def panel(digits_fit, specimens):
    return CrossModalPanel(digits_fit, specimens)


def floats(data):
    return np.frombuffer(data, dtype="<f4")


def png(pixels):
    image = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def chosen(name, content):
    """A file as the upload button hands it over."""
    day = datetime(2024, 1, 1, tzinfo=UTC)
    return {"name": name, "type": "", "size": len(content), "content": content, "last_modified": day}


def csv(t, y, head="t,line"):
    return "\n".join([head, *(f"{a},{b}" for a, b in zip(t, y, strict=True))]).encode()


def test_it_opens_with_a_specimen_predicted_from_its_picture(panel, digits_fit, specimens):
    assert panel.selection == [0]
    assert panel.used["image"].value
    assert not panel.used["line"].value
    by_hand = digits_fit.infer(specimens[["image"]].isel(specimen=[0]))
    np.testing.assert_array_equal(panel.result["line"], by_hand["line"])
    assert panel.expert.name == "proportional"
    for share in by_hand.responsibilities.values[0]:
        assert f"{100 * share:.1f} %" in panel.prediction.bars.value
    assert panel.error.value == ""


def test_the_curve_is_drawn_with_its_band_the_measured_one_and_the_neighbours(panel, specimens):
    panel.choose(7)
    chart = panel.prediction.chart
    assert chart.shape == [8, specimens.sizes["t"]]  # six neighbours, predicted, measured
    drawn = floats(chart.y).reshape(chart.shape)
    np.testing.assert_allclose(drawn[6], panel.result["line"].values[0], rtol=1e-6)
    np.testing.assert_allclose(drawn[7], specimens["line"].values[7], rtol=1e-6)
    np.testing.assert_allclose(chart.bands[0]["high"], panel.result["line_high"].values[0])
    assert panel.prediction.pictures.value.count("<img") == 2
    assert "line: measured, predicted" in chart.summary


def test_the_axes_say_what_the_data_say(specimens, digits_fit):
    """An answer knows the coordinate's name only; the panel of clusters, which draws the data, says their long name."""
    named = specimens.assign_coords(t=specimens["t"].assign_attrs(long_name="compressive strain", units="1"))
    chart = CrossModalPanel(digits_fit, named).prediction.chart
    assert chart.x_label == curves_of(named, "line").t_label == "compressive strain"
    assert chart.y_label == curves_of(named, "line").y_label


def test_the_nearest_are_the_nearest_by_latent_distance(panel, digits_fit, specimens):
    panel.choose(3)
    place = panel.result["posterior_mean"].values[0]
    every = digits_fit.infer(specimens, predict=())["posterior_mean"].values
    distance = np.linalg.norm(every - place, axis=1)
    distance[3] = np.inf
    order = np.argsort(distance)[:6]
    places = [panel.prediction.near.value.index(f">{panel.names[k]} · {distance[k]:.2f}<") for k in order]
    assert places == sorted(places)
    assert panel.prediction.near.value.count("<img") == 6


def test_what_is_ticked_is_what_it_is_predicted_from(panel, digits_fit, specimens):
    panel.used["line"].value, panel.used["image"].value = True, False
    by_hand = digits_fit.infer(specimens[["line"]].isel(specimen=[0]))
    np.testing.assert_array_equal(panel.result["responsibilities"], by_hand["responsibilities"])
    assert "from line" in panel.status.value
    panel.used["line"].value = False
    assert "nothing to predict from" in panel.error.value
    with pytest.raises(OptionError, match="tick at least one"):
        panel.choose(0)


def test_a_specimen_is_chosen_by_name_by_map_and_refused(panel):
    panel.specimen.value = panel.names[4]
    assert panel.selection == [4]
    panel.map.selection = [9, 12]
    assert panel.selection == panel.map.selection == [9]
    assert panel.specimen.value == panel.names[9]
    panel.specimen.value = "nobody"
    assert "no specimen" in panel.error.value
    with pytest.raises(OptionError, match="numbered 0 to 89"):
        panel.choose(90)


def test_a_specimen_that_was_not_measured_so_is_a_sentence(digits_fit, specimens):
    gaps = specimens.copy(deep=True)
    gaps["image"] = gaps["image"].astype(float)
    gaps["image"][2] = np.nan
    panel = CrossModalPanel(digits_fit, gaps)
    with pytest.raises(DataError, match="was not measured in image"):
        panel.choose(2)


def test_an_uploaded_photograph_is_answered_like_the_specimen_itself(panel, specimens):
    own = panel.choose(5)
    assert (panel.black.value, panel.white.value) == levels_of(specimens["image"])
    pixels = np.round(specimens["image"].values[5] / panel.white.value * 255).astype(np.uint8)
    large = pixels.repeat(5, 0).repeat(5, 1)
    for content, exact in ((pixels, 0.01), (large, 0.1)):  # a resized one is a little blurred
        panel.files.value = [chosen("photo.png", png(content))]
        assert panel.error.value == ""
        assert panel.selection == []
        np.testing.assert_allclose(panel.result["responsibilities"], own["responsibilities"], atol=exact)
        panel.files.value = ()
    assert panel.result.specimen.values.tolist() == ["photo"]


def test_an_uploaded_curve_on_a_grid_of_its_own_is_shown_as_measured(panel, specimens, tmp_path):
    t, y = specimens["t"].values[:-3] + 0.01, specimens["line"].values[1, :-3]
    (tmp_path / "curve.csv").write_bytes(csv(t, y))
    panel.upload(tmp_path / "curve.csv")
    chart = panel.prediction.chart
    drawn = floats(chart.y).reshape(chart.shape)
    np.testing.assert_allclose(drawn[-1][: len(y)], y, rtol=1e-6)
    assert np.isnan(drawn[-1][len(y) :]).all()
    np.testing.assert_allclose(floats(chart.x).reshape(chart.shape)[-1][: len(t)], t, rtol=1e-6)


def test_picture_and_curve_together_are_one_specimen(panel, digits_fit, specimens):
    one = specimens.isel(specimen=[1])
    image, line = one["image"].values[0], one["line"].values[0]
    saved = {}
    for name, values in (("a.npy", image.astype(np.float64)), ("b.npy", np.stack([one["t"].values, line], 1))):
        buffer = io.BytesIO()
        np.save(buffer, values)
        saved[name] = buffer.getvalue()
    answer = panel.upload(*saved.items())
    np.testing.assert_allclose(
        answer["responsibilities"], digits_fit.infer(one)["responsibilities"], rtol=1e-4, atol=1e-8
    )


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.png", b"no picture", "a.png cannot be read: a.png is no picture"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"words only", "no two columns of numbers"),
        ("a.gif", b"", "expected a picture or a curve"),
        ("a.npy", b"?", "no NumPy array"),
        ("a.csv", b"time [s],line\n0,1\n1,2\n2,4\n", "a curve against 'time', this fit knows 'line' against 't'"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_sentence(panel, name, content, words):
    before = panel.result
    with pytest.raises(DataError, match=words.replace(".", r"\.")):
        panel.upload((name, content))
    panel.files.value = [chosen(name, content)]
    assert 'role="alert"' in panel.error.value
    assert panel.result is before


def test_nothing_and_twice_the_same_are_refused(panel, specimens):
    with pytest.raises(OptionError, match="no file was given"):
        panel.upload()
    content = csv(specimens["t"].values, specimens["line"].values[0])
    with pytest.raises(DataError, match="a second 'line'"):
        panel.upload(("a.csv", content), ("b.csv", content))


def test_a_click_in_the_map_generates_picture_and_curve(panel, digits_fit):
    panel.map.spot = [0.25, -0.5]
    by_hand = digits_fit.decode([[0.25, -0.5]])
    np.testing.assert_array_equal(panel.result["image"], by_hand["image"])
    np.testing.assert_array_equal(panel.result["line"], by_hand["line"])
    np.testing.assert_array_equal(panel.position, [0.25, -0.5])
    assert panel.selection == panel.map.selection == []
    assert panel.prediction.pictures.value.count("<img") == 1
    assert "generated at (0.25, -0.50)" in panel.status.value
    with pytest.raises(ShapeError):
        panel.generate([1.0, 2.0, 3.0])


def test_in_more_dimensions_a_click_moves_the_two_that_are_shown(specimens):
    model = pima.PIMA({"image": pima.Neural(), "line": pima.Physics("proportional")}, clusters=2, latent_dim=3)
    panel = CrossModalPanel(model.fit(specimens, epochs=2, crossmodal_epochs=2, progress=False), specimens)
    panel.view.x_axis.value, panel.view.y_axis.value = 2, 0
    assert panel.map.x_label == "latent dimension 2"
    before = panel.position[1]
    panel.map.spot = [0.5, -0.25]
    np.testing.assert_allclose(panel.position, [-0.25, before, 0.5])


def test_the_walk_goes_from_one_population_to_the_other(panel, digits_fit):
    centres = digits_fit.clusters["mean"].values
    panel.walk_from.value, panel.walk_to.value = "population 2", "population 0"
    panel.slider.value = 40
    np.testing.assert_allclose(panel.position, centres[0], rtol=1e-6)
    panel.slider.value = 20
    np.testing.assert_allclose(panel.position, 0.5 * (centres[0] + centres[2]), rtol=1e-6)
    np.testing.assert_allclose(panel.map.spot, panel.position)
    held = list(panel.prediction.chart.y_range)
    panel.traverse("population 2", "population 0", 0.1)
    assert panel.slider.value == 4
    assert panel.prediction.chart.y_range == held
    panel.choose(0)
    assert panel.prediction.chart.y_range == []


def test_the_walk_is_played_and_paused(panel):
    panel.play()
    assert panel.player.playing
    panel.pause()
    assert not panel.player.playing
    with pytest.raises(OptionError, match="no population 'population 9'"):
        panel.traverse("population 0", "population 9", 0.5)
    with pytest.raises(OptionError, match="share=2"):
        panel.traverse("population 0", "population 1", 2)


def test_the_prediction_is_saved(panel, tmp_path):
    panel.choose(3)
    panel.path.value = str(tmp_path / "p.nc")
    panel.save_button.click()
    np.testing.assert_array_equal(pima.open_data(tmp_path / "p.nc")["line"], panel.result["line"])
    assert len(panel.save(tmp_path / "p.csv")) >= 2
    panel.path.value = "p.docx"
    panel.save_button.click()
    assert "ends in none of" in panel.error.value
    panel.result = None
    with pytest.raises(OptionError, match="no prediction yet"):
        panel.save()


def test_a_prediction_goes_when_its_input_has_none_and_the_same_file_is_a_new_one(panel, specimens):
    name, content = "a.csv", csv(specimens["t"].values, specimens["line"].values[0])
    for _ in range(2):
        panel.result = None
        panel.files.value = [chosen(name, content)]
        assert panel.result is not None
        assert "a.csv as line" in panel.status.value
    panel.choose(4)
    for box in panel.used.values():
        box.value = False
    assert panel.result is None
    assert panel.prediction.bars.value == panel.prediction.belief.value == ""
    assert panel.prediction.chart.shape[0] == 0
    assert "nothing to predict from" in panel.error.value
    panel.used["line"].value = True
    assert f"{panel.names[4]} from line" in panel.status.value


def test_it_says_whether_to_believe_a_prediction(panel, digits_fit, specimens):
    answer = panel.choose(3)
    share = 100 * float(answer["typicality"].values[0])
    assert f"{share:.0f} % of the training specimens are explained no better" in panel.prediction.belief.value
    assert "Checked on 90 specimens held out" in panel.prediction.belief.value
    noise = np.random.default_rng(0).integers(0, 256, (8, 8)).astype(np.uint8)
    panel.upload(("noise.png", png(noise)))
    assert "Do not rely on it: unlike every population" in panel.prediction.belief.value
    assert "unlike every population: do not rely on it" in panel.status.value
