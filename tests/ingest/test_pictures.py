"""Pictures of every kind become the same pixels: upright, cropped, resized, in 0..1."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from pima_toolkit.data.reading_log import Unusable
from pima_toolkit.errors import DataError, OptionError
from pima_toolkit.ingest.formats.images import (
    ImageFiles,
    combine,
    combine_views,
    common_size,
    read_picture,
    read_size,
    resize,
)
from pima_toolkit.ingest.formats.pictures import MOST_PIXELS

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)
STACK = RNG.integers(0, 65536, (4, 20, 30), dtype=np.uint16)


def pixels(path, **options):
    spec = ImageFiles(**options)
    return read_picture(path, spec, common_size([read_size(path, spec)], spec)).pixels


def pillow(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


WRITERS = {
    "png": (lambda p: pillow(p, GREY), GREY / 255),
    "bmp": (lambda p: pillow(p, GREY), GREY / 255),
    "colour.png": (lambda p: pillow(p, COLOUR), COLOUR / 255),
    "alpha.png": (lambda p: pillow(p, np.dstack([COLOUR, GREY])), COLOUR / 255),
    "16.png": (lambda p: pillow(p, DEEP), DEEP / 65535),
    "bool.png": (lambda p: pillow(p, GREY > 99), (GREY > 99) * 1.0),
    "tif": (lambda p: tifffile.imwrite(p, DEEP), DEEP / 65535),
    "colour.tif": (lambda p: tifffile.imwrite(p, COLOUR, photometric="rgb"), COLOUR / 255),
    "planar.tif": (
        lambda p: tifffile.imwrite(p, np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate"),
        COLOUR / 255,
    ),
    "stack.tiff": (lambda p: tifffile.imwrite(p, STACK, photometric="minisblack"), STACK / 65535),
    "white.tif": (lambda p: tifffile.imwrite(p, GREY, photometric="miniswhite"), (255 - GREY) / 255),
    "lzw.tif": (lambda p: pillow(p, GREY, compression="tiff_lzw"), GREY / 255),
    "lzw16.tif": (lambda p: pillow(p, DEEP, compression="tiff_lzw"), DEEP / 65535),
    "float.tif": (lambda p: tifffile.imwrite(p, (GREY / 255).astype(np.float32)), GREY / 255),
    "npy": (lambda p: np.save(p, GREY), GREY / 255),
    "colour.npy": (lambda p: np.save(p, COLOUR), COLOUR / 255),
    "stack.npy": (lambda p: np.save(p, STACK), STACK / 65535),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_pixels_come_back(tmp_path, kind):
    write, expected = WRITERS[kind]
    path = tmp_path / f"a.{kind}"
    write(path)
    if expected.ndim == 3:
        expected = np.moveaxis(expected, -1, 0)[None] if expected.shape[-1] == 3 else expected[:, None]
    else:
        expected = expected[None, None]
    read = pixels(path)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, expected, atol=1e-6)


#: How a stored picture is to be seen, by its mark (EXIF 274).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_turned_as_the_camera_says(tmp_path, orientation):
    upright = UPRIGHT[orientation]
    tifffile.imwrite(tmp_path / "a.tif", GREY, extratags=[(274, "H", 1, orientation, True)])
    assert read_size(tmp_path / "a.tif", ImageFiles()) == upright(GREY).shape
    np.testing.assert_allclose(pixels(tmp_path / "a.tif")[0, 0], upright(GREY) / 255, atol=1e-6)
    exif = Image.Exif()
    exif[274] = orientation
    smooth = np.add.outer(np.arange(20) * 5, np.arange(30) * 3).astype(np.uint8)
    path = pillow(tmp_path / "a.jpg", smooth, exif=exif, quality=100)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)) / 255
    assert read_size(path, ImageFiles()) == upright(smooth).shape
    np.testing.assert_allclose(pixels(path)[0, 0], expected, atol=1e-6)


def test_a_turned_tiff_that_tifffile_leaves_to_pillow_is_turned_once(tmp_path):
    pillow(tmp_path / "a.tif", GREY, compression="tiff_lzw", tiffinfo={274: 6})
    np.testing.assert_allclose(pixels(tmp_path / "a.tif")[0, 0], np.rot90(GREY, -1) / 255, atol=1e-6)


def test_a_palette_and_cmyk_are_colours(tmp_path):
    Image.fromarray(COLOUR).quantize(16).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        expected = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(np.moveaxis(pixels(tmp_path / "a.png")[0], 0, -1), expected, atol=1e-6)
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    assert pixels(tmp_path / "a.jpg").shape == (1, 3, 20, 30)


def test_a_thumbnail_in_a_tiff_is_no_page(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(DEEP)
        file.write(DEEP[::4, ::4], subfiletype=1)
    np.testing.assert_allclose(pixels(tmp_path / "a.tif")[0, 0], DEEP / 65535, atol=1e-6)


def test_crop_and_size(tmp_path):
    path = pillow(tmp_path / "a.png", GREY)
    np.testing.assert_allclose(pixels(path, crop=(2, 3, 4, 5))[0, 0], GREY[2:17, 4:25] / 255, atol=1e-6)
    np.testing.assert_allclose(pixels(path, crop=(0.1, 0, 0, 0.5))[0, 0], GREY[2:, :15] / 255, atol=1e-6)
    even = np.repeat(np.repeat(GREY, 4, axis=0), 4, axis=1)
    small = pixels(pillow(tmp_path / "b.png", even), size=(20, 30))[0, 0]
    assert np.corrcoef(small.ravel(), GREY.ravel())[0, 1] > 0.9
    assert small.mean() == pytest.approx(GREY.mean() / 255, abs=0.005)
    ramp = np.tile(np.arange(30, dtype=np.uint8), (20, 1))
    middle = pixels(pillow(tmp_path / "c.png", ramp), size=(20, 20))[0, 0]  # the shape stays: the sides go
    np.testing.assert_allclose(middle, ramp[:, 5:25] / 255, atol=1e-6)
    with pytest.raises(Unusable, match=r"has 20 x 30 pixels, of which crop=\(10, 10, 0, 0\) leaves none"):
        read_size(path, ImageFiles(crop=(10, 10, 0, 0)))


def test_the_size_of_most_is_taken_and_shrunk():
    assert common_size([(30, 40), (30, 40), (60, 80)], ImageFiles()) == (30, 40)
    assert common_size([(3000, 4000)], ImageFiles()) == (192, 256)
    assert common_size([(30, 40)], ImageFiles(size=8)) == (8, 8)


def test_colours_views_and_volumes(tmp_path):
    grey, colour, stack = (tmp_path / f"{n}.{e}" for n, e in (("g", "png"), ("c", "png"), ("s", "npy")))
    pillow(grey, GREY), pillow(colour, COLOUR), np.save(stack, STACK)
    first, second = (read_picture(p, ImageFiles(), (20, 30)) for p in (grey, colour))
    both, _ = combine([first, None, second], ImageFiles(), "photo")
    assert both.dims == ("specimen", "channel", "y", "x")
    assert both.shape == (3, 3, 20, 30)
    np.testing.assert_allclose(both[0], np.stack([GREY / 255] * 3), atol=1e-6)
    assert both[1].isnull().all()
    as_grey = read_picture(colour, ImageFiles(grey=True), (20, 30))
    np.testing.assert_allclose(as_grey.pixels[0, 0], COLOUR / 255 @ [0.299, 0.587, 0.114], atol=1e-5)
    assert combine([first], ImageFiles(grey=False), "photo")[0].shape == (1, 3, 20, 30)
    alike = Image.fromarray(GREY).convert("RGB")
    alike.save(tmp_path / "rgb.png")
    one, done = combine([read_picture(tmp_path / "rgb.png", ImageFiles(), (20, 30))], ImageFiles(), "photo")
    assert (one.dims, done) == (("specimen", "y", "x"), "grey, 20 x 30")
    np.testing.assert_allclose(one[0], GREY / 255, atol=1e-6)
    views, _ = combine([combine_views([first, first])], ImageFiles(), "photo")
    assert views.shape == (1, 2, 20, 30)
    volume, _ = combine([read_picture(stack, ImageFiles(), (20, 30))], ImageFiles(views="volume"), "scan")
    assert volume.dims == ("specimen", "z", "y", "x")
    assert volume.shape == (1, 4, 20, 30)
    assert read_picture(stack, ImageFiles(views="first"), (20, 30)).pixels.shape == (1, 1, 20, 30)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.png", b"", "is empty"),
        ("a.png", b"<html>", "is no picture or is damaged"),
        ("a.jpg", b"\xff\xd8\xff\xe0" + b"0" * 50, "is no picture or is damaged"),
        ("a.tif", b"II*\x00\xff\xff\xff\xff", "is no picture or is damaged"),
        ("a.npy", b"\x93NUMPY", "is no NumPy array of numbers"),
    ],
)
def test_what_is_no_picture_says_so(tmp_path, name, content, why):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Unusable, match=why) as raised:
        pixels(path)
    assert str(tmp_path) not in str(raised.value)


def test_arrays_that_are_no_pictures(tmp_path):
    path = tmp_path / "a.npy"
    for array, why in (
        (np.zeros(5), r"has shape \(5,\), a picture is"),
        (np.zeros((2, 3, 4, 5, 6)), "a picture is"),
        (np.array([["a"]]), "of <U1: save plain numbers"),
        (np.array([[np.nan, 1.0]]), "holds NaN"),
    ):
        np.save(path, array)
        with pytest.raises(Unusable, match=why):
            pixels(path)
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(Unusable, match="of object: save plain numbers"):
        pixels(path)


def test_a_huge_tiff_is_refused_by_its_header(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", shape=(10, 10_000, 1000), dtype=np.uint8)
    with pytest.raises(Unusable, match=f"more than the {MOST_PIXELS // 1_000_000} million that are read"):
        read_size(tmp_path / "a.tif", ImageFiles())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"views": "all"}, "views is 'all', expected 'channel', 'volume' or 'first'"),
        ({"size": (1, 2, 3)}, "size is"),
        ({"size": 0}, "size is 0"),
        ({"crop": (1, 2)}, "crop is"),
        ({"crop": (-1, 0, 0, 0)}, "each at least 0"),
    ],
)
def test_wrong_options_are_refused(options, says):
    with pytest.raises(OptionError, match=says):
        ImageFiles(**options)


def test_too_many_pixels_for_the_memory():
    from pima_toolkit.ingest.formats.images import check_memory

    with pytest.raises(DataError, match=r"'photo' would take 9.3 GiB as 10000 x 1 pictures of 500 x 500.*size=\("):
        check_memory(10_000, 1, (500, 500), "photo")


def test_a_picture_of_another_shape_is_cut_padded_or_stretched():
    wide = np.zeros((1, 4, 8, 1), dtype=np.uint8)
    wide[:, :, 2:6] = 200
    wide[:, :, 0] = 80
    for fit, said, mean in (
        ("cut", "of which the middle 4 x 4", 200.0),
        ("pad", "with borders to 8 x 8", None),
        ("stretch", "stretched", float(wide.mean())),
    ):
        notes = []
        small = resize(wide, (4, 4), notes, fit)
        assert small.shape == (1, 4, 4, 1)
        assert said in notes[0]
        if mean is not None:
            np.testing.assert_allclose(small.mean(), mean, rtol=0.05)
    same = []
    np.testing.assert_array_equal(resize(wide, (4, 8), same, "pad"), wide.astype(np.float32))
    assert same == []
    with pytest.raises(OptionError, match=r"fit is 'streched': .*did you mean 'stretch'"):
        ImageFiles(fit="streched")
