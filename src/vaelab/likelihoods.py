"""p(x|z): what a decoder's output says about the pixels. Each expects images in [0, 1].

A likelihood turns `raw`, a decoder's output (B, C, H, W), into a log density summed over pixels and
channels, in nats for each image, and into a mean and samples in the range of the data.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Likelihood(Protocol):
    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        """log p(x|z): images in [0, 1] and raw, both (B, C, H, W). Returns (B,), nats."""
        ...

    def mean(self, raw: Tensor) -> Tensor:
        """E[x|z], (B, C, H, W) in [0, 1]."""
        ...

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x ~ p(x|z), (B, C, H, W) in [0, 1]."""
        ...


class Bernoulli(nn.Module):
    """The textbook's binary cross-entropy; raw are logits. Kingma & Welling 2014, appendix C.1.

    On grey values it is a score, not a normalised density (Loaiza-Ganem & Cunningham 2019), so it
    gives no bits per dimension and compares with no other likelihood.
    """

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        cross_entropy = functional.binary_cross_entropy_with_logits(raw, images, reduction="none")
        return -cross_entropy.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(self.mean(raw), generator=generator)


class Gaussian(nn.Module):
    """N(mean, sigma² I) with one learned sigma: sigma-VAE, Rybkin et al. 2021, section 3.2.

    The mean is sigmoid(raw). log sigma is kept above LOG_SIGMA_FLOOR, about half a grey level,
    below which the density of 8-bit data would grow without bound.
    """

    LOG_SIGMA_FLOOR = math.log(0.5 / 255)

    def __init__(self) -> None:
        super().__init__()
        self.log_sigma = nn.Parameter(torch.tensor(math.log(0.25)))

    def _bounded_log_sigma(self) -> Tensor:
        """Softplus above the floor, as in the paper's section 4: the gradient never vanishes."""
        return self.LOG_SIGMA_FLOOR + functional.softplus(self.log_sigma - self.LOG_SIGMA_FLOOR)

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        log_sigma = self._bounded_log_sigma()
        squared = ((images - self.mean(raw)) / log_sigma.exp()).square()
        return (-0.5 * squared - log_sigma - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(raw.shape, generator=generator, device=raw.device)
        return (self.mean(raw) + self._bounded_log_sigma().exp() * noise).clamp(0.0, 1.0)


LIKELIHOODS: dict[str, type[Bernoulli] | type[Gaussian]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
}


def build_likelihood(name: str) -> Likelihood:
    return LIKELIHOODS[name]()
