"""Small data sets that several tests share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaelab.data.arrays import ImageArrays, Split, SplitName, save


def image_arrays(
    folder: Path,
    draw: Callable[[int], NDArray[np.uint8]],
    counts: dict[SplitName, int],
    classes: int = 1,
) -> ImageArrays:
    """draw: how many -> uint8 (n, C, H, W). The labels go round the classes."""
    splits = {
        name: Split(draw(count), np.arange(count, dtype=np.int64) % classes)
        for name, count in counts.items()
    }
    save(
        folder,
        splits,
        name=folder.name,
        source={},
        class_names=[str(label) for label in range(classes)],
        factor_names=[],
        split_seed=0,
    )
    return ImageArrays.open(folder)
