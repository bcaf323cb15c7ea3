"""The latent-space report on made-up figures, and its pictures on made-up images."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from vaelab.figures import latent as figures
from vaelab.figures.common import save
from vaelab.reports.latent_explore import latent_report

MAX_BYTES = 500_000
NAMES = {
    "posterior": "Encoded test images",
    "prior": "Prior N(0, I)",
    "shell_0.5": "Shell 0.5 √d",
    "shell_1": "Shell 1 √d",
    "shell_1.5": "Shell 1.5 √d",
}


def region(
    sharpness: float | None, diversity: float | None, nearest: float
) -> dict[str, float | None]:
    return {"radius": 1.0, "sharpness": sharpness, "diversity": diversity, "nearest": nearest}


def model(marginal_kl: float = 1.0, kl: float = 20.0) -> dict[str, Any]:
    return {
        "posterior": region(0.5, 0.8, 0.12),
        "prior": region(0.3, 0.79, 0.10),
        "shell_0.5": region(0.2, 0.4, 0.08),
        "shell_1": region(0.3, 0.7, 0.10),
        "shell_1.5": region(0.4, 0.6, 0.20),
        "encodings": {"norm": 0.9, "variance": 0.8, "kl": kl, "marginal_kl": marginal_kl},
    }


def metrics(**fc: Any) -> dict[str, Any]:
    real = {"radius": None, "sharpness": 1.0, "diversity": 1.0, "nearest": 0.15}
    return {"data": {"data": real}, "fc": model() | fc, "conv": model(marginal_kl=30.0, kl=60.0)}


def report(tree: dict[str, Any]) -> str:
    return " ".join(latent_report("toys", 16, 64, 512, NAMES, tree).split())


def test_words_follow_the_figures() -> None:
    text = report(metrics())
    assert "Sharpest is *Encoded test images*, with 0.50 of real images' sharpness" in text
    assert "most varied is *Encoded test images*, with 0.80" in text
    assert "closest to the training images is *Shell 0.5 √d*, at 0.080" in text
    assert "sharpness rises (0.20, 0.30, 0.40)" in text
    assert "diversity goes no single way (0.40, 0.70, 0.60)" in text
    assert "At 1.5 √d the images are clearly farther from the training images" in text
    assert "blurrier (0.30 against 0.50) and about as varied (0.79 against 0.80)" in text
    assert "norm of 3.6 (root mean square; N(0, I): √d = 4.0)" in text
    assert "at least 1.0 nats (5%)" in text
    fc, conv = text.split("**FC.**")[1].split("**Conv.**")
    assert "come close to filling N(0, I)" in fc
    assert "do not fill N(0, I)" in conv


def test_words_turn_with_the_figures() -> None:
    text = report(
        metrics(
            prior=region(0.7, 0.5, 0.1),
            **{"shell_0.5": region(0.4, 0.5, 0.1), "shell_1.5": region(0.2, 0.5, 0.1)},
        )
    ).split("**Conv.**")[0]
    assert "sharper (0.70 against 0.50) and less varied (0.50 against 0.80)" in text
    assert "sharpness falls (0.40, 0.30, 0.20)" in text
    assert "At none of them are the images clearly farther" in text


def test_nothing_is_said_of_what_is_not_known() -> None:
    """Test images that are all grey have no sharpness and no diversity to be a share of."""
    tree = metrics()
    for known in (tree["data"]["data"], *tree["fc"].values()):
        known |= {"sharpness": None, "diversity": None}
    text = latent_report("toys", 16, 64, 512, NAMES, tree)
    fc = " ".join(text.split("**FC.**")[1].split("**Conv.**")[0].split())
    assert fc.startswith("Closest to the training images is *Shell 0.5 √d*, at 0.080")
    assert "1.5 √d the distance to the nearest training image rises (0.080, 0.100, 0.200)" in fc
    assert "Samples of the prior" not in fc
    assert "| Prior N(0, I) | 1.00 | – | – | 0.100 |" in text


def test_prose_is_wrapped() -> None:
    lines = latent_report("toys", 16, 64, 512, NAMES, metrics()).splitlines()
    assert max(len(line) for line in lines if not line.startswith("|")) <= 100


def test_one_shell_has_no_trend() -> None:
    names = {key: name for key, name in NAMES.items() if key not in ("shell_0.5", "shell_1.5")}
    text = latent_report("toys", 16, 64, 512, names, metrics())
    assert "Over the shells" not in text


def test_collapsed_encodings_are_called_so() -> None:
    text = report(
        metrics(encodings={"norm": 1.0, "variance": 1.0, "kl": 0.001, "marginal_kl": 0.0})
    )
    assert "the encodings say nothing of the image" in text


def test_table_has_a_row_for_each_region() -> None:
    lines = latent_report("toys", 16, 64, 512, NAMES, metrics()).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 1 + len(NAMES)
    assert {line.count("|") for line in table} == {10}
    assert table[2].startswith("| Real test images | – | 1.00 | 1.00 | 0.150 |")


def test_readout_only_where_factors_are_known() -> None:
    assert "linear map" not in report(metrics())
    tree = metrics(readout={"x": 0.97, "background_hue": -0.5})
    tree["conv"]["readout"] = {"x": 0.9, "background_hue": 1.0}
    text = latent_report("toys", 16, 64, 512, NAMES, tree)
    assert "| R² | x | background hue |" in text
    assert "| FC | 0.97 | −0.50 |" in text


def test_links_name_the_figures() -> None:
    text = latent_report("toys", 16, 64, 512, NAMES, metrics())
    assert set(re.findall(r"\]\((.*?)\)", text)) == {
        f"latent_explore/{name}.png"
        for name in ("prior_samples", "regions", "traversals", "plane", "encodings")
    }


# --- figures -------------------------------------------------------------------------------------


def photographs(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """Smooth patches with a little noise: about as hard to compress as decoded photographs."""
    rng = np.random.default_rng(count)
    coarse = rng.random((count, shape[0], 4, 4), dtype=np.float32)
    smooth = coarse.repeat(shape[1] // 4, axis=2).repeat(shape[2] // 4, axis=3)
    return smooth + rng.normal(0.0, 0.02, smooth.shape).astype(np.float32)


def saved(figure: Figure, path: Path) -> Path:
    save(figure, path)
    assert 0 < path.stat().st_size < MAX_BYTES
    with Image.open(path) as picture:
        assert picture.width <= 910
    return path


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 64, 64)])
def test_sheets_are_small(shape: tuple[int, int, int], tmp_path: Path) -> None:
    samples = {name: photographs(64, shape) for name in ("fc", "conv")}
    tests = np.random.default_rng(0).integers(0, 256, (64, *shape), dtype=np.uint8)
    names = [f"Region {i}" for i in range(11)]
    groups = {name: [images] * 11 for name, images in samples.items()}
    values = [-3.0, 0.0, 3.0]
    lines = {name: images[:48].reshape(16, 3, *shape) for name, images in samples.items()}
    labels = {name: [f"z{i} · 0.50 nats" for i in range(16)] for name in samples}
    saved(figures.draw_prior_samples(samples), tmp_path / "prior_samples.png")
    saved(figures.draw_regions(names, groups, tests), tmp_path / "regions.png")
    saved(figures.draw_traversals(lines, labels, values), tmp_path / "traversals.png")
    points = {name: np.array([[0.0, 0.0], [3.0, 0.0], [1.0, 2.0]]) for name in samples}
    squares = dict.fromkeys(samples, (-1.0, 4.0, -1.5, 3.5))
    plane = figures.draw_plane(tests[:3], samples, points, squares)
    saved(plane, tmp_path / "plane.png")


def test_fewer_samples_than_a_row(tmp_path: Path) -> None:
    samples = {name: photographs(9, (3, 16, 16)) for name in ("fc", "conv")}
    saved(figures.draw_prior_samples(samples), tmp_path / "prior_samples.png")


@pytest.mark.parametrize(("classes", "entries"), [(1, None), (2, 2), (10, 10), (11, 11), (100, 11)])
def test_legend_of_the_encodings(classes: int, entries: int | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(3000) % classes
    points = {name: rng.normal(size=(3000, 2)) + labels[:, None] / 20 for name in ("fc", "conv")}
    names = [f"class {i}" for i in range(classes)]
    explained = dict.fromkeys(points, (0.2, 0.1))
    figure = figures.draw_encodings(points, explained, labels, names)
    saved(figure, tmp_path / "encodings.png")
    if entries is None:
        assert not figure.legends
    else:
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert len(texts) == entries
        assert texts[0] == "class 0"
        if classes > 10:
            assert texts[-1] == f"{classes - 10} others"


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    samples = {name: photographs(64, (3, 64, 64)) for name in ("fc", "conv")}
    files = [
        saved(figures.draw_prior_samples(samples), tmp_path / f"{i}.png").read_bytes()
        for i in range(2)
    ]
    assert files[0] == files[1]
