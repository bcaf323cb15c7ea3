"""Pictures of more than eight bits: what is black, what is white, and when that is in doubt."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vaelab.data.files import folder_files
from vaelab.data.levels import Levels
from vaelab.data.pictures import read_pictures

RAMP = np.tile(np.linspace(0.0, 1.0, 16), (16, 1))


def shown(values, value_range=None):
    """The grey values of the first and the last column, and what is doubted."""
    levels = Levels(value_range)
    grey = np.asarray(levels.eight_bits(Image.fromarray(values)))
    return (int(grey[0, 0]), int(grey[0, -1])), list(levels.doubts())


def test_the_types_own_white_is_taken_without_doubt():
    assert shown((RAMP * 65535).astype(np.uint16)) == ((0, 255), [])
    assert shown(RAMP.astype(np.float32)) == ((0, 255), [])
    assert shown((RAMP * 255).astype(np.float32)) == ((0, 255), [])
    assert shown((RAMP * 60000).astype(np.int32))[1] == []


@pytest.mark.parametrize(
    ("values", "ends", "found", "advice"),
    [
        ((RAMP * 4095).astype(np.uint16), (0, 16), "0 to 4095", "[0, 4095]"),
        ((RAMP * 4000).astype(np.uint16), (0, 16), "0 to 4000", "[0, 4095]"),
        ((RAMP * 255).astype(np.uint16), (0, 1), "0 to 255", "[0, 255]"),
        ((RAMP * 3000 - 1000).astype(np.int32), (0, 8), "-1000 to 2000", "[-1000, 2000]"),
        ((RAMP * 65535).astype(np.float32), (0, 255), "0 to 65535", "[0, 65535]"),
        ((RAMP * 2 - 1).astype(np.float32), (0, 255), "-1 to 1", "[-1, 1]"),
    ],
)
def test_other_values_are_doubted_and_can_be_said(values, ends, found, advice):
    assert shown(values)[0] == ends
    (doubt,) = shown(values)[1]
    assert f"hold values from {found}, and " in doubt
    assert doubt.endswith(f"`value_range: {advice}`")
    black, white = eval(advice)
    expected = (
        round(255 * (values.min() - black) / (white - black)),
        shown(values, [black, white])[0][1],
    )
    assert shown(values, [black, white]) == (expected, [])
    assert expected[1] >= 249


def test_one_pixel_that_is_no_number():
    values = RAMP.astype(np.float32)
    values[3, 3] = np.nan
    values[3, 4] = np.inf
    levels = Levels()
    grey = np.asarray(levels.eight_bits(Image.fromarray(values)))
    assert (grey[3, 3], grey[0, -1], grey[3, 4]) == (0, 255, 255)
    assert list(levels.doubts()) == ["1 pictures have pixels that are no numbers: shown as black"]
    with pytest.raises(ValueError, match="no numbers"):
        levels.eight_bits(Image.fromarray(np.full((4, 4), np.nan, np.float32)))


def colour_png(values: np.ndarray) -> bytes:
    """uint16 (16, 16), as a PNG of three channels of 16 bits."""
    rows = np.repeat(values[..., None], 3, axis=2).astype(">u2")
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">2I5B", 16, 16, 16, 2, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(kind + content))
        data += struct.pack(">I", len(content)) + kind + content + check
    return data


def test_a_set_is_judged_as_a_whole(tmp_path, caplog):
    """One dark picture is no reason to doubt; a set of them is, once."""
    for index, white in enumerate([100, 4095, 200]):
        image = Image.fromarray((RAMP * white).astype(np.uint16))
        image.save(tmp_path / f"{index}.png")
    names = ["0.png", "1.png", "2.png"]
    read_pictures(folder_files(tmp_path), names, size=16, channels=1)
    assert len(caplog.messages) == 1
    assert "3 16-bit grey pictures hold values from 0 to 4095, and 65535 is" in caplog.text
    caplog.clear()
    options = {"size": 16, "channels": 1, "value_range": [0, 4095]}
    images, _ = read_pictures(folder_files(tmp_path), names, **options)
    assert images[:, 0, 0, -1].tolist() == [6, 255, 12]
    Image.fromarray((RAMP * 65535).astype(np.uint16)).save(tmp_path / "2.png")
    read_pictures(folder_files(tmp_path), names, size=16, channels=1)
    assert not caplog.messages


def test_colours_of_sixteen_bits(tmp_path, caplog):
    for white, doubted in ((65535, 0), (4095, 1)):
        (tmp_path / "a.png").write_bytes(colour_png(RAMP * white))
        images, _ = read_pictures(folder_files(tmp_path), ["a.png"], size=16, channels=3)
        assert images[0, :, 0, -1].tolist() == [white >> 8] * 3
        assert len(caplog.messages) == doubted
    assert "1 16-bit colour pictures hold values from 0 to 3855" in caplog.text


def test_values_that_the_file_itself_scales(tmp_path, caplog):
    """A PGM says what its white is."""
    content = (RAMP * 4095).astype(">u2").tobytes()
    (tmp_path / "a.pgm").write_bytes(b"P5 16 16 4095\n" + content)
    images, _ = read_pictures(folder_files(tmp_path), ["a.pgm"], size=16, channels=1)
    assert (images[0, 0, 0, 0], images[0, 0, 0, -1]) == (0, 255)
    assert not caplog.messages
