"""Self-consistency of a VAE: whether encode(decode(z)) brings z back.

RoundTrip.of(encode(vae, images.train.images)).miss(z, encode_means(vae, decode(vae, z)))
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.metrics.aggregate import aggregate_moments
from vaelab.vae.model import Posterior


@dataclass(frozen=True)
class RoundTrip:
    """How far encode(decode(z)) lands from z: self-consistency.

    A dimension weighs as much as it tells of the image: the share of its variance in q(z) that is
    of mu and not of the posterior's noise. One that holds nothing does not come back, and should
    not: its weight is 0. Of an autoencoder all that vary weigh 1.
    """

    mean: Tensor  # (latent_dim,), of q(z)
    weight: Tensor  # (latent_dim,)

    @classmethod
    def of(cls, posterior: Posterior) -> RoundTrip:
        mean, covariance = aggregate_moments(posterior)
        noise = posterior.logvar.double().exp().mean(0)
        variance = covariance.diagonal()
        return cls(mean, torch.where(variance > 0, 1.0 - noise / variance, 0.0).clamp(min=0.0))

    def miss(self, z: Tensor, back: Tensor) -> float | None:
        """Root mean square of back - z over that of z - mean, both weighted; both (n, latent_dim).

        0: z itself comes back. 1: no better than if every image were encoded at the mean, wherever
        z lies and however wide q(z) is. None where no dimension tells anything.
        """
        missed = ((back.double() - z.double()).square() * self.weight).sum()
        whole = ((z.double() - self.mean).square() * self.weight).sum()
        return float((missed / whole).sqrt()) if whole > 0 else None
