"""The training images nearest to others: whether a sample is a copy, and how far it lies from all.

nearest([samples], images.train.images)[0].distance
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import UInt8Array

CHUNK = 2**25  # values of images that are compared at a time


@dataclass(frozen=True)
class Nearest:
    """Of n queries, on the CPU."""

    distance: Tensor  # (n,), RMSE per pixel
    index: Tensor  # (n,), which of the images


def nearest(
    groups: Sequence[Tensor], images: UInt8Array, device: torch.device | None = None
) -> list[Nearest]:
    """Each query's nearest image by Euclidean distance of the pixels.

    groups: of queries, each (n, C, H, W) in [0, 1]; images: uint8 (M, C, H, W), may be
    memory-mapped: they are read once, in chunks. Returns one Nearest for each group.
    """
    size = images[0].size
    rows = max(1, CHUNK // size)
    queries = [part for group in groups for part in group.split(rows)]
    best = [torch.full((len(part),), math.inf, device=device) for part in queries]
    index = [torch.zeros(len(part), dtype=torch.long, device=device) for part in queries]
    for start in range(0, len(images), rows):
        chunk = torch.from_numpy(np.array(images[start : start + rows])).to(device)
        points = _centred(chunk.float() / 255.0)
        squares = points.square().sum(1)
        for i, part in enumerate(queries):
            flat = _centred(part.to(device))
            partial = torch.addmm(squares, flat, points.T, alpha=-2.0).min(1)
            squared = partial.values + flat.square().sum(1)
            index[i] = torch.where(squared < best[i], partial.indices + start, index[i])
            best[i] = torch.minimum(best[i], squared)
    sizes = [len(group) for group in groups]
    distances = (torch.cat(best).clamp(min=0.0) / size).sqrt().cpu().split(sizes)
    indices = torch.cat(index).cpu().split(sizes)
    return [Nearest(*found) for found in zip(distances, indices, strict=True)]


def _centred(images: Tensor) -> Tensor:
    """On mid-grey, so that the difference of large squares keeps its digits; flattened."""
    return images.flatten(1) - 0.5
