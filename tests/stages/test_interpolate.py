"""The stage `interpolate`: what it writes, that it writes it again, and its page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from torch import Tensor
from toys import Recorder, contents, image_arrays, save_models, write_data, write_params

import interpolate
from vaelab.metrics.frame import mean, read_frame
from vaelab.plotting import style
from vaelab.report.interpolate import page
from vaelab.runtime.errors import UserError
from vaelab.samplers.gaussians import fit_mixture
from vaelab.settings import load_settings
from vaelab.studies.interpolate.paths import slerp
from vaelab.studies.interpolate.pictures import draw_pairs
from vaelab.vae.model import Posterior
from vaelab.vae.pixels import to_floats, to_uint8

METRICS = Path("metrics/toys/interpolate.json")
REPORTS = Path("reports/toys")
FOLDER = REPORTS / "interpolate"


def run() -> str:
    """The stage's page, of which all links work and no figure is lost."""
    interpolate.main("toys")
    text = page(REPORTS)
    links = re.findall(r"\]\((.*?)\)", text)
    assert links
    assert all((REPORTS / link).is_file() for link in links)
    for written in (METRICS.read_text(), text):
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b|∞", written)
    return text


def test_what_it_writes(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    run()
    metrics = json.loads(METRICS.read_text())
    assert list(metrics) == ["fc", "conv"]
    assert {*metrics["fc"], *metrics["conv"]} == {"linear_contrast", "slerp_contrast"}
    figures = read_frame(FOLDER / "measures.csv")
    assert mean(figures, "pixels", "detour", "linear") == pytest.approx(1.0)
    contrast = mean(figures, "conv", "middle_contrast", "slerp")
    assert contrast == metrics["conv"]["slerp_contrast"]
    assert recorder.metrics["conv.slerp_contrast"] == pytest.approx(contrast, rel=1e-5)
    assert recorder.names == ["interpolate-z4"]
    assert (FOLDER, "interpolate") in recorder.artifacts
    sources = ("linear", "linear.within", "linear.across")
    every, within, across = (mean(figures, "pixels", "pairs", source) for source in sources)
    assert (every, within) == (6, 6 - across)
    energies = [mean(figures, "fc", "energy", kind) for kind in ("linear", "geodesic")]
    assert energies[0] >= energies[1]

    first = contents("metrics", "reports")
    interpolate.main("toys")
    assert contents("metrics", "reports") == first


def test_a_picture_that_is_not_there(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    write_params(interpolate={"pairs": [[0, 30]]})
    with pytest.raises(UserError):
        interpolate.main("toys")
    assert not recorder.names
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    "changes",
    [{"known_factors": False}, {"grey": True}, {"tests": 1}, {"grey": True, "tests": 1}],
)
def test_images_that_do_not_vary(changes: dict[str, Any], recorder: Recorder) -> None:
    write_data(Path("data/toys"), **{"known_factors": True, **changes})
    text = run()
    assert ("nothing to compare" in text) == ("known_factors" not in changes)


@pytest.mark.parametrize("model", [{"latent_dim": 1}, {"latent_dim": 2, "posterior": "point"}])
def test_other_latents(model: dict[str, Any], recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    save_models(**model)
    run()
    figures = read_frame(FOLDER / "measures.csv")
    assert mean(figures, "fc", "detour", "geodesic") is not None


def test_one_model_alone(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    rmtree("models/toys/fc")
    text = run()
    assert list(json.loads(METRICS.read_text())) == ["conv"]
    assert "FC" not in text


class Blocks(torch.nn.Module):
    """An exact autoencoder of images of 2 x 2 blocks; the code is a root of the brightness."""

    latent_dim = 12
    shape = (3, 8, 8)

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


def test_figures_of_exact_autoencoders(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three: one whose linear paths are cross-fades, and two whose are not."""

    def draw(count: int) -> NDArray[np.uint8]:
        blocks = np.random.default_rng(count).integers(60, 200, (count, 3, 2, 2), dtype=np.uint8)
        return blocks.repeat(4, 2).repeat(4, 3)

    counts = {"train": 40, "val": 20, "test": 30}
    images = image_arrays(Path("data/toys"), draw, counts, classes=2)
    vaes = {"fc": Blocks(1), "conv": Blocks(3), "toy": Blocks(5)}
    monkeypatch.setattr(interpolate, "load_first", lambda folder, device: vaes)
    mixture = fit_mixture(vaes["conv"].encode(to_floats(images.train.images)), seed=0)
    monkeypatch.setattr(interpolate, "first_mixture", lambda settings, vae: mixture)
    monkeypatch.setitem(style.NAMES, "toy", "Toy")
    monkeypatch.setitem(style.COLOURS, "toy", "#000000")
    text = run()
    assert all(f"{two} differ in" in text for two in ("FC and Conv", "FC and toy", "Conv and toy"))
    figures = read_frame(FOLDER / "measures.csv")
    assert mean(figures, "fc", "departure", "linear") == pytest.approx(0.0, abs=1e-5)

    chosen = load_settings().of("toys").interpolate
    pairs = draw_pairs(torch.tensor(images.test.labels), chosen.measured, chosen.seed)
    ends = torch.from_numpy(images.test.images[pairs.numpy()]).float() / 255.0
    train = torch.from_numpy(np.array(images.train.images)).float() / 255.0
    middles = {("pixels", "linear"): ends.mean(1)}
    for model, vae in vaes.items():
        assert mean(figures, model, "ends", "slerp") == pytest.approx(0.0, abs=1e-5)
        a, b = vae.encode(ends[:, 0]).mu, vae.encode(ends[:, 1]).mu
        level = 0.5 * (mixture.log_prob(a) + mixture.log_prob(b))
        for kind, z in (("linear", 0.5 * (a + b)), ("slerp", slerp(a, b, torch.tensor(0.5)))):
            middles[model, kind] = vae.decode_mean(z)
            density = float((mixture.log_prob(z) - level).mean()) / vae.latent_dim
            found = mean(figures, model, "density", kind)
            assert found == pytest.approx(density, rel=1e-3, abs=1e-5)
    for (model, kind), exact in middles.items():
        middle = to_floats(to_uint8(exact.numpy()))
        distances = cdist(middle.flatten(1), train.flatten(1)).min(1) / middle[0].numel() ** 0.5
        found = mean(figures, model, "nearest", kind)
        assert found == pytest.approx(distances.mean(), rel=1e-4)
