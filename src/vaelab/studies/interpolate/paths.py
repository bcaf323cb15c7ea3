"""Ways through latent space, from one encoding to another, and between which pictures they go."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.data.pictures import read_picture
from vaelab.runtime.errors import UserError
from vaelab.samplers.gaussians import Mixture
from vaelab.settings import InterpolateSettings
from vaelab.vae.inference import decode
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats

PathKind = Literal["linear", "slerp", "geodesic"]
PATH_KINDS: tuple[PathKind, ...] = get_args(PathKind)

PARALLEL = 1e-4  # sine of the angle below which a great circle is numerically no circle
RATE = 0.1  # Adam's first step, in units of the root mean square of b - a over the dimensions
PART = 16  # paths whose images are in memory at a time
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

    a, b: (..., latent_dim). Returns (..., steps, latent_dim). Raises ValueError of a geodesic,
    which needs a decoder: `geodesics` makes it.
    """
    if kind == "geodesic":
        raise ValueError("a geodesic depends on the decoder; see geodesics()")
    t = torch.linspace(0.0, 1.0, steps, dtype=a.dtype).unsqueeze(1)
    between = slerp if kind == "slerp" else lerp
    return between(a.unsqueeze(-2), b.unsqueeze(-2), t)


def blend(corners: Tensor, side: int) -> Tensor:
    """Bilinear blends of four encodings: a grid with the corners in its corners.

    corners: (4, latent_dim), top left, top right, bottom left, bottom right. Returns
    (side * side, latent_dim), row by row from the top.
    """
    t = torch.linspace(0.0, 1.0, side)[:, None]
    left, right = lerp(corners[0], corners[2], t), lerp(corners[1], corners[3], t)
    return lerp(left[:, None], right[:, None], t).flatten(0, 1)


def decoded(vae: VAE, z: Tensor) -> Iterator[Tensor]:
    """Paths of images in [0, 1], a few at a time, on the CPU: (p, steps, C, H, W).

    z: (P, steps, latent_dim).
    """
    for part in z.split(PART):
        yield torch.from_numpy(decode(vae, part.flatten(0, 1))).unflatten(0, part.shape[:2])


def cross_fades(ends: UInt8Array, steps: int) -> Iterator[Tensor]:
    """As `decoded`, of mixtures of two pictures' pixels. ends: uint8 (P, 2, C, H, W)."""
    for part in to_floats(ends).split(PART):
        a, b = part.flatten(2).unbind(1)
        yield path(a, b, steps, "linear").unflatten(2, ends.shape[2:])


# --- along the data ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Density:
    """A mixture's log density in float32, to be differentiated by z. On the mixture's device."""

    whitening: Tensor  # (K, latent_dim, latent_dim): the inverses of the Cholesky factors
    centres: Tensor  # (K, latent_dim): the means, whitened
    constants: Tensor  # (K,): log weights and log normalisers

    @classmethod
    def of(cls, mixture: Mixture, device: torch.device) -> Density:
        whitening = torch.linalg.inv(mixture.factors)
        volumes = mixture.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        normaliser = 0.5 * mixture.means.shape[1] * math.log(2.0 * math.pi)
        fields = (
            whitening,
            (whitening @ mixture.means[..., None])[..., 0],
            mixture.weights.log() - volumes - normaliser,
        )
        return cls(*(field.float().to(device) for field in fields))

    def log_prob(self, z: Tensor) -> Tensor:
        """In nats. z: (..., latent_dim). Returns (...)."""
        white = z.flatten(0, -2) @ self.whitening.mT - self.centres[:, None]
        parts = self.constants[:, None] - 0.5 * white.square().sum(2)
        return parts.logsumexp(0).unflatten(0, z.shape[:-1])


class Geodesics(NamedTuple):
    """Of P pairs, on the CPU."""

    z: Tensor  # (P, steps, latent_dim)
    before: Tensor  # (P,): the energy of the paths that the descent began with
    after: Tensor  # (P,): of those that it came to, never more


