"""One picture file, of any size and mode, as an image of a data set."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.pictures import read_picture, to_array
from vaelab.runtime.errors import UserError

SHAPE = (3, 16, 16)


def striped(width: int, height: int) -> Image.Image:
    """Red, with a green left and a blue right quarter."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 200
    pixels[:, : width // 4] = (0, 200, 0)
    pixels[:, -width // 4 :] = (0, 0, 200)
    return Image.fromarray(pixels)


def test_it_is_read_as_the_data_sets_pictures_are(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees
    striped(50, 70).save(tmp_path / "a.jpg", exif=turned)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = to_array(image, 16, 3)
    np.testing.assert_array_equal(read_picture(str(tmp_path / "a.jpg"), SHAPE), expected)


def test_home_is_spelled_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    striped(16, 16).save(tmp_path / "a.png")
    assert read_picture("~/a.png", SHAPE).shape == SHAPE
    with pytest.raises(UserError, match=r"^~nobody-here/a\.png cannot be read: .*home"):
        read_picture("~nobody-here/a.png", SHAPE)


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.png cannot be read: No such file"):
        read_picture(tmp_path / "none.png", SHAPE)
    with pytest.raises(UserError, match=rf"^{tmp_path} is a folder; name one picture$"):
        read_picture(tmp_path, SHAPE)
    (tmp_path / "note.png").write_text("no picture")
    with pytest.raises(UserError, match=r"note\.png is not a picture"):
        read_picture(tmp_path / "note.png", SHAPE)
    striped(200, 200).save(tmp_path / "wrong.png")
    content = bytearray((tmp_path / "wrong.png").read_bytes())
    content[content.index(b"IDAT") + 5] ^= 255
    (tmp_path / "wrong.png").write_bytes(content)
    with pytest.raises(UserError, match=r"wrong\.png cannot be read: [^\n]+$"):
        read_picture(tmp_path / "wrong.png", SHAPE)


@pytest.mark.parametrize("suffix", ["bmp", "gif", "jpg", "png", "tif"])
def test_a_file_that_is_cut_short(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    file = tmp_path / f"half.{suffix}"
    Image.fromarray(noise).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"half\.{suffix} cannot be read: the file is cut short$"):
        read_picture(file, SHAPE)


def array(image: Image.Image, size: int = 16, channels: int = 3, **save: object) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, save.pop("format", "png"), **save)
    return to_array(Image.open(io.BytesIO(buffer.getvalue())), size, channels)


def pixel(*args: object, **options: object) -> list[int]:
    return array(*args, **options)[:, 8, 8].tolist()


def test_modes():
    square = (20, 20)
    assert pixel(Image.new("RGB", square, (10, 20, 30))) == [10, 20, 30]
    assert pixel(Image.new("L", square, 40)) == [40, 40, 40]
    assert pixel(Image.new("1", square, 1)) == [255, 255, 255]
    assert pixel(Image.new("RGB", square, (10, 20, 30)).quantize(4)) == [10, 20, 30]
    assert pixel(Image.new("RGBA", square, (0, 0, 0, 51))) == [204, 204, 204]
    assert pixel(Image.new("LA", square, (0, 255))) == [0, 0, 0]
    palette = Image.new("P", square, 3)
    palette.putpalette([9, 9, 9] * 256)
    assert pixel(palette, transparency=3) == [255, 255, 255]
    cmyk = pixel(Image.new("CMYK", square, (0, 255, 255, 0)), format="jpeg", quality=95)
    np.testing.assert_allclose(cmyk, [255, 0, 0], atol=3)
    deep = Image.fromarray(np.full(square, 128 * 257, np.uint16))
    assert pixel(deep) == [128, 128, 128]
    assert pixel(deep, format="tiff") == [128, 128, 128]
    assert pixel(Image.fromarray(np.full(square, 0.2, np.float32)), format="tiff") == [51, 51, 51]
    assert pixel(Image.new("RGB", square, (90, 90, 90)), channels=1) == [90]
    assert pixel(Image.new("RGB", square, (0, 0, 90)), format="webp", lossless=True) == [0, 0, 90]
    assert pixel(Image.new("L", square, 77), format="gif") == [77, 77, 77]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_tags(orientation):
    image = Image.new("L", (32, 32), 0)
    image.paste(200, (0, 0, 16, 8))
    if orientation > 1:
        stored = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
        image = image.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for options in ({"format": "jpeg", "quality": 95}, {"format": "png"}):
        shown = array(image, size=32, channels=1, exif=exif, **options)[0].astype(int)
        assert shown[3, 8] > 180
        assert shown[3, 24] < 20
        assert shown[12, 8] < 20


def test_resizing_averages_and_the_crop_is_central():
    columns = np.tile(np.array([0, 255], np.uint8), (96, 48))
    assert abs(array(Image.fromarray(columns), channels=1).astype(int) - 127).max() <= 12
    wide = Image.new("L", (300, 100), 0)
    wide.paste(255, (100, 0, 200, 100))
    for image in (wide, wide.transpose(Image.Transpose.ROTATE_90)):
        shown = array(image, channels=1)[0]
        assert shown.min() > 200
        assert (shown[1:-1, 1:-1] == 255).all()


def test_a_large_jpeg_is_as_if_decoded_in_full():
    coarse = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((1600, 1200)).save(buffer, "jpeg", quality=95)
    reduced, in_full = Image.open(buffer), Image.open(buffer)
    in_full.load()
    difference = to_array(reduced, 32, 3).astype(int) - to_array(in_full, 32, 3)
    assert abs(difference).mean() < 2
    assert (reduced.width, in_full.width) == (200, 1600)
