"""The training images nearest to others: whether a sample is a copy, and how far it lies from all.

NearestSearch(images.train.images).find(samples).distance
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vaelab.data.arrays import ImageRows, UInt8Array
from vaelab.metrics.pca import principal_axes
from vaelab.vae.pixels import to_floats

COMPONENTS = 256  # of the images, by which most of them are ruled out
FITTED = 1024  # images that these are the principal components of, at most
FEW = 1 / 128  # of the images: more that cannot be ruled out, and comparing with all is as fast
CHUNK = 2**24  # values of images that are held as floats at a time
QUERIES = 256  # that are compared at a time, at most
ROUNDING = 1e-5  # of the images' squared norms, by which a bound may err


@dataclass(frozen=True)
class Nearest:
    """Of n queries, on the CPU."""

    distance: Tensor  # (n,), RMSE per pixel
    index: Tensor  # (n,), which of the images


class NearestSearch:
    """Finds nearest images by Euclidean distance of the pixels; none is passed over.

    images: uint8 (M, C, H, W), may be memory-mapped.

    Split into its part within a subspace and the rest, |x - y|² is at least the parts' squared
    distance plus the square of the difference of the rests' norms. Only images for which this bound
    is no larger than the distance to the one of least bound are compared pixel by pixel: where the
    subspace is of principal components, a few in 45,000. Queries that it rules out too little for,
    as noise, are compared with all images.
    """

    def __init__(self, images: UInt8Array, device: torch.device | None = None) -> None:
        self.images, self.device, self.values = images, device, math.prod(images.shape[1:])
        generator = torch.Generator().manual_seed(0)
        fitted = min(FITTED, max(1, CHUNK // self.values))
        some = torch.randperm(len(images), generator=generator)[:fitted].sort().values
        _, axes = principal_axes(_centred(images[some.numpy()]), COMPONENTS)
        self.basis = axes.to(device)  # any orthonormal columns would give bounds, if looser ones
        parts = [_reduce(points, self.basis) for _, points in self._chunks()]
        self.reduced = torch.cat(parts)
        self.squares = self.reduced.square().sum(1)

    def find(self, queries: ImageRows) -> Nearest:
        """queries: (n, C, H, W), uint8 or in [0, 1]; some at a time are looked at."""
        rows = max(1, min(QUERIES, CHUNK // self.values))
        starts = range(0, len(queries), rows)
        found = [self._find(_centred(queries[start : start + rows])) for start in starts]
        squared, index = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Nearest((squared / self.values).sqrt(), index)

    def _find(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """The least squared distances and whose they are, (n,) each. queries: (n, D)."""
        squared = torch.full((len(queries),), math.inf)
        index = torch.zeros(len(queries), dtype=torch.long)
        hard = []
        own = _reduce(queries.to(self.device), self.basis)
        norms = own.square().sum(1, keepdim=True)
        bounds = torch.addmm(self.squares, own, self.reduced.T, alpha=-2.0) + norms
        bounds -= ROUNDING * (norms + self.squares.max())
        for i, bound in enumerate(bounds.cpu()):
            first = bound.argmin(keepdim=True)
            least = _squared_distances(queries[i], self.images, first)
            possible = (bound <= least).nonzero()[:, 0]
            if not 1 <= len(possible) <= max(1.0, FEW * len(self.images)):
                hard.append(i)
                continue
            distances = _squared_distances(queries[i], self.images, possible)
            squared[i], index[i] = distances.min(), possible[distances.argmin()]
        if hard:
            squared[hard], index[hard] = self._compare_all(queries[hard])
        return squared, index

    def _compare_all(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """As `_find`, pixel by pixel."""
        squared = torch.full((len(queries),), math.inf)
        index = torch.zeros(len(queries), dtype=torch.long)
        own = queries.to(self.device)
        norms = own.square().sum(1)
        for start, points in self._chunks():
            products = torch.addmm(points.square().sum(1), own, points.T, alpha=-2.0)
            least = products.min(1)
            values = (least.values + norms).clamp(min=0.0).cpu()
            closer = values < squared
            index = torch.where(closer, least.indices.cpu() + start, index)
            squared = torch.minimum(squared, values)
        return squared, index

    def _chunks(self) -> Iterator[tuple[int, Tensor]]:
        """Chunks of at most CHUNK values, as the first image's number and (m, D)."""
        rows = max(1, CHUNK // self.values)
        for start in range(0, len(self.images), rows):
            yield start, _centred(self.images[start : start + rows]).to(self.device)


def _squared_distances(query: Tensor, images: UInt8Array, rows: Tensor) -> Tensor:
    """query: (D,); rows: (n,), numbers of images, rising. Returns (n,)."""
    return (_centred(images[rows.numpy()]) - query).square().sum(1)


def _reduce(points: Tensor, basis: Tensor) -> Tensor:
    """(n, D) -> (n, K + 1): the part within the subspace, and the norm of the rest."""
    within = points @ basis
    rest = points.square().sum(1, keepdim=True) - within.square().sum(1, keepdim=True)
    return torch.cat([within, rest.clamp(min=0.0).sqrt()], 1)


def _centred(images: UInt8Array | Tensor) -> Tensor:
    """(n, D), on mid-grey, so that the difference of large squares keeps its digits."""
    return to_floats(images).flatten(1) - 0.5
