"""A learned prior: flow matching on the encodings (Lipman et al. 2023, arXiv 2210.02747).

A second model of the aggregated posterior q(z) = E_x[q(z|x)], trained once the VAE is fixed: the
second of the two stages of Dai & Wipf 2019, arXiv 1903.05789.

    flow = fit_flow(encode(vae, images.train.images), seed=0, device=device)
    z = flow.sample(64, torch.Generator().manual_seed(0))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaelab.metrics.aggregate import aggregate_moments
from vaelab.vae.device import select_precision
from vaelab.vae.model import Posterior
from vaelab.vae.schedule import warm_cosine

FREQUENCIES = 8  # of the time embedding: half turns of t, 1 to FREQUENCIES
EMBEDDING = 128  # width of what the blocks are told of time and norm
SMALLEST_VARIANCE = 1e-6  # of a direction of the encodings, as a share of the mean one
CHUNK = 2**13  # points that are carried along the flow at a time


@dataclass(frozen=True)
class FlowRecipe:
    width: int = 256
    blocks: int = 3
    steps: int = 1000
    batch_size: int = 256
    learning_rate: float = 3e-3
    ode_steps: int = 32  # of Heun's method, two evaluations each


class Block(nn.Module):
    """h + Linear(SiLU(scale(e) * Linear(LayerNorm(h)) + shift(e))): h (B, width), e (B, EMBEDDING).

    The branch begins at 0, so that a new block is the identity.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner = nn.Sequential(norm, nn.Linear(width, width))
        self.modulation = _zeroed(nn.Linear(EMBEDDING, 2 * width))
        self.outer = _zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        scale, shift = self.modulation(e).chunk(2, dim=1)
        return h + self.outer(functional.silu(self.inner(h) * (1.0 + scale) + shift))


class VelocityNet(nn.Module):
    """u(x, t), the velocity of the flow: x (B, d), t (B,) in [0, 1]. Returns (B, d), float32.

    The net learns only what makes the data differ from N(0, I), for which the velocity is known,

        u(x, t) = (2 t - 1) / s² x + net(x / s, t) / s,   s² = (1 - t)² + t²,

    and begins at 0. Inputs and targets of the net then have unit variance at every t (the
    preconditioning of Karras et al. 2022, arXiv 2206.00364, section 5, for this path). The norm of
    x is told to it: encodings differ much in norm, and nets not told of it learned far slower.
    """

    def __init__(self, dimension: int, recipe: FlowRecipe) -> None:
        super().__init__()
        self.turns = nn.Buffer(math.pi * torch.arange(1, FREQUENCIES + 1))
        first, second = nn.Linear(2 * FREQUENCIES + 2, EMBEDDING), nn.Linear(EMBEDDING, EMBEDDING)
        self.embedding = nn.Sequential(first, nn.SiLU(), second, nn.SiLU())
        self.inward = nn.Linear(dimension, recipe.width)
        self.blocks = nn.ModuleList(Block(recipe.width) for _ in range(recipe.blocks))
        self.modulation = _zeroed(nn.Linear(EMBEDDING, 2 * recipe.width))
        self.outward = _zeroed(nn.Linear(recipe.width, dimension))
        self.gate = _zeroed(nn.Linear(EMBEDDING, dimension))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        t = t.unsqueeze(1)
        variance = (1.0 - t).square() + t.square()
        departure = self.departure(x / variance.sqrt(), t).float()
        return (2.0 * t - 1.0) / variance * x + departure / variance.sqrt()

    def departure(self, x: Tensor, t: Tensor) -> Tensor:
        """x: (B, d); t: (B, 1). Returns (B, d)."""
        norm = (x.square().mean(1, keepdim=True) + 1e-6).sqrt()
        angles = t * self.turns
        e = self.embedding(torch.cat([angles.sin(), angles.cos(), norm, norm.log()], dim=1))
        h = self.inward(x)
        for block in self.blocks:
            h = block(h, e)
        scale, shift = self.modulation(e).chunk(2, dim=1)
        return self.outward(h * (1.0 + scale) + shift) + x * self.gate(e)


