"""Figures of `interpolate`: grids of paths, step sizes, and an animation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vaelab.figures.common import COLOURS, NAMES, WIDTH, new_figure, to_uint8

Paths = Mapping[str, NDArray[Any]]  # model -> (P, S, C, H, W) in [0, 1]

KIND_NAMES = {"linear": "linear", "slerp": "spherical"}

# The animation's side of an image in pixels and its number of colours: the first that is in budget.
QUALITIES = [(96, 255), (80, 255), (64, 255), (64, 96), (64, 48), (48, 64), (32, 64), (32, 32)]
ANIMATION_BYTES = 480_000
STEP_MS, HOLD_MS = 120, 900


def draw_paths(
    originals: NDArray[np.uint8], paths: Paths, captions: Sequence[str], title: str
) -> Figure:
    """Each pair's paths, one row a model, from one original to the other.

    originals: uint8 (P, 2, C, H, W); captions: P of them.
    """
    pairs, steps, _, height, width = next(iter(paths.values())).shape
    gap = max(1, height // 16)
    head = round(0.42 * height)  # room for a caption
    block = head + len(paths) * (height + gap)
    lefts = [0, *(width + 3 * gap + i * (width + gap) for i in range(steps))]
    lefts.append(lefts[-1] + width + 3 * gap)
    sheet = np.full((pairs * block, lefts[-1] + width, 3), 255, np.uint8)

    def put(image: NDArray[np.uint8], top: int, left: int) -> None:
        sheet[top : top + height, left : left + width] = image

    rows = []
    for pair in range(pairs):
        top = pair * block + head
        middle = top + (len(paths) - 1) * (height + gap) // 2
        for original, left in zip(to_uint8(originals[pair]), (lefts[0], lefts[-1]), strict=True):
            put(original, middle, left)
        for row, images in enumerate(paths.values()):
            rows.append(top + row * (height + gap))
            for image, left in zip(to_uint8(images[pair]), lefts[1:-1], strict=True):
                put(image, rows[-1], left)

    figure = new_figure((WIDTH - 0.5) * sheet.shape[0] / sheet.shape[1] + 0.6)
    axes = figure.subplots()
    axes.imshow(sheet)
    t = [f"{value:.2f}".rstrip("0").rstrip(".") for value in np.linspace(0, 1, steps)]
    axes.xaxis.tick_top()
    axes.set_xticks([left + width / 2 for left in lefts], ["A", *t, "B"])
    axes.set_yticks([top + height / 2 for top in rows], [NAMES[model] for model in paths] * pairs)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for pair, caption in enumerate(captions):
        axes.text(0, pair * block + head - gap, caption, va="bottom", fontsize=8, color="#555555")
    axes.set_title(title, loc="left")
    return figure


def draw_steps(steps: Mapping[str, Mapping[str, NDArray[Any]]]) -> Figure:
    """steps: kind of path -> model -> (P, S - 1), RMSE per pixel."""
    figure = new_figure(2.9)
    panels = figure.subplots(1, len(steps), sharey=True, squeeze=False)[0]
    for axes, (kind, models) in zip(panels, steps.items(), strict=True):
        for model, sizes in models.items():
            count = sizes.shape[1]
            t = (np.arange(count) + 0.5) / count
            axes.plot(t, sizes.T, color=COLOURS[model], alpha=0.3, linewidth=0.8)
            axes.plot(t, sizes.mean(0), color=COLOURS[model], linewidth=2.2, label=NAMES[model])
        axes.set_title(f"{KIND_NAMES[kind].capitalize()} paths", loc="left")
        axes.set_xlabel("t, from A (0) to B (1)")
        axes.set_xlim(0, 1)
    panels[0].set_ylim(bottom=0)
    panels[0].set_ylabel("step between neighbours\n(RMSE per pixel, of 1)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", title="bold: mean\nthin: one pair")
    return figure


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
    names = ["A", *(NAMES[model] for model in paths), "B"]
    block = len(names) * (side + gap) + 2 * gap
    size = (across * block - 3 * gap, head + down * (side + gap) + foot)
    shown = {
        model: [to_uint8(images[pair]) for pair in range(pairs)] for model, images in paths.items()
    }
    ends = [to_uint8(originals[pair]) for pair in range(pairs)]

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
