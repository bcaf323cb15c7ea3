"""A VAE whose code is known, and images for it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from toys import image_arrays

from vaelab.data.arrays import ImageArrays, SplitName, UInt8Array
from vaelab.samplers.gaussians import fit_mixture
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.inference import encode
from vaelab.vae.model import VAE, Posterior

SIDE = 16
LATENT_DIM = 4


def settings(**changes: Any) -> LatentExploreSettings:
    usual: dict[str, Any] = {
        **{"samples": 40, "shells": [0.1, 0.9], "temperatures": [0.5], "deciles": [1, 5, 10]},
        **{"far": 3.0, "traversals": 1, "directions": 1, "mapped": 50, "seed": 0},
    }
    return LatentExploreSettings(**{**usual, **changes})


class Quadrants(torch.nn.Module):
    """A VAE that says what it reads: z is the four quadrants' brightness, in units about 0.5.

    Within |z| < 2 a round trip is exact.
    """

    latent_dim = LATENT_DIM
    shape = (1, SIDE, SIDE)

    def __init__(self, logvar: float = -4.0) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.logvar = logvar
        self.stochastic = math.isfinite(logvar)

    def encode(self, images: Tensor) -> Posterior:
        mu = 4.0 * torch.nn.functional.avg_pool2d(images, SIDE // 2).mean(1).flatten(1) - 2.0
        return Posterior(mu, torch.full_like(mu, self.logvar))

    def decode_mean(self, z: Tensor) -> Tensor:
        brightness = (0.25 * z + 0.5).clamp(0.0, 1.0).reshape(-1, 1, 2, 2)
        return brightness.repeat_interleave(SIDE // 2, 2).repeat_interleave(SIDE // 2, 3)


def draw(count: int) -> UInt8Array:
    """Noise, around a brightness of each quadrant; every second image darker on the left."""
    generator = np.random.default_rng(count)
    means = generator.uniform(90.0, 160.0, (count, 1, 2, 2))
    means[::2, :, :, 0] -= 60.0
    images = means.repeat(SIDE // 2, 2).repeat(SIDE // 2, 3)
    return np.clip(images + generator.normal(0.0, 5.0, images.shape), 0, 255).astype(np.uint8)


def toy_data(folder: Path, tests: int = 100, classes: int = 2) -> ImageArrays:
    counts: dict[SplitName, int] = {"train": 120, "val": 20, "test": tests}
    return image_arrays(folder, draw, counts, classes)


def toy_encoded(images: ImageArrays, logvar: float = -4.0) -> Encoded:
    vae = cast("VAE", Quadrants(logvar))
    return Encoded.of(vae, images, fit_mixture(encode(vae, images.train.images), seed=0))
