"""How far decoded images lie from their originals, image by image; and a floor of grey pixels.

found = fidelity(vae.decode_mean, posterior.mu, images.test.images, device)
found.figures()["psnr"], found.mse.argsort()
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vaelab.data.arrays import Picked, UInt8Array
from vaelab.vae.inference import batch_size, batches, evenly
from vaelab.vae.pixels import psnr

WINDOW = 5  # pixels of SSIM's on either side
SSIM_IMAGES = 2_000  # evenly over the split: a standard error of at most 0.003


class Fidelity(NamedTuple):
    """Of N images in [0, 1], on the CPU."""

    mse: Tensor  # (N,), over pixels and channels
    ssim: Tensor  # (min(N, SSIM_IMAGES),)

    def figures(self) -> dict[str, float]:
        """Means over the images; the PSNR is that of the mean error."""
        mse, ssim = (values.double().mean().item() for values in self)
        return {"mse": mse, "psnr": psnr(mse), "ssim": ssim}


@torch.no_grad()
def fidelity(
    decode: Callable[[Tensor], Tensor], codes: Tensor, images: UInt8Array, device: torch.device
) -> Fidelity:
    """codes: (N, K), of which `decode` makes (B, C, H, W) in [0, 1]; images: uint8 (N, C, H, W)."""
    chosen = evenly(len(images), SSIM_IMAGES)
    errors, similarity = torch.empty(len(images)), torch.empty(len(chosen))
    for found, some, measure in ((errors, np.arange(len(images)), mse), (similarity, chosen, ssim)):
        rows = torch.arange(len(some)).split(batch_size(images.shape[1:]))
        for part, originals in zip(rows, batches(Picked(images, some), device), strict=True):
            decoded = decode(codes[some[part]].to(device))
            found[part] = measure(decoded, originals).cpu()
    return Fidelity(errors, similarity)


def mse(images: Tensor, originals: Tensor) -> Tensor:
    """Of each pair, both (B, C, H, W). Returns (B,)."""
    return (images - originals).square().flatten(1).mean(1)


def ssim(images: Tensor, originals: Tensor) -> Tensor:
    """Structural similarity of each pair: both (B, C, H, W) in [0, 1]. Returns (B,).

    Wang et al. 2004, equation 13, with their Gaussian window of 11 x 11 pixels and sigma 1.5 around
    each pixel (the image is mirrored at its border), in each channel, then averaged.
    """
    distances = torch.arange(-WINDOW, WINDOW + 1, device=images.device)
    line = (-0.5 * (distances / 1.5).square()).exp()
    line /= line.sum()

    def local_mean(values: Tensor) -> Tensor:
        whole = functional.pad(values, [WINDOW] * 4, mode="reflect").flatten(0, 1).unsqueeze(1)
        rows = functional.conv2d(whole, line.view(1, 1, -1, 1))
        return functional.conv2d(rows, line.view(1, 1, 1, -1)).view_as(values)

    x, y = local_mean(images), local_mean(originals)
    x_variance = local_mean(images.square()) - x.square()
    y_variance = local_mean(originals.square()) - y.square()
    covariance = local_mean(images * originals) - x * y
    luminance = (2 * x * y + 0.01**2) / (x.square() + y.square() + 0.01**2)
    structure = (2 * covariance + 0.03**2) / (x_variance + y_variance + 0.03**2)
    return (luminance * structure).flatten(1).mean(1)


def pixel_entropy(images: UInt8Array) -> float:
    """Mean over images of the summed entropy of Bernoulli(pixel), nats/image.

    images: uint8 (N, C, H, W). No binary cross-entropy with these pixels as targets can be lower.
    """
    counts = np.zeros(256)
    size = batch_size(images.shape[1:])
    for start in range(0, len(images), size):
        counts += np.bincount(images[start : start + size].ravel(), minlength=256)
    grey = torch.arange(256).double() / 255.0  # float64: a sum over millions of pixels
    entropy = torch.distributions.Bernoulli(grey).entropy()
    return math.fsum((entropy.numpy() * counts).tolist()) / len(images)
