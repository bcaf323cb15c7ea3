"""Pixels: 8-bit values on disk, floats in [0, 1] in a model's hands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_floats(images: NDArray[Any] | Tensor) -> Tensor:
    """uint8 (..., C, H, W), an array that may be memory-mapped or a tensor on its device.

    Returns float32 in [0, 1], on the same device; floats are handed back as they are.
    """
    values = images if isinstance(images, Tensor) else torch.tensor(images)
    return values if values.is_floating_point() else values.float() / 255.0


def to_uint8(images: NDArray[Any]) -> NDArray[np.uint8]:
    """float (...) in [0, 1], rounded to the nearest 8-bit value; uint8 is handed back as it is."""
    if images.dtype == np.uint8:
        return images
    return (np.clip(images, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error between images in [0, 1]."""
    return math.inf if mse == 0.0 else -10.0 * math.log10(mse)
