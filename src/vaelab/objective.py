"""The evidence lower bound and its terms, in nats per image.

    terms = elbo_terms(vae, images, generator)
    loss = terms.reconstruction.mean() + beta * charged_rate(terms.kl_per_dimension, free_bits)

Sums run over pixels and latent dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.models import VAE, Posterior


@dataclass(frozen=True)
class ELBOTerms:
    """The bound on log p(x) of each image, from one draw of z."""

    reconstruction: Tensor  # (B,): the distortion, -log p(x|z), z ~ q(z|x)
    kl_per_dimension: Tensor  # (B, latent_dim): exact
    posterior: Posterior

    @property
    def kl(self) -> Tensor:
        """(B,): the rate, KL(q(z|x) || p(z))."""
        return self.kl_per_dimension.sum(1)

    @property
    def elbo(self) -> Tensor:
        """(B,): -(reconstruction + kl). Kingma & Welling 2014, equations 3 and 7."""
        return -(self.reconstruction + self.kl)


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, I)) for each latent dimension, in nats.

    mu, logvar: (B, latent_dim). Returns (B, latent_dim).
    Kingma & Welling 2014, appendix B.
    """
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


def charged_rate(kl_per_dimension: Tensor, free_bits: float) -> Tensor:
    """The batch's mean KL, of which each dimension's first `free_bits` nats cost nothing.

    kl_per_dimension: (B, latent_dim). A dimension that lies below is charged for `free_bits`, so
    that nothing pulls it further down to the prior. Returns (). Kingma et al. 2016 (arXiv
    1606.04934), equation 15, with a group for each dimension.
    """
    return kl_per_dimension.mean(0).clamp(min=free_bits).sum()


def elbo_terms(vae: VAE, images: Tensor, generator: torch.Generator | None = None) -> ELBOTerms:
    """images: (B, C, H, W) in [0, 1]."""
    posterior = vae.encode(images)
    raw = vae.decode(posterior.sample(generator))
    return ELBOTerms(
        reconstruction=-vae.likelihood.log_prob(images, raw),
        kl_per_dimension=kl_to_standard_normal(*posterior),
        posterior=posterior,
    )
