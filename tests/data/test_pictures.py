"""One picture file, of any size and mode, as an image of a data set."""

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


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    striped(80, 40).save(tmp_path / "wide.png")
    image = read_picture(tmp_path / "wide.png", SHAPE)
    assert image.shape == SHAPE
    assert image.dtype == np.uint8
    assert (image.argmax(0) == 0).all()


def test_it_is_read_as_the_data_sets_pictures_are(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees
    striped(50, 70).save(tmp_path / "a.jpg", exif=turned)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = to_array(image, 16, 3)
    np.testing.assert_array_equal(read_picture(str(tmp_path / "a.jpg"), SHAPE), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_mode(mode: str, channels: int, tmp_path: Path) -> None:
    picture = Image.new(mode, (20, 30), 1 if mode in {"1", "F"} else None)
    picture.save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif", (channels, 16, 16)).shape == (channels, 16, 16)


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
