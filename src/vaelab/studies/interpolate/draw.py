"""Figures of `interpolate`: paths, blends of four images, step sizes, and an animation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vaelab.data.arrays import UInt8Array
from vaelab.metrics.measures import PATH_NAMES
from vaelab.plotting.animation import gif_bytes
from vaelab.plotting.style import (
    COLOURS,
    NAMES,
    WIDTH,
    new_figure,
    save,
    shortened,
    show_beside,
    show_sheet,
    to_rgb,
)
from vaelab.studies.interpolate.measure import Walked
from vaelab.studies.interpolate.paths import PATH_KINDS, cross_fades
from vaelab.studies.interpolate.pictures import Picture

CORNERS = ["Top left", "Top right", "Bottom left", "Bottom right"]
END_CAPTION, CORNER_CAPTION = 32, 16  # characters of a name that there is room for
LARGEST_SIDE = 0.9  # inches, of an image in a pair's figure
# The animation's side of an image in pixels and its number of colours: the first that is in budget.
QUALITIES = [(96, 255), (80, 255), (64, 255), (64, 96), (64, 48), (48, 64), (32, 64), (32, 32)]
ANIMATION_BYTES = 480_000
INK = "#222222"

Rows = Mapping[str, NDArray[Any]]  # model or heading -> images
Drawn = Mapping[str, Rows]  # kind -> model -> what is drawn of it


def save_figures(
    folder: Path,
    pairs: Sequence[Sequence[Picture]],
    corners: Sequence[Picture],
    walked: Mapping[str, Walked],
) -> None:
    """pair_1.png and so on, corners.png, steps.png, and animation.gif, of the spherical paths."""
    shown: Drawn = {k: {m: each.shown[k] for m, each in walked.items()} for k in PATH_KINDS}
    ends = np.stack([[picture.image for picture in pair] for pair in pairs])
    fades = torch.cat([*cross_fades(ends, next(iter(shown["linear"].values())).shape[1])]).numpy()
    for i, pair in enumerate(pairs):
        own = {kind: {model: x[i] for model, x in models.items()} for kind, models in shown.items()}
        save(draw_pair(pair, fades[i], own), folder / f"pair_{i + 1}.png")
    save(draw_corners(corners, {m: x.grid for m, x in walked.items()}), folder / "corners.png")
    measured = {model: each.measured for model, each in walked.items()}
    steps: Drawn = {k: {m: x[k].steps.numpy() for m, x in measured.items()} for k in PATH_KINDS}
    save(draw_steps(steps), folder / "steps.png")
    rows = {NAMES[model]: images for model, images in shown["slerp"].items()}
    (folder / "animation.gif").write_bytes(animate(ends, {"Cross-fade": fades} | rows))


def draw_pair(ends: Sequence[Picture], fade: NDArray[Any], paths: Drawn) -> Figure:
    """The cross-fade, (S, C, H, W), and a block for each kind of path: model -> (S, C, H, W)."""
    steps = len(fade)
    blocks = {"Cross-fade of the originals": {"": fade}}
    for kind, rows in paths.items():
        blocks[f"{PATH_NAMES[kind]} path"] = {NAMES[model]: row for model, row in rows.items()}
    counts = [len(rows) for rows in blocks.values()]
    side = min((WIDTH - 0.6) / steps, LARGEST_SIDE)
    figure = new_figure(side * sum(counts) + 0.27 * len(blocks) + 0.45)
    panels = figure.subplots(len(blocks), 1, height_ratios=counts, squeeze=False)[:, 0]
    between = [f"{t:.2f}".rstrip("0") for t in np.linspace(0, 1, steps)[1:-1]]
    for axes, (title, rows) in zip(panels, blocks.items(), strict=True):
        t = ["A, t = 0", *between, "B, 1"] if axes is panels[-1] else ()
        show_sheet(axes, np.concatenate([*rows.values()]), steps, [*rows], title, t)
        axes.set_anchor("W")
    a, b = (f"{shortened(end.name, END_CAPTION)} ({end.place})" for end in ends)
    figure.suptitle(f"A: {a}   →   B: {b}", x=0.01, ha="left", fontsize=10)
    return figure


def draw_corners(corners: Sequence[Picture], grids: Rows) -> Figure:
    """Blends of four images, a panel a model, under the originals.

    corners: as CORNERS; grids: model -> (side * side, C, H, W), row by row.
    """
    figure = new_figure(WIDTH / len(grids) + 1.2)
    heights = [0.85, WIDTH / len(grids) + 0.35]
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, picture, corner in zip(above.subplots(1, 4), corners, CORNERS, strict=True):
        show_sheet(axes, picture.image[None], 1)
        axes.set_anchor("W")
        lines = "\n".join([corner, shortened(picture.name, CORNER_CAPTION), picture.place])
        text = axes.text(1.07, 0.5, lines, transform=axes.transAxes, va="center", fontsize=8)
        text.set_in_layout(False)
    side = math.isqrt(len(next(iter(grids.values()))))
    show_beside(below, {NAMES[model]: images for model, images in grids.items()}, side)
    return figure


def draw_steps(steps: Drawn) -> Figure:
    """How far images change at each step. steps: kind -> model -> (P, S - 1), as in Measured."""
    figure = new_figure(3.1)
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for axes, (kind, models) in zip(panels, steps.items(), strict=True):
        axes.axhline(1.0, color=COLOURS["pca"], ls="--", lw=1.2, label="Even cross-fade")
        for model, every in models.items():
            sizes = every[np.isfinite(every).all(1)]
            if len(sizes):
                t = (np.arange(sizes.shape[1]) + 0.5) / sizes.shape[1]
                mean, sd = sizes.mean(0), sizes.std(0, ddof=min(1, len(sizes) - 1))
                axes.plot(t, mean, color=COLOURS[model], linewidth=2, label=NAMES[model])
                axes.fill_between(t, mean - sd, mean + sd, color=COLOURS[model], alpha=0.2, lw=0.6)
        axes.set_title(f"{PATH_NAMES[kind]} paths", loc="left")
        axes.set(xlabel="t, from A (0) to B (1)", xlim=(0, 1))
    panels[0].set(ylim=(0, None), ylabel="distance between neighbours\n(even cross-fade: 1)")
    handles, labels = panels[0].get_legend_handles_labels()
    title = "line: mean over the pairs; band: one standard deviation to either side"
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title=title)
    return figure


def animate(ends: UInt8Array, paths: Rows) -> bytes:
    """A GIF from A to B and back for ever, a row a pair, under 500 KB.

    ends: uint8 (P, 2, C, H, W); paths: heading -> (P, S, C, H, W).
    """
    for side, colours in QUALITIES:
        steps = next(iter(paths.values())).shape[1]
        frames = [_frame(ends, paths, side, i, i / (steps - 1)) for i in range(steps)]
        content = gif_bytes(frames, colours)
        if len(content) <= ANIMATION_BYTES:
            break
    return content


def _frame(ends: UInt8Array, paths: Rows, side: int, step: int, t: float) -> Image.Image:
    """A row a pair: A, the paths' images, B."""
    columns = {"A": ends[:, 0], **{name: x[:, step] for name, x in paths.items()}, "B": ends[:, 1]}
    pitch, head, foot, font = side + side // 12, 16, 18, ImageFont.load_default(11)
    width, height = len(columns) * pitch - side // 12, head + len(ends) * pitch + foot
    frame = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(frame)
    for i, (name, images) in enumerate(columns.items()):
        pen.text((i * pitch + side // 2, head - 3), name, INK, font, anchor="ms")
        for pair, image in enumerate(to_rgb(images)):
            resized = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
            frame.paste(resized, (i * pitch, head + pair * pitch))
    pen.text((2, height - 7), f"t = {t:.2f}", INK, font, anchor="lm")
    return frame
