"""Figures of `compare`: reconstructions, prior samples, training curves, KL by dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from vaelab.figures.common import COLOURS, NAMES, WIDTH, Images, new_figure, show_sheet
from vaelab.settings import Architecture

if TYPE_CHECKING:
    import pandas as pd

CURVES = {
    "elbo": "−ELBO (nats/image)",
    "reconstruction": "reconstruction (nats/image)",
    "kl": "KL (nats/image)",
}
LARGEST_CELL = 1.2  # inches: an image's side in a grid of few
SMALLEST_KL = 1e-4  # nats; what is drawn lies at or above it


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


def draw_samples(samples: Mapping[Architecture, Images]) -> Figure:
    """Each model's mean images for the same latents, in the same places: (N, C, H, W) each."""
    count = len(next(iter(samples.values())))
    columns = min(count, max(8, math.isqrt(count)))
    half = WIDTH / len(samples)
    figure = new_figure(half * -(-count // columns) / columns + 0.3)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, images) in zip(panels, samples.items(), strict=True):
        show_sheet(axes, images, columns, title=NAMES[model])
    return figure


def draw_training_curves(histories: Mapping[Architecture, pd.DataFrame]) -> Figure:
    """The bound and its terms after each epoch. histories: the columns of history.csv."""
    figure = new_figure(3.1)
    panels = figure.subplots(1, len(CURVES))
    for axes, (key, label) in zip(panels, CURVES.items(), strict=True):
        sign = -1.0 if key == "elbo" else 1.0
        for model, history in histories.items():
            for split, dashes in (("train", "--"), ("val", "-")):
                values = sign * history[f"{split}_{key}"]
                marker = "." if len(values) <= 20 else ""
                axes.plot(history["epoch"], values, dashes, color=COLOURS[model], marker=marker)
        axes.set_title(label, loc="left")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.grid(alpha=0.25)
    keys = [Line2D([], [], color=COLOURS[model], label=NAMES[model]) for model in histories]
    keys.append(Line2D([], [], color="#555555", linestyle="--", label="train"))
    keys.append(Line2D([], [], color="#555555", linestyle="-", label="validation"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    return figure


def draw_kl_by_dimension(
    kl: Mapping[Architecture, NDArray[np.float64]], active_units: Mapping[Architecture, int]
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
