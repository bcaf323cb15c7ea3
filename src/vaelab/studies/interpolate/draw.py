"""Figures of `interpolate`: paths, blends of four images, step sizes, and an animation."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vaelab.plotting.style import COLOURS, NAMES, WIDTH, new_figure, show_sheet, to_rgb

Paths = Mapping[str, NDArray[Any]]  # model or pixels -> (P, S, C, H, W) in [0, 1]

KIND_NAMES = {"linear": "linear", "slerp": "spherical", "geodesic": "data-following"}
ROW_NAMES = {**NAMES, "pixels": "Cross-fade"}
CORNERS = ["Top left", "Top right", "Bottom left", "Bottom right"]
END_CAPTION, CORNER_CAPTION = 48, 20  # characters that there is room for
LARGEST_SIDE = 0.9  # inches, of an image in a pair's figure

# The animation's side of an image in pixels and its number of colours: the first that is in budget.
QUALITIES = [(96, 255), (80, 255), (64, 255), (64, 96), (64, 48), (48, 64), (32, 64), (32, 32)]
ANIMATION_BYTES = 480_000
STEP_MS, HOLD_MS = 120, 900


def draw_pair(
    ends: tuple[str, str],
    fade: NDArray[Any],
    paths: Mapping[str, Mapping[str, NDArray[Any]]],
) -> Figure:
    """All ways from one image to another: the originals' cross-fade, and a block a kind of path.

    ends: the captions of A and B; fade: (S, C, H, W); paths: kind -> model -> (S, C, H, W).
    """
    steps = len(fade)
    blocks = [("Cross-fade of the originals A and B", {"": fade})] + [
        (
            f"{KIND_NAMES[kind].capitalize()} path",
            {NAMES[model]: row for model, row in rows.items()},
        )
        for kind, rows in paths.items()
    ]
    counts = [len(rows) for _, rows in blocks]
    side = min((WIDTH - 0.6) / steps, LARGEST_SIDE)
    figure = new_figure(side * sum(counts) + 0.27 * len(blocks) + 0.45)
    panels = figure.subplots(len(blocks), 1, height_ratios=counts, squeeze=False)[:, 0]
    for axes, (title, rows) in zip(panels, blocks, strict=True):
        show_sheet(axes, np.concatenate([*rows.values()]), steps, [*rows], title)
        axes.set_anchor("W")
    pitch = panels[0].get_images()[0].get_array().shape[1] / steps
    t = [f"{value:.2f}".rstrip("0").rstrip(".") for value in np.linspace(0, 1, steps)]
    panels[-1].set_xticks([(i + 0.5) * pitch for i in range(steps)], ["A, t = 0", *t[1:-1], "B, 1"])
    a, b = (short(caption, END_CAPTION) for caption in ends)
    figure.suptitle(f"A: {a}   →   B: {b}", x=0.01, ha="left", fontsize=10)
    return figure


def draw_corners(
    originals: NDArray[np.uint8],
    captions: Sequence[Sequence[str]],
    grids: Mapping[str, NDArray[Any]],
) -> Figure:
    """Blends of four images, a panel a model, under the originals.

    originals: uint8 (4, C, H, W), top left, top right, bottom left, bottom right; captions: of
    each, in lines; grids: model -> (side * side, C, H, W), row by row.
    """
    figure = new_figure(WIDTH / len(grids) + 1.2)
    heights = [0.85, WIDTH / len(grids) + 0.35]
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    corners = zip(originals, captions, CORNERS, strict=True)
    for axes, (image, lines, corner) in zip(above.subplots(1, 4), corners, strict=True):
        show_sheet(axes, image[None], 1)
        axes.set_anchor("W")
        text = axes.annotate(
            "\n".join([corner, *(short(line, CORNER_CAPTION) for line in lines)]),
            (1.0, 0.5),
            xytext=(6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
        text.set_in_layout(False)
    panels = below.subplots(1, len(grids), squeeze=False)[0]
    for axes, (model, images) in zip(panels, grids.items(), strict=True):
        show_sheet(axes, images, math.isqrt(len(images)), title=NAMES[model])
    return figure


def draw_steps(steps: Mapping[str, Mapping[str, NDArray[Any]]]) -> Figure:
    """How far images change at each step: mean over the pairs, with a band of one sd.

    steps: kind of path -> model -> (P, S - 1), in units of an even cross-fade's of the path's end
    images; P may be 0.
    """
    figure = new_figure(3.1)
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for axes, (kind, models) in zip(panels, steps.items(), strict=True):
        axes.axhline(
            1.0, color=COLOURS["pca"], ls="--", lw=1.2, label="Even cross-fade of the ends"
        )
        for model, sizes in models.items():
            if len(sizes):
                t = (np.arange(sizes.shape[1]) + 0.5) / sizes.shape[1]
                mean, sd = sizes.mean(0), sizes.std(0)
                axes.plot(t, mean, color=COLOURS[model], linewidth=2, label=NAMES[model])
                axes.fill_between(t, mean - sd, mean + sd, color=COLOURS[model], alpha=0.15, lw=0)
                axes.plot(t, np.stack([mean - sd, mean + sd], 1), color=COLOURS[model], lw=0.6)
        axes.set_title(f"{KIND_NAMES[kind].capitalize()} paths", loc="left")
        axes.set_xlabel("t, from A (0) to B (1)")
        axes.set_xlim(0, 1)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("step between neighbours\n(an even cross-fade\u2019s: 1)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        title="line: mean over the pairs; band: one standard deviation to either side",
    )
    return figure


def short(text: str, most: int) -> str:
    """At most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def save_animation(path: Path, originals: NDArray[np.uint8], paths: Paths) -> None:
    """A GIF that goes from A to B and back for ever, under 500 KB.

    originals: uint8 (P, 2, C, H, W).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for side, colours in QUALITIES:
        content = _encode(_frames(originals, paths, side), colours)
        if len(content) <= ANIMATION_BYTES:
            break
    path.write_bytes(content)


def _frames(originals: NDArray[np.uint8], paths: Paths, side: int) -> list[Image.Image]:
    """One frame a step: for each pair A, the models' images, B; several pairs beside another."""
    pairs, steps = next(iter(paths.values())).shape[:2]
    across = 1 if pairs <= 2 else 2 if pairs <= 6 else 3
    down = -(-pairs // across)
    gap, head, foot, font = side // 12, 16, 18, ImageFont.load_default(11)
    names = ["A", *(ROW_NAMES[model] for model in paths), "B"]
    block = len(names) * (side + gap) + 2 * gap
    size = (across * block - 3 * gap, head + down * (side + gap) + foot)
    shown = {
        model: [to_rgb(images[pair]) for pair in range(pairs)] for model, images in paths.items()
    }
    ends = [to_rgb(originals[pair]) for pair in range(pairs)]

    frames = []
    for step in range(steps):
        frame = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(frame)
        for column in range(across):
            for i, name in enumerate(names):
                centre = column * block + i * (side + gap) + side // 2
                pen.text((centre, head - 3), name, "#222222", font, anchor="ms")
        for pair in range(pairs):
            images = [ends[pair][0], *(shown[model][pair][step] for model in paths), ends[pair][1]]
            for i, image in enumerate(images):
                left = (pair % across) * block + i * (side + gap)
                top = head + (pair // across) * (side + gap)
                resized = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC)
                frame.paste(resized, (left, top))
        t = step / (steps - 1)
        base, length = size[1] - 7, size[0] - 70
        pen.text((2, base), f"t = {t:.2f}", "#222222", font, anchor="lm")
        pen.line([(60, base), (60 + length, base)], "#bbbbbb", 2)
        pen.ellipse([56 + length * t, base - 4, 64 + length * t, base + 4], "#222222")
        frames.append(frame)
    return frames


def _encode(frames: list[Image.Image], colours: int) -> bytes:
    """GIF, one palette for all frames, there and back."""
    palette = _palette(frames, colours)
    plain = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    durations = [HOLD_MS if i in (0, len(frames) - 1) else STEP_MS for i in order]
    buffer = io.BytesIO()
    first, *others = (plain[i] for i in order)
    first.save(
        buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, disposal=1
    )
    return buffer.getvalue()


def _palette(frames: list[Image.Image], colours: int) -> Image.Image:
    """A colour counts by the square root of its area, so that small shapes on large grounds keep
    theirs.
    """
    pixels = np.concatenate([np.asarray(frame)[::2, ::2].reshape(-1, 3) for frame in frames[::2]])
    kinds, counts = np.unique(pixels & 0xFC | 0x02, axis=0, return_counts=True)
    weighed = np.repeat(kinds, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    return Image.fromarray(weighed[None]).quantize(colours, Image.Quantize.MEDIANCUT, kmeans=1)
