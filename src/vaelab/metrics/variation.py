"""How images vary: sharpness, diversity, distance.

Distances between images are root mean squared differences over pixels and channels ("RMSE per
pixel"), of images in [0, 1].
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.metrics.nearest import NearestSearch

COLUMNS = 2**14  # values of each image that are compared at a time
STILL = 1e-6  # RMSE per pixel up to which images differ by rounding alone


class Variation(NamedTuple):
    """Of a set of images."""

    sharpness: float  # mean absolute Laplacian
    diversity: float | None  # mean distance between two of them, RMSE per pixel; None of one
    nearest: float  # mean distance to the nearest training image, RMSE per pixel


def variation(images: Tensor, training: NearestSearch) -> Variation:
    """images: (n, C, H, W) in [0, 1]."""
    return Variation(
        float(torch.cat([sharpness(part) for part in images.split(1)]).mean()),
        float(diversity(images)) if len(images) > 1 else None,
        float(training.find(images).distance.mean()),
    )


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
    flat, squares = images.flatten(1), torch.zeros(len(images), len(images))
    for part in flat.split(COLUMNS, 1):
        centred = part - part.mean(0)
        squares += torch.cdist(centred, centred).square()
    first, second = torch.triu_indices(len(flat), len(flat), offset=1)
    return squares[first, second].sqrt().mean() / math.sqrt(flat.shape[1])


def share(value: float | None, whole: float | None) -> float | None:
    """value / whole, of one of Variation's figures; None where the whole is rounding alone."""
    return None if value is None or whole is None or whole <= STILL else value / whole
