"""Figures of latent space's regions: their samples, and what was measured of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from vaelab.plotting.style import COLOURS, NAMES, WIDTH, new_figure, show_sheet, to_rgb

SHOWN_SAMPLES = 64  # of the prior, for each model
ACROSS = 8
LABELS = 2.0  # inches that the regions' names take
PANELS = {  # measure -> title
    "sharpness": "Sharpness, real = 1",
    "diversity": "Diversity, real = 1",
    "swd": "SWD, thousandths of sd",
    "nearest": "Nearest training image, RMSE",
    "round_trip": "Round trip's miss, as a share",
    "confidence": "Probe's confidence",
}
PANELS_ACROSS = 3
DOT: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": ""}
LINE: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 1.3}
OFFSET = {"fc": -0.14, "conv": 0.14}  # rows; so that equal figures do not hide each other


def draw_prior_samples(samples: Mapping[str, NDArray[Any]]) -> Figure:
    """samples: model -> (N, C, H, W), from the same latents."""
    rows = -(-min(SHOWN_SAMPLES, len(next(iter(samples.values())))) // ACROSS)
    figure = new_figure(0.4 + WIDTH / 2 * rows / ACROSS)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, images) in zip(panels, samples.items(), strict=True):
        show_sheet(axes, images[:SHOWN_SAMPLES], ACROSS, title=f"{NAMES[model]}, z ~ N(0, I)")
    return figure


def draw_regions(
    names: Sequence[str], samples: Mapping[str, Sequence[NDArray[Any]]], real: NDArray[np.uint8]
) -> Figure:
    """The first samples of each region, a row each, under real images.

    names: of the regions; samples: model -> for each region (N, C, H, W); real: uint8 (M, C, H, W),
    in the order of the first region's samples. Where M is less than a row, it is taken again.
    """
    real = np.concatenate([real] * -(-ACROSS // len(real)))
    labels = ["Real test images", *names]
    figure = new_figure(0.4 + (WIDTH - LABELS) / 2 * len(labels) / ACROSS)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, groups) in zip(panels, samples.items(), strict=True):
        rows = [to_rgb(group[:ACROSS]) for group in (real, *groups)]
        sheet = np.concatenate(rows).transpose(0, 3, 1, 2)
        show_sheet(axes, sheet, ACROSS, labels if axes is panels[0] else (), NAMES[model])
    return figure


def draw_measures(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A panel for each measure, the regions downwards; lines are at what real test images have.

    rows: of every model the real images (region `data`) and then the same regions in the same
    order, with `model`, `region`, `name` and the measures, which may be None. A measure that no row
    has gets no panel.
    """
    shown = [key for key in PANELS if any(row[key] is not None for row in rows)]
    models = list(dict.fromkeys(row["model"] for row in rows))
    first = [row for row in rows if row["model"] == models[0] and row["region"] != "data"]
    names = [row["name"] for row in first]
    down = -(-len(shown) // PANELS_ACROSS)
    figure = new_figure(down * (0.6 + 0.19 * len(names)) + 0.3)
    panels = figure.subplots(down, PANELS_ACROSS, squeeze=False, sharey=True)
    own = {  # that of real images depends on the model
        key for key in shown if len({row[key] for row in rows if row["region"] == "data"}) > 1
    }
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for key, axes in zip(shown, panels.flat, strict=False):
        for model in models:
            real, *found = (
                math.nan if row[key] is None else row[key] for row in rows if row["model"] == model
            )
            axes.axvline(real, color=COLOURS[model if key in own else "data"], **LINE)
            axes.plot(found, np.arange(len(found)) + OFFSET[model], color=COLOURS[model], **DOT)
        axes.set_title(PANELS[key], loc="left", fontsize=9)
        axes.set_xlim(left=0.0)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    panels[0, 0].set_yticks(range(len(names)), names)
    panels[0, 0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        *(Line2D([], [], color=COLOURS[key], label=NAMES[key], **DOT) for key in models),
        Line2D([], [], color=COLOURS["data"], label="real test images", **LINE),
        *(
            Line2D([], [], color=COLOURS[key], label=f"the same, by {NAMES[key]}", **LINE)
            for key in models
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
