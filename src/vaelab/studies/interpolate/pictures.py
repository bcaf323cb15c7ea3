"""Between which pictures the paths go: test images, drawn or chosen, and a person's own files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.data.pictures import read_picture
from vaelab.runtime.errors import UserError
from vaelab.settings import InterpolateSettings


@dataclass(frozen=True)
class Picture:
    """An end of a path."""

    image: UInt8Array  # (C, H, W)
    name: str  # its class, or its file's name
    place: str  # "test image 44" or "own file"


def shown_pairs(images: ImageArrays, settings: InterpolateSettings) -> list[list[Picture]]:
    """The settings' own pairs, or the first of those that `draw_pairs` gives.

    Raises UserError where a number is not that of a test image or a file not a readable picture.
    """
    pairs = settings.pairs
    if isinstance(pairs, int):
        pairs = draw_pairs(torch.tensor(images.test.labels), pairs, settings.seed).tolist()
    return [[_picture(member, images, "pairs") for member in pair] for pair in pairs]


def corner_pictures(images: ImageArrays, settings: InterpolateSettings) -> list[Picture]:
    """The settings' own four, or four drawn by their seed, of different classes where there are.

    Raises UserError as `shown_pairs`.
    """
    chosen = settings.corners
    if chosen == "drawn":
        generator = torch.Generator().manual_seed(settings.seed)
        order = torch.randperm(len(images.test), generator=generator).numpy()
        _, first = np.unique(images.test.labels[order], return_index=True)
        others = np.delete(np.arange(len(order)), first)
        chosen = np.resize(order[np.concatenate([np.sort(first), others])], 4).tolist()
    return [_picture(member, images, "corners") for member in chosen]


def draw_pairs(labels: Tensor, count: int, seed: int) -> Tensor:
    """Pairs of two images, alternately of one class and of two, as far as there are such.

    The first image of a pair is any with the same chance. More pairs begin with the same ones.

    labels: (N,). Returns (count, 2), row numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.empty(count, 2, dtype=torch.long)
    for i, pair in enumerate(pairs):
        first = torch.randint(len(labels), (), generator=generator)
        other = torch.arange(len(labels)) != first
        wanted = other & ((labels == labels[first]) == (i % 2 == 0))
        allowed = next((mask for mask in (wanted, other) if mask.any()), ~other)
        choice = allowed.nonzero()[:, 0]
        pair[0], pair[1] = first, choice[torch.randint(len(choice), (), generator=generator)]
    return pairs


def _picture(member: int | str, images: ImageArrays, key: str) -> Picture:
    """member: the number of a test image, or the path of a file; key: of the settings."""
    if isinstance(member, str):
        return Picture(read_picture(member, images.shape), Path(member).name, "own file")
    if member >= len(images.test):
        raise UserError(
            f"interpolate.{key} names test image {member}; "
            f"allowed: 0 to {len(images.test) - 1}, the test split's images"
        )
    name = images.meta.class_names[images.test.labels[member]]
    return Picture(images.test.images[member], name, f"test image {member}")
