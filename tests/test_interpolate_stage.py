"""The stage `interpolate` on untrained models: what it writes, and that it writes it again."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.distance import cdist
from torch import Tensor
from toys import (
    Recorder,
    assert_links_work,
    contents,
    image_arrays,
    save_models,
    write_data,
    write_params,
)

import interpolate
from vaelab.runtime.errors import UserError
from vaelab.samplers.gaussians import fit_mixture
from vaelab.settings import load_settings
from vaelab.studies.interpolate.paths import draw_pairs, slerp
from vaelab.vae.model import Posterior

METRICS = Path("metrics/toys/interpolate.json")
REPORT = Path("reports/toys/interpolate.md")


def test_what_it_writes(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    interpolate.main("toys")
    metrics = json.loads(METRICS.read_text())
    assert list(metrics) == ["pixels", "fc", "conv"]
    assert len({tuple(figures) for figures in metrics.values()}) == 1
    assert metrics["pixels"]["slerp_detour"] is None
    assert metrics["pixels"]["linear_detour"] == pytest.approx(1.0)
    assert metrics["fc"]["linear_detour"] >= 1.0
    assert_links_work(REPORT)
    assert recorder.names == ["interpolate-z4"]
    assert recorder.metrics["conv.geodesic_contrast"] == pytest.approx(
        metrics["conv"]["geodesic_contrast"], rel=1e-5
    )
    assert (REPORT.with_suffix(""), "interpolate") in recorder.artifacts

    with (REPORT.with_suffix("") / "measures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (1 + 2 * 3)
    counts = {row["pairs"]: int(row["count"]) for row in rows}
    assert counts["all"] == counts["within"] + counts["across"] == 6

    first = contents("metrics", "reports")
    interpolate.main("toys")
    assert contents("metrics", "reports") == first


def test_the_descent_lowers_the_energy(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    write_params(interpolate={"relaxation": 20, "steps": 5})
    interpolate.main("toys")
    assert re.search(r"energy by \d+% for\s+FC and \d+%\s+for\s+Conv", REPORT.read_text())


def test_own_files(recorder: Recorder, tmp_path: Path) -> None:
    write_data(Path("data/toys"), known_factors=True)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    write_params(
        interpolate={"pairs": [[3, "mine.png"]], "corners": ["mine.png", 1, 2, "mine.png"]}
    )
    interpolate.main("toys")
    assert_links_work(REPORT)
    pictures = sorted(path.name for path in REPORT.with_suffix("").glob("pair_*.png"))
    assert pictures == ["pair_1.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [[0, 30]]}, r"interpolate\.pairs .* 30; allowed: 0 to 29"),
        ({"corners": [0, 1, 31, 2]}, r"interpolate\.corners .* 31; allowed: 0 to 29"),
        ({"pairs": [[0, "none.png"]]}, r"none\.png cannot be read"),
    ],
)
def test_a_picture_that_is_not_there(
    changes: dict[str, Any], message: str, recorder: Recorder
) -> None:
    write_data(Path("data/toys"), known_factors=True)
    write_params(interpolate=changes)
    with pytest.raises(UserError, match=message):
        interpolate.main("toys")
    assert not recorder.names
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"known_factors": False},
        {"grey": True},
        {"tests": 1},
        {"grey": True, "tests": 1, "known_factors": False},
    ],
)
def test_images_that_do_not_vary(changes: dict[str, Any], recorder: Recorder) -> None:
    write_data(Path("data/toys"), **{"known_factors": True, **changes})
    interpolate.main("toys")
    assert_no_figure_is_lost(recorder)


@pytest.mark.parametrize("model", [{"latent_dim": 1}, {"latent_dim": 2, "posterior": "point"}])
def test_other_latents(model: dict[str, Any], recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    save_models(**model)
    interpolate.main("toys")
    assert_no_figure_is_lost(recorder)
    assert json.loads(METRICS.read_text())["fc"]["geodesic_detour"] is not None


def assert_no_figure_is_lost(recorder: Recorder) -> None:
    for text in (METRICS.read_text(), REPORT.read_text()):
        assert not re.search(r"\b(nan|inf|infinity)\b|∞", text, re.IGNORECASE)
    finite = [value for value in recorder.metrics.values() if value is not None]
    assert np.isfinite(finite).all()


class Blocks(torch.nn.Module):
    """An exact autoencoder of images of 2 x 2 blocks; the code is a root of the brightness."""

    latent_dim = 12
    stochastic = True

    def __init__(self, power: int) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()), requires_grad=False)
        self.power = power

    def encode(self, images: Tensor) -> Posterior:
        brightness = images[:, :, ::4, ::4].flatten(1) - 0.5
        mu = brightness.sign() * brightness.abs() ** (1 / self.power)
        return Posterior(mu, torch.full_like(mu, -4.0))

    def decode_mean(self, z: Tensor) -> Tensor:
        blocks = (z**self.power + 0.5).clamp(0.0, 1.0).reshape(-1, 3, 2, 2)
        return blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)


def draw_blocks(count: int) -> NDArray[np.uint8]:
    blocks = np.random.default_rng(count).integers(60, 200, (count, 3, 2, 2), dtype=np.uint8)
    return blocks.repeat(4, 2).repeat(4, 3)


def test_figures_of_exact_autoencoders(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose linear paths are cross-fades, and one whose are not."""
    counts = {"train": 40, "val": 20, "test": 30}
    images = image_arrays(Path("data/toys"), draw_blocks, counts, classes=2)
    vaes = {"fc": Blocks(1), "conv": Blocks(3)}
    monkeypatch.setattr(interpolate, "load_vae", lambda folder, device: vaes[folder.name])
    interpolate.main("toys")
    with (REPORT.with_suffix("") / "measures.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["pairs"] == "all"]
    found = {(row["model"], row["kind"]): row for row in rows}
    assert all(float(row["ends"]) == pytest.approx(0.0, abs=1e-5) for row in rows)
    assert float(found["fc", "linear"]["departure"]) == pytest.approx(0.0, abs=1e-5)

    chosen = load_settings().of("toys").interpolate
    pairs = draw_pairs(torch.tensor(images.test.labels), chosen.measured, chosen.seed)
    ends = torch.from_numpy(images.test.images[pairs.numpy()]).float() / 255.0
    train = torch.from_numpy(np.array(images.train.images)).float() / 255.0
    middles = {("pixels", "linear"): ends.mean(1)}
    for model, vae in vaes.items():
        a, b = vae.encode(ends[:, 0]).mu, vae.encode(ends[:, 1]).mu
        mixture = fit_mixture(vae.encode(train), seed=chosen.seed)
        level = 0.5 * (mixture.log_prob(a) + mixture.log_prob(b))
        for kind, z in (("linear", 0.5 * (a + b)), ("slerp", slerp(a, b, torch.tensor(0.5)))):
            middles[model, kind] = vae.decode_mean(z)
            density = float((mixture.log_prob(z) - level).mean()) / vae.latent_dim
            assert float(found[model, kind]["density"]) == pytest.approx(density, rel=1e-3)
    for path, middle in middles.items():
        distances = cdist(middle.flatten(1), train.flatten(1)).min(1) / np.sqrt(3 * 8 * 8)
        assert float(found[path]["nearest"]) == pytest.approx(distances.mean(), rel=1e-4)
