"""The ELBO and its KL term against torch.distributions, Monte Carlo, and a case done by hand."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from vaelab.vae.model import VAE, Posterior, VAEConfig
from vaelab.vae.objective import elbo_terms, kl_to_standard_normal


@pytest.fixture
def posterior() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mu = 2 * torch.randn(6, 9, generator=generator)
    logvar = torch.randn(6, 9, generator=generator)
    return mu, logvar


def test_kl_is_that_of_the_distributions(posterior: tuple[Tensor, Tensor]) -> None:
    mu, logvar = posterior
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), expected)


class FixedEncoder(nn.Module):
    """mu = (mean pixel in [-2, 2], 0); logvar = (log 0.25, 0)."""

    def forward(self, images: Tensor) -> Tensor:
        mu = images.flatten(1).mean(1)
        zero = torch.zeros_like(mu)
        return torch.stack([mu, zero, zero + math.log(0.25), zero], dim=1)


class FixedDecoder(nn.Module):
    """Every pixel's logit is z_0 + 2 z_1."""

    def forward(self, z: Tensor) -> Tensor:
        return (z[:, 0] + 2 * z[:, 1]).reshape(-1, 1, 1, 1).expand(-1, 1, 1, 2)


@pytest.fixture
def tiny() -> VAE:
    config = VAEConfig(
        architecture="fc", shape=(1, 1, 2), latent_dim=2, likelihood="bernoulli", net={}
    )
    return VAE(config, FixedEncoder(), FixedDecoder())


def test_elbo_by_hand(tiny: VAE) -> None:
    pixels = [[1.0, 0.5], [0.25, 0.0]]
    images = torch.tensor(pixels).reshape(2, 1, 1, 2)
    terms = elbo_terms(tiny, images, torch.Generator().manual_seed(7))

    eps = torch.randn(2, 2, generator=torch.Generator().manual_seed(7)).tolist()
    for i, (a, b) in enumerate(pixels):
        mu = (4 * a - 2 + 4 * b - 2) / 2
        logit = (mu + 0.5 * eps[i][0]) + 2 * eps[i][1]
        p = 1 / (1 + math.exp(-logit))
        distortion = -sum(x * math.log(p) + (1 - x) * math.log(1 - p) for x in (a, b))
        rate = 0.5 * (mu**2 + 0.25 - 1 - math.log(0.25))
        assert terms.distortion[i].item() == pytest.approx(distortion, rel=1e-5)
        assert terms.rate[i].item() == pytest.approx(rate, rel=1e-5)
        assert terms.kl_per_dimension[i, 1].item() == 0.0
        assert terms.elbo[i].item() == pytest.approx(-distortion - rate, rel=1e-5)


def test_posterior_samples_are_reparametrised() -> None:
    """Gradients reach mu and logvar through the draw."""
    mu = torch.zeros(2, 3, requires_grad=True)
    logvar = torch.full((2, 3), math.log(4.0), requires_grad=True)
    z = Posterior(mu, logvar).sample(torch.Generator().manual_seed(2))
    z.sum().backward()
    assert mu.grad is not None
    assert logvar.grad is not None
    assert torch.equal(mu.grad, torch.ones(2, 3))
    torch.testing.assert_close(logvar.grad, z.detach() / 2)
