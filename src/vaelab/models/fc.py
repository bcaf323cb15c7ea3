"""The fully connected VAE: the image as one long vector.

Each hidden width is a linear layer to it and a residual block at it, so that a linear path from the
pixels to the latents and back runs through the whole net. Without it a fully connected VAE trains
much worse (docs/method.md has the figures), and the comparison would be of optimisers.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from vaelab.models import VAE, VAEConfig


class Residual(nn.Module):
    """x + Linear(SiLU(Linear(LayerNorm(x)))): (B, width) -> (B, width). He et al. 2016."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def mlp(inputs: int, hidden: list[int], outputs: int) -> nn.Sequential:
    """(B, inputs) -> (B, outputs)"""
    layers: list[nn.Module] = []
    for before, width in zip([inputs, *hidden], hidden, strict=False):
        layers += [nn.Linear(before, width), Residual(width)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))


def build_fc(config: VAEConfig) -> VAE:
    pixels = math.prod(config.shape)
    hidden = config.net["hidden"]
    encoder = nn.Sequential(nn.Flatten(), mlp(pixels, hidden, 2 * config.latent_dim))
    decoder = nn.Sequential(
        mlp(config.latent_dim, hidden[::-1], pixels), nn.Unflatten(1, config.shape)
    )
    return VAE(config, encoder, decoder)
