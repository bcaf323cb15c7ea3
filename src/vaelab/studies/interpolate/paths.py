"""Paths through latent space, from one encoding to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from vaelab.data.arrays import UInt8Array
from vaelab.vae.inference import decode
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats

Function = Callable[[Tensor], Tensor]
PathKind = Literal["linear", "slerp", "geodesic"]
PATH_KINDS: tuple[PathKind, ...] = get_args(PathKind)

PARALLEL = 1e-4  # sine of the angle below which a great circle is numerically no circle
RATE = 0.1  # Adam's first step, in units of the root mean square of b - a over the dimensions
PART = 16  # paths whose images are in memory at a time, at most
CHUNK = 2**21  # values of images that are decoded at a time


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(1 - t) a + t b. a, b: (..., latent_dim); t broadcasts against (..., 1)."""
    return (1.0 - t) * a + t * b


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Along the great circle from a to b, the norm going linearly from |a| to |b|.

    a, b: (..., latent_dim); t broadcasts against (..., 1). The angle grows in proportion to t.
    Vectors nearly parallel, opposite or zero span no circle and are interpolated linearly.
    Shoemake 1985, "Animating rotation with quaternion curves"; for latent spaces White 2016,
    arXiv 1609.04468.
    """
    norm_a = a.norm(dim=-1, keepdim=True)
    norm_b = b.norm(dim=-1, keepdim=True)
    product = norm_a * norm_b
    cosine = (a * b).sum(-1, keepdim=True) / product.where(product > 0, 1.0)
    angle = cosine.clamp(-1.0, 1.0).acos()
    sine = angle.sin()
    curved = (product > 0) & (sine > PARALLEL)
    norm = lerp(norm_a, norm_b, t)
    sine = sine.where(curved, 1.0)
    weight_a = norm * (((1.0 - t) * angle).sin() / sine) / norm_a.where(curved, 1.0)
    weight_b = norm * ((t * angle).sin() / sine) / norm_b.where(curved, 1.0)
    return (weight_a * a + weight_b * b).where(curved, lerp(a, b, t))


def path(a: Tensor, b: Tensor, steps: int, kind: PathKind) -> Tensor:
    """Points from a to b, both included, at equal steps of t; linear or spherical.

    a, b: (..., latent_dim). Returns (..., steps, latent_dim). Raises ValueError of a geodesic.
    """
    if kind == "geodesic":
        raise ValueError("a geodesic depends on the decoder; see geodesics()")
    t = torch.linspace(0.0, 1.0, steps, dtype=a.dtype).unsqueeze(1)
    between = slerp if kind == "slerp" else lerp
    return between(a.unsqueeze(-2), b.unsqueeze(-2), t)


def blend(corners: Tensor, side: int) -> Tensor:
    """Bilinear blends of four encodings, (side * side, latent_dim), row by row from the top.

    corners: (4, latent_dim), top left, top right, bottom left, bottom right.
    """
    t = torch.linspace(0.0, 1.0, side)[:, None]
    left, right = lerp(corners[0], corners[2], t), lerp(corners[1], corners[3], t)
    return lerp(left[:, None], right[:, None], t).flatten(0, 1)


def decoded(vae: VAE, z: Tensor) -> Iterator[Tensor]:
    """z: (P, steps, latent_dim). Yields images of a few paths, (p, steps, C, H, W), on the CPU."""
    for part in z.split(at_once(z.shape[1], vae.shape)):
        yield torch.from_numpy(decode(vae, part.flatten(0, 1))).unflatten(0, part.shape[:2])


def at_once(steps: int, shape: Sequence[int]) -> int:
    """Paths whose images are in memory at a time. shape: (C, H, W)"""
    return max(1, min(PART, 2 * CHUNK // (steps * math.prod(shape))))


def cross_fades(ends: UInt8Array, steps: int) -> Iterator[Tensor]:
    """As `decoded`, of mixtures of two pictures' pixels. ends: uint8 (P, 2, C, H, W)."""
    for part in torch.from_numpy(ends).split(at_once(steps, ends.shape[2:])):
        a, b = to_floats(part).flatten(2).unbind(1)
        yield path(a, b, steps, "linear").unflatten(2, ends.shape[2:])


