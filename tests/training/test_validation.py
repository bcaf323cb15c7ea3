"""The bound on a split: against sums by hand, and however the images are cut into batches."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from toys import small_vae

from vaelab.training.validation import validate
from vaelab.vae import inference
from vaelab.vae.model import VAE, VAEConfig
from vaelab.vae.objective import elbo_terms
from vaelab.vae.pixels import psnr


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (23, 1, 16, 16), dtype=np.uint8)


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return small_vae("conv", channels=1, latent_dim=5, likelihood="gaussian")


def test_it_is_the_objective_of_all_images(vae: VAE, images: NDArray[np.uint8]) -> None:
    result = validate(vae, images, samples=1, seed=4)
    floats = torch.from_numpy(images).float() / 255.0
    with torch.no_grad():
        terms = elbo_terms(vae, floats, torch.Generator().manual_seed(4))
        errors = vae.decode_mean(terms.posterior.mu) - floats
    assert result.elbo == pytest.approx(terms.elbo.mean().item(), rel=1e-5)
    assert result.distortion == pytest.approx(terms.distortion.mean().item(), rel=1e-5)
    assert result.rate == pytest.approx(terms.rate.mean().item(), rel=1e-5)
    assert result.mse == pytest.approx(errors.square().mean().item(), rel=1e-5)
    assert result.psnr == pytest.approx(-10 * math.log10(result.mse))
    assert psnr(0.0) == math.inf


def test_uneven_last_batch(
    vae: VAE, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """23 images in batches of 7, 7, 7 and 2 give what one batch gives."""
    nn.init.constant_(vae.encoder[-1].bias, -30.0)  # type: ignore[index, union-attr, arg-type]
    whole = validate(vae, images, samples=1, seed=0)  # sigma is exp(-15): the draws do not matter
    monkeypatch.setattr(inference, "BATCH", 7)
    for form in (images, torch.from_numpy(images)):
        parts = validate(vae, form, samples=1, seed=0)
        assert vars(parts) == pytest.approx(vars(whole), rel=1e-4)


def test_seed_decides(vae: VAE, images: NDArray[np.uint8]) -> None:
    one, same, other = (validate(vae, images, samples=1, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.elbo != other.elbo
    assert one.mse == other.mse


class NoEncoder(nn.Module):
    """The prior, whatever the image."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Parameter(torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        return self.output.expand(len(images), 2)


class LinearDecoder(nn.Module):
    """Every pixel's logit is z."""

    def forward(self, z: Tensor) -> Tensor:
        return z.reshape(-1, 1, 1, 1).expand(-1, 1, 16, 16)


def test_samples_average_the_distortion(images: NDArray[np.uint8]) -> None:
    """E over z ~ N(0, 1) of the cross-entropy, against quadrature, within five standard errors."""
    config = VAEConfig(
        architecture="fc", shape=(1, 16, 16), latent_dim=1, likelihood="bernoulli", net={}
    )
    vae = VAE(config, NoEncoder(), LinearDecoder())
    x = images[0].astype(np.float64) / 255.0
    z, weights = np.polynomial.hermite_e.hermegauss(60)
    softplus = np.log1p(np.exp(z))
    distortion = x.size * softplus - x.sum() * z  # BCE with logit z, summed over pixels
    expected = (weights * distortion).sum() / weights.sum()
    deviation = math.sqrt((weights * (distortion - expected) ** 2).sum() / weights.sum())

    samples = 4000
    result = validate(vae, images[:1], samples=samples, seed=0)
    assert result.rate == 0.0
    assert abs(result.distortion - expected) < 5 * deviation / math.sqrt(samples)


def test_nothing_is_left_to_differentiate(vae: VAE, images: NDArray[np.uint8]) -> None:
    """Training calls it between epochs: weights, gradients and its random state stay."""
    weights = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    state = torch.get_rng_state()
    validate(vae, images, samples=1, seed=0)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in vae.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in vae.parameters())
    assert vae.training
