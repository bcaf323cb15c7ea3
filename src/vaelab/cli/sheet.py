"""Sheets of images with captions, in which every pixel of an image is seen.

The figures of a report are drawn at a page's width; these are as wide as their images need.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from vaelab.cli.commands import Row
from vaelab.data.pictures import UNREADABLE
from vaelab.plotting.animation import gif_bytes
from vaelab.plotting.style import to_rgb
from vaelab.runtime.errors import printable

SIDE = 128  # pixels to which smaller images are enlarged at least, by a whole number
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
INK = "#222222"
MARK = ("Software", "vaelab")  # in a PNG's text


def draw_sheet(rows: Sequence[Row], scale: int | None = None) -> Image.Image:
    """All images of one size, each `scale` times as wide. Captions wider than them are cut."""
    size = rows[0].images.shape[-1]
    side = size * (scale or -(-SIDE // size))
    gap = max(4, side // 24)
    font = ImageFont.truetype(FONT, max(11, side // 10))
    line = round(1.4 * font.size)
    labels = round(max(font.getlength(row.label) for row in rows))
    margin = labels + 3 * gap if labels else gap
    width = margin + max(len(row.images) for row in rows) * (side + gap)
    heights = [(line if row.captions else 0) + side + gap for row in rows]
    sheet = Image.new("RGB", (width, gap + sum(heights)), "white")
    pen = ImageDraw.Draw(sheet)
    bottom = 0
    for row, height in zip(rows, heights, strict=True):
        bottom += height
        top = bottom - side
        pen.text((gap, top + side // 2), row.label, INK, font, anchor="lm")
        for i, image in enumerate(to_rgb(row.images)):
            left = margin + i * (side + gap)
            if row.captions:
                caption = _shortened(printable(row.captions[i]), font, side)
                pen.text((left + side // 2, top - line // 3), caption, INK, font, anchor="ms")
            if i == row.framed:
                edge = gap // 2
                box = (left - edge, top - edge, left + side + edge - 1, bottom + edge - 1)
                pen.rectangle(box, INK)
            enlarged = Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left, top))
    return sheet


def encode_rows(rows: Sequence[Row], suffix: str, scale: int | None) -> bytes:
    """A PNG of all rows, or where the suffix is .gif an animation with a frame for each."""
    if suffix.lower() == ".gif":
        return gif_bytes([draw_sheet([row], scale) for row in rows])
    buffer, text = io.BytesIO(), PngInfo()
    text.add_text(*MARK)
    draw_sheet(rows, scale).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue()


def is_sheet(file: Path) -> bool:
    """Whether it is a PNG of `encode_rows`."""
    key, value = MARK
    try:
        with Image.open(file, formats=["PNG"]) as image:
            return image.info.get(key) == value
    except UNREADABLE:
        return False


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Without its middle, where it is too wide: files' names often differ at their ends."""
    shown, kept = text, len(text)
    while font.getlength(shown) > width and kept > 2:
        kept -= 1
        shown = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
    return shown
