"""The bounds on a model whose log evidence is known in closed form, and Jensen's inequality."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vaelab import nets
from vaelab.metrics import bounds as module
from vaelab.metrics.bounds import bits_per_dim, bounds, importance_weighted_bound
from vaelab.vae.model import VAE, VAEConfig

SHAPE = (1, 16, 16)
PIXELS = math.prod(SHAPE)
LATENT = 3
SIGMA = 0.3
MANY = 10**6


class LinearGaussian(nn.Module):
    """N(raw, SIGMA² I): unlike the project's own, its mean is no sigmoid."""

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        return torch.distributions.Normal(raw, SIGMA).log_prob(images).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return raw + SIGMA * torch.randn(raw.shape, generator=generator)


def linear_vae(shift: float = 0.0, widen: float = 0.0) -> tuple[VAE, Tensor, Tensor]:
    """x = W z + b + noise, W's columns orthogonal, so that the exact posterior is diagonal.

    shift, widen: what the encoder adds to the exact posterior's mu and logvar. Returns the model,
    W (D, d) and b (D,).
    """
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(PIXELS, LATENT, generator=generator)).Q
    w = basis * torch.tensor([2.0, 1.0, 0.5])
    b = torch.full((PIXELS,), 0.5)
    variance = 1.0 / (1.0 + w.square().sum(0) / SIGMA**2)

    decode = nn.Linear(LATENT, PIXELS)
    encode = nn.Linear(PIXELS, 2 * LATENT)
    with torch.no_grad():
        decode.weight.copy_(w)
        decode.bias.copy_(b)
        to_mu = variance.unsqueeze(1) * w.T / SIGMA**2  # of x - b; the encoder sees 4 x - 2
        encode.weight.copy_(torch.cat([to_mu / 4.0, torch.zeros_like(to_mu)]))
        mu_of_middle = to_mu @ (0.5 - b) + shift
        encode.bias.copy_(torch.cat([mu_of_middle, variance.log() + widen]))
    config = VAEConfig(
        architecture="fc", shape=SHAPE, latent_dim=LATENT, likelihood="bernoulli", net={}
    )
    vae = VAE(
        config, nn.Sequential(nn.Flatten(), encode), nn.Sequential(decode, nn.Unflatten(1, SHAPE))
    )
    vae.likelihood = LinearGaussian()
    return vae, w, b


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Twelve, near what the model generates."""
    _, w, b = linear_vae()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(12, LATENT, generator=generator) @ w.T + b
    x += SIGMA * torch.randn(x.shape, generator=generator)
    return (x.clamp(0.0, 1.0) * 255.0).round().byte().reshape(-1, *SHAPE).numpy()


def log_evidence(images: NDArray[np.uint8]) -> float:
    """Mean of log N(x; b, W W^T + SIGMA² I)."""
    _, w, b = linear_vae()
    covariance = w @ w.T + SIGMA**2 * torch.eye(PIXELS)
    evidence = torch.distributions.MultivariateNormal(b.double(), covariance.double())
    x = torch.from_numpy(images).double().flatten(1) / 255.0
    return evidence.log_prob(x).mean().item()


def test_the_exact_posterior_leaves_no_gap(images: NDArray[np.uint8]) -> None:
    vae, _, _ = linear_vae()
    found = bounds(vae, images, elbo_samples=400, iw_samples=4, iw_images=MANY, seed=0)
    deviation = math.sqrt(LATENT / 2 / 400 / len(images))  # of the distortion's mean
    assert abs(found.elbo - log_evidence(images)) < 4 * deviation
    assert found.iw_bound == pytest.approx(found.elbo, abs=1e-3)


def test_a_worse_posterior_lies_below_and_draws_close_the_gap(images: NDArray[np.uint8]) -> None:
    """The gap of the ELBO is KL(q || exact posterior), which is known too."""
    shift, widen = 0.1, 0.8
    vae, w, _ = linear_vae(shift, widen)
    precision = 1.0 + w.square().sum(0) / SIGMA**2
    gap = 0.5 * (math.exp(widen) - 1.0 - widen + shift**2 * precision).sum().item()
    exact = log_evidence(images)

    many = np.tile(images, (40, 1, 1, 1))
    found = {
        k: bounds(vae, many, elbo_samples=64, iw_samples=k, iw_images=MANY, seed=0)
        for k in (1, 4, 16, 64)
    }
    elbo = found[1].elbo
    assert elbo == pytest.approx(exact - gap, abs=0.1)
    rising = [elbo - 1e-9, *(every.iw_bound for every in found.values()), exact + 0.05]
    assert all(before <= after for before, after in pairwise(rising))
    assert found[64].iw_bound == pytest.approx(exact, abs=0.05)
    assert found[4].iw_bound < exact - 0.1


def test_elbo_never_lies_above(images: NDArray[np.uint8]) -> None:
    """For any seed and any number of draws, also where the gap is smaller than the noise."""
    for widen in (0.0, 0.01, 0.5):
        vae, _, _ = linear_vae(widen=widen)
        for seed in range(5):
            for k in (1, 2, 8):
                found = bounds(
                    vae, images[:1], elbo_samples=3, iw_samples=k, iw_images=MANY, seed=seed
                )
                assert found.elbo <= found.iw_bound + 1e-9


def test_some_images_stand_for_all(images: NDArray[np.uint8]) -> None:
    """The gap of a few, within its own standard error of the gap of all."""
    vae, _, _ = linear_vae(shift=0.1, widen=0.8)
    many = np.tile(images, (40, 1, 1, 1))
    shared = {"elbo_samples": 2, "iw_samples": 16, "seed": 0}
    every, few = (bounds(vae, many, iw_images=count, **shared) for count in (len(many), 120))
    assert few.elbo == every.elbo
    assert few.iw_error == pytest.approx(2 * every.iw_error, rel=0.3)
    assert few.iw_bound == pytest.approx(every.iw_bound, abs=4 * few.iw_error)


def test_importance_weighted_bound_by_hand() -> None:
    log_weights = torch.tensor([[0.0, -1000.0], [math.log(3.0), -1000.0]])
    assert importance_weighted_bound(log_weights).tolist() == pytest.approx([math.log(2.0), -1000])


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    config = VAEConfig(
        architecture="conv",
        shape=SHAPE,
        latent_dim=5,
        likelihood="gaussian",
        net={"width": 4, "blocks": 0},
    )
    return nets.build(config)


def test_chunks_of_any_size_give_the_same(
    vae: VAE, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    vae.decoder.register_forward_hook(lambda net, inputs, output: decoded.append(len(output)))
    whole = bounds(vae, images, elbo_samples=3, iw_samples=7, iw_images=MANY, seed=0)
    assert decoded == [3 * len(images), 7 * len(images)]
    monkeypatch.setattr(module, "DECODES", 2 * len(images) + 1)
    parts = bounds(vae, images, elbo_samples=3, iw_samples=7, iw_images=MANY, seed=0)
    assert decoded[2:] == [24, 12, 24, 24, 24, 12]
    assert parts == pytest.approx(whole, rel=1e-6)


def test_seed_decides_and_draws_are_shared(vae: VAE, images: NDArray[np.uint8]) -> None:
    one, other, more = (
        bounds(vae, images, elbo_samples=2, iw_samples=k, iw_images=MANY, seed=seed)
        for k, seed in ((4, 1), (4, 2), (9, 1))
    )
    assert one.reconstruction != other.reconstruction
    assert one.elbo == pytest.approx(-one.reconstruction - one.kl)
    assert one.elbo == pytest.approx(more.elbo, rel=1e-6)


def test_bits_per_dim_by_hand() -> None:
    uniform = -PIXELS * math.log(256.0)
    assert bits_per_dim(uniform, SHAPE) == pytest.approx(8.0)
