"""What `compare` measures, each figure against one worked out in another way."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vaelab import comparison, evaluation, inference
from vaelab.comparison import (
    active_units,
    choose,
    evaluate,
    evaluate_pca,
    macs,
    pca_row,
    pixel_entropy,
    ssim,
    vae_row,
)
from vaelab.evaluation import bound
from vaelab.inference import encode
from vaelab.models import VAE, VAEConfig
from vaelab.models.conv import build_conv
from vaelab.objective import kl_to_standard_normal
from vaelab.pca import fit_pca


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (23, 3, 16, 16), dtype=np.uint8)


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    config = VAEConfig(
        architecture="conv",
        shape=(3, 16, 16),
        latent_dim=5,
        likelihood="bernoulli",
        net={"width": 4},
    )
    return build_conv(config)


def test_evaluate_agrees_with_bound(vae: VAE, images: NDArray[np.uint8]) -> None:
    result = evaluate(vae, images, elbo_samples=3, seed=2)
    assert vars(result.bound) == pytest.approx(vars(bound(vae, images, samples=3, seed=2)))
    kl = kl_to_standard_normal(*encode(vae, images)).mean(0)
    torch.testing.assert_close(result.kl_per_dimension.float(), kl)
    assert result.bound.kl == pytest.approx(result.kl_per_dimension.sum().item())


def test_uneven_last_batch(
    vae: VAE, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    pca = fit_pca(images, 4)
    whole = evaluate(vae, images, elbo_samples=1, seed=0)
    floor = evaluate_pca(pca, images)
    entropy = pixel_entropy(images)
    for module in (comparison, evaluation, inference):
        monkeypatch.setattr(module, "BATCH", 7)
    parts = evaluate(vae, images, elbo_samples=1, seed=0)
    assert parts.ssim == pytest.approx(whole.ssim, rel=1e-4)
    assert parts.bound.mse == pytest.approx(whole.bound.mse, rel=1e-5)
    torch.testing.assert_close(parts.kl_per_dimension, whole.kl_per_dimension)
    assert vars(evaluate_pca(pca, images)) == pytest.approx(vars(floor), rel=1e-5)
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
    assert evaluate(vae, images, elbo_samples=1, seed=0).active_units == 2  # 0.16 and 9


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


def test_rows_have_the_same_keys(vae: VAE, images: NDArray[np.uint8]) -> None:
    pca = fit_pca(images[:12], 3)
    row = vae_row(vae, evaluate(vae, images, elbo_samples=1, seed=0), seconds=12.5)
    floor = pca_row(pca, evaluate_pca(pca, images), seconds=0.5)
    assert list(row) == list(floor)
    absent = {key for key, value in floor.items() if value is None}
    assert absent == {"elbo", "reconstruction", "kl", "active_units"}
    assert None not in row.values()
    assert (row["parameters"], row["seconds"]) == (vae.parameter_count(), 12.5)
    assert (floor["parameters"], floor["macs"]) == (4 * 768, 2 * 3 * 768)


def test_choose() -> None:
    some = choose(100, 10, seed=0)
    assert len(set(some.tolist())) == 10
    assert some.tolist() == sorted(some.tolist())
    assert some.tolist() == choose(100, 10, seed=0).tolist() != choose(100, 10, seed=1).tolist()
    assert choose(4, 10, seed=0).tolist() == [0, 1, 2, 3]
