"""What every source of images hands over: a train and a test part that are read on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vaelab.data.arrays import Int64Array, Split

FEWEST_IN_SPLIT = 2  # what is compared needs another to be compared with


@dataclass(frozen=True)
class Part:
    """`count` images, of which `read` gives those asked for.

    read: ascending indices (n,) -> a Split of n images, fewer where some cannot be read.
    """

    count: int
    read: Callable[[Int64Array], Split]


@dataclass(frozen=True)
class Source:
    """A data set before the validation split is held out of `train`."""

    train: Part
    test: Part
    class_names: list[str]
    factor_names: list[str] = field(default_factory=list)
    archives: dict[str, str] = field(default_factory=dict)  # file name -> checksum
    attribute_names: list[str] = field(default_factory=list)
    test_is_drawn: bool = False  # of the same images as train, by the recipe's `test_fraction`


def shuffled(count: int, seed: int, purpose: str) -> Int64Array:
    """The numbers below `count` in an order that depends on the seed and the purpose alone."""
    return np.random.default_rng([seed, *purpose.encode()]).permutation(count)


def held_out(count: int, fraction: float) -> int:
    """How many of `count` images to hold out: the fraction, but as many as a split needs."""
    return max(FEWEST_IN_SPLIT, round(fraction * count))
