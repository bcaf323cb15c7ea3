"""How good a model is on a split: the bound, and the error of its reconstructions.

    bound(vae, images.val.images, samples=1, seed=0).elbo

Training asks this after each epoch, and `comparison` builds on it. A batch's results are kept for
each image and averaged at the end, so a short last batch weighs what it should.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.inference import BATCH, batches, device_of
from vaelab.models import VAE, Posterior
from vaelab.objective import kl_to_standard_normal

UInt8Images = NDArray[np.uint8] | Tensor  # (N, C, H, W); a tensor may already be on the device


@dataclass(frozen=True)
class Bound:
    """Means over the images."""

    elbo: float  # nats/image, higher is better
    reconstruction: float  # the distortion -E[log p(x|z)], nats/image, lower is better
    kl: float  # the rate KL(q(z|x) || p(z)), nats/image
    mse: float  # of the decoded posterior mean, pixels in [0, 1], lower is better
    psnr: float  # of that mse, dB, higher is better


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error between images in [0, 1]."""
    return math.inf if mse == 0.0 else -10.0 * math.log10(mse)


@dataclass(frozen=True)
class Batch:
    """A batch of B images through both nets."""

    images: Tensor  # (B, C, H, W) in [0, 1]
    posterior: Posterior
    reconstruction: Tensor  # (B,): -log p(x|z), mean over the draws of z
    kl_per_dimension: Tensor  # (B, latent_dim)
    decoded: Tensor  # (B, C, H, W) in [0, 1]: the decoded posterior mean

    @property
    def mse(self) -> Tensor:
        """(B,)"""
        return (self.decoded - self.images).square().flatten(1).mean(1)


def passes(vae: VAE, images: UInt8Images, samples: int, seed: int) -> Iterator[Batch]:
    """Batches in order, with `samples` draws of z for each image. To be run without gradients."""
    device = device_of(vae)
    generator = torch.Generator(device).manual_seed(seed)
    for batch in _batches(images, device):
        posterior = vae.encode(batch)
        distortion = torch.zeros(len(batch), device=device)
        for _ in range(samples):
            raw = vae.decode(posterior.sample(generator))
            distortion -= vae.likelihood.log_prob(batch, raw) / samples
        yield Batch(
            images=batch,
            posterior=posterior,
            reconstruction=distortion,
            kl_per_dimension=kl_to_standard_normal(*posterior),
            decoded=vae.decode_mean(posterior.mu),
        )


def _batches(images: UInt8Images, device: torch.device) -> Iterator[Tensor]:
    if isinstance(images, Tensor):
        return (part.to(device).float() / 255.0 for part in images.split(BATCH))
    return batches(images, device)


def mean_of(parts: list[Tensor]) -> float:
    """Of the values of all batches, in float64; on the CPU, for not every device has float64."""
    return torch.cat(parts).cpu().double().mean().item()


@torch.no_grad()
def bound(vae: VAE, images: UInt8Images, *, samples: int, seed: int) -> Bound:
    """The ELBO and its terms, and the error of the decoded posterior mean.

    images: uint8 (N, C, H, W). samples: draws of z for each image, over which the ELBO is averaged
    (an estimate of the ELBO, whose variance falls with them; not the tighter importance-weighted
    bound). seed: of those draws.
    """
    reconstruction, kl, mse = [], [], []
    for batch in passes(vae, images, samples, seed):
        reconstruction.append(batch.reconstruction)
        kl.append(batch.kl_per_dimension.sum(1))
        mse.append(batch.mse)
    return bound_of(mean_of(reconstruction), mean_of(kl), mean_of(mse))


def bound_of(reconstruction: float, kl: float, mse: float) -> Bound:
    return Bound(-(reconstruction + kl), reconstruction, kl, mse, psnr(mse))
