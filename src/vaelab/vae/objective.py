"""The evidence lower bound and its terms, in nats per image.

    terms = elbo_terms(vae, images, generator)
    loss = terms.distortion.mean() + beta * charged_rate(terms.kl_per_dimension.mean(0), free_bits)

The one way from a batch to the bound: training, validation and the tight bounds of the comparison
all take it. Sums run over pixels and latent dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.vae.model import VAE, Posterior


@dataclass(frozen=True)
class ELBOTerms:
    """Of a batch of B images, from S draws of z for each."""

    posterior: Posterior
    z: Tensor  # (S, B, latent_dim), z ~ q(z|x)
    log_likelihood: Tensor  # (S, B): log p(x|z)
    kl_per_dimension: Tensor  # (B, latent_dim): exact

    @property
    def distortion(self) -> Tensor:
        """(B,): -E[log p(x|z)], the reconstruction term, averaged over the draws."""
        return -self.log_likelihood.mean(0)

    @property
    def rate(self) -> Tensor:
        """(B,): KL(q(z|x) || p(z))."""
        return self.kl_per_dimension.sum(1)

    @property
    def elbo(self) -> Tensor:
        """(B,): -(distortion + rate). Kingma & Welling 2014, equations 3 and 7."""
        return -(self.distortion + self.rate)

    @property
    def log_ratio(self) -> Tensor:
        """(S, B): log p(z) - log q(z|x) of each draw."""
        mu, logvar = self.posterior
        noise = (self.z - mu) / (0.5 * logvar).exp()
        return 0.5 * (noise.square() + logvar - self.z.square()).sum(2)


def elbo_terms(
    vae: VAE,
    images: Tensor,
    generator: torch.Generator | None = None,
    *,
    draws: int = 1,
    posterior: Posterior | None = None,
    eps: Tensor | None = None,
) -> ELBOTerms:
    """images: (B, C, H, W) in [0, 1]. posterior: theirs, where it is known already.

    eps: (B, latent_dim), the noise of one draw, where it is drawn already.
    """
    posterior = posterior or vae.encode(images)
    z = torch.stack([posterior.sample(generator, eps) for _ in range(draws)])
    repeated = images.expand(draws, *images.shape).flatten(0, 1)
    log_likelihood = vae.likelihood.log_prob(repeated, vae.decode(z.flatten(0, 1)))
    return ELBOTerms(
        posterior,
        z,
        log_likelihood.unflatten(0, (draws, len(images))),
        kl_to_standard_normal(*posterior),
    )


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) for each latent dimension, in nats.

    mu, logvar: (B, latent_dim). Returns (B, latent_dim). Kingma & Welling 2014, appendix B.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


def charged_rate(mean_kl: Tensor, free_bits: float) -> Tensor:
    """The batch's mean KL, of which each dimension's first `free_bits` nats cost nothing.

    mean_kl: (latent_dim,), over the batch. A dimension below is charged for `free_bits`, so
    that nothing pulls it further down to the prior. Returns (). Kingma et al. 2016 (arXiv
    1606.04934), equation 15, with a group for each dimension.
    """
    return mean_kl.clamp(min=free_bits).sum()
