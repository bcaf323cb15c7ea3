"""Sheets of images with captions, in which every pixel of an image is seen, and animations of them.

The figures of a report are drawn at a page's width; these are as wide as their images need.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from vaelab.cli.output import printable
from vaelab.data.pictures import UNREADABLE
from vaelab.plotting.style import Images, to_rgb

SIDE = 96  # pixels: smaller images are enlarged, by a whole number, to at least this
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
FONT_SIZE = 11  # pixels, at least
INK = "#222222"
MARK = ("Software", "vaelab")  # in a PNG's text
STEP_MS, HOLD_MS = 100, 900
NEARLY_WHITE = 248  # of 255: in an animation's palette made white, as the paper is
PALETTE_FRAMES = 12  # of an animation, from which its colours are chosen


@dataclass(frozen=True)
class Row:
    images: Images  # (N, C, H, W), floats in [0, 1] or uint8
    captions: Sequence[str] = ()  # above the images
    label: str = ""  # at the left
    framed: int | None = None  # which image has a frame, beside its pixels


def draw_sheet(rows: Sequence[Row]) -> Image.Image:
    """All images of one size. A caption wider than its image is shortened."""
    size = rows[0].images.shape[-1]
    side = size * -(-SIDE // size)
    gap = side // 24
    frame = gap // 2
    font = ImageFont.truetype(FONT, max(FONT_SIZE, side // 9))
    line = round(1.4 * font.size)
    labels = max(font.getlength(row.label) for row in rows)
    margin = round(labels) + 3 * gap if labels else gap

    heights = [(line if row.captions else 0) + side + gap for row in rows]
    width = margin + max(len(row.images) for row in rows) * (side + gap)
    sheet = Image.new("RGB", (width, gap + sum(heights)), "white")
    pen = ImageDraw.Draw(sheet)
    bottom = 0
    for row, height in zip(rows, heights, strict=True):
        bottom += height
        top = bottom - side
        pen.text((gap, top + side // 2), row.label, INK, font, anchor="lm")
        for i, caption in enumerate(row.captions):
            centre = margin + i * (side + gap) + side // 2
            shown = _shortened(printable(caption), font, side)
            pen.text((centre, top - line // 3), shown, INK, font, anchor="ms")
        for i, image in enumerate(to_rgb(row.images)):
            enlarged = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
            left = margin + i * (side + gap)
            sheet.paste(enlarged, (left, top))
            if i == row.framed:
                around = (left - frame, top - frame, left + side + frame - 1, bottom - 1 + frame)
                pen.rectangle(around, outline=INK, width=frame)
    return sheet


def as_png(sheet: Image.Image) -> bytes:
    buffer, text = io.BytesIO(), PngInfo()
    text.add_text(*MARK)
    sheet.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def is_sheet(file: Path) -> bool:
    """Whether `as_png` made it."""
    key, value = MARK
    try:
        with Image.open(file) as image:
            return image.info.get(key) == value
    except UNREADABLE:
        return False


def as_gif(frames: Sequence[Image.Image]) -> bytes:
    """There and back for ever, with a rest at the ends. All frames have one palette, so that what
    stands still does not flicker.
    """
    width, height = frames[0].size
    some = frames[:: -(-len(frames) // PALETTE_FRAMES)]
    strip = Image.new("RGB", (width, height * len(some)))
    for i, frame in enumerate(some):
        strip.paste(frame, (0, i * height))
    palette = strip.quantize(kmeans=1)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[colours.min(1) >= NEARLY_WHITE] = 255
    palette.putpalette(colours.flatten().tolist())
    plain = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    buffer = io.BytesIO()
    plain[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=[plain[i] for i in order[1:]],
        duration=[HOLD_MS if i in (0, len(frames) - 1) else STEP_MS for i in order],
        loop=0,
    )
    return buffer.getvalue()


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Without its middle, where it is too wide: files' names often differ at their ends."""
    shown, kept = text, len(text)
    while font.getlength(shown) > width and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown
