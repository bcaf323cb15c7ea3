"""Figures of `compare`: what they show, at a size that a report can take."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vaelab.metrics.frame import frame, rows
from vaelab.plotting.style import DPI, WIDTH, save, tile
from vaelab.studies.compare.draw import (
    SHOWN_CLASSES,
    draw_classes,
    draw_errors,
    draw_kl_by_dimension,
    draw_nearest,
    draw_reconstructions,
    draw_samples,
    draw_swd,
    draw_training_curves,
)
from vaelab.vae.pixels import to_uint8

MODELS = ("fc", "conv")
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


@pytest.mark.parametrize(("count", "side", "channels"), [(10, 32, 3), (2, 28, 1), (24, 64, 3)])
def test_reconstructions(count: int, side: int, channels: int, tmp_path: Path) -> None:
    originals = photographs(count, side, channels)
    decoded = dict.fromkeys(("fc", "conv", "pca"), originals / 255.0)
    quality = {"fc": 16.8, "conv": 19.9, "pca": 123.26}
    figures = frame(*(rows(model, {"psnr": value}, seed=0) for model, value in quality.items()))
    figure = draw_reconstructions(originals, decoded, figures)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["Original", "FC\n16.80 dB", "Conv\n19.90 dB", "PCA\n123.26 dB"]
    assert_labels_inside(figure)
    image = saved(figure, tmp_path)
    assert image.width <= round(WIDTH * DPI)
    assert image.height < 700


@pytest.mark.parametrize("count", [4, 40, 41])
def test_samples(count: int, tmp_path: Path) -> None:
    images = photographs(count, 32) / 255.0
    figure = draw_samples({model: {"prior": images, "flow": images} for model in MODELS})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["FC: Prior", "Conv: Prior", "FC: Flow", "Conv: Flow"]
    assert_labels_inside(figure)
    assert saved(figure, tmp_path).height < 800


@pytest.mark.parametrize("models", [["fc"], ["fc", "conv"]])
def test_errors(models: list[str], tmp_path: Path) -> None:
    originals = {model: photographs(6, 16) for model in models}
    decoded = {model: images / 255.0 for model, images in originals.items()}
    decoded[models[0]][-1] = 1.0 - decoded[models[0]][-1]
    mse = {
        model: np.square(decoded[model] - originals[model] / 255.0).mean((1, 2, 3))
        for model in models
    }
    figure = draw_errors(originals, decoded, mse)
    *panels, scale = figure.axes
    assert len(panels) == 2 * len(models)
    best, worst = (axes.images[0].get_array()[-16:, -16:] for axes in panels[:2])
    assert best.max() < 10  # no error is black
    assert worst.max() > 200
    largest = np.abs(decoded[models[0]] - originals[models[0]] / 255.0).mean(1).max()
    assert scale.get_ylim()[1] == pytest.approx(largest, rel=1e-5)
    assert_labels_inside(figure)
    saved(figure, tmp_path)


@pytest.mark.parametrize("classes", [2, 100])
def test_classes(classes: int, tmp_path: Path) -> None:
    names = [f"the class that is number {i}" for i in range(classes)]
    figure = draw_classes(dict.fromkeys(MODELS, photographs(classes * 8, 16)), names, 8)
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
    samples = {model: photographs(count, side) / 255.0 for model in MODELS}
    training = {model: photographs(count, side) for model in MODELS}
    figure = draw_nearest(samples, training)
    for axes, model in zip(figure.axes, MODELS, strict=True):
        both = np.concatenate([to_uint8(images[model]) for images in (samples, training)])
        sheet = tile(both, count)
        assert np.array_equal(axes.images[0].get_array(), sheet)
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert labels == ["Conv's sample", "nearest training\nimage"]
    assert_labels_inside(figure)
    saved(figure, tmp_path)


@pytest.mark.parametrize("seeds", [1, 3])
def test_swd(seeds: int, tmp_path: Path) -> None:
    first = {
        "fc": {"reconstruction": 50.0, "prior": 150.0, "flow": 40.0},
        "conv": {"reconstruction": 45.0, "prior": 120.0, "flow": 30.0},
        "pca": {"reconstruction": 48.0, "prior": 140.0},
        "data": {"floor": 10.0},
    }
    figures = frame(
        *(
            rows(model, {"swd": v, "swd_32": 2 * v, "swd_16": 0.5 * v}, seed=seed, source=source)
            for model, sources in first.items()
            for source, least in sources.items()
            for seed in (range(seeds) if model in MODELS else [None])
            for v in [least + (seed or 0)]
        )
    )
    figure = draw_swd(figures)
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
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Distortion (reconstruction)"]


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
