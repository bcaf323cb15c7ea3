"""The training images nearest to others: whether a sample is a copy, and how far it lies from all.

nearest([samples], images.train.images)[0].distance
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.data.arrays import UInt8Array
from vaelab.metrics.pca import principal_axes
from vaelab.vae.pixels import to_floats

COMPONENTS = 256  # of the images, by which most of them are ruled out
FITTED = 1024  # images that these are the principal components of
FEW = 1 / 128  # of the images: more that cannot be ruled out, and comparing with all is as fast
CHUNK = 2**25  # values of images that are compared at a time
QUERIES = 256  # that are compared at a time
ROUNDING = 1e-5  # of the images' squared norms, by which a bound may err


@dataclass(frozen=True)
class Nearest:
    """Of n queries, on the CPU."""

    distance: Tensor  # (n,), RMSE per pixel
    index: Tensor  # (n,), which of the images


def nearest(
    groups: Sequence[Tensor], images: UInt8Array, device: torch.device | None = None
) -> list[Nearest]:
    """Each query's nearest image by Euclidean distance of the pixels; none is passed over.

    groups: of queries, each (n, C, H, W) in [0, 1]; images: uint8 (M, C, H, W), may be
    memory-mapped. Returns one Nearest for each group.

    Split into its part within a subspace and the rest, |x - y|² is at least the parts' squared
    distance plus the square of the difference of the rests' norms. Only images for which this bound
    is no larger than the distance to the one of least bound are compared pixel by pixel: where the
    subspace is of principal components, a few in 45,000. Queries that it rules out too little for,
    as noise, are compared with all images.
    """
    queries = _flat(torch.cat(list(groups)))
    some = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:FITTED]
    _, axes = principal_axes(_centred(images[some.sort().values.numpy()]), COMPONENTS)
    basis = axes.to(device)  # any orthonormal columns would give bounds, if looser ones
    reduced = torch.cat([_reduce(points, basis) for _, points in _chunks(images, device)])
    squares = reduced.square().sum(1)
    squared = torch.full((len(queries),), math.inf)
    index = torch.zeros(len(queries), dtype=torch.long)
    hard = []
    for start in range(0, len(queries), QUERIES):
        own = _reduce(queries[start : start + QUERIES].to(device), basis)
        norms = own.square().sum(1, keepdim=True)
        bounds = torch.addmm(squares, own, reduced.T, alpha=-2.0) + norms
        bounds -= ROUNDING * (norms + squares.max())
        for i, bound in enumerate(bounds.cpu(), start):
            first = bound.argmin(keepdim=True)
            possible = (bound <= _squared_distances(queries[i], images, first)).nonzero()[:, 0]
            if not 1 <= len(possible) <= max(1.0, FEW * len(images)):
                hard.append(i)
                continue
            distances = _squared_distances(queries[i], images, possible)
            squared[i], index[i] = distances.min(), possible[distances.argmin()]
    if hard:
        squared[hard], index[hard] = _compare_all(queries[hard], images, device)
    distance = (squared / queries.shape[1]).sqrt()
    sizes = [len(group) for group in groups]
    parts = zip(distance.split(sizes), index.split(sizes), strict=True)
    return [Nearest(*found) for found in parts]


def _compare_all(
    queries: Tensor, images: UInt8Array, device: torch.device | None
) -> tuple[Tensor, Tensor]:
    """The least squared distances and whose they are, (n,) each. queries: (n, D)."""
    squared = torch.full((len(queries),), math.inf)
    index = torch.zeros(len(queries), dtype=torch.long)
    for start, points in _chunks(images, device):
        squares = points.square().sum(1)
        for rows in torch.arange(len(queries)).split(QUERIES):
            own = queries[rows].to(device)
            least = torch.addmm(squares, own, points.T, alpha=-2.0).min(1)
            values = (least.values + own.square().sum(1)).clamp(min=0.0).cpu()
            closer = values < squared[rows]
            index[rows] = torch.where(closer, least.indices.cpu() + start, index[rows])
            squared[rows] = torch.minimum(squared[rows], values)
    return squared, index


def _squared_distances(query: Tensor, images: UInt8Array, rows: Tensor) -> Tensor:
    """query: (D,); rows: (n,), numbers of images, rising. Returns (n,)."""
    return (_centred(images[rows.numpy()]) - query).square().sum(1)


def _reduce(points: Tensor, basis: Tensor) -> Tensor:
    """(n, D) -> (n, K + 1): the part within the subspace, and the norm of the rest."""
    within = points @ basis
    rest = points.square().sum(1, keepdim=True) - within.square().sum(1, keepdim=True)
    return torch.cat([within, rest.clamp(min=0.0).sqrt()], 1)


def _chunks(images: UInt8Array, device: torch.device | None) -> Iterator[tuple[int, Tensor]]:
    """Chunks of at most CHUNK values, as the first image's number and (m, D)."""
    rows = max(1, CHUNK // images[0].size)
    for start in range(0, len(images), rows):
        yield start, _centred(images[start : start + rows]).to(device)


def _centred(images: UInt8Array) -> Tensor:
    return _flat(to_floats(images))


def _flat(images: Tensor) -> Tensor:
    """On mid-grey, so that the difference of large squares keeps its digits. Returns (n, D)."""
    return images.flatten(1) - 0.5
