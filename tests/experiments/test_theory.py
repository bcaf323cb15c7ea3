"""What docs/theory.md is measured with, on a model that is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theory
from vaelab.samplers.flow import Whitening
from vaelab.vae.model import VAE, VAEConfig


class LeftPixel(nn.Module):
    """An encoder whose mu is the left pixel of two, in [-2, 2], and whose logvar is 0."""

    def forward(self, x: Tensor) -> Tensor:
        left = x.flatten(1)[:, :1]
        return torch.cat([left, torch.zeros_like(left)], 1)


class BothPixels(nn.Module):
    """A decoder that shows 4 z in both, as logits."""

    def forward(self, z: Tensor) -> Tensor:
        return 4.0 * z.view(-1, 1, 1, 1).expand(-1, 1, 1, 2)


def toy() -> VAE:
    config = VAEConfig(
        architecture="fc", shape=(1, 1, 2), latent_dim=1, likelihood="bernoulli", net={}
    )
    vae = VAE(config, LeftPixel(), BothPixels())
    vae.register_parameter("where", nn.Parameter(torch.zeros(())))  # which names the device
    return vae


def test_nudges_grow_by_the_spread_of_the_encodings() -> None:
    vae = toy()
    encodings = Whitening(torch.zeros(1), torch.tensor([[0.1]]), torch.tensor([[10.0]]))
    images = theory.nudged(vae, torch.tensor([0.2]), encodings, torch.tensor([1.0]))
    sizes = torch.tensor([0.0, *theory.NUDGES])
    assert images.shape == (1 + len(theory.NUDGES), 1, 1, 2)
    torch.testing.assert_close(images[:, 0, 0, 1], torch.sigmoid(4.0 * (0.2 + 0.1 * sizes)))