def geodesics(
    decoder: Callable[[Tensor], Tensor],
    log_density: Callable[[Tensor], Tensor],
    start: Tensor,
    iterations: int,
) -> Geodesics:
    """Paths along which the decoded image changes least while the encodings' density stays even.

    Minimises the energy of a discrete curve in the metric that the decoder pulls back from pixels
    (Arvanitidis et al. 2018, arXiv 1710.11379; Shao et al. 2018, arXiv 1711.08014, algorithm 1),
    each step's squared length multiplied by what the density makes it cost (`energy`, below). The
    ends stay. With a scalar variance in its likelihood a decoder says nothing of where it was
    trained, and the pull-back metric alone finds what the decoder can do of a cross-fade; the
    density is what holds a path to places like its ends.

    By Adam, its rate falling as a cosine, over the amplitudes of sine waves that are added to the
    start, a wave of k half periods weighted by 1 / k: a path is moved as a whole before its points
    are. Of all iterates each path's best is returned.

    decoder: (n, latent_dim) -> (n, C, H, W); log_density: (..., latent_dim) -> (...), nats, both on
    one device; start: (P, steps, latent_dim), on that device.
    """
    size = decoder(start[:1, 0]).numel() * start.shape[1]
    parts = [
        _relax(decoder, log_density, part, iterations)
        for part in start.split(max(1, CHUNK // size))
    ]
    return Geodesics(*(torch.cat(fields).cpu() for fields in zip(*parts, strict=True)))


def _relax(
    decoder: Callable[[Tensor], Tensor],
    log_density: Callable[[Tensor], Tensor],
    start: Tensor,
    iterations: int,
) -> Geodesics:
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


def energy(
    decoder: Callable[[Tensor], Tensor], log_density: Callable[[Tensor], Tensor], z: Tensor
) -> Tensor:
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
    """How far a path is denser (> 0) or rarer than the line between its ends, in nats.

    log_density: (P, steps) along the paths. Returns the same shape.
    """
    t = torch.linspace(0.0, 1.0, log_density.shape[1], device=log_density.device)
    return log_density - lerp(log_density[:, :1], log_density[:, -1:], t)


# --- between which pictures ----------------------------------------------------------------------


@dataclass(frozen=True)
class Picture:
    """An end of a path."""

    image: UInt8Array  # (C, H, W)
    name: str  # its class, or its file's name
    number: int | None = None  # in the test split; None of a file

    @property
    def place(self) -> str:
        return "own file" if self.number is None else f"test image {self.number}"


def shown_pairs(images: ImageArrays, settings: InterpolateSettings) -> list[list[Picture]]:
    """The settings' own pairs, or the first of those that `draw_pairs` gives.

    Raises UserError where a number is not that of a test image or a file not a readable picture.
    """
    pairs = settings.pairs
    if isinstance(pairs, int):
        drawn = draw_pairs(torch.tensor(images.test.labels), pairs, settings.seed)
        return [[_test_image(int(i), images) for i in pair] for pair in drawn]
    return [[_picture(member, images, "pairs") for member in pair] for pair in pairs]


def corner_pictures(images: ImageArrays, settings: InterpolateSettings) -> list[Picture]:
    """The settings' own four, or four drawn by their seed, of different classes where there are.

    Raises UserError as `shown_pairs`.
    """
    if settings.corners != "drawn":
        return [_picture(member, images, "corners") for member in settings.corners]
    generator = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(images.test), generator=generator).numpy()
    _, first = np.unique(images.test.labels[order], return_index=True)
    first.sort()
    others = np.setdiff1d(np.arange(len(order)), first)
    chosen = np.resize(order[np.concatenate([first, others])], 4)
    return [_test_image(int(i), images) for i in chosen]


def draw_pairs(labels: Tensor, count: int, seed: int) -> Tensor:
    """Pairs of two images, alternately of one class and of two, as far as there are such.

    The first image of a pair is any with the same chance. More pairs begin with the same ones.

    labels: (N,). Returns (count, 2), row numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.arange(len(labels))
    pairs = torch.empty(count, 2, dtype=torch.long)
    for i, pair in enumerate(pairs):
        first = torch.randint(len(labels), (), generator=generator)
        other = numbers != first
        same_class = labels == labels[first]
        wanted = other & (same_class if i % 2 == 0 else ~same_class)
        allowed = next((mask for mask in (wanted, other) if mask.any()), ~other)
        choice = numbers[allowed]
        pair[0] = first
        pair[1] = choice[torch.randint(len(choice), (), generator=generator)]
    return pairs


def _picture(member: int | str, images: ImageArrays, key: str) -> Picture:
    """member: the number of a test image, or the path of a file; key: of the settings."""
    if isinstance(member, str):
        return Picture(read_picture(member, images.shape), Path(member).name)
    if member >= len(images.test):
        raise UserError(
            f"interpolate.{key} names test image {member}; "
            f"allowed: 0 to {len(images.test) - 1}, the test split's images"
        )
    return _test_image(member, images)


def _test_image(number: int, images: ImageArrays) -> Picture:
    name = images.meta.class_names[images.test.labels[number]]
    return Picture(images.test.images[number], name, number)
