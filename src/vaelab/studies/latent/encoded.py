"""A trained model together with what it makes of every image: what all parts start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays
from vaelab.samplers.gaussians import Mixture
from vaelab.vae.inference import encode
from vaelab.vae.model import VAE, Posterior
from vaelab.vae.objective import kl_to_standard_normal


@dataclass(frozen=True)
class Encoded:
    """mu and logvar of a posterior are (N, latent_dim), on the CPU."""

    vae: VAE
    train: Posterior
    val: Posterior
    test: Posterior
    mixture: Mixture  # fitted to `train`
    held: Tensor  # (latent_dim,): what each dimension holds of an image, in `unit`

    @classmethod
    def of(cls, vae: VAE, images: ImageArrays, mixture: Mixture) -> Encoded:
        train, val, test = (
            encode(vae, split.images) for split in (images.train, images.val, images.test)
        )
        held = (
            kl_to_standard_normal(*test).mean(0) if vae.stochastic else test.mu.var(0, correction=0)
        )
        return cls(vae, train, val, test, mixture, held)

    @property
    def unit(self) -> str:
        """Of `held`: the mean KL over the test split or, of an autoencoder, mu's variance."""
        return "nats" if self.vae.stochastic else "variance"

    def most_informative(self, count: int) -> Tensor:
        """The dimensions that hold most, the first first. Returns at most (count,)."""
        return torch.argsort(self.held, descending=True, stable=True)[:count]
