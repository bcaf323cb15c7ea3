"""How images vary: sharpness, diversity, distance.

Distances between images are root mean squared differences over pixels and channels ("RMSE per
pixel"), of images in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.metrics.nearest import nearest

STILL = 1e-6  # RMSE per pixel up to which images differ by rounding alone


class Variation(NamedTuple):
    """Of a set of images."""

    sharpness: float  # mean absolute Laplacian
    diversity: float | None  # mean distance between two of them, RMSE per pixel; None of one
    nearest: float  # mean distance to the nearest training image, RMSE per pixel


def variation(
    groups: Sequence[Tensor], train: NDArray[np.uint8], device: torch.device | None = None
) -> list[Variation]:
    """Of each group of images: (n, C, H, W) in [0, 1]; train: uint8 (M, C, H, W)."""
    return [
        Variation(
            float(sharpness(images).mean()),
            float(diversity(images)) if len(images) > 1 else None,
            float(found.distance.mean()),
        )
        for images, found in zip(groups, nearest(groups, train, device), strict=True)
    ]


def distance(a: Tensor, b: Tensor) -> Tensor:
    """RMSE per pixel. a, b: (..., C, H, W) in [0, 1]. Returns (...)."""
    return (a - b).square().mean(dim=(-3, -2, -1)).sqrt()


def sharpness(images: Tensor) -> Tensor:
    """Mean absolute Laplacian (4 neighbours) over inner pixels and channels: Pertuz et al. 2013.

    images: (N, C, H, W) in [0, 1]. Returns (N,).
    """
    centre = images[..., 1:-1, 1:-1]
    across = images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    along = images[..., :-2, 1:-1] + images[..., 2:, 1:-1]
    return (across + along - 4.0 * centre).abs().mean(dim=(1, 2, 3))


def diversity(images: Tensor) -> Tensor:
    """Mean distance over all pairs, RMSE per pixel. images: (N, C, H, W), N > 1. Returns ()."""
    flat = (images - images.mean(0)).flatten(1)
    first, second = torch.triu_indices(len(flat), len(flat), offset=1)
    return torch.cdist(flat, flat)[first, second].mean() / math.sqrt(flat.shape[1])


def share(value: float | None, whole: float | None) -> float | None:
    """value / whole, of one of Variation's figures; None where the whole is rounding alone."""
    return None if value is None or whole is None or whole <= STILL else value / whole
