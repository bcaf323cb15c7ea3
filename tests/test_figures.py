"""Grids laid out to the pixel, and figures of the size that a report can show."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vaelab.figures.common import DPI, WIDTH, new_figure, save, show_sheet, tile, to_uint8
from vaelab.figures.compare import (
    draw_kl_by_dimension,
    draw_reconstructions,
    draw_samples,
    draw_training_curves,
)
from vaelab.settings import ARCHITECTURES

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


def assert_labels_inside(figure: Figure) -> None:
    """All that is drawn, texts too, lies within the canvas."""
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= width
    assert box.y1 <= height


# --- common --------------------------------------------------------------------------------------


def test_to_uint8() -> None:
    floats = np.array([-0.5, 0.0, 0.5, 1.0, 1.5]).reshape(5, 1, 1, 1)
    pixels = to_uint8(floats)
    assert pixels.shape == (5, 1, 1, 3)
    assert pixels[:, 0, 0].tolist() == [[v] * 3 for v in (0, 0, 128, 255, 255)]
    images = photographs(2, 4)
    assert np.array_equal(to_uint8(images), images.transpose(0, 2, 3, 1))
    assert np.array_equal(to_uint8(images / 255.0), to_uint8(images))


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


# --- compare -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "side", "channels"), [(10, 32, 3), (2, 28, 1), (24, 64, 3)])
def test_reconstructions(count: int, side: int, channels: int, tmp_path: Path) -> None:
    originals = photographs(count, side, channels)
    decoded = dict.fromkeys(("fc", "conv", "pca"), originals / 255.0)
    figure = draw_reconstructions(originals, decoded, {"fc": 16.8, "conv": 19.9, "pca": 123.26})
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Original", "FC\n16.80 dB", "Conv\n19.90 dB", "PCA\n123.26 dB"]
    assert_labels_inside(figure)
    image = saved(figure, tmp_path)
    assert image.width <= round(WIDTH * DPI)
    assert image.height < 700


@pytest.mark.parametrize("count", [4, 40, 41, 256])
def test_samples(count: int, tmp_path: Path) -> None:
    figure = draw_samples({model: photographs(count, 32) / 255.0 for model in ARCHITECTURES})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["FC", "Conv"]
    assert_labels_inside(figure)
    assert saved(figure, tmp_path).height < 700


@pytest.mark.parametrize("epochs", [1, 10, 200])
def test_training_curves(epochs: int, tmp_path: Path) -> None:
    epoch = np.arange(1, epochs + 1)
    history = pd.DataFrame({"epoch": epoch})
    for split, shift in (("train", 0.0), ("val", 5.0)):
        history[f"{split}_reconstruction"] = 1800 + 100 / epoch + shift
        history[f"{split}_kl"] = 40 - 10 / epoch
        history[f"{split}_elbo"] = -history[f"{split}_reconstruction"] - history[f"{split}_kl"]
    figure = draw_training_curves({"fc": history, "conv": history + 1})
    bound, *_ = figure.axes
    first = bound.lines[0].get_ydata()
    np.testing.assert_allclose(first, -history["train_elbo"])  # drawn as a cost
    assert [len(axes.lines) for axes in figure.axes] == [4, 4, 4]
    assert_labels_inside(figure)
    saved(figure, tmp_path)


@pytest.mark.parametrize("latent_dim", [1, 16, 128])
def test_kl_by_dimension(latent_dim: int, tmp_path: Path) -> None:
    kl = RNG.random(latent_dim) * 3
    collapsed = np.zeros(latent_dim)
    figure = draw_kl_by_dimension({"fc": collapsed, "conv": kl}, {"fc": 0, "conv": latent_dim})
    axes = figure.axes[0]
    flat, curve, dot = axes.lines
    np.testing.assert_allclose(curve.get_ydata(), np.sort(kl)[::-1])
    assert (np.asarray(flat.get_ydata()) > 0).all()  # the axis is logarithmic
    assert dot.get_xdata() == [latent_dim]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == f"FC: 0 of {latent_dim} units active, 0.0 nats"
    assert_labels_inside(figure)
    saved(figure, tmp_path)
