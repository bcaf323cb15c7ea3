"""Grids laid out to the pixel, and figures of the size that a report can show."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vaelab.plotting.style import DPI, WIDTH, new_figure, save, shortened, show_sheet, tile, to_rgb


def photographs(count: int, side: int) -> NDArray[np.uint8]:
    """Of noise, which is what PNG is worst at."""
    return np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def test_to_rgb() -> None:
    pixels = to_rgb(np.array([-0.5, 0.0, 0.5, 1.0, 1.5]).reshape(5, 1, 1, 1))
    assert pixels[:, 0, 0].tolist() == [[v] * 3 for v in (0, 0, 128, 255, 255)]
    images = photographs(2, 4)
    for same in (images, images / 255.0):
        assert np.array_equal(to_rgb(same), images.transpose(0, 2, 3, 1))


def test_tile_layout() -> None:
    images = photographs(5, 4)
    sheet = tile(images, columns=3, gap=2)
    assert sheet.shape == (2 * 6 - 2, 3 * 6 - 2, 3)
    expected = np.full_like(sheet, 255)
    for i, (top, left) in enumerate([(0, 0), (0, 6), (0, 12), (6, 0), (6, 6)]):
        expected[top : top + 4, left : left + 4] = images[i].transpose(1, 2, 0)
    assert np.array_equal(sheet, expected)


def test_labels_stand_beside_their_rows_and_columns() -> None:
    axes = new_figure(3.0).subplots()
    show_sheet(axes, photographs(6, 8), 2, ["a", "b", "c"], column_labels=["d", "e"])
    for axis, labels in ((axes.yaxis, ["a", "b", "c"]), (axes.xaxis, ["d", "e"])):
        assert [label.get_text() for label in axis.get_ticklabels()] == labels
        assert all(i * 10 < at < i * 10 + 8 for i, at in enumerate(axis.get_ticklocs()))


def test_names_are_no_formulas() -> None:
    """Nor does a leading underscore, which matplotlib means as hidden, keep one out of a legend."""
    names = ["$0_$10", r"cost $\5", "_x_"]
    figure = new_figure(3.0)
    axes = figure.subplots()
    show_sheet(axes, photographs(3, 8), 1, names, names[0], column_labels=names[:1])
    lines = [axes.plot([0, 1], label=name)[0] for name in names]
    legend = figure.legend(handles=lines)
    figure.draw_without_rendering()
    assert [text.get_text() for text in legend.get_texts()] == names
    for text in (axes.title, *axes.get_yticklabels(), *legend.get_texts()):
        assert not text.get_parse_math()


@pytest.mark.parametrize(("side", "interpolation"), [(8, "nearest"), (256, "auto")])
def test_sheets_larger_than_their_room_are_smoothed(side: int, interpolation: str) -> None:
    axes = new_figure(3.0).subplots()
    show_sheet(axes, photographs(8, side), columns=8)
    assert axes.images[0].get_interpolation() == interpolation


@pytest.mark.parametrize("side", [8, 64, 512])
def test_sheets_far_larger_than_their_room_are_made_smaller(side: int) -> None:
    axes = new_figure(3.0).subplots()
    images = np.repeat(photographs(8, side).mean((2, 3), keepdims=True), side, 2).repeat(side, 3)
    show_sheet(axes, images / 255.0, 8, column_labels=[*"abcdefgh"])
    drawn = np.asarray(axes.images[0].get_array())
    assert drawn.shape[1] <= 3.0 * axes.bbox.width
    assert (drawn.shape[1] < 8 * side) == (side == 512)
    for at, image in zip(axes.xaxis.get_ticklocs(), images, strict=False):
        np.testing.assert_array_equal(drawn[5, int(at)], np.rint(image[:, 0, 0]))


def test_saved_small_at_report_size_and_with_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / "new" / name for name in ("one.png", "two.png")]
    for file in files:
        figure = new_figure(8.0)
        show_sheet(figure.subplots(), photographs(64, 64), columns=8)
        save(figure, file)
    one, two = (file.read_bytes() for file in files)
    assert one == two
    assert len(one) < 500_000
    with Image.open(files[0]) as image:
        assert image.size == (round(WIDTH * DPI), 880)


def test_long_names_are_cut() -> None:
    assert shortened("photo.jpg", 9) == "photo.jpg"
    assert shortened("photograph.jpg", 9) == "photogra…"
