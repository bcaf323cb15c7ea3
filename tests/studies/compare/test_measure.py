"""What `compare` measures, each figure against one worked out in another way."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from toys import image_arrays

from vaelab import comparison, inference, nets
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.bounds import bounds
from vaelab.metrics.pca import fit_pca
from vaelab.settings import CompareSettings, load_settings
from vaelab.studies.compare.measure import (
    MEASURES,
    Evaluation,
    Posteriors,
    active_units,
    choose,
    evaluate,
    evaluate_mean_image,
    evaluate_pca,
    macs,
    pixel_entropy,
    probe_pixels,
    ssim,
)
from vaelab.training.validation import bound, psnr
from vaelab.vae.inference import encode
from vaelab.vae.model import VAE, VAEConfig
from vaelab.vae.objective import kl_to_standard_normal

PRICE = {"seconds": 12.5, "images_per_second": 80.0}
SETTINGS = load_settings(Path(__file__).parents[1] / "params.yaml").compare.model_copy(
    update={"elbo_samples": 3, "iw_samples": 5, "seed": 2}
)


def arrays(folder: Path, classes: int = 2) -> ImageArrays:
    rng = np.random.default_rng(0)

    def draw(count: int) -> NDArray[np.uint8]:
        return rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)

    return image_arrays(folder, draw, {"train": 40, "val": 5, "test": 23}, classes)


@pytest.fixture
def data(tmp_path: Path) -> ImageArrays:
    return arrays(tmp_path / "noise")


@pytest.fixture
def images(data: ImageArrays) -> NDArray[np.uint8]:
    return data.test.images


def run(vae: VAE, data: ImageArrays, settings: CompareSettings = SETTINGS) -> Evaluation:
    return evaluate(vae, data, Posteriors.of(vae, data), PRICE, settings)


def build(**config: Any) -> VAE:
    torch.manual_seed(0)
    fields = {"latent_dim": 5, "likelihood": "bernoulli", "net": {"width": 4}} | config
    return nets.build(VAEConfig(architecture="conv", shape=(3, 16, 16), **fields))


@pytest.fixture
def vae() -> VAE:
    return build()


def test_evaluate_agrees_with_its_parts(vae: VAE, data: ImageArrays) -> None:
    result = run(vae, data)
    test = data.test.images
    found = bounds(vae, test, elbo_samples=3, iw_samples=5, seed=2)
    assert {key: result.row[key] for key in found._fields} == pytest.approx(found._asdict())
    assert result.row["mse"] == pytest.approx(bound(vae, test, samples=1, seed=0).mse)
    assert result.row["psnr"] == pytest.approx(psnr(result.row["mse"] or math.nan))
    kl = kl_to_standard_normal(*encode(vae, test)).mean(0)
    torch.testing.assert_close(result.kl_per_dimension.float(), kl)
    assert result.row["kl"] == pytest.approx(float(kl.sum()))
    parts = (result.row["mutual_information"] or 0.0) + (result.row["marginal_kl"] or 0.0)
    assert result.row["kl"] == pytest.approx(parts)
    assert result.row["bits_per_dim"] is None


def test_a_proper_likelihood_has_bits_per_dim(data: ImageArrays) -> None:
    row = run(build(likelihood="discretized_logistic"), data).row
    nats = row["iw_bound"] or math.nan
    assert row["bits_per_dim"] == pytest.approx(-nats / (3 * 16 * 16 * math.log(2)))


def test_a_point_posterior_has_no_bound(data: ImageArrays) -> None:
    row = run(build(posterior="point"), data).row
    absent = {key for key, value in row.items() if value is None}
    bound_figures = {"elbo", "iw_bound", "bits_per_dim", "kl", "mutual_information"}
    bound_figures |= {"marginal_kl", "marginal_kl_low", "active_units"}
    assert absent == bound_figures
    assert math.isfinite(row["reconstruction"] or math.nan)


def test_uneven_last_batch(vae: VAE, data: ImageArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    images = data.test.images
    pca = fit_pca(images, 4)
    codes = pca.encode(data.train.images)
    whole = run(vae, data)
    floor = evaluate_pca(pca, codes, data, 0.5, seed=0)
    entropy = pixel_entropy(images)
    for module in (comparison, inference):
        monkeypatch.setattr(module, "BATCH", 7)
    parts = run(vae, data)
    for key in ("ssim", "mse", "kl", "active_units"):
        assert parts.row[key] == pytest.approx(whole.row[key], rel=1e-4), key
    again = evaluate_pca(pca, codes, data, 0.5, seed=0)
    for key in ("mse", "psnr", "ssim", "probe_linear"):
        assert again[key] == pytest.approx(floor[key], rel=1e-5), key
    torch.testing.assert_close(pca.encode(data.train.images), codes)
    assert pixel_entropy(images) == pytest.approx(entropy, rel=1e-9)


class ScaledEncoder(nn.Module):
    """mu = mean pixel in [-1, 1] times (0, 0.05, 0.4, 3); logvar = 0."""

    def forward(self, images: Tensor) -> Tensor:
        mu = images.flatten(1).mean(1, keepdim=True) * torch.tensor([0.0, 0.05, 0.4, 3.0])
        return torch.cat([mu, torch.zeros_like(mu)], 1)


def test_active_units_of_a_constructed_encoder() -> None:
    """Grey images, half of them black and half white: the pixel's variance is 1."""
    grey = np.repeat(np.array([0, 255], np.uint8), 5).reshape(10, 1, 1, 1)
    images = np.broadcast_to(grey, (10, 1, 16, 16)).copy()
    config = VAEConfig(
        architecture="fc", shape=(1, 16, 16), latent_dim=4, likelihood="bernoulli", net={}
    )
    decoder = nn.Sequential(nn.Linear(4, 256), nn.Unflatten(1, (1, 16, 16)))
    vae = VAE(config, ScaledEncoder(), decoder)
    assert active_units(encode(vae, images).mu) == 2  # 0.16 and 9


