"""A trained VAE over whole arrays, in float32, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.arrays import ImageRows, UInt8Array
from vaelab.vae.model import VAE, Posterior
from vaelab.vae.pixels import to_floats, to_uint8

BATCH = 256  # images at a time, at most
VALUES = BATCH * 3 * 64 * 64  # of their pixels at a time: larger images come in smaller batches


def device_of(vae: VAE) -> torch.device:
    return next(vae.parameters()).device


def batch_size(shape: Sequence[int], most: int | None = None) -> int:
    """Images of a batch, BATCH or `most` if VALUES allow it. shape: (C, H, W)"""
    return max(1, min(most or BATCH, VALUES // math.prod(shape)))


def batches(images: ImageRows, device: torch.device) -> Iterator[Tensor]:
    """uint8 (N, C, H, W) -> float (B, C, H, W) in [0, 1] on the device; the last may be short."""
    size = batch_size(images.shape[1:])
    for start in range(0, len(images), size):
        part = images[start : start + size]
        pixels = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        yield to_floats(pixels.to(device))


def evenly(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` of `count` images, all where there are no more: their numbers, evenly spaced.

    So every class has its share, as a split may lie sorted by classes.
    """
    return np.arange(min(wanted, count)) * count // min(wanted, count)


@torch.no_grad()
def per_image(
    measure: Callable[[Tensor], Sequence[Tensor]], images: ImageRows, device: torch.device
) -> Tensor:
    """The k figures of each image, (k, N) in float64 on the CPU, for not every device has float64.

    measure: of a batch (B, C, H, W) in [0, 1], k tensors (B,). images: uint8 (N, C, H, W).
    """
    # What is kept is allocated at once: kept between a batch's large tensors, it splits the memory
    # that they leave, and a process grows to several times its need.
    found: Tensor | None = None
    start = 0
    for batch in batches(images, device):
        values = torch.stack(list(measure(batch))).cpu()
        if found is None:
            found = torch.empty(len(values), len(images), dtype=torch.float64)
        found[:, start : start + len(batch)] = values
        start += len(batch)
    assert found is not None, "no images"
    return found


@torch.no_grad()
def encode(vae: VAE, images: ImageRows) -> Posterior:
    """uint8 (N, C, H, W) -> mu and logvar, each (N, latent_dim), on the CPU."""
    mu, logvar = torch.empty(2, len(images), vae.latent_dim)  # at once, as in `per_image`
    rows = torch.arange(len(images)).split(batch_size(images.shape[1:]))
    for some, batch in zip(rows, batches(images, device_of(vae)), strict=True):
        mu[some], logvar[some] = (values.cpu() for values in vae.encode(batch))
    return Posterior(mu, logvar)


@torch.no_grad()
def encode_means(vae: VAE, images: Tensor) -> Tensor:
    """images: float (N, C, H, W) in [0, 1]. Returns mu, (N, latent_dim), on the CPU."""
    device, mu = device_of(vae), torch.empty(len(images), vae.latent_dim)
    for some in torch.arange(len(images)).split(batch_size(images.shape[1:])):
        mu[some] = vae.encode(images[some].to(device)).mu.cpu()
    return mu


@torch.no_grad()
def decode(vae: VAE, z: Tensor) -> NDArray[Any]:
    """z: (N, latent_dim). Returns the mean images, float32 (N, C, H, W) in [0, 1]."""
    parts, device = z.split(batch_size(vae.shape)), device_of(vae)
    return torch.cat([vae.decode_mean(part.to(device)).cpu() for part in parts]).numpy()


@dataclass(frozen=True)
class Decoded:
    """As an array of 8-bit images, which are made when they are looked at: their codes are held.

    decode: (n, K) -> (n, C, H, W) in [0, 1].
    """

    decode: Callable[[Tensor], Tensor]
    codes: Tensor  # (N, K)
    image: tuple[int, int, int]  # (C, H, W)

    @classmethod
    def by(cls, vae: VAE, z: Tensor) -> Decoded:
        """z: (N, latent_dim), on the CPU."""
        device = device_of(vae)
        return cls(lambda part: vae.decode_mean(part.to(device)).cpu(), z, vae.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.codes), *self.image

    def __len__(self) -> int:
        return len(self.codes)

    @torch.no_grad()
    def __getitem__(self, rows: slice | NDArray[np.int64]) -> UInt8Array:
        parts = self.codes[rows].split(batch_size(self.image))
        return np.concatenate([to_uint8(self.decode(part).numpy()) for part in parts])
