"""What single dimensions do and hold: cases with known answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import PARAMS, Blocks, normal, standard_mixture, toy_meta

from vaelab.data.arrays import ImageArrays, Split
from vaelab.metrics import disentanglement
from vaelab.metrics.frame import frame, mean, values
from vaelab.metrics.measures import DIMENSIONS
from vaelab.metrics.probes import fit_linear_probe
from vaelab.plotting import strips
from vaelab.settings import load_settings
from vaelab.sources.shapes import FACTORS, SHAPES, draw, sample_factors
from vaelab.studies.latent import Found
from vaelab.studies.latent import dimensions as module
from vaelab.studies.latent.dimensions import (
    STEPS,
    Scale,
    change,
    change_between,
    dimension_change,
    explore,
    read_classes,
    traversals,
)
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.model import VAE, Posterior, VAEConfig
from vaelab.vae.pixels import to_uint8


class HalfBright(nn.Module):
    """z0 lights the upper half of a 4 x 4 picture, z1 nothing."""

    def forward(self, z: Tensor) -> Tensor:
        upper = torch.cat([torch.ones(2, 4), torch.zeros(2, 4)])
        return z[:, :1, None, None] * upper


def half_bright() -> VAE:
    config = VAEConfig(
        architecture="fc", shape=(1, 4, 4), latent_dim=2, likelihood="bernoulli", net={}
    )
    decoder = HalfBright()
    decoder.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    return VAE(config, nn.Identity(), decoder)


def test_scale_is_that_of_samples() -> None:
    posterior = Posterior(normal(2000, 2) * torch.tensor([2.0, 0.1]) + 1.0, normal(2000, 2, seed=1))
    draws = posterior.sample(torch.Generator().manual_seed(2))
    scale = Scale.of(posterior)
    torch.testing.assert_close(scale.mean, draws.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(scale.sd, draws.std(0), atol=0, rtol=0.05)


def test_traversals_by_hand() -> None:
    scale = Scale(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0]))
    images = traversals(half_bright(), torch.tensor([[0.5, 0.0]]), [1, 0], scale)
    assert images.shape == (2, len(STEPS), 1, 4, 4)
    lit = to_uint8(torch.sigmoid(1.0 + 2.0 * torch.tensor(STEPS)).numpy())
    np.testing.assert_array_equal(images[1, :, 0, 0, 0], lit)
    np.testing.assert_array_equal(images[0, :, 0, 0, 0], 159)  # of sigmoid(0.5)
    np.testing.assert_array_equal(images[:, :, 0, 3], 128)


def test_change_by_hand() -> None:
    before, after = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    after[0, 1, 0, 0] = 0.6  # one pixel of eight, in one channel of three
    after[1, 0, 1, 1] = 0.09  # too little to count
    assert change([(before, after)]) == pytest.approx((1 / 8, (0.6 + 0.09) / 12**0.5 / 2))
    images = np.zeros((3, 1, 2, 2), np.uint8)
    images[0] = 255
    assert change_between(images) == pytest.approx((2 / 3, 2 / 3))
    assert change_between(images[:1]) is None


def test_dimension_change() -> None:
    z, ends = normal(5, 2), torch.tensor([-2.0, 2.0])
    lit = dimension_change(half_bright(), z, 0, ends)
    difference = float(torch.sigmoid(ends[1]) - torch.sigmoid(ends[0]))
    assert lit == pytest.approx((0.5, difference * 0.5**0.5))
    assert dimension_change(half_bright(), z, 1, ends) == (0.0, 0.0)


def grouped(seed: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Class 1 lies two standard deviations up in dimension 4, class 2 one down in dimension 0."""
    labels = torch.arange(600) % classes
    mu = normal(600, 6, seed=seed)
    mu[labels == 1, 4] += 2.0
    mu[labels == 2, 0] -= 1.0
    return mu, labels


def of_codes(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
) -> tuple[Encoded, ImageArrays]:
    """Encodings and labels of images that nothing looks at."""
    posteriors = [Posterior(mu, torch.zeros_like(mu)) for mu, _ in (train, train, test)]
    splits = [
        Split(np.zeros((len(y), 1, 4, 4), np.uint8), y.numpy()) for _, y in (train, train, test)
    ]
    encoded = Encoded(half_bright(), *posteriors, standard_mixture(6), torch.ones(6))
    return encoded, ImageArrays(toy_meta(), *splits)


def test_reading_classes() -> None:
    train, test = grouped(0), grouped(1)
    found = read_classes(*of_codes(train, test), seed=0)
    one, every = (
        fit_linear_probe(train[0][:, some], train[1], 0).score(test[0][:, some], test[1])
        for some in ([4], [0, 1, 2, 3, 4, 5])
    )
    assert (found["class_one"], found["class_every"]) == pytest.approx((one, every))
    assert found["class_chance"] == pytest.approx(1 / 3)
    assert found["class_chance"] + 0.1 < found["class_one"] < found["class_every"]


def test_nothing_to_classify() -> None:
    mu, labels = grouped(0)
    same = torch.zeros(600, dtype=torch.long)
    assert read_classes(*of_codes((mu, same), (mu, labels)), seed=0) == {}
    few = (mu[:3], torch.arange(3))
    assert read_classes(*of_codes(few, (mu, labels)), seed=0) == {}
    still = (torch.ones(600, 2), labels)
    assert read_classes(*of_codes(still, still), seed=0)["class_one"] == pytest.approx(1 / 3)


def explored(names: list[str], folder: Path, count: int = 1200) -> Found:
    drawn = sample_factors(count, seed=0)
    every = Split(draw(drawn, 16)[:, :1], drawn[:, 0].astype(np.int64), drawn)
    splits = [every[start : start + count // 3] for start in range(0, count, count // 3)]
    images = ImageArrays(toy_meta(class_names=SHAPES, factor_names=FACTORS), *splits)
    models = {}
    for i, name in enumerate(names):
        encoded = Encoded.of(cast("VAE", Blocks(0.1 + 0.05 * i)), images, standard_mixture(2))
        models[name] = replace(encoded, held=torch.tensor([1.0, 3.0, 2.0, 0.5]))
    settings = load_settings(PARAMS).latent_explore.model_copy(update={"traversals": 3})
    return explore(models, images, settings, folder)


@pytest.mark.parametrize("names", [["fc"], ["fc", "conv", "other"]])
def test_explore_with_factors(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (module, strips):
        monkeypatch.setattr(each, "NAMES", {name: name for name in names})
    monkeypatch.setattr(disentanglement, "TREES", 3)
    found = explored(names, tmp_path)
    figures = frame(found.figures)
    assert set(figures["measure"]) == {measure.key for measure in DIMENSIONS}
    assert set(figures["model"]) == {*names, "data"}
    assert found.facts["leading"] == {name: [1, 2, 0] for name in names}
    assert found.facts["unit"] == "nats"
    assert list(found.facts["best"]["fc"]) == FACTORS
    for name in names:
        assert values(figures, name, "dimension_held", "z1") == [3.0]
        held = [mean(figures, name, key, "x") for key in ("information", "information_next")]
        assert held[0] >= held[1]
    pictures = {"traversals.png", "traversals_images.png", "dimensions_factors.png"}
    assert {path.name for path in tmp_path.iterdir()} == pictures


def test_few_images_have_factors_but_no_scores(tmp_path: Path) -> None:
    found = explored(["fc"], tmp_path, count=90)
    figures = frame(found.figures)
    assert mean(figures, "fc", "readout", "x") is not None
    assert mean(figures, "fc", "mig") is None
    assert not (tmp_path / "dimensions_factors.png").exists()
