"""How good a model is on a split: the bound, and the error of its reconstructions.

    validate(vae, images.val.images, samples=1, seed=0).elbo

Training asks this after each epoch. A batch's results are kept for each image and averaged at the
end, so a short last batch weighs what it should.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.vae.inference import device_of, per_image
from vaelab.vae.model import VAE
from vaelab.vae.objective import elbo_terms
from vaelab.vae.pixels import psnr


@dataclass(frozen=True)
class Validation:
    """Means over the images."""

    elbo: float  # nats/image, higher is better
    distortion: float  # -E[log p(x|z)], nats/image, lower is better
    rate: float  # KL(q(z|x) || p(z)), nats/image
    mse: float  # of the decoded posterior mean, pixels in [0, 1], lower is better
    psnr: float  # of that mse, dB, higher is better


@torch.no_grad()
def validate(
    vae: VAE, images: NDArray[np.uint8] | Tensor, *, samples: int, seed: int
) -> Validation:
    """images: uint8 (N, C, H, W), on disk or on a device.

    samples: draws of z for each image, over which the ELBO is averaged (an estimate of the ELBO,
    whose variance falls with them; not the tighter importance-weighted bound). seed: of the draws.
    """
    device = device_of(vae)
    generator = torch.Generator(device).manual_seed(seed)

    def figures(batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        terms = elbo_terms(vae, batch, generator, draws=samples)
        decoded = vae.decode_mean(terms.posterior.mu)
        return terms.distortion, terms.rate, (decoded - batch).square().flatten(1).mean(1)

    distortion, rate, mse = per_image(figures, images, device).mean(1).tolist()
    return Validation(-(distortion + rate), distortion, rate, mse, psnr(mse))
