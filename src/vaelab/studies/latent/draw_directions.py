"""Figures of directions in latent space: walks along them, how far these get, and arithmetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from vaelab.plotting.style import COLOURS, NAMES, WIDTH, new_figure, show_sheet, tile, to_rgb

Images = NDArray[Any]  # (N, C, H, W), floats in [0, 1] or uint8
Terms = tuple[Images, Images, Images]  # of a and of b one image or more, of c one

RANKED = 20  # directions, at most
MONTAGE = 4  # of the images that a mean is of
ACROSS = 4  # panels of scores in a row
LEFT = 1.2  # inches for the names at the left
NAME = 15  # characters in a line of a name
ASKED = "0.8"  # grey of the line that a walk should follow
SIDES = ("o--", "s-")  # of walks from images outside a group, and inside


def draw_walks(
    originals: Sequence[Images],
    labels: Sequence[Sequence[str]],
    walks: Mapping[str, Sequence[NDArray[Any]]],
    steps: Sequence[float],
) -> Figure:
    """For each direction a block of walks, a row each, that start from the image at their left.

    originals: for each direction (R, C, H, W); labels: what each of them is; walks: model -> for
    each direction (R, S, C, H, W); steps: S of them.
    """
    side = originals[0].shape[-1]
    columns = 1 + len(steps) * len(walks)
    pitch = (WIDTH - LEFT - 0.1 * len(walks)) / columns
    figure = new_figure(0.5 + sum(0.07 + pitch * len(rows) for rows in originals))
    panels = figure.subplots(
        len(originals),
        1 + len(walks),
        squeeze=False,
        width_ratios=[side, *(len(steps) * (side + 2) - 2 for _ in walks)],
        height_ratios=[len(rows) * (side + 2) - 2 for rows in originals],
    )
    for i, (first, *rest) in enumerate(panels):
        show_sheet(first, originals[i], 1, [_label(label) for label in labels[i]])
        for axes, every in zip(rest, walks.values(), strict=True):
            show_sheet(axes, every[i].reshape(-1, *every[i].shape[2:]), len(steps))
    panels[0, 0].set_title("Original", fontsize=9)
    for axes, model in zip(panels[0, 1:], walks, strict=True):
        axes.set_title(f"{NAMES[model]}, by steps along the direction", loc="left")
        axes.xaxis.tick_top()
        axes.set_xticks([(i + 0.5) * (side + 2) - 1 for i in range(len(steps))], _signed(steps))
    return figure


def draw_scores(
    names: Sequence[str],
    scores: Mapping[str, Sequence[tuple[Sequence[float] | None, Sequence[float] | None]]],
    steps: Sequence[float],
) -> Figure:
    """How far walks get: the score of what is decoded, by the step asked for.

    scores: model -> for each direction the mean scores at each step of walks from images outside
    the group and from images inside, None of none.
    """
    columns = min(ACROSS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(0.9 + 1.7 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    for i, (axes, name) in enumerate(zip(panels.flat, names, strict=False)):
        for start in (0.0, 1.0):
            axes.plot(steps, [start + step for step in steps], color=ASKED, linewidth=4)
        for model, every in scores.items():
            for values, style in zip(every[i], SIDES, strict=True):
                if values is not None:
                    axes.plot(steps, values, style, color=COLOURS[model], markersize=4)
        axes.set_title(_label(name))
        axes.set_xticks(steps, _signed(steps))
        axes.tick_params(labelbottom=i + columns >= len(names))
        axes.grid(axis="y", color="0.92")
    figure.supxlabel("step along the direction", fontsize=9)
    figure.supylabel("score of the decoded image", fontsize=9)
    handles = [
        *(Line2D([], [], color=COLOURS[model], label=NAMES[model]) for model in scores),
        *(
            panels[0, 0].plot([], [], style, color="0.3", markersize=4, label=label)[0]
            for style, label in zip(SIDES, ("from images without", "from images with"), strict=True)
        ),
        Line2D([], [], color=ASKED, linewidth=4, label="asked for"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8)
    return figure


def draw_arithmetic(
    names: Sequence[str], terms: Sequence[Terms], results: Mapping[str, Sequence[Images]]
) -> Figure:
    """a - b + c, a row of single images and a row of means for each direction.

    terms: for each direction; results: model -> for each direction (3, C, H, W): c, a - b + c of
    single images, and of means.
    """
    columns = 3 + 2 * len(results)
    pitch = (WIDTH - LEFT - 0.35 * columns) / columns + 0.1
    figure = new_figure(0.45 + 2 * (pitch + 0.06) * len(names))
    panels = figure.subplots(2 * len(names), columns, squeeze=False)
    for i, (name, (a, b, c)) in enumerate(zip(names, terms, strict=True)):
        count = len(a)
        for kind, row in enumerate(panels[2 * i : 2 * i + 2]):
            shown = 1 if kind == 0 else MONTAGE
            for axes, images, sign in zip(row, (a[:shown], b[:shown], c), " −+", strict=False):
                _show(axes, tile(images, min(2, len(images))), sign)
            for k, every in enumerate(results.values()):
                start, result = to_rgb(every[i][[0, 1 + kind]])
                _show(row[3 + 2 * k], start, "")
                _show(row[4 + 2 * k], result, "→")
            side = "one image each" if kind == 0 else f"means of {count}"
            row[0].set_ylabel(
                f"{_label(name)}\n{side}", rotation=0, ha="right", va="center", labelpad=8
            )
    for axes, title in zip(panels[0, :3], ("a: with", "b: without", "c: without"), strict=True):
        axes.set_title(title, fontsize=9)
    for k, model in enumerate(results):
        panels[0, 3 + 2 * k].set_title(f"{NAMES[model]}: c", fontsize=9)
        panels[0, 4 + 2 * k].set_title("a − b + c", fontsize=9)
    return figure


def draw_auc(
    names: Sequence[str],
    auc: Mapping[str, Sequence[float | None]],
    walked: Sequence[str],
    ranked: bool = True,
) -> Figure:
    """The directions that the encodings hold best, by the mean over models: RANKED at most.

    auc: model -> of each direction; walked: names of those to print in bold; ranked: the best
    first, or else the first RANKED in their own order.
    """

    def mean(i: int) -> float:
        known = [value for every in auc.values() if (value := every[i]) is not None]
        return sum(known) / len(known) if known else 0.0

    order = sorted(range(len(names)), key=lambda i: -mean(i) if ranked else i)[:RANKED]
    figure = new_figure(1.0 + 0.22 * len(order))
    axes = figure.subplots()
    axes.axvline(0.5, color="0.6", linewidth=1, linestyle=":")
    places = range(len(order))
    for (model, every), offset in zip(auc.items(), (-0.12, 0.12), strict=True):
        known = [(value, place) for place, i in enumerate(order) if (value := every[i]) is not None]
        axes.plot(
            [value for value, _ in known],
            [place + offset for _, place in known],
            "o",
            color=COLOURS[model],
            markersize=5,
            label=NAMES[model],
        )
    labels = axes.set_yticks(places, [names[i].replace("_", " ") for i in order])
    for tick, i in zip(labels, order, strict=True):
        tick.label1.set_fontweight("bold" if names[i] in walked else "normal")
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.grid(axis="y", color="0.92")
    axes.set_xlabel("AUC of the score on the test split (0.5 is chance)")
    known_values = [value for every in auc.values() for value in every if value is not None]
    axes.set_xlim(min([0.45, *(value - 0.02 for value in known_values)]), 1.01)
    figure.legend(loc="outside upper right", ncols=len(auc), fontsize=8)
    return figure


def _show(axes: Axes, picture: NDArray[np.uint8], sign: str) -> None:
    """picture: uint8 (H, W, 3); sign: what stands before it."""
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.text(-0.11, 0.5, sign, transform=axes.transAxes, ha="center", va="center", fontsize=14)


def _label(name: str) -> str:
    return fill(name.replace("_", " "), NAME)


def _signed(steps: Sequence[float]) -> list[str]:
    return [f"{step:+g}".replace("-", "−") if step else "0" for step in steps]
