"""What a net makes of images before, while and after it learns, for MLflow.

No random number of the training is drawn, and no weight is touched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.vae.inference import device_of
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats, to_uint8

TIMES = 4  # in a run
SIDE = 4  # images to each side of a sheet: square, as the place that MLflow's UI has for it


def drawn_after(epochs: int) -> set[int]:
    """After how many epochs pictures are drawn: 0, all of them, and evenly between."""
    return {round(each) for each in np.linspace(0, epochs, TIMES)}


@torch.no_grad()
def draw(vae: VAE, images: ImageArrays) -> dict[str, UInt8Array]:
    """(H, W, 3) each: rows of validation images, each over its reconstructions; draws from the
    prior, the same codes each time.
    """
    device = device_of(vae)
    shown = to_floats(images.val.images[: SIDE * SIDE // 2]).to(device)
    back = vae.decode_mean(vae.encode(shown).mu)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(SIDE * SIDE, vae.latent_dim, generator=generator).to(device)
    return {
        "reconstructions": _sheet(
            [row for pair in zip(shown.split(SIDE), back.split(SIDE), strict=True) for row in pair]
        ),
        "samples": _sheet(vae.decode_mean(z).split(SIDE)),
    }


def _sheet(rows: Sequence[Tensor]) -> UInt8Array:
    """rows: (up to SIDE, C, H, W) each, in [0, 1]; white where a row has fewer."""
    channels, height, width = rows[0].shape[1:]
    sheet = np.full((len(rows), SIDE, channels, height, width), 255, np.uint8)
    for i, row in enumerate(rows):
        sheet[i, : len(row)] = to_uint8(row.cpu().numpy())
    flat = sheet.transpose(0, 3, 1, 4, 2).reshape(len(rows) * height, SIDE * width, channels)
    return np.repeat(flat, 3, 2) if channels == 1 else flat
