"""Figures of `compare`: reconstructions, generated images and how they are judged, training, KL."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.metrics.frame import mean, values
from vaelab.metrics.measures import MEASURES, SOURCES, show
from vaelab.metrics.nearest import NearestSearch
from vaelab.metrics.pca import PCA
from vaelab.plotting.style import (
    COLOURS,
    NAMES,
    WIDTH,
    Images,
    new_figure,
    save,
    shortened,
    show_beside,
    show_sheet,
    to_rgb,
)
from vaelab.settings import CompareSettings
from vaelab.studies.compare.generated import OF_A_CLASS, RECONSTRUCTION, generate_classes
from vaelab.studies.compare.measure import Compared, choose
from vaelab.vae.inference import decode
from vaelab.vae.pixels import psnr, to_uint8

LARGEST_CELL = 1.2  # inches: an image's side in a grid of few
SMALLEST_KL = 1e-4  # nats; what is drawn lies at or above it
ACROSS = 12  # samples beside another
EXTREMES = 5  # images of smallest error, and of largest
BESIDE_NEAREST = 12  # samples, in the figure of their nearest training images
SHOWN_CLASSES = 20
LONGEST_NAME = 16  # characters of a class's name that are shown


def draw(
    compared: Mapping[str, Sequence[Compared]],
    pca: PCA,
    images: ImageArrays,
    figures: pd.DataFrame,
    options: CompareSettings,
    folder: Path,
) -> None:
    """All of them, of the first seed's models; the training curves and distances of all seeds."""
    first = {model: every[0] for model, every in compared.items()}
    test, train = images.test.images, images.train

    some = choose(len(test), options.images, options.seed)
    shown = {model: _decoded(each, some) for model, each in first.items()}
    shown["pca"] = pca.reconstruct(test[some])
    count = min(EXTREMES, len(test) // 2)
    ranked = {
        model: each.measured.mse.argsort(stable=True).numpy() for model, each in first.items()
    }
    extremes = {model: np.r_[rows[:count], rows[-count:]] for model, rows in ranked.items()}
    samples = {
        model: {k: x[: options.samples] for k, x in each.generated.items() if k != RECONSTRUCTION}
        for model, each in first.items()
    }
    flow = {model: each.generated["flow"][:BESIDE_NEAREST] for model, each in first.items()}
    training = NearestSearch(train.images)
    indices = {model: training.find(drawn).index.numpy() for model, drawn in flow.items()}
    drawn = {
        "reconstructions": draw_reconstructions(test[some], shown, figures),
        "errors": draw_errors(
            {model: test[rows] for model, rows in extremes.items()},
            {model: _decoded(first[model], rows) for model, rows in extremes.items()},
            {model: first[model].measured.mse.numpy()[rows] for model, rows in extremes.items()},
        ),
        "samples": draw_samples(samples),
        "nearest": draw_nearest(flow, {m: train.images[rows] for m, rows in indices.items()}),
        "swd": draw_swd(figures),
        "training_curves": draw_training_curves(
            {model: [each.history for each in every] for model, every in compared.items()}
        ),
    }
    of_classes = {
        model: generate_classes(each.vae, each.samplers["class"], options.seed)
        for model, each in first.items()
        if "class" in each.samplers
    }
    if of_classes:
        names = [images.meta.class_names[label] for label in np.unique(train.labels)]
        drawn["classes"] = draw_classes(of_classes, names, OF_A_CLASS)
    kl = {m: each.measured for m, each in first.items() if each.vae.stochastic}
    if kl:
        drawn["kl_by_dimension"] = draw_kl_by_dimension(
            {model: each.kl_per_dimension.numpy() for model, each in kl.items()},
            {model: int(each.figures["active_units"]) for model, each in kl.items()},
        )
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")


def _decoded(each: Compared, rows: NDArray[np.int64]) -> Images:
    """The reconstructions of test images. rows: (n,). Returns (n, C, H, W)."""
    return decode(each.vae, each.measured.mu[torch.from_numpy(rows)])


def draw_reconstructions(
    originals: UInt8Array, decoded: Mapping[str, Images], figures: pd.DataFrame
) -> Figure:
    """The originals, and under them what each model makes of them.

    originals: uint8 (N, C, H, W); decoded: model -> (N, C, H, W) in [0, 1]. figures: for the PSNR.
    """
    columns = len(originals)
    quality = {model: f"{show(mean(figures, model, 'psnr'), 'psnr')} dB" for model in decoded}
    labels = [NAMES["data"], *(f"{NAMES[model]}\n{quality[model]}" for model in decoded)]
    cell = min(0.9 * WIDTH / columns, LARGEST_CELL)
    figure = new_figure(cell * len(labels) + 0.1, cell * columns + 0.1 * WIDTH)
    sheet = np.concatenate([originals, *map(to_uint8, decoded.values())])
    show_sheet(figure.subplots(), sheet, columns, labels)
    figure.set_layout_engine("constrained", w_pad=0.1)
    return figure


def draw_errors(
    originals: Mapping[str, UInt8Array],
    decoded: Mapping[str, Images],
    mse: Mapping[str, NDArray[Any]],
) -> Figure:
    """Each model's smallest errors and its largest: original, reconstruction, error map.

    All: model -> (2 k, …), k images of smallest error, then k of largest. Errors are absolute, mean
    over the channels, in one scale for all models.
    """
    errors = {
        model: np.abs(decoded[model] - images / np.float32(255.0)).mean(1)
        for model, images in originals.items()
    }
    brightest = max(float(error.max()) for error in errors.values())
    scale = matplotlib.colors.PowerNorm(0.5, 0.0, brightest)  # small errors are seen too
    colours = matplotlib.colormaps["magma"]
    half = len(next(iter(mse.values()))) // 2
    cell = min(0.8 * WIDTH / (2 * half), 0.8 * LARGEST_CELL)
    figure = new_figure(len(errors) * (3 * cell + 0.35))
    panels = figure.subplots(len(errors), 2, squeeze=False)
    labels = ["Original", "Reconstruction", "Absolute error"]
    for row, (model, error) in zip(panels, errors.items(), strict=True):
        mapped = to_uint8(colours(scale(error))[..., :3])
        parts = (to_rgb(originals[model]), to_rgb(decoded[model]), mapped)
        for axes, side, name in zip(
            row, (slice(half), slice(half, None)), ("smallest", "largest"), strict=True
        ):
            sheet = np.concatenate([part[side] for part in parts]).transpose(0, 3, 1, 2)
            decibels = " to ".join(
                f"{psnr(float(value)):.1f}" for value in mse[model][side][[0, -1]]
            )
            title = f"{NAMES[model]}, {name} errors: {decibels} dB"
            show_sheet(axes, sheet, half, labels if axes is row[0] else (), title)
    figure.colorbar(matplotlib.cm.ScalarMappable(scale, colours), ax=panels, shrink=0.6, pad=0.01)
    return figure


def draw_samples(samples: Mapping[str, Mapping[str, Images]]) -> Figure:
    """A block for each sampler, the models side by side.

    samples: model -> sampler, of SOURCES -> (N, C, H, W), the same samplers and N for each.
    """
    samplers = next(iter(samples.values()))
    count = len(next(iter(samplers.values())))
    columns = min(count, max(ACROSS, math.isqrt(count)))
    block = WIDTH / len(samples) * -(-count // columns) / columns + 0.3
    figure = new_figure(block * len(samplers))
    panels = figure.subplots(len(samplers), len(samples), squeeze=False)
    for row, sampler in zip(panels, samplers, strict=True):
        for axes, (model, images) in zip(row, samples.items(), strict=True):
            title = f"{NAMES[model]}: {SOURCES[sampler]}"
            show_sheet(axes, images[sampler], columns, title=title)
    return figure


def draw_classes(
    samples: Mapping[str, Images], class_names: Sequence[str], per_class: int
) -> Figure:
    """A row for each class, the models side by side; of many classes the first ones.

    samples: model -> (K * per_class, C, H, W), class by class; class_names: K of them.
    """
    labels = [shortened(name, LONGEST_NAME) for name in class_names[:SHOWN_CLASSES]]
    figure = new_figure(0.3 + (WIDTH - 1.1) / len(samples) * len(labels) / per_class)
    shown = {NAMES[m]: images[: len(labels) * per_class] for m, images in samples.items()}
    show_beside(figure, shown, per_class, labels)
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
        pairs = np.concatenate([to_uint8(images), to_uint8(nearest[model])])
        show_sheet(axes, pairs, columns, [f"{NAMES[model]}'s sample", "nearest training\nimage"])
    figure.set_layout_engine("compressed", w_pad=0.1, h_pad=0.08)
    return figure


def draw_swd(figures: pd.DataFrame) -> Figure:
    """Sliced Wasserstein distance by source: a panel for the mean over scales and for each scale.

    figures: of which `swd` and `swd_…` are drawn, a ring for each seed and a dot for their mean;
    that of real images, the source `floor`, is a dashed line.
    """
    judged = figures[figures["measure"].str.startswith("swd")]
    sources = [key for key in SOURCES if key in set(judged["source"]) - {"floor"}]
    models = [model for model in dict.fromkeys(judged["model"]) if model != "data"]
    scales = list(dict.fromkeys(judged["measure"]))
    figure = new_figure(0.9 + 0.36 * len(sources))
    panels = figure.subplots(1, len(scales), sharey=True, squeeze=False)[0]
    for axes, key in zip(panels, scales, strict=True):
        for i, model in enumerate(models):
            style = {"color": COLOURS[model], "linestyle": "", "marker": "o"}
            for place, source in enumerate(sources):
                height = place + 0.22 * (i - (len(models) - 1) / 2)
                found = values(figures, model, key, source)
                if len(found) > 1:
                    axes.plot(found, [height] * len(found), markerfacecolor="none", **style)
                if found:
                    axes.plot(mean(figures, model, key, source), height, markersize=5, **style)
        floor = mean(figures, "data", key, "floor")
        axes.axvline(floor, color=COLOURS["data"], linestyle="--", linewidth=1)
        side = key.removeprefix("swd").removeprefix("_")
        axes.set_title(f"{side} × {side} pixels" if side else "Mean over the scales", loc="left")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x", alpha=0.25)
    panels[0].set_yticks(range(len(sources)), [SOURCES[source] for source in sources])
    panels[0].set_ylim(len(sources) - 0.5, -0.5)
    unit = "thousandths of the real images' standard deviation"
    figure.supxlabel(f"{MEASURES['swd'].label} ({unit})", fontsize=9)
    legend = [
        Line2D([], [], marker="o", linestyle="", color=COLOURS[model], label=NAMES[model])
        for model in models
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
    every = pd.concat(frames)
    terms = ("elbo", "reconstruction", "kl")
    known = [key for key in terms if np.isfinite(every[f"val_{key}"]).any()]
    figure = new_figure(3.1)
    panels = figure.subplots(1, len(known), squeeze=False)[0]
    width = 1.5 if len(frames) == len(histories) else 0.7
    for axes, key in zip(panels, known, strict=True):
        sign = -1.0 if key == "elbo" else 1.0  # all three are costs
        for model, seeds in histories.items():
            for history in seeds:
                marker = "." if len(history) <= 20 and len(seeds) == 1 else ""
                for split, dashes in (("train", "--"), ("val", "-")):
                    curve = history["epoch"], sign * history[f"{split}_{key}"]
                    style = {"color": COLOURS[model], "linewidth": width, "marker": marker}
                    axes.plot(*curve, dashes, **style)
        axes.set_ylim(*_settled(frames, key, sign))
        axes.set_title(("−" if sign < 0 else "") + MEASURES[key].label, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(alpha=0.25)
    panels[0].set_ylabel(MEASURES[known[0]].unit)
    keys = [Line2D([], [], color=COLOURS[model], label=NAMES[model]) for model in histories]
    keys.append(Line2D([], [], color="#555555", linestyle="--", label="train"))
    keys.append(Line2D([], [], color="#555555", linestyle="-", label="validation"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure


def _settled(frames: Sequence[pd.DataFrame], key: str, sign: float) -> tuple[float, float]:
    """Limits that hold every value but the train split's first, which is from an untrained net."""
    curves = [each for frame in frames for each in (frame[f"val_{key}"], frame[f"train_{key}"][1:])]
    every = sign * np.concatenate(curves)
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    margin = 0.05 * (high - low) or 1.0
    return low - margin, high + margin


def draw_kl_by_dimension(
    kl: Mapping[str, NDArray[np.float64]], active_units: Mapping[str, int]
) -> Figure:
    """kl: (latent_dim,) nats/image of each model, in any order."""
    figure = new_figure(3.3)
    axes = figure.subplots()
    for model, dimensions in kl.items():
        ranks = np.arange(1, len(dimensions) + 1)
        ordered = np.maximum(np.sort(dimensions)[::-1], SMALLEST_KL)
        active, total = active_units[model], dimensions.sum()
        label = f"{NAMES[model]}: {active} of {len(ranks)} units active, {total:.1f} nats"
        axes.plot(ranks, ordered, color=COLOURS[model], linewidth=1.8, label=label)
        if active:
            axes.plot(active, ordered[active - 1], "o", color=COLOURS[model])
    every = np.concatenate([*kl.values()])
    if every.max() > 10.0 * every.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0.0)
    axes.set_xlabel("latent dimension, that of the largest KL first (a dot: the last active unit)")
    axes.set_ylabel("KL (nats/image)")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside upper left", ncols=len(kl))
    return figure
