"""The fully connected VAE: the image as one long vector.

A linear layer to `width`, residual blocks at it, and a linear layer out, so that a linear path from
the pixels to the latents and back runs through the whole net. Without it a fully connected VAE
trains much worse (docs/method.md has the figures), and the comparison would be of optimisers.
"""

from __future__ import annotations

import math
from bisect import bisect_left

import torch
from torch import Tensor, nn

from vaelab.nets import conv
from vaelab.runtime.errors import UserError
from vaelab.settings import ModelSettings
from vaelab.vae.model import VAE, VAEConfig

TOLERANCE = 0.02  # of the parameter count, up to which two models count as equally large
WIDEST = 16_384


class Residual(nn.Module):
    """x + Linear(SiLU(Linear(LayerNorm(x)))): (B, width) -> (B, width). He et al. 2016."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def mlp(inputs: int, width: int, blocks: int, outputs: int) -> nn.Sequential:
    """(B, inputs) -> (B, outputs)"""
    middle = [Residual(width) for _ in range(blocks)]
    return nn.Sequential(nn.Linear(inputs, width), *middle, nn.Linear(width, outputs))


def build(config: VAEConfig) -> VAE:
    pixels = math.prod(config.shape)
    width, blocks = config.net["width"], config.net["blocks"]
    encoder = nn.Sequential(nn.Flatten(), mlp(pixels, width, blocks, 2 * config.latent_dim))
    decoder = nn.Sequential(
        mlp(config.latent_dim, width, blocks, pixels), nn.Unflatten(1, config.shape)
    )
    return VAE(config, encoder, decoder)


def configure(model: ModelSettings, shape: tuple[int, int, int]) -> VAEConfig:
    """shape: (C, H, W). `match_conv` becomes the width that comes closest to Conv's parameters.

    Raises UserError where no width comes within TOLERANCE of them.
    """
    net = model.fc.model_dump()
    config = VAEConfig.of("fc", model, shape, net)
    if model.fc.width != "match_conv":
        return config

    def of_width(width: int) -> VAEConfig:
        return config.model_copy(update={"net": net | {"width": width}})

    def excess(width: int) -> int:
        """Parameters of FC at this width beyond Conv's."""
        return build(of_width(width)).parameter_count() - wanted

    with torch.device("meta"):  # counts without making weights
        wanted = conv.build(conv.configure(model, shape)).parameter_count()
        at_least = bisect_left(range(WIDEST), 0, lo=1, key=excess)  # the first with as many
        width = min((at_least, max(at_least - 1, 1)), key=lambda each: abs(excess(each)))
        share = excess(width) / wanted
    if abs(share) > TOLERANCE:
        raise UserError(
            f"no model.fc.width gives FC within {TOLERANCE:.0%} as many parameters as Conv's "
            f"{wanted:,} (width {width}: {share:+.1%}); change model.conv.width, or name a width"
        )
    return of_width(width)
