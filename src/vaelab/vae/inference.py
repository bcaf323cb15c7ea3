"""A trained VAE over whole arrays, in float32, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.vae.model import VAE, Posterior
from vaelab.vae.pixels import to_floats

BATCH = 256


def device_of(vae: VAE) -> torch.device:
    return next(vae.parameters()).device


def batches(images: NDArray[np.uint8] | Tensor, device: torch.device) -> Iterator[Tensor]:
    """uint8 (N, C, H, W) -> float (B, C, H, W) in [0, 1] on the device; the last may be short."""
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        pixels = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        yield to_floats(pixels.to(device))


def evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` of `count` images, all where there are no more: their numbers, evenly spaced.

    So every class has its share, as a split may lie sorted by classes.
    """
    return np.arange(min(wanted, count)) * count // min(wanted, count)


def mean_of(parts: list[Tensor]) -> float:
    """Of the values of all batches, in float64; on the CPU, for not every device has float64."""
    return torch.cat(parts).cpu().double().mean().item()


@torch.no_grad()
def encode(vae: VAE, images: NDArray[np.uint8]) -> Posterior:
    """uint8 (N, C, H, W) -> mu and logvar, each (N, latent_dim), on the CPU."""
    posteriors = [vae.encode(batch) for batch in batches(images, device_of(vae))]
    mu, logvar = (torch.cat(parts).cpu() for parts in zip(*posteriors, strict=True))
    return Posterior(mu, logvar)


@torch.no_grad()
def encode_means(vae: VAE, images: Tensor) -> Tensor:
    """images: float (N, C, H, W) in [0, 1]. Returns mu, (N, latent_dim), on the CPU."""
    device = device_of(vae)
    return torch.cat([vae.encode(part.to(device)).mu.cpu() for part in images.split(BATCH)])


@torch.no_grad()
def decode(vae: VAE, z: Tensor) -> NDArray[Any]:
    """z: (N, latent_dim). Returns the mean images, float32 (N, C, H, W) in [0, 1]."""
    means = [vae.decode_mean(part.to(device_of(vae))).cpu() for part in z.split(BATCH)]
    return torch.cat(means).numpy()
