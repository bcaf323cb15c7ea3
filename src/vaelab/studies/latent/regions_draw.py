"""Figures of latent space's regions: their samples, and what was measured of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from vaelab.metrics.measures import MEASURES
from vaelab.plotting.style import COLOURS, NAMES, WIDTH, new_figure, show_sheet, to_rgb

SHOWN_SAMPLES = 64  # of the prior, for each model
ACROSS = 8
LABELS = 2.0  # inches that the regions' names take
PANELS = ("sharpness", "diversity", "swd", "nearest", "round_trip", "confidence")
PANELS_ACROSS = 3
TITLE = 33  # characters
APART = 0.28  # of a row, between models, so that equal figures do not hide each other
DOT: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": ""}
LINE: dict[str, Any] = {"linestyle": (0, (4, 3)), "linewidth": 1.3}


def draw_prior_samples(samples: Mapping[str, NDArray[Any]]) -> Figure:
    """samples: model -> (N, C, H, W), from the same latents."""
    rows = -(-min(SHOWN_SAMPLES, len(next(iter(samples.values())))) // ACROSS)
    figure = new_figure(0.4 + WIDTH / len(samples) * rows / ACROSS)
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
    figure = new_figure(0.4 + (WIDTH - LABELS) / len(samples) * len(labels) / ACROSS)
    panels = figure.subplots(1, len(samples), squeeze=False)[0]
    for axes, (model, groups) in zip(panels, samples.items(), strict=True):
        rows = [to_rgb(group[:ACROSS]) for group in (real, *groups)]
        sheet = np.concatenate(rows).transpose(0, 3, 1, 2)
        show_sheet(axes, sheet, ACROSS, labels if axes is panels[0] else (), NAMES[model])
    return figure


def draw_measures(
    measured: Mapping[str, Mapping[str, Mapping[str, float | None]]], names: Mapping[str, str]
) -> Figure:
    """A panel for each measure, the regions downwards; lines are at what real test images have.

    measured: model -> region, `data` among them -> measure, None where it does not apply; names: of
    the regions. A measure that nothing has gets no panel.
    """

    def column(model: str, key: str, regions: Sequence[str]) -> list[float]:
        found = [measured[model][region][key] for region in regions]
        return [math.nan if value is None else value for value in found]

    every = ["data", *names]
    shown = [key for key in PANELS if not np.isnan([column(m, key, every) for m in measured]).all()]
    down = -(-len(shown) // PANELS_ACROSS)
    figure = new_figure(down * (0.75 + 0.19 * len(names)) + 0.3)
    panels = figure.subplots(down, PANELS_ACROSS, squeeze=False, sharey=True)
    for axes in panels.flat[len(shown) :]:
        axes.set_visible(False)
    for key, axes in zip(shown, panels.flat, strict=False):
        own = len({measured[model]["data"][key] for model in measured}) > 1
        for i, model in enumerate(measured):
            line = COLOURS[model if own else "data"]
            axes.axvline(column(model, key, ["data"])[0], color=line, **LINE)
            offset = APART * (i - 0.5 * (len(measured) - 1))
            places = np.arange(len(names)) + offset
            axes.plot(column(model, key, [*names]), places, color=COLOURS[model], **DOT)
        axes.set_title(fill(MEASURES[key].label, TITLE), loc="left", fontsize=9)
        axes.set_xlabel(MEASURES[key].unit)
        axes.set_xlim(left=0.0)
        axes.grid(axis="y", color="0.92")
        axes.set_axisbelow(True)
    panels[0, 0].set_yticks(range(len(names)), names.values())
    panels[0, 0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        *(Line2D([], [], color=COLOURS[key], label=NAMES[key], **DOT) for key in measured),
        Line2D([], [], color=COLOURS["data"], label="real test images", **LINE),
        *(
            Line2D([], [], color=COLOURS[key], label=f"the same, by {NAMES[key]}", **LINE)
            for key in measured
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure
