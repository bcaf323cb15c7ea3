"""Figures of `compare`: reconstructions, generated images and how they are judged, training, KL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vaelab.plotting.style import (
    COLOURS,
    NAMES,
    SOURCE_NAMES,
    WIDTH,
    Images,
    new_figure,
    show_sheet,
    to_rgb,
)

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, float | None]

CURVES = {
    "elbo": "−ELBO (nats/image)",
    "reconstruction": "distortion (nats/image)",
    "kl": "rate, KL (nats/image)",
}
LARGEST_CELL = 1.2  # inches: an image's side in a grid of few
SMALLEST_KL = 1e-4  # nats; what is drawn lies at or above it
ACROSS = 8  # samples beside another
SHOWN_CLASSES = 20
LONGEST_NAME = 16  # characters of a class's name that are shown


def draw_reconstructions(
    originals: NDArray[np.uint8], decoded: Mapping[str, Images], psnr: Mapping[str, float]
) -> Figure:
    """The originals, and under them what each model makes of them.

    originals: uint8 (N, C, H, W); decoded: model -> (N, C, H, W) in [0, 1]. psnr: model -> dB over
    all test images.
    """
    columns = len(originals)
    labels = [NAMES["data"], *(f"{NAMES[model]}\n{_decibels(psnr[model])}" for model in decoded)]
    cell = min(0.9 * WIDTH / columns, LARGEST_CELL)
    figure = new_figure(cell * len(labels) + 0.1, cell * columns + 0.1 * WIDTH)
    sheet = np.concatenate([originals / 255.0, *decoded.values()])
    show_sheet(figure.subplots(), sheet, columns, labels)
    figure.set_layout_engine("constrained", w_pad=0.1)
    return figure


def _decibels(psnr: float) -> str:
    return f"{psnr:.2f} dB" if math.isfinite(psnr) else "no error"


def draw_samples(samples: Mapping[str, Mapping[str, Images]]) -> Figure:
    """A block for each sampler, the models side by side.

    samples: model -> sampler, of SOURCE_NAMES -> (N, C, H, W), the same samplers and N for each.
    """
    samplers = next(iter(samples.values()))
    count = len(next(iter(samplers.values())))
    columns = min(count, max(ACROSS, math.isqrt(count)))
    block = WIDTH / len(samples) * -(-count // columns) / columns + 0.3
    figure = new_figure(block * len(samplers))
    panels = figure.subplots(len(samplers), len(samples), squeeze=False)
    for row, sampler in zip(panels, samplers, strict=True):
        for axes, (model, images) in zip(row, samples.items(), strict=True):
            title = f"{NAMES[model]}: {SOURCE_NAMES[sampler]}"
            show_sheet(axes, images[sampler], columns, title=title)
    return figure


def draw_classes(
    samples: Mapping[str, Images], class_names: Sequence[str], per_class: int
) -> Figure:
    """A row for each class, the models side by side; of many classes the first ones.

    samples: model -> (K * per_class, C, H, W), class by class; class_names: K of them.
    """
    labels = [
        name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
        for name in class_names[:SHOWN_CLASSES]
    ]
    figure = new_figure(0.3 + (WIDTH - 1.1) / len(samples) * len(labels) / per_class)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, images) in zip(panels, samples.items(), strict=True):
        shown = images[: len(labels) * per_class]
        show_sheet(axes, shown, per_class, labels if axes is panels[0] else (), NAMES[model])
    return figure


def draw_nearest(samples: Mapping[str, Images], nearest: Mapping[str, Images]) -> Figure:
    """Each model's samples, and under each the training image nearest to it.

    Both: model -> (N, C, H, W).
    """
    columns = len(next(iter(samples.values())))
    cell = min(0.83 * WIDTH / columns, LARGEST_CELL)
    figure = new_figure(len(samples) * (2 * cell + 0.15), cell * columns + 0.17 * WIDTH)
    panels = figure.subplots(len(samples), 1, squeeze=False)[:, 0]
    for axes, (model, images) in zip(panels, samples.items(), strict=True):
        pairs = np.concatenate([to_rgb(images), to_rgb(nearest[model])])
        labels = [f"{NAMES[model]}'s sample", "nearest training\nimage"]
        show_sheet(axes, pairs.transpose(0, 3, 1, 2), columns, labels)
    figure.set_layout_engine("compressed", w_pad=0.1, h_pad=0.08)
    return figure


def draw_swd(judged: Mapping[str, Mapping[str, Sequence[Row]]], floor: Row) -> Figure:
    """Sliced Wasserstein distance by source: a panel for the mean over scales and for each scale.

    judged: model -> source -> a row for each seed, of which `swd` and `swd_…` are drawn, a ring for
    each seed and a dot for their mean; floor: the same of real images.
    """
    scales = [key for key in floor if key == "swd" or key.startswith("swd_")]
    sources = [key for key in SOURCE_NAMES if any(key in found for found in judged.values())]
    figure = new_figure(0.9 + 0.36 * len(sources))
    panels = figure.subplots(1, len(scales), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, scales, strict=True):
        for i, (model, found) in enumerate(judged.items()):
            shift = 0.22 * (i - (len(judged) - 1) / 2)
            for source, rows in found.items():
                values = [value for row in rows if (value := row[key]) is not None]
                height = sources.index(source) + shift
                style = {"color": COLOURS[model], "linestyle": ""}
                if len(values) > 1:
                    heights = [height] * len(values)
                    axes.plot(values, heights, marker="o", markerfacecolor="none", **style)
                axes.plot(fmean(values), height, marker="o", markersize=5, **style)
        axes.axvline(_number(floor, key), color=COLOURS["data"], linestyle="--", linewidth=1)
        axes.set_title(_scale(key), loc="left")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x", alpha=0.25)
    panels[0].set_yticks(range(len(sources)), [SOURCE_NAMES[source] for source in sources])
    panels[0].set_ylim(len(sources) - 0.5, -0.5)
    figure.supxlabel("sliced Wasserstein distance (thousandths of the real images' sd)", fontsize=9)
    legend = [
        Line2D([], [], marker="o", linestyle="", color=COLOURS[model], label=NAMES[model])
        for model in judged
    ]
    legend.append(Line2D([], [], color=COLOURS["data"], linestyle="--", label="real test images"))
    figure.legend(handles=legend, loc="outside upper left", ncols=len(legend))
    return figure


def draw_training_curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """The bound and its terms after each epoch, a line for each seed.

    histories: model -> for each seed the columns of history.csv; a term that is nowhere known is
    left out.
    """
    frames = [history for seeds in histories.values() for history in seeds]
    known = {
        key: label
        for key, label in CURVES.items()
        if any(np.isfinite(frame[f"val_{key}"]).any() for frame in frames)
    }
    figure = new_figure(3.1)
    panels = figure.subplots(1, len(known), squeeze=False)[0]
    width = 1.5 if len(frames) == len(histories) else 0.7
    for axes, (key, label) in zip(panels, known.items(), strict=True):
        sign = -1.0 if key == "elbo" else 1.0
        for model, seeds in histories.items():
            for history in seeds:
                for split, dashes in (("train", "--"), ("val", "-")):
                    values = sign * history[f"{split}_{key}"]
                    axes.plot(
                        history["epoch"],
                        values,
                        dashes,
                        color=COLOURS[model],
                        linewidth=width,
                        marker="." if len(values) <= 20 and len(seeds) == 1 else "",
                    )
        axes.set_ylim(*_settled(frames, key, sign))
        axes.set_title(label, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(alpha=0.25)
    keys = [Line2D([], [], color=COLOURS[model], label=NAMES[model]) for model in histories]
    keys.append(Line2D([], [], color="#555555", linestyle="--", label="train"))
    keys.append(Line2D([], [], color="#555555", linestyle="-", label="validation"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure


def _settled(frames: Sequence[pd.DataFrame], key: str, sign: float) -> tuple[float, float]:
    """Limits that hold every value but the train split's first, an average from the untrained net.

    That one would press all others into a line.
    """
    values = sign * np.concatenate(
        [each for frame in frames for each in (frame[f"val_{key}"], frame[f"train_{key}"][1:])]
    )
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def draw_kl_by_dimension(
    kl: Mapping[str, NDArray[np.float64]], active_units: Mapping[str, int]
) -> Figure:
    """kl: (latent_dim,) nats/image of each model, in any order."""
    figure = new_figure(3.3)
    axes = figure.subplots()
    for model, values in kl.items():
        ranks = np.arange(1, len(values) + 1)
        ordered = np.maximum(np.sort(values)[::-1], SMALLEST_KL)
        active = active_units[model]
        label = f"{NAMES[model]}: {active} of {len(values)} units active, {values.sum():.1f} nats"
        axes.plot(ranks, ordered, color=COLOURS[model], linewidth=1.8, label=label)
        if active:
            axes.plot(active, ordered[active - 1], "o", color=COLOURS[model])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("latent dimension, that of the largest KL first (a dot: the last active unit)")
    axes.set_ylabel("KL (nats/image)")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside upper left", ncols=len(kl))
    return figure


def _scale(key: str) -> str:
    """'swd_32' -> '32 × 32 pixels'"""
    side = key.removeprefix("swd").removeprefix("_")
    return f"{side} × {side} pixels" if side else "Mean over the scales"


def _number(row: Row, key: str) -> float:
    value = row[key]
    assert value is not None, key
    return value