def test_active_units_counts_variance_and_not_size() -> None:
    mu = torch.tensor([[5.0, 0.0], [5.0, 0.19]])  # variances 0 and 0.009
    assert active_units(mu) == 0
    assert active_units(torch.tensor([[5.0, 0.0], [5.0, 0.21]])) == 1  # 0.011


def ssim_by_hand(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """One channel; a window around each pixel."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    mirrored = [np.pad(x, 5, mode="reflect") for x in (a, b)]
    values = []
    for top in range(a.shape[0]):
        for left in range(a.shape[1]):
            p, q = (x[top : top + 11, left : left + 11] for x in mirrored)
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2
            cov = (window * p * q).sum() - mp * mq
            values.append(
                (2 * mp * mq + 1e-4)
                * (2 * cov + 9e-4)
                / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
            )
    return float(np.mean(values))


def test_ssim_by_hand() -> None:
    rng = np.random.default_rng(1)
    a = rng.random((2, 1, 16, 16))
    b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1)
    result = ssim(torch.from_numpy(b).float(), torch.from_numpy(a).float())
    expected = [ssim_by_hand(b[i, 0], a[i, 0]) for i in range(2)]
    assert result.tolist() == pytest.approx(expected, rel=1e-4)


def test_ssim_of_the_same_images_is_one() -> None:
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert ssim(images, images).tolist() == pytest.approx([1.0])


def test_macs_by_hand() -> None:
    """A 4 x 4 stride-2 convolution, linear layers, and the convolution's transpose."""
    config = VAEConfig(
        architecture="conv", shape=(3, 16, 16), latent_dim=2, likelihood="bernoulli", net={}
    )
    encoder = nn.Sequential(
        nn.Conv2d(3, 5, 4, stride=2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(5 * 64, 4)
    )
    decoder = nn.Sequential(
        nn.Linear(2, 5 * 64),
        nn.Unflatten(1, (5, 8, 8)),
        nn.ConvTranspose2d(5, 3, 4, stride=2, padding=1),
    )
    convolution = 3 * 5 * 4 * 4 * 8 * 8
    expected = convolution + 5 * 64 * 4 + 2 * 5 * 64 + convolution
    assert macs(VAE(config, encoder, decoder)) == expected


def test_pixel_entropy_bounds_the_cross_entropy(images: NDArray[np.uint8]) -> None:
    floats = torch.from_numpy(images).double() / 255.0
    best = nn.functional.binary_cross_entropy(floats, floats, reduction="none")
    expected = best.flatten(1).sum(1).mean().item()
    assert pixel_entropy(images) == pytest.approx(expected, rel=1e-9)
    half = np.full((2, 1, 4, 4), 51, np.uint8)  # 0.2
    by_hand = -16 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert pixel_entropy(half) == pytest.approx(by_hand)


def test_rows_have_the_same_keys(vae: VAE, data: ImageArrays) -> None:
    pca = fit_pca(data.train.images, 3)
    row = run(vae, data).row
    floor = evaluate_pca(pca, pca.encode(data.train.images), data, 0.5, seed=0)
    trivial = evaluate_mean_image(data)
    assert tuple(row) == tuple(floor) == tuple(trivial) == MEASURES
    assert {key for key, value in row.items() if value is None} == {"bits_per_dim"}
    known = {key for key, value in floor.items() if value is not None}
    fidelity, probes = {"mse", "psnr", "ssim"}, {"probe_linear", "probe_knn"}
    assert known == fidelity | probes | {"parameters", "macs", "seconds"}
    assert {key for key, value in trivial.items() if value is not None} == fidelity | {
        "parameters",
        "macs",
    }
    assert (row["parameters"], row["seconds"]) == (vae.parameter_count(), 12.5)
    assert (floor["parameters"], floor["macs"]) == (4 * 768, 2 * 3 * 768)


def test_the_mean_image_has_the_variance_for_an_error(data: ImageArrays) -> None:
    mean = data.train.images.mean(0) / 255.0
    expected = np.square(data.test.images / 255.0 - mean).mean()
    assert evaluate_mean_image(data)["mse"] == pytest.approx(expected, rel=1e-5)


def test_without_classes_nothing_is_probed(vae: VAE, tmp_path: Path) -> None:
    alike = arrays(tmp_path / "alike", classes=1)
    assert run(vae, alike).row["probe_linear"] is None
    assert probe_pixels(alike, seed=0) is None
    pixels = probe_pixels(arrays(tmp_path / "noise"), seed=0)
    assert pixels is not None
    assert 0.0 <= pixels.linear <= 1.0


def test_choose() -> None:
    some = choose(100, 10, seed=0)
    assert len(set(some.tolist())) == 10
    assert some.tolist() == sorted(some.tolist())
    assert some.tolist() == choose(100, 10, seed=0).tolist() != choose(100, 10, seed=1).tolist()
    assert choose(4, 10, seed=0).tolist() == [0, 1, 2, 3]
