"""The contract of a VAE: an encoder to (mu, logvar), a decoder to a likelihood's parameters.

    vae = nets.build(nets.configure("conv", settings.model, shape=(3, 32, 32)))
    posterior = vae.encode(images)               # images in [0, 1], (B, C, H, W)
    reconstruction = vae.decode_mean(posterior.mu)

Architectures differ in the two modules that they hand to `VAE`, and in nothing else.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save
from torch import Tensor, nn

from vaelab.runtime.files import write_whole
from vaelab.settings import LikelihoodName, ModelSettings, PosteriorName
from vaelab.vae.likelihoods import Likelihood, build_likelihood

WEIGHTS = "weights.safetensors"
CONFIG = "config.json"


class VAEConfig(BaseModel):
    """What has to be known to build a VAE again; config.json beside the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[2] = 2  # of what the weights mean: 2 since the nets see images in [-2, 2]
    architecture: str
    shape: tuple[int, int, int]  # (C, H, W)
    latent_dim: int
    likelihood: LikelihoodName
    sigma: float | None = None  # of a Gaussian likelihood; None: learned, as weights are
    posterior: PosteriorName = "gaussian"
    net: dict[str, Any]  # the architecture's own settings; width a number

    @classmethod
    def of(
        cls,
        architecture: str,
        model: ModelSettings,
        shape: tuple[int, int, int],
        net: dict[str, Any],
    ) -> VAEConfig:
        """shape: (C, H, W) of an image, H = W."""
        return cls(
            architecture=architecture,
            shape=shape,
            latent_dim=model.latent_dim,
            likelihood=model.likelihood,
            sigma=None if model.sigma == "learned" else model.sigma,
            posterior=model.posterior,
            net=net,
        )


def seed_dir(folder: Path, seed: int) -> Path:
    """The model trained from a seed, in an architecture's folder such as models/D/conv."""
    return folder / f"seed_{seed}"


def seeds_in(folder: Path) -> list[int]:
    """The seeds of the models in an architecture's folder, rising.

    Raises FileNotFoundError where there is none.
    """
    names = (re.fullmatch(r"seed_(\d+)", each.name) for each in folder.glob("seed_*"))
    seeds = sorted(int(name[1]) for name in names if name)
    if not seeds:
        raise FileNotFoundError(f"no {seed_dir(folder, 0).name} or other seed in it")
    return seeds


class Posterior(NamedTuple):
    """q(z|x) = N(mu, exp(logvar)); both (B, latent_dim), float32.

    A point posterior has logvar -inf: its samples are mu, and its KL to the prior is infinite.
    """

    mu: Tensor
    logvar: Tensor

    def sample(self, generator: torch.Generator | None = None, eps: Tensor | None = None) -> Tensor:
        """z = mu + sigma * eps, (B, latent_dim). Kingma & Welling 2014, section 2.4.

        eps: as mu, drawn from the generator where it is not given.
        """
        if eps is None:
            eps = torch.randn(self.mu.shape, generator=generator, device=self.mu.device)
        return self.mu + (0.5 * self.logvar).exp() * eps


class VAE(nn.Module):
    """encoder: (B, C, H, W) -> (B, 2 * latent_dim); decoder: (B, latent_dim) -> (B, C, H, W)."""

    def __init__(self, config: VAEConfig, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood: Likelihood = build_likelihood(config.likelihood, config.sigma)

    @property
    def latent_dim(self) -> int:
        return self.config.latent_dim

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)"""
        return self.config.shape

    @property
    def stochastic(self) -> bool:
        """Whether it is a VAE; a point posterior makes it a deterministic autoencoder."""
        return self.config.posterior != "point"

    def encode(self, images: Tensor) -> Posterior:
        """images: (B, C, H, W) in [0, 1]. The nets see them in [-2, 2], of a deviation about 1."""
        mu, raw = self.encoder(4.0 * images - 2.0).float().chunk(2, dim=1)
        if not self.stochastic:
            return Posterior(mu, torch.full_like(raw, -math.inf))
        # exp(raw) up to the prior's variance of 1, 1 + raw above: an exponential that the first
        # steps drive up would overflow, and wider than the prior gains nothing.
        return Posterior(mu, raw.clamp(max=0.0) + raw.clamp(min=0.0).log1p())

    def decode(self, z: Tensor) -> Tensor:
        """z: (B, latent_dim). Returns the likelihood's parameters, (B, C, H, W), float32."""
        return self.decoder(z).float()

    def decode_mean(self, z: Tensor) -> Tensor:
        """z: (B, latent_dim). Returns the mean image E[x|z], (B, C, H, W) in [0, 1]."""
        return self.likelihood.mean(self.decode(z))

    def parameter_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def save(self, folder: Path) -> None:
        """Write weights.safetensors and config.json."""
        weights = {name: tensor.cpu().contiguous() for name, tensor in self.state_dict().items()}
        write_whole(folder / WEIGHTS, save(weights))
        config = json.dumps(self.config.model_dump(), indent=2) + "\n"
        write_whole(folder / CONFIG, config.encode())
