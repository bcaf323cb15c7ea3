"""Figures of single dimensions: traversals, and which factor or class each goes with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from vaelab.plotting.style import NAMES, WIDTH, new_figure, show_sheet, tile, to_rgb

LABELS = 0.95  # inches beside a panel of traversals
SMALL = 7.5  # points: numbers in a cell
FRAME = 2.0  # pixels from a cell's edge to its frame, before the layout is fitted
LEAST_SHARE, LEAST_D = 0.1, 0.5  # that have the full colour, so that chance does not look strong


def draw_traversals(
    traversals: Mapping[str, NDArray[Any]],
    labels: Mapping[str, Sequence[str]],
    steps: Sequence[float],
    originals: NDArray[np.uint8] | None = None,
) -> Figure:
    """A row for each traversal, the models side by side.

    traversals: model -> (R, V, C, H, W); labels: model -> R of them; steps: V, in standard
    deviations; originals: uint8 (I, C, H, W), I a divisor of R: the images that equal shares of the
    rows start from, each shown before the first of its rows.
    """
    columns = [f"{step:+g}".replace("-", "−") if step else "mean" for step in steps]
    if originals is not None:
        columns = ["image", *columns]
    rows = max(len(images) for images in traversals.values())
    panel = WIDTH / len(traversals) - LABELS
    figure = new_figure(0.6 + panel * rows / len(columns))
    panels = figure.subplots(1, len(traversals), squeeze=False)[0]
    for axes, (model, images) in zip(panels, traversals.items(), strict=True):
        sheet = _with_originals(images, originals)
        show_sheet(
            axes,
            sheet,
            len(columns),
            labels[model],
            f"{NAMES[model]}, by standard deviations of q(z)",
        )
        pitch = (tile(sheet, len(columns)).shape[1] + 2) / len(columns)
        axes.xaxis.tick_top()
        axes.tick_params(axis="y", labelsize=SMALL)
        axes.tick_params(axis="x", labelsize=8)
        axes.set_xticks([(i + 0.5) * pitch - 1 for i in range(len(columns))], columns)
    return figure


def _with_originals(images: NDArray[Any], originals: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(R, V, C, H, W) -> uint8 (R * columns, 3, H, W), the originals in a column ahead."""
    pixels = to_rgb(images.reshape(-1, *images.shape[2:]))
    pixels = pixels.reshape(*images.shape[:2], *pixels.shape[1:])
    if originals is not None:
        first = np.full_like(pixels[:, :1], 255)
        first[:: len(images) // len(originals), 0] = to_rgb(originals)
        pixels = np.concatenate([first, pixels], axis=1)
    return pixels.reshape(-1, *pixels.shape[2:]).transpose(0, 3, 1, 2)


def draw_factor_matrix(
    matrices: Mapping[str, NDArray[np.float64]],
    dimensions: Mapping[str, Sequence[int]],
    informative: int,
    factors: Sequence[str],
) -> Figure:
    """Which dimension holds how much of which factor; each factor's best is framed.

    matrices: model -> (F, k), shares of the factor's entropy; dimensions: model -> their numbers, k
    of them, the first `informative` divided from the rest.
    """
    figure = new_figure(len(matrices) * (0.75 + 0.27 * len(factors)))
    panels = figure.subplots(len(matrices), 1, squeeze=False)[:, 0]
    highest = max(LEAST_SHARE, *(float(matrix.max()) for matrix in matrices.values()))
    norm = Normalize(0.0, 100.0 * highest)
    for axes, (model, matrix) in zip(panels, matrices.items(), strict=True):
        _show_matrix(axes, 100.0 * matrix, "{:.0f}".format, norm, "Blues")
        axes.set_yticks(range(len(factors)), [factor.replace("_", " ") for factor in factors])
        axes.set_xticks(range(len(dimensions[model])), [f"z{i}" for i in dimensions[model]])
        if informative < len(dimensions[model]):
            axes.axvline(informative - 0.5, color="black", linewidth=1.5)
        for row, best in enumerate(matrix.argmax(1)):
            _frame(axes, row, int(best))
        axes.set_title(f"{NAMES[model]}: mutual information, % of the factor's entropy", loc="left")
    return figure


def draw_class_matrix(
    matrices: Mapping[str, NDArray[np.float64]],
    dimensions: Mapping[str, Sequence[int]],
    classes: Mapping[str, Sequence[str]],
    framed: Mapping[str, Sequence[int]],
) -> Figure:
    """How far a dimension sets each class apart; each class's best dimension is framed.

    The scale is that of all models, and at least to LEAST_D.

    matrices: model -> (k, K), Cohen's d, NaN where unknown; dimensions: model -> k numbers;
    classes: model -> K names; framed: model -> for each class its row, from 0.
    """
    rows = max(len(matrix) for matrix in matrices.values())
    figure = new_figure(1.9 + 0.3 * rows)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    highest = max(LEAST_D, *(float(np.nanmax(np.abs(matrix))) for matrix in matrices.values()))
    norm = Normalize(-highest, highest)
    for axes, (model, matrix) in zip(panels, matrices.items(), strict=True):
        _show_matrix(axes, matrix, write_signed, norm, "RdBu_r")
        axes.set_yticks(range(len(matrix)), [f"z{i}" for i in dimensions[model]])
        names = list(classes[model])
        turned = {"rotation": 50, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(len(names)), names, **(turned if len(names) > 3 else {}))
        for column, row in enumerate(framed[model]):
            _frame(axes, row, column)
        axes.set_title(f"{NAMES[model]}: Cohen's d", loc="left")
    bar = figure.colorbar(
        ScalarMappable(norm, "RdBu_r"), ax=panels, location="bottom", aspect=50, shrink=0.5
    )
    ends = [-highest, 0.0, highest]
    bar.set_ticks(ends, labels=[write_signed(end) for end in ends])
    bar.ax.tick_params(length=0, labelsize=8)
    return figure


def write_signed(value: float) -> str:
    """0.834 -> '+0.83', and what rounds to nothing '0.00'."""
    text = f"{value:+.2f}".replace("-", "−")
    return "0.00" if text in ("+0.00", "−0.00") else text


def _show_matrix(
    axes: Axes,
    matrix: NDArray[np.float64],
    written: Callable[[float], str],
    norm: Normalize,
    colours: str,
) -> None:
    """A number in each cell, dark on light or light on dark; a cell of NaN is empty."""
    colour_map = matplotlib.colormaps[colours]
    axes.imshow(matrix, cmap=colour_map, norm=norm, aspect="auto")
    axes.tick_params(length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for (row, column), value in np.ndenumerate(matrix):
        if not np.isnan(value):
            red, green, blue, _ = colour_map(norm(value))
            light = 0.3 * red + 0.6 * green + 0.1 * blue > 0.5
            axes.text(
                column,
                row,
                written(value),
                ha="center",
                va="center",
                fontsize=SMALL,
                color="black" if light else "white",
            )


def _frame(axes: Axes, row: int, column: int) -> None:
    """Within the cell, so that frames of neighbours do not touch."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    x, y = FRAME * (right - left) / axes.bbox.width, FRAME * abs(top - bottom) / axes.bbox.height
    corner = column - 0.5 + x, row - 0.5 + y
    axes.add_patch(
        Rectangle(corner, 1 - 2 * x, 1 - 2 * y, fill=False, edgecolor="black", linewidth=1.2)
    )
