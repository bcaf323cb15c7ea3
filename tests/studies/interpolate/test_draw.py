"""Figures and an animation of the size that a page can show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.plotting.style import save
from vaelab.studies.interpolate.draw import animate, draw_corners, draw_pair, draw_steps
from vaelab.studies.interpolate.paths import PATH_KINDS
from vaelab.studies.interpolate.pictures import Picture

MAX_BYTES = 500_000


@pytest.mark.parametrize(
    ("shape", "pairs", "steps", "models"),
    [
        ((1, 16, 16), 1, 3, ["conv"]),
        ((3, 32, 32), 5, 11, ["fc", "conv"]),
        ((3, 64, 64), 12, 15, ["fc", "conv", "pca"]),
    ],
)
def test_figures_are_small(
    shape: tuple[int, int, int], pairs: int, steps: int, models: list[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 256, (pairs, 2, *shape), dtype=np.uint8)
    coarse = rng.random((len(models), pairs, steps, shape[0], 4, 4), dtype=np.float32)
    smooth = coarse.repeat(shape[1] // 4, axis=4).repeat(shape[1] // 4, axis=5)
    paths = dict(zip(models, smooth, strict=True))
    one = {model: images[0] for model, images in paths.items()}
    name = "a-photograph-with-a-name-that-goes-on-and-on.jpg"
    pictures = [Picture(image, name, "test image 123456") for image in [*ends[0], *ends[0]]]
    fade = np.linspace(ends[0, 0] / 255.0, ends[0, 1] / 255.0, steps)
    save(draw_pair(pictures[:2], fade, dict.fromkeys(PATH_KINDS, one)), tmp_path / "pair.png")
    grids = {
        model: images.reshape(-1, *shape)[np.arange(49) % steps] for model, images in paths.items()
    }
    save(draw_corners(pictures, grids), tmp_path / "corners.png")
    (tmp_path / "animation.gif").write_bytes(animate(ends, {"Cross-fade": smooth[0], **paths}))
    for name in ("pair.png", "corners.png", "animation.gif"):
        assert 0 < (tmp_path / name).stat().st_size < MAX_BYTES
        with Image.open(tmp_path / name) as picture:
            assert picture.width <= 910
    with Image.open(tmp_path / "animation.gif") as animation:
        assert animation.n_frames == 2 * steps - 2


def test_steps_leave_out_paths_that_stand_still() -> None:
    sizes = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [np.nan] * 3])
    figure = draw_steps({"linear": {"fc": sizes, "conv": sizes[:1]}, "slerp": {"fc": sizes[2:]}})
    linear, slerp = figure.axes
    assert [len(axes.get_lines()) for axes in (linear, slerp)] == [3, 1]
    for line, expected in zip(linear.get_lines()[1:], ([2.0] * 3, [1.0, 2.0, 3.0]), strict=True):
        np.testing.assert_allclose(line.get_ydata(), expected)
        np.testing.assert_allclose(line.get_xdata(), [1 / 6, 3 / 6, 5 / 6])
