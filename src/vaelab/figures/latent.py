"""Figures of `latent_explore`: samples by region, traversals, a plane, and the encodings in 2-D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from vaelab.figures.common import NAMES, WIDTH, new_figure, show_sheet, tile, to_uint8

SHOWN_SAMPLES = 64  # of the prior, for each model
ACROSS = 8
COLOURED_CLASSES = 10
POINT_NAMES = "ABC"


def draw_prior_samples(samples: Mapping[str, NDArray[Any]]) -> Figure:
    """samples: model -> (N, C, H, W), from the same latents."""
    rows = -(-min(SHOWN_SAMPLES, len(next(iter(samples.values())))) // ACROSS)
    figure = new_figure(0.4 + WIDTH / 2 * rows / ACROSS)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, images) in zip(panels, samples.items(), strict=True):
        show_sheet(axes, images[:SHOWN_SAMPLES], ACROSS, title=f"{NAMES[model]}, z ~ N(0, I)")
    return figure


def draw_regions(
    names: Sequence[str], samples: Mapping[str, Sequence[NDArray[Any]]], tests: NDArray[np.uint8]
) -> Figure:
    """The first samples of each region, a row each, under the test images of the first region.

    names: of the regions; samples: model -> for each region (N, C, H, W); tests: uint8 (N, …).
    """
    labels = ["Test images", *names]
    figure = new_figure(0.4 + (WIDTH - 1.9) / 2 * len(labels) / ACROSS)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, groups) in zip(panels, samples.items(), strict=True):
        rows = [to_uint8(group[:ACROSS]) for group in (tests, *groups)]
        sheet = np.concatenate(rows).transpose(0, 3, 1, 2)
        show_sheet(axes, sheet, ACROSS, labels if axes is panels[0] else (), NAMES[model])
    return figure


def draw_traversals(
    traversals: Mapping[str, NDArray[Any]],
    labels: Mapping[str, Sequence[str]],
    values: Sequence[float],
) -> Figure:
    """traversals: model -> (D, V, C, H, W); labels: model -> D of them; values: V of z."""
    rows = len(next(iter(traversals.values())))
    figure = new_figure(0.5 + (WIDTH - 2.3) / 2 * rows / len(values))
    panels = figure.subplots(1, len(traversals), squeeze=False)[0]
    for axes, (model, images) in zip(panels, traversals.items(), strict=True):
        flat = images.reshape(-1, *images.shape[2:])
        show_sheet(axes, flat, len(values), labels[model], f"{NAMES[model]}, by value of z")
        pitch = (tile(flat, len(values)).shape[1] + 2) / len(values)
        axes.xaxis.tick_top()
        axes.tick_params(axis="y", labelsize=8)
        axes.set_xticks(
            [(i + 0.5) * pitch - 1 for i in range(len(values))],
            [f"{value:+g}".replace("-", "−") if value else "0" for value in values],
        )
    return figure


def draw_plane(
    originals: NDArray[np.uint8],
    grids: Mapping[str, NDArray[Any]],
    points: Mapping[str, NDArray[Any]],
    squares: Mapping[str, tuple[float, float, float, float]],
) -> Figure:
    """originals: uint8 (3, C, H, W).

    grids: model -> decoded images (side * side, C, H, W), row by row from the top; points: model ->
    (3, 2), where the originals' encodings lie; squares: model -> left, right, bottom, top. The last
    two in units of z.
    """
    figure = new_figure(WIDTH / 2 + 1.3)
    layout = figure.add_gridspec(2, 6 * len(grids), height_ratios=[1, 4.6])
    start = 3 * len(grids) - 3
    for i, (name, original) in enumerate(zip(POINT_NAMES, to_uint8(originals), strict=True)):
        axes = figure.add_subplot(layout[0, start + 2 * i : start + 2 * i + 2])
        axes.imshow(original, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(name)
    for i, (model, images) in enumerate(grids.items()):
        axes = figure.add_subplot(layout[1, 6 * i : 6 * i + 6])
        side = round(len(images) ** 0.5)
        axes.imshow(tile(images, side, gap=0), extent=squares[model])
        for name, (u, v) in zip(POINT_NAMES, points[model].tolist(), strict=True):
            _mark(axes, name, u, v)
        axes.set_title(NAMES[model], loc="left")
        axes.set_xlabel("along AB (units of z)")
        if i == 0:
            axes.set_ylabel("across AB (units of z)")
    return figure


def _mark(axes: Axes, name: str, u: float, v: float) -> None:
    """A ring where the point is and its letter beside, legible on any ground."""
    axes.plot(u, v, "o", markersize=9, markerfacecolor="none", color="black", markeredgewidth=3)
    axes.plot(u, v, "o", markersize=9, markerfacecolor="none", color="white", markeredgewidth=1.5)
    axes.annotate(
        name,
        (u, v),
        (8, 6),
        textcoords="offset points",
        fontweight="bold",
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
    )


def draw_encodings(
    points: Mapping[str, NDArray[Any]],
    explained: Mapping[str, Sequence[float]],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
) -> Figure:
    """points: model -> (N, 2), encodings; explained: model -> shares of variance; labels: (N,).

    Of more than ten classes the ten largest are coloured and the rest stay grey. Large dots: the
    means of the coloured classes.
    """
    present, counts = np.unique(labels, return_counts=True)
    largest = present[np.argsort(-counts, kind="stable")][:COLOURED_CLASSES]
    coloured = sorted(largest.tolist())
    palette = matplotlib.color_sequences["tab10"]
    colours = np.full((len(labels), 3), 0.75)
    for colour, label in zip(palette, coloured, strict=False):
        colours[labels == label] = colour
    # In an order of chance, so that no class lies on top; grey below.
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(np.isin(labels[order], coloured), kind="stable")]

    several = len(present) > 1
    figure = new_figure(WIDTH / 2 + (0.6 if several else 0.1))
    panels = figure.subplots(1, len(points), squeeze=False)[0]
    size = float(np.clip(30_000 / len(labels), 2.0, 20.0))
    for axes, (model, uv) in zip(panels, points.items(), strict=True):
        u, v = uv[order].T
        axes.scatter(u, v, s=size, c=colours[order], alpha=0.6, linewidths=0)
        for colour, label in zip(palette, coloured if several else [], strict=False):
            mean = uv[labels == label].mean(0)
            axes.plot(*mean, "o", color=colour, markersize=8, markeredgecolor="black")
        axes.set_title(NAMES[model], loc="left")
        axes.set_xlabel(f"component 1 ({explained[model][0]:.0%} of the variance)")
        axes.set_ylabel(f"component 2 ({explained[model][1]:.0%})")
    if several:
        handles = [
            Line2D([], [], marker="o", linestyle="", color=colour, label=class_names[label])
            for colour, label in zip(palette, coloured, strict=False)
        ]
        if len(present) > COLOURED_CLASSES:
            others = len(present) - len(coloured)
            handles.append(
                Line2D([], [], marker="o", linestyle="", color="0.75", label=f"{others} others")
            )
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(6, len(handles)), fontsize=8
        )
    return figure
