"""GIFs that go there and back in colours near to their frames'."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from vaelab.plotting.animation import HOLD_MS, STEP_MS, gif_bytes


def played(content: bytes) -> tuple[list[np.ndarray], list[int]]:
    frames, durations = [], []
    with Image.open(io.BytesIO(content)) as animation:
        assert animation.info["loop"] == 0
        for number in range(animation.n_frames):
            animation.seek(number)
            frames.append(np.array(animation.convert("RGB")).astype(int))
            durations.append(animation.info["duration"])
    return frames, durations


def test_it_goes_there_and_back() -> None:
    greys = [Image.new("RGB", (40, 30), (60 * i,) * 3) for i in range(4)]
    frames, durations = played(gif_bytes(greys))
    assert [round(frame.mean() / 60) for frame in frames] == [0, 1, 2, 3, 2, 1]
    assert durations == [HOLD_MS, STEP_MS, STEP_MS, HOLD_MS, STEP_MS, STEP_MS]


def test_the_paper_is_white() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    pixels[60:], pixels[90:] = 250, 255
    ((frame,), _) = played(gif_bytes([Image.fromarray(pixels)]))
    assert (frame[90:] == 255).all()


def test_small_shapes_keep_their_colours() -> None:
    """Dots that change their hue on a large ground with a faint texture."""
    texture = np.random.default_rng(0).normal(76.0, 5.0, (7, 12, 12, 3))
    images = np.clip(texture, 0, 255).repeat(16, axis=1).repeat(16, axis=2)
    for row, ends in enumerate([([255, 0, 0], [0, 255, 255]), ([255, 0, 255], [255, 255, 0])]):
        images[:, 100 * row : 100 * row + 12, 50:62] = np.linspace(*ends, 7)[:, None, None]
    shown, _ = played(gif_bytes([Image.fromarray(image.astype(np.uint8)) for image in images]))
    for frame, image in zip(shown, images, strict=False):
        assert np.abs(frame - image).max() < 80
