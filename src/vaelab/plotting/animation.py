"""Animated GIFs, for the reports and for `vaelab interpolate`."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

STEP_MS, HOLD_MS = 120, 900  # that a frame is shown, and that the first and the last are
COLOURS = 255  # one of 256 is left for what does not change from a frame to the next
NEARLY_WHITE = 248  # of 255: in the palette made white, as the paper is
SEEN = 12  # frames, at most, from which the palette is chosen


def gif_bytes(frames: Sequence[Image.Image], colours: int = COLOURS) -> bytes:
    """There and back for ever. All frames have one palette, so that what stands still does not
    flicker.

    frames: RGB, of one size; colours: in the palette, at most 256.
    """
    palette = _palette(frames, colours)
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
        disposal=1,
    )
    return buffer.getvalue()


def _palette(frames: Sequence[Image.Image], colours: int) -> Image.Image:
    """A colour counts by the square root of its area, so that small shapes on large grounds keep
    theirs.
    """
    some = frames[:: -(-len(frames) // SEEN)]
    pixels = np.concatenate([np.asarray(frame)[::2, ::2].reshape(-1, 3) for frame in some])
    kinds, counts = np.unique(pixels & 0xFC | 0x02, axis=0, return_counts=True)
    weighed = np.repeat(kinds, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    palette = Image.fromarray(weighed[None]).quantize(colours, Image.Quantize.MEDIANCUT, kmeans=1)
    chosen = np.array(palette.getpalette()).reshape(-1, 3)
    chosen[chosen.min(1) >= NEARLY_WHITE] = 255
    palette.putpalette(chosen.flatten().tolist())
    return palette
