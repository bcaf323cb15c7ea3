"""The interpolation report on made-up figures, and its pictures on made-up images."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.figures.common import save
from vaelab.figures.interpolate import _encode, _frames, draw_paths, draw_steps, save_animation
from vaelab.reports.interpolate import interpolate_report

MAX_BYTES = 500_000


def row(
    step: float, evenness: float | None, detour: float | None, slerp_detour: float | None
) -> dict[str, float | None]:
    linear = {"linear_step": step, "linear_evenness": evenness, "linear_detour": detour}
    slerp = {"slerp_step": step, "slerp_evenness": evenness, "slerp_detour": slerp_detour}
    return linear | slerp


FADE = {**dict.fromkeys(row(0, 0, 0, 0)), "linear_step": 0.05, "linear_detour": 1.0}


def report(fc: dict[str, float | None], conv: dict[str, float | None]) -> str:
    text = interpolate_report("toys", 16, 3, 7, {"fc": fc, "conv": conv, "pixels": FADE})
    return " ".join(text.split())


def test_words_follow_the_figures() -> None:
    text = report(fc=row(0.02, 0.1, 1.2, 1.5), conv=row(0.03, 0.05, 1.21, 1.1))
    assert "Conv changes more from step to step (step 0.0300 against 0.0200)" in text
    assert "moves more evenly (evenness 0.050 against 0.100)" in text
    assert "takes as long a way (detour 1.210 against 1.200)" in text
    assert "FC's spherical paths go a longer way (detour 1.500 against 1.200)" in text
    assert "Conv's spherical paths go a shorter way" in text
    assert "cross-fades of the two reconstructions" not in text


def test_words_turn_with_the_figures() -> None:
    text = report(fc=row(0.03, 0.05, 1.04, 1.04), conv=row(0.02, 0.1, 1.01, 1.01))
    assert "Conv changes less from step to step" in text
    assert "moves less evenly" in text
    assert "little more than cross-fades of the two reconstructions" in text


def test_a_model_that_does_not_move() -> None:
    text = report(fc=row(0.0, None, None, None), conv=row(0.02, 0.1, 1.1, 1.1))
    assert "| FC | 0.0000 | – | – |" in text
    assert "Beside FC" not in text


def test_prose_is_wrapped() -> None:
    figures = {"fc": row(1, 1, 1, 1), "conv": row(2, 2, 1, 1), "pixels": FADE}
    lines = interpolate_report("toys", 16, 3, 7, figures).splitlines()
    assert max(len(line) for line in lines if not line.startswith("|")) <= 100


def test_links_name_the_figures() -> None:
    text = interpolate_report(
        "toys", 16, 1, 7, {"fc": row(1, 1, 1, 1), "conv": row(1, 1, 1, 1), "pixels": FADE}
    )
    assert set(re.findall(r"\]\((.*?)\)", text)) == {
        f"interpolate/{name}" for name in ("linear.png", "slerp.png", "steps.png", "animation.gif")
    }
    assert "means over 1 pair." in text


@pytest.mark.parametrize(
    ("shape", "pairs", "steps"), [((1, 16, 16), 1, 3), ((3, 32, 32), 5, 11), ((3, 64, 64), 12, 15)]
)
def test_figures_are_small(
    shape: tuple[int, int, int], pairs: int, steps: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (pairs, 2, *shape), dtype=np.uint8)
    coarse = rng.random((2, pairs, steps, shape[0], 4, 4), dtype=np.float32)
    smooth = coarse.repeat(shape[1] // 4, axis=4).repeat(shape[1] // 4, axis=5)
    paths = dict(zip(("fc", "conv"), smooth, strict=True))
    captions = [f"pair {i}" for i in range(pairs)]
    save(draw_paths(originals, paths, captions, "Linear paths"), tmp_path / "linear.png")
    sizes = {model: np.abs(np.diff(images.mean((2, 3, 4)))) for model, images in paths.items()}
    save(draw_steps({"linear": sizes, "slerp": sizes}), tmp_path / "steps.png")
    save_animation(tmp_path / "animation.gif", originals, paths)
    for name in ("linear.png", "steps.png", "animation.gif"):
        assert 0 < (tmp_path / name).stat().st_size < MAX_BYTES
        with Image.open(tmp_path / name) as picture:
            assert picture.width <= 910
    with Image.open(tmp_path / "animation.gif") as animation:
        assert animation.n_frames == 2 * steps - 2
        assert animation.info["loop"] == 0


def test_animation_keeps_the_colours_of_small_shapes() -> None:
    """Dots that change their hue on large grounds with a faint texture."""
    texture = np.random.default_rng(0).normal(0.0, 0.02, (2, 7, 3, 8, 8)).astype(np.float32)
    images = 0.3 + texture.repeat(4, axis=3).repeat(4, axis=4)
    hues = np.linspace([[1, 0, 0], [1, 0, 1]], [[0, 1, 1], [1, 1, 0]], 7, axis=1)
    images[..., 14:18, 14:18] = hues[..., None, None]
    frames = _frames(np.zeros((2, 2, 3, 32, 32), np.uint8), {"fc": images}, side=96)
    with Image.open(io.BytesIO(_encode(frames, colours=255))) as animation:
        for step, frame in enumerate(frames):
            animation.seek(step)
            shown = np.array(animation.convert("RGB")).astype(int)
            assert np.abs(shown - np.array(frame)).max() < 80
