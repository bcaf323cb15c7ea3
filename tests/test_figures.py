"""Grids laid out to the pixel, and figures of the size that a report can show."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vaelab.plotting.style import DPI, WIDTH, new_figure, save, show_sheet, tile, to_rgb

RNG = np.random.default_rng(0)
LARGEST = 500_000  # bytes


def saved(figure: Figure, folder: Path) -> Image.Image:
    path = folder / "figure.png"
    save(figure, path)
    assert path.stat().st_size < LARGEST
    with Image.open(path) as image:
        image.load()
        return image


def photographs(count: int, side: int, channels: int = 3) -> NDArray[np.uint8]:
    return RNG.integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def test_to_rgb() -> None:
    floats = np.array([-0.5, 0.0, 0.5, 1.0, 1.5]).reshape(5, 1, 1, 1)
    pixels = to_rgb(floats)
    assert pixels.shape == (5, 1, 1, 3)
    assert pixels[:, 0, 0].tolist() == [[v] * 3 for v in (0, 0, 128, 255, 255)]
    images = photographs(2, 4)
    assert np.array_equal(to_rgb(images), images.transpose(0, 2, 3, 1))
    assert np.array_equal(to_rgb(images / 255.0), to_rgb(images))


def test_tile_layout() -> None:
    images = photographs(5, 4)
    sheet = tile(images, columns=3, gap=2)
    assert sheet.shape == (2 * 6 - 2, 3 * 6 - 2, 3)
    expected = np.full_like(sheet, 255)
    for i, (top, left) in enumerate([(0, 0), (0, 6), (0, 12), (6, 0), (6, 6)]):
        expected[top : top + 4, left : left + 4] = images[i].transpose(1, 2, 0)
    assert np.array_equal(sheet, expected)


def test_row_labels_stand_beside_their_rows() -> None:
    axes = new_figure(3.0).subplots()
    show_sheet(axes, photographs(6, 8), columns=2, row_labels=["a", "b", "c"])
    for i, y in enumerate(axes.get_yticks()):
        assert i * 10 < y < i * 10 + 8
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


@pytest.mark.parametrize(("side", "interpolation"), [(8, "nearest"), (256, "auto")])
def test_sheets_larger_than_their_room_are_smoothed(side: int, interpolation: str) -> None:
    axes = new_figure(3.0).subplots()
    show_sheet(axes, photographs(8, side), columns=8)
    assert axes.images[0].get_interpolation() == interpolation


def test_same_figure_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        figure = new_figure(1.0)
        figure.subplots().plot([1, 3, 2])
        save(figure, tmp_path / "new" / name)
    one, two = ((tmp_path / "new" / name).read_bytes() for name in ("one.png", "two.png"))
    assert one == two


def test_saved_at_report_size(tmp_path: Path) -> None:
    figure = new_figure(2.0)
    figure.subplots().plot([1, 2])
    image = saved(figure, tmp_path)
    assert image.size == (round(WIDTH * DPI), 220)


def test_large_pictures_are_saved_small(tmp_path: Path) -> None:
    """Noise is what PNG is worst at."""
    figure = new_figure(8.0)
    axes = figure.subplots()
    show_sheet(axes, photographs(64, 64), columns=8)
    assert saved(figure, tmp_path).size == (round(WIDTH * DPI), 880)
