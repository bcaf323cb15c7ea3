"""How far a set of images lies from real ones: sliced Wasserstein distance of their patches.

    one_half, other_half = test[:n], test[n : 2 * n]    # of images in random order
    reference = PatchReference(one_half, seed=0)
    floor = reference.distance(other_half)              # what as many real images have
    generated = reference.distance(samples)             # (n, C, H, W) as well, read in chunks

A Laplacian pyramid (Burt & Adelson 1983) takes the images apart; each level's 7 x 7 patches are
compared along random directions (Karras et al. 2018, section 5). No trained network is needed. Real
images have a distance as well, the larger the fewer they are: the floor, at the same n.

Unlike in that paper, the *reference's* standard deviation is the measure for both sets, so that a
loss of contrast, or a shift in colour, is seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from vaelab.data.arrays import ImageRows
from vaelab.vae.pixels import to_floats

SMALLEST_SIDE = 16  # of a level
PATCH = 7  # the side of a patch, pixels
PATCHES = 64  # from each image and level
PROJECTIONS = 128  # of each level's patches
UNIT = 1000.0  # as the paper's tables
ROUNDING = 1.0 / 255.0 / 12.0**0.5  # the standard deviation that rounding to 8 bits leaves
CHUNK = 2**20  # values of images that are taken apart at a time
KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def laplacian_pyramid(images: Tensor) -> list[Tensor]:
    """What each halving of the resolution loses, and what is left at the last.

    images: (N, C, H, W). Returns levels (N, C, H_i, W_i), H_i = ceil(H / 2**i), finest first, as
    many as have a side of at least SMALLEST_SIDE (Burt & Adelson 1983, with a = 3/8, mirrored at
    the border). `expand` and add from the last upwards, and the images are back.
    """
    levels = []
    while (min(images.shape[2:]) + 1) // 2 >= SMALLEST_SIDE:
        smaller = _blur(images)[:, :, ::2, ::2]
        levels.append(images - expand(smaller, images.shape[2], images.shape[3]))
        images = smaller
    return [*levels, images]


def expand(images: Tensor, height: int, width: int) -> Tensor:
    """(N, C, h, w) -> (N, C, height, width), h = ceil(height / 2) and w likewise."""
    spread = images.new_zeros(*images.shape[:2], height, width)
    spread[:, :, ::2, ::2] = images
    return 4.0 * _blur(spread)


def _blur(images: Tensor) -> Tensor:
    blurred = pad(images, (2, 2, 2, 2), mode="reflect")
    for axis in (2, 3):
        shifted = blurred.unfold(axis, 5, 1).unbind(-1)
        blurred = torch.zeros_like(shifted[0])
        for weight, part in zip(KERNEL, shifted, strict=True):
            blurred.add_(part, alpha=weight)
    return blurred


@dataclass(frozen=True)
class SlicedWasserstein:
    """In thousandths of the reference's standard deviation, lower is better."""

    sides: tuple[int, ...]  # of the pyramid's levels in pixels, finest first
    levels: tuple[float, ...]
    mean: float  # over the levels


class PatchReference:
    """Real images, prepared once for many sets of as many images to be compared with.

    images: (N, C, H, W), uint8 or in [0, 1], C 1 or 3, sides of at least 16. seed: of the places
    from which the patches are taken, the same in every set, and of the directions onto which they
    are projected.
    """

    def __init__(self, images: ImageRows, *, seed: int) -> None:
        self.shape = tuple(images.shape)
        self.sides = tuple(level.shape[2] for level in laplacian_pyramid(to_floats(images[:1])))
        generator = torch.Generator().manual_seed(seed)
        count, channels = images.shape[:2]
        self.corners = []  # of a level's patches, the upper left: (N, PATCHES, 2)
        self.directions = []  # in a level's patches: (PROJECTIONS, C * PATCH * PATCH)
        for side, deviation in zip(self.sides, _deviations(images), strict=True):
            places = side - PATCH + 1
            self.corners.append(torch.randint(places, (count, PATCHES, 2), generator=generator))
            directions = torch.randn(PROJECTIONS, channels, PATCH * PATCH, generator=generator)
            directions /= torch.linalg.vector_norm(directions, dim=(1, 2), keepdim=True)
            self.directions.append((directions / deviation.unsqueeze(1)).flatten(1))
        self._projected = self._project(images)

    def distance(self, images: ImageRows) -> SlicedWasserstein:
        """images: as many and as large as the reference's, uint8 or in [0, 1].

        For each level the mean over directions of the 1-Wasserstein distance between the two sets'
        patches, projected onto that direction: the mean difference of their sorted values.
        """
        if tuple(images.shape) != self.shape:
            raise ValueError(f"images {tuple(images.shape)}, reference {self.shape}")
        pairs = zip(self._projected, self._project(images), strict=True)
        levels = tuple(UNIT * (a - b).abs().mean(1).double().mean().item() for a, b in pairs)
        return SlicedWasserstein(self.sides, levels, sum(levels) / len(levels))

    def _project(self, images: ImageRows) -> list[Tensor]:
        """For each level the patches' projections, sorted: (PROJECTIONS, N * PATCHES)"""
        projected = [torch.empty(PROJECTIONS, len(images) * PATCHES) for _ in self.sides]
        for start, pyramid in _pyramids(images):
            for index, level in enumerate(pyramid):
                corners = self.corners[index][start : start + len(level)]
                columns = slice(start * PATCHES, (start + len(level)) * PATCHES)
                projected[index][:, columns] = self.directions[index] @ _patches(level, corners).T
        for values in projected:
            values.numpy().sort(axis=1)  # many times as fast as torch's
        return projected


def _pyramids(images: ImageRows) -> Iterator[tuple[int, list[Tensor]]]:
    """Chunks of at most CHUNK values, as the first image's index and the chunk's pyramid."""
    rows = max(1, CHUNK // math.prod(images.shape[1:]))
    for start in range(0, len(images), rows):
        yield start, laplacian_pyramid(to_floats(images[start : start + rows]).cpu())


def _patches(level: Tensor, corners: Tensor) -> Tensor:
    """(n, C, h, w) and (n, P, 2) -> (n * P, C * PATCH * PATCH)"""
    places = level.unfold(2, PATCH, 1).unfold(3, PATCH, 1)
    image = torch.arange(len(level)).unsqueeze(1)
    return places[image, :, corners[..., 0], corners[..., 1]].flatten(0, 1).flatten(1)


def _deviations(images: ImageRows) -> list[Tensor]:
    """For each level the pixels' standard deviation in each channel, (C,); at least ROUNDING."""
    chunks = (
        [torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]) * len(x) for x in doubles]
        for doubles in ([level.double() for level in pyramid] for _, pyramid in _pyramids(images))
    )
    moments = [sum(level) / len(images) for level in zip(*chunks, strict=True)]
    variances = [square - mean.square() for mean, square in moments]
    return [each.clamp(min=ROUNDING**2).sqrt().float() for each in variances]
