"""Grids laid out to the pixel, and figures of the size that a report can show."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vaelab.plotting.style import DPI, WIDTH, new_figure, save, show_sheet, tile, to_uint8
from vaelab.settings import ARCHITECTURES
from vaelab.studies.compare.draw import (
    SHOWN_CLASSES,
    draw_classes,
    draw_kl_by_dimension,
    draw_nearest,
    draw_reconstructions,
    draw_samples,
    draw_swd,
    draw_training_curves,
)

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


@pytest.mark.parametrize("count", [4, 40, 41])
def test_samples(count: int, tmp_path: Path) -> None:
    images = photographs(count, 32) / 255.0
    figure = draw_samples({model: {"prior": images, "flow": images} for model in ARCHITECTURES})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["FC: Prior", "Conv: Prior", "FC: Flow", "Conv: Flow"]
    assert_labels_inside(figure)
    assert saved(figure, tmp_path).height < 800


def test_samples_of_many_samplers_fit_in_a_file(tmp_path: Path) -> None:
    sampler = {name: photographs(40, 64) for name in ("prior", "tempered", "mixture", "flow")}
    assert saved(draw_samples(dict.fromkeys(ARCHITECTURES, sampler)), tmp_path).height < 1400


@pytest.mark.parametrize("classes", [2, 100])
def test_classes(classes: int, tmp_path: Path) -> None:
    names = [f"the class that is number {i}" for i in range(classes)]
    figure = draw_classes(dict.fromkeys(ARCHITECTURES, photographs(classes * 8, 16)), names, 8)
    shown = min(classes, SHOWN_CLASSES)
    fc, conv = figure.axes
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["FC", "Conv"]
    assert [text.get_text() for text in fc.get_yticklabels()] == ["the class that …"] * shown
    assert not conv.get_yticklabels()
    assert conv.images[0].get_array().shape[:2] == (shown * 18 - 2, 8 * 18 - 2)
    assert_labels_inside(figure)
    assert saved(figure, tmp_path).height < 1100


@pytest.mark.parametrize(("count", "side"), [(4, 64), (12, 32)])
def test_nearest(count: int, side: int, tmp_path: Path) -> None:
    samples = {model: photographs(count, side) / 255.0 for model in ARCHITECTURES}
    training = {model: photographs(count, side) for model in ARCHITECTURES}
    figure = draw_nearest(samples, training)
    for axes, model in zip(figure.axes, ARCHITECTURES, strict=True):
        both = np.concatenate([to_uint8(images[model]) for images in (samples, training)])
        sheet = tile(both.transpose(0, 3, 1, 2), count)
        assert np.array_equal(axes.images[0].get_array(), sheet)
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert labels == ["Conv's sample", "nearest training\nimage"]
    assert_labels_inside(figure)
    saved(figure, tmp_path)


@pytest.mark.parametrize("seeds", [1, 3])
def test_swd(seeds: int, tmp_path: Path) -> None:
    def rows(first: float, count: int = seeds) -> list[dict[str, float | None]]:
        values = [first + i for i in range(count)]
        return [{"swd": v, "swd_32": 2 * v, "swd_16": 0.5 * v, "fid": None} for v in values]

    judged = {
        "fc": {"reconstruction": rows(50.0), "prior": rows(150.0), "flow": rows(40.0)},
        "conv": {"reconstruction": rows(45.0), "prior": rows(120.0), "flow": rows(30.0)},
        "pca": {"reconstruction": rows(48.0, 1), "prior": rows(140.0, 1)},
    }
    figure = draw_swd(judged, rows(10.0, 1)[0])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Mean over the scales", "32 × 32 pixels", "16 × 16 pixels"]
    finest = figure.axes[1]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["Reconstructions", "Prior", "Flow"]
    means = [
        line.get_xdata()[0]
        for line in finest.lines
        if line.get_marker() == "o" and line.get_markerfacecolor() != "none"
    ]
    shift = seeds - 1  # twice the mean of 0 … seeds - 1
    trained = [100.0, 300.0, 80.0, 90.0, 240.0, 60.0]
    assert means == [*(mean + shift for mean in trained), 96.0, 280.0]
    rings = [line for line in finest.lines if line.get_markerfacecolor() == "none"]
    assert [len(line.get_xdata()) for line in rings] == ([3] * 6 if seeds > 1 else [])
    (floor,) = (line for line in finest.lines if line.get_linestyle() == "--")
    assert list(floor.get_xdata()) == [20.0, 20.0]
    assert_labels_inside(figure)
    saved(figure, tmp_path)


def history_of(epochs: int) -> pd.DataFrame:
    epoch = np.arange(1, epochs + 1)
    history = pd.DataFrame({"epoch": epoch})
    for split, shift in (("train", 0.0), ("val", 5.0)):
        history[f"{split}_reconstruction"] = 1800 + 100 / epoch + shift
        history[f"{split}_kl"] = 40 - 10 / epoch
        history[f"{split}_elbo"] = -history[f"{split}_reconstruction"] - history[f"{split}_kl"]
    return history


@pytest.mark.parametrize(("epochs", "seeds"), [(1, 1), (10, 3), (200, 1)])
def test_training_curves(epochs: int, seeds: int, tmp_path: Path) -> None:
    history = history_of(epochs)
    runs = [history + seed for seed in range(seeds)]
    figure = draw_training_curves({"fc": runs, "conv": runs})
    bound, *_ = figure.axes
    first = bound.lines[0].get_ydata()
    np.testing.assert_allclose(first, -history["train_elbo"])  # drawn as a cost
    assert [len(axes.lines) for axes in figure.axes] == [4 * seeds] * 3
    assert_labels_inside(figure)
    saved(figure, tmp_path)


def test_training_curves_of_a_point_posterior() -> None:
    history = history_of(3)
    history[["train_kl", "val_kl"]] = np.inf
    history[["train_elbo", "val_elbo"]] = -np.inf
    figure = draw_training_curves({"fc": [history], "conv": [history]})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["distortion (nats/image)"]


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
