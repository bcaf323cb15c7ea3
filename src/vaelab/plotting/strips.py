"""Rows of images that change by steps, a panel a model: traversals, and walks along directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaelab.plotting.style import NAMES, WIDTH, new_figure, show_sheet
from vaelab.vae.pixels import to_uint8

LABELS = 0.95  # inches beside a panel
SMALL = 7.5  # points, of the rows' labels


def draw_strips(
    strips: Mapping[str, NDArray[Any]],
    labels: Mapping[str, Sequence[str]],
    steps: Sequence[float],
    unit: str,
    originals: NDArray[np.uint8] | None = None,
) -> Figure:
    """A row for each strip, two models beside each other.

    strips: model -> (R, V, C, H, W); labels: model -> R of them; steps: V, in `unit`; originals:
    uint8 (I, C, H, W), I a divisor of R: the images that equal shares of the rows start from, each
    shown before the first of its rows.
    """
    columns = [f"{step:+g}".replace("-", "−") if step else "0" for step in steps]
    if originals is not None:
        columns = ["image", *columns]
    across = min(2, len(strips))
    down = -(-len(strips) // across)
    rows = max(len(images) for images in strips.values())
    height = 0.6 + (WIDTH / 2 - LABELS) * rows / len(columns)
    figure = new_figure(down * height, WIDTH / 2 * across)
    panels = figure.subplots(down, across, squeeze=False).flat
    for axes, (model, images) in zip(panels, strips.items(), strict=False):
        sheet = _with_originals(images, originals)
        title = f"{NAMES[model]}, by {unit}"
        show_sheet(axes, sheet, len(columns), labels[model], title, columns)
        axes.xaxis.tick_top()
        axes.tick_params(axis="y", labelsize=SMALL)
        axes.tick_params(axis="x", labelsize=8)
    for axes in panels[len(strips) :]:
        axes.set_axis_off()
    return figure


def _with_originals(images: NDArray[Any], originals: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """(R, V, C, H, W) -> uint8 (R * columns, C, H, W), the originals in a column ahead."""
    pixels = to_uint8(images)
    if originals is not None:
        first = np.full_like(pixels[:, :1], 255)
        first[:: len(images) // len(originals), 0] = originals
        pixels = np.concatenate([first, pixels], axis=1)
    return pixels.reshape(-1, *pixels.shape[2:])
