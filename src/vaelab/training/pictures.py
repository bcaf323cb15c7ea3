"""What a net makes of images before, while and after it learns, for MLflow.

No random number of the training is drawn, and no weight is touched.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.vae.inference import device_of
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats, to_uint8

TIMES = 4  # in a run
COLUMNS = 8  # of a sheet with two rows


def drawn_after(epochs: int) -> set[int]:
    """After how many epochs pictures are drawn: 0, all of them, and evenly between."""
    return {round(each) for each in np.linspace(0, epochs, TIMES)}


@torch.no_grad()
def draw(vae: VAE, images: ImageArrays) -> dict[str, UInt8Array]:
    """(H, W, 3) each: validation images over their reconstructions; draws from the prior, the same
    codes each time.
    """
    device = device_of(vae)
    shown = to_floats(images.val.images[:COLUMNS]).to(device)
    back = vae.decode_mean(vae.encode(shown).mu)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2 * COLUMNS, vae.latent_dim, generator=generator).to(device)
    return {
        "reconstructions": _sheet(torch.stack([shown, back])),
        "samples": _sheet(vae.decode_mean(z).unflatten(0, (2, COLUMNS))),
    }


def _sheet(rows: Tensor) -> UInt8Array:
    """rows: (R, N, C, H, W) in [0, 1]."""
    pixels = to_uint8(rows.cpu().numpy())
    count, _, channels, height, _ = pixels.shape
    sheet = pixels.transpose(0, 3, 1, 4, 2).reshape(count * height, -1, channels)
    return np.repeat(sheet, 3, 2) if channels == 1 else sheet