class Geodesics(NamedTuple):
    """Of P pairs, on the CPU."""

    z: Tensor  # (P, steps, latent_dim)
    before: Tensor  # (P,): the energy of the paths that the descent began with
    after: Tensor  # (P,): of those that it came to, never more


def geodesics(
    decoder: Function, log_density: Function, start: Tensor, iterations: int
) -> Geodesics:
    """Paths along which the decoded image changes least while the encodings' density stays even.

    Minimises the energy of a discrete curve in the metric that the decoder pulls back from pixels
    (Arvanitidis et al. 2018, arXiv 1710.11379; Shao et al. 2018, arXiv 1711.08014, algorithm 1),
    each step's squared length multiplied by what the density makes it cost (`energy`, below). The
    ends stay. With a scalar variance in its likelihood a decoder says nothing of where it was
    trained: the pull-back metric alone finds what the decoder can do of a cross-fade.

    By Adam, its rate falling as a cosine, over the amplitudes of sine waves that are added to the
    start, a wave of k half periods weighted by 1 / k. Of all iterates each path's best is returned.

    decoder: (n, latent_dim) -> (n, C, H, W); log_density: (..., latent_dim) -> (...), nats;
    start: (P, steps, latent_dim), on their device.
    """
    size = decoder(start[:1, 0]).numel() * start.shape[1]
    chunks = start.split(max(1, CHUNK // size))
    parts = [_relax(decoder, log_density, chunk, iterations) for chunk in chunks]
    return Geodesics(*(torch.cat(fields).cpu() for fields in zip(*parts, strict=True)))


def _relax(decoder: Function, log_density: Function, start: Tensor, iterations: int) -> Geodesics:
    steps, latent_dim = start.shape[1:]
    half_periods = torch.arange(1, steps - 1, device=start.device)
    t = torch.linspace(0.0, 1.0, steps, device=start.device)[:, None]
    waves = (math.pi * half_periods * t).sin() / half_periods
    waves[[0, -1]] = 0.0
    scale = (start[:, -1:] - start[:, :1]).norm(dim=2, keepdim=True) / math.sqrt(latent_dim)
    amplitudes = torch.zeros_like(start[:, 1:-1]).requires_grad_()
    optimiser = torch.optim.Adam([amplitudes], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)

    best = start
    current = energy(decoder, log_density, start + scale * (waves @ amplitudes))
    before = after = current.detach()
    for _ in range(iterations):
        (amplitudes.grad,) = torch.autograd.grad(current.sum(), amplitudes)
        optimiser.step()
        schedule.step()
        z = start + scale * (waves @ amplitudes)
        current = energy(decoder, log_density, z)
        better = current.detach() < after
        best = torch.where(better[:, None, None], z.detach(), best)
        after = torch.where(better, current.detach(), after)
    return Geodesics(best, before, after)


def energy(decoder: Function, log_density: Function, z: Tensor) -> Tensor:
    """(steps - 1) Σ_i cost_i |g(z_{i+1}) - g(z_i)|², per pixel, of paths z: (P, steps, latent_dim).

    With costs of 1 it is at least the squared distance (RMSE per pixel) of the end images, which it
    equals on an even cross-fade. A place costs 1 + 2 |Δ| / latent_dim, Δ in nats from its log
    density to the level on a straight line between those of the path's ends; a step the mean of its
    two places. A metric multiplied by 1 + 2 Δ / latent_dim, for a small Δ, has its volumes
    multiplied by 1 + Δ, as the density is. To be denser costs as much as to be rarer: in many
    dimensions encodings lie where their density is middling, and at its peak is nothing.

    Returns (P,).
    """
    images = decoder(z.flatten(0, 1)).flatten(1).unflatten(0, z.shape[:2])
    squares = (images[:, 1:] - images[:, :-1]).square().mean(2)
    costs = 1.0 + 2.0 * departure_from_level(log_density(z)).abs() / z.shape[2]
    return (0.5 * (costs[:, 1:] + costs[:, :-1]) * squares).sum(1) * squares.shape[1]


def departure_from_level(log_density: Tensor) -> Tensor:
    """How far above the line between its ends, in nats. log_density: (P, steps). The same shape."""
    t = torch.linspace(0.0, 1.0, log_density.shape[1], device=log_density.device)
    return log_density - lerp(log_density[:, :1], log_density[:, -1:], t)
