"""What an image costs: multiply-accumulates, which no clock and no machine changes."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from vaelab.vae.inference import device_of
from vaelab.vae.model import VAE


def macs(vae: VAE) -> int:
    """Of encoding one image and decoding one z, in linear layers and convolutions."""
    image = torch.zeros(1, *vae.shape, device=device_of(vae))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        vae.decode(vae.encode(image).mu)
    return counter.get_total_flops() // 2
