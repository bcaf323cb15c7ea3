"""The convolutional VAE: strided convolutions down to about 4 x 4, and back.

The side is halved until it is 4 (or the last side above 4 that cannot be halved without going
below), the channels doubled at each halving: 3 x 32 x 32 -> 32 x 16 x 16 -> 64 x 8 x 8 ->
128 x 4 x 4 with a width of 32. SiLU stands between any two convolutions, and nothing but a linear
layer between the smallest feature map and the latents. `blocks` residual blocks may follow at each
feature map.

Weights are kept channels-last, which spares a CPU in bfloat16 a fifth of a step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaelab.settings import ModelSettings
from vaelab.vae.model import VAE, VAEConfig

SMALLEST_SIDE = 4


def sides(image_size: int) -> list[int]:
    """The sides of the feature maps from the image down: 32 -> [32, 16, 8, 4]."""
    result = [image_size]
    while (half := (result[-1] + 1) // 2) >= SMALLEST_SIDE:
        result.append(half)
    return result


class Halve(nn.Module):
    """(B, C, S, S) -> (B, C', ceil(S / 2), ceil(S / 2))"""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        odd = x.shape[-1] % 2
        return self.conv(functional.pad(x, (0, odd, 0, odd), mode="replicate") if odd else x)


class Double(nn.Module):
    """(B, C, S, S) -> (B, C', side, side), where side is 2 * S or one less."""

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size=4, stride=2, padding=1, bias=False
        )
        # Beside the convolution, whose own bias takes PyTorch as long to learn as its weights.
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)[..., : self.side, : self.side] + self.bias.view(-1, 1, 1)


class Residual(nn.Module):
    """x + Conv(SiLU(Conv(SiLU(x)))), 3 x 3: (B, C, S, S) -> (B, C, S, S). He et al. 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.branch(x)


def build(config: VAEConfig) -> VAE:
    image_channels, image_size, _ = config.shape
    scales = sides(image_size)
    widths = [config.net["width"] * 2**i for i in range(len(scales) - 1)]
    channels = [image_channels, *widths]
    features = (channels[-1], scales[-1], scales[-1])
    flat = channels[-1] * scales[-1] ** 2

    def blocks(channels: int) -> list[nn.Module]:
        return [Residual(channels) for _ in range(config.net["blocks"])]

    down: list[nn.Module] = []
    for i in range(len(widths)):
        down += [Halve(channels[i], channels[i + 1]), *blocks(channels[i + 1]), nn.SiLU()]
    encoder = nn.Sequential(*down[:-1], nn.Flatten(), nn.Linear(flat, 2 * config.latent_dim))

    up: list[nn.Module] = []
    for i in reversed(range(len(widths))):
        up += [*blocks(channels[i + 1]), Double(channels[i + 1], channels[i], side=scales[i])]
        up += [nn.SiLU()] if i else []
    decoder = nn.Sequential(nn.Linear(config.latent_dim, flat), nn.Unflatten(1, features), *up)
    return VAE(config, encoder, decoder).to(memory_format=torch.channels_last)


def configure(model: ModelSettings, shape: tuple[int, int, int]) -> VAEConfig:
    """shape: (C, H, W)"""
    return VAEConfig.of("conv", model, shape, model.conv.model_dump())
