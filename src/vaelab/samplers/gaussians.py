"""Where to draw z from: the prior, or a density fitted to where the encodings are.

    sampler = fit_mixture(encode(vae, images.train.images), seed=0)
    images = decode(vae, sampler.sample(64, torch.Generator().manual_seed(0)))

All are fitted to the aggregated posterior q(z) = E_x[q(z|x)] and not to the means mu alone: the
decoder was trained on draws of q(z|x), and a dimension that holds nothing of the image has a mu of
nearly no spread, but a z of spread 1. Noise is drawn first, so that samplers given equal generators
start from the same noise. The learned prior, `fit_flow`, is in flow.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vaelab.metrics.aggregate import aggregate_moments
from vaelab.vae.model import Posterior

COMPONENTS = 10  # of the fitted mixture
DRAWS = 20_000  # of q(z) that it is fitted to, which bounds the time
ITERATIONS = 100  # of expectation-maximisation, at most
TOLERANCE = 3e-2  # nats for each draw: a smaller gain in an iteration ends it
JITTER = 1e-6  # variance added in every direction
CHUNK = 2**12  # points whose density is worked out at a time


class Sampler(Protocol):
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """z: (n, latent_dim), float32, on the CPU, as the generator is."""
        ...


@dataclass(frozen=True)
class Prior:
    """N(0, T² I); with the temperature T = 1 the prior itself."""

    latent_dim: int
    temperature: float = 1.0

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return self.temperature * torch.randn(n, self.latent_dim, generator=generator)


@dataclass(frozen=True)
class Mixture:
    """Σ_k weights[k] N(means[k], factors[k] factors[k]ᵀ), in float64."""

    weights: Tensor  # (K,), summing to 1
    means: Tensor  # (K, latent_dim)
    factors: Tensor  # (K, latent_dim, latent_dim): the covariances' Cholesky factors

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        noise = torch.randn(n, self.means.shape[1], generator=generator)
        components = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        return self._place(noise, components)

    def sample_components(self, components: Tensor, generator: torch.Generator) -> Tensor:
        """One z of each component named. components: (n,). Returns (n, latent_dim), float32."""
        noise = torch.randn(len(components), self.means.shape[1], generator=generator)
        return self._place(noise, components)

    def log_prob(self, z: Tensor) -> Tensor:
        """log density in nats. z: (n, latent_dim). Returns (n,), float64."""
        density = Density.of(self, self.means.device, torch.float64)
        return torch.cat([density.log_prob(part) for part in z.double().split(CHUNK)])

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (latent_dim,) and covariance (latent_dim, latent_dim), exactly, in float64.

        The covariance is the mean of the components' plus that of their means: the law of total
        covariance. Those of a fitted mixture are q(z)'s, as expectation-maximisation keeps the
        mean and covariance of the draws that it is fitted to.
        """
        mean = self.weights @ self.means
        centred = self.means - mean
        within = torch.einsum("k,kij,klj->il", self.weights, self.factors, self.factors)
        return mean, within + (self.weights * centred.T) @ centred

    def _place(self, noise: Tensor, components: Tensor) -> Tensor:
        z = self.means[components]
        for k, factor in enumerate(self.factors):
            chosen = components == k
            z[chosen] += noise[chosen].double() @ factor.T
        return z.float()


@dataclass(frozen=True)
class Density:
    """A mixture's log density, to be differentiated by z."""

    whitening: Tensor  # (K, latent_dim, latent_dim): the inverses of the Cholesky factors
    centres: Tensor  # (K, latent_dim): the means, whitened
    constants: Tensor  # (K,): log weights and log normalisers

    @classmethod
    def of(
        cls, mixture: Mixture, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> Density:
        """Prepared in the mixture's float64; dtype: of the z that it will be asked for."""
        whitening = torch.linalg.inv(mixture.factors)
        volumes = mixture.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        normaliser = 0.5 * mixture.means.shape[1] * math.log(2.0 * math.pi)
        centres = (whitening @ mixture.means[..., None])[..., 0]
        constants = mixture.weights.log() - volumes - normaliser
        return cls(*(part.to(dtype).to(device) for part in (whitening, centres, constants)))

    def log_prob(self, z: Tensor) -> Tensor:
        """In nats. z: (..., latent_dim). Returns (...)."""
        white = z.flatten(0, -2) @ self.whitening.mT - self.centres[:, None]
        parts = self.constants[:, None] - 0.5 * white.square().sum(2)
        return parts.logsumexp(0).unflatten(0, z.shape[:-1])


@dataclass(frozen=True)
class ClassGaussians(Mixture):
    """A component for each class, weighted by its share of the images."""

    labels: Tensor  # (K,): each component's class, ascending


def fit_mixture(posterior: Posterior, *, seed: int, components: int = COMPONENTS) -> Mixture:
    """A Gaussian mixture with full covariances, by expectation-maximisation from k-means.

    posterior: of the training images, (N, latent_dim). Fitted to DRAWS of q(z): one of each of
    that many images, or several of each where there are fewer, so that few images still give
    covariances of full rank. At most one component for each image.
    """
    from sklearn.mixture import GaussianMixture

    generator = torch.Generator().manual_seed(seed)
    count = len(posterior.mu)
    images = torch.randperm(count, generator=generator)
    images = images.repeat(math.ceil(DRAWS / count))[:DRAWS]
    z = Posterior(posterior.mu[images], posterior.logvar[images]).sample(generator)
    settings = {"tol": TOLERANCE, "max_iter": ITERATIONS, "reg_covar": JITTER}
    mixture = GaussianMixture(min(components, count), **settings, random_state=seed)
    mixture.fit(z.double().numpy())
    factors = torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
    return Mixture(torch.from_numpy(mixture.weights_), torch.from_numpy(mixture.means_), factors)


def fit_class_gaussians(posterior: Posterior, labels: Tensor) -> ClassGaussians:
    """For each class the Gaussian with the exact mean and covariance of its q(z).

    posterior: of the training images, (N, latent_dim); labels: (N,). A class needs one image.
    """
    classes, counts = labels.unique(return_counts=True)
    means, factors = [], []
    for label in classes:
        own = labels == label
        mean, covariance = aggregate_moments(Posterior(posterior.mu[own], posterior.logvar[own]))
        means.append(mean)
        covariance.diagonal().add_(JITTER)
        factors.append(torch.linalg.cholesky(covariance))
    weights = counts.double() / len(labels)
    return ClassGaussians(weights, torch.stack(means), torch.stack(factors), classes)