def _zeroed(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Whitening(NamedTuple):
    """z = mean + spread @ y, y with mean 0 and covariance I."""

    mean: Tensor  # (d,)
    spread: Tensor  # (d, d)
    inverse: Tensor  # (d, d)

    def apply(self, z: Tensor) -> Tensor:
        """(n, d) -> (n, d)"""
        return (z - self.mean) @ self.inverse.T

    def undo(self, y: Tensor) -> Tensor:
        """(n, d) -> (n, d)"""
        return self.mean + y @ self.spread.T


def whitening_of(posterior: Posterior) -> Whitening:
    """From the exact mean and covariance of the aggregated posterior, by its eigenvectors."""
    mean, covariance = aggregate_moments(posterior)
    variances, directions = torch.linalg.eigh(covariance)
    deviations = variances.clamp(min=SMALLEST_VARIANCE * float(variances.mean())).sqrt()
    spread, inverse = directions * deviations, (directions / deviations).T
    return Whitening(mean.float(), spread.float(), inverse.float())


def on_path(noise: Tensor, data: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The conditional optimal-transport path x_t = (1 - t) x_0 + t x_1 and its velocity x_1 - x_0.

    noise, data: (B, d); t: (B,). Lipman et al. 2023, equations 22 and 23, with sigma_min = 0.
    Returns two tensors (B, d).
    """
    return torch.lerp(noise, data, t.unsqueeze(1)), data - noise


@dataclass(frozen=True)
class Flow:
    """dx/dt = net(x, t) carries N(0, I) at t = 0 to the whitened encodings at t = 1."""

    net: VelocityNet
    whitening: Whitening  # on the net's device
    ode_steps: int

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """z: (n, d), on the CPU, as the generator is."""
        noise = torch.randn(n, len(self.whitening.mean), generator=generator)
        return torch.cat([self.carry(part) for part in noise.split(CHUNK)])

    @torch.no_grad()
    def carry(self, noise: Tensor) -> Tensor:
        """From noise (n, d) to encodings (n, d), on the CPU. Heun's method at equal steps of t."""
        x = noise.to(self.whitening.mean.device)
        times = torch.linspace(0.0, 1.0, self.ode_steps + 1, device=x.device)
        step = 1.0 / self.ode_steps
        for now, then in pairwise(times):
            slope = self.net(x, now.expand(len(x)))
            ahead = self.net(x + step * slope, then.expand(len(x)))
            x = x + 0.5 * step * (slope + ahead)
        return self.whitening.undo(x).cpu()


def fit_flow(
    posterior: Posterior, *, seed: int, device: torch.device, recipe: FlowRecipe = FlowRecipe()
) -> Flow:
    """Flow matching from N(0, I) to q(z) = E_x[q(z|x)], whitened: Lipman et al. 2023, equation 23.

    posterior: of the training images, (N, d) on the CPU. Every step draws z anew from q(z|x): the
    decoder was trained on those draws, and no encoding is met twice.
    Random numbers come from the CPU: the same seed gives the same flow there, bit for bit.
    """
    generator = torch.Generator().manual_seed(seed)
    count, dimension = posterior.mu.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = VelocityNet(dimension, recipe).to(device)
    whitening = Whitening(*(part.to(device) for part in whitening_of(posterior)))
    optimiser = torch.optim.Adam(
        net.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), fused=True
    )
    precision = select_precision("auto", device)

    for step in range(recipe.steps):
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * warm_cosine(step, recipe.steps)
        chosen = torch.randint(count, (recipe.batch_size,), generator=generator)
        z = Posterior(posterior.mu[chosen], posterior.logvar[chosen]).sample(generator)
        noise = torch.randn(z.shape, generator=generator)
        offset = torch.rand(1, generator=generator)
        t = (torch.arange(recipe.batch_size) + offset) / recipe.batch_size  # stratified
        data = whitening.apply(z.to(device))
        x, velocity = on_path(noise.to(device), data, t.to(device))
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            predicted = net(x, t.to(device))
        loss = functional.mse_loss(predicted, velocity)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return Flow(net.eval().requires_grad_(False), whitening, recipe.ode_steps)
