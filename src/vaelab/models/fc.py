"""The fully connected VAE: the image as one long vector."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import nn

from vaelab.models import VAE, VAEConfig


def mlp(widths: list[int]) -> nn.Sequential:
    """Linear layers of these widths with a SiLU between any two of them."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.SiLU(), nn.Linear(wide, narrow)]
    return nn.Sequential(*layers[1:])


def build_fc(config: VAEConfig) -> VAE:
    pixels = math.prod(config.shape)
    hidden = config.net["hidden"]
    encoder = nn.Sequential(nn.Flatten(), mlp([pixels, *hidden, 2 * config.latent_dim]))
    decoder = nn.Sequential(
        mlp([config.latent_dim, *reversed(hidden), pixels]), nn.Unflatten(1, config.shape)
    )
    return VAE(config, encoder, decoder)
