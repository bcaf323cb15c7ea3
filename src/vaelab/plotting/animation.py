"""Animations that go there and back for ever."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

STEP_MS = 120
REST = 7.5  # steps that the first frame and the last stand still
NEARLY_WHITE = 248  # of 255: made white in the palette, as paper is


def gif_bytes(
    frames: Sequence[Image.Image], *, milliseconds: int = STEP_MS, colours: int = 256
) -> bytes:
    """A GIF from the first frame to the last and back, with a rest at both.

    frames: RGB, of one size; milliseconds: of a frame; colours: at most 256. All frames have one
    palette, so that what stands still does not flicker.
    """
    palette = _palette(frames, colours)
    plain = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    ends = {0, len(frames) - 1}
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    first, *others = (plain[i] for i in order)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "GIF",
        save_all=True,
        append_images=others,
        duration=[round(milliseconds * (REST if i in ends else 1)) for i in order],
        loop=0,
        disposal=1,
    )
    return buffer.getvalue()


def _palette(frames: Sequence[Image.Image], colours: int) -> Image.Image:
    """A colour counts by the square root of its area, so that small shapes on large grounds keep
    theirs.
    """
    pixels = np.concatenate([np.asarray(frame)[::2, ::2].reshape(-1, 3) for frame in frames[::2]])
    kinds, counts = np.unique(pixels & 0xFC | 0x02, axis=0, return_counts=True)
    weighed = np.repeat(kinds, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    chosen = Image.fromarray(weighed[None]).quantize(colours, Image.Quantize.MEDIANCUT, kmeans=1)
    values = np.array(chosen.getpalette()).reshape(-1, 3)
    values[values.min(1) >= NEARLY_WHITE] = 255
    chosen.putpalette(values.flatten().tolist())
    return chosen
