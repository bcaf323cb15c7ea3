"""The geometry of latent space: paths, traversals, planes and regions, and how outputs vary there.

Tensors in, tensors out; nothing here knows a model. Distances between images are root mean squared
differences over pixels and channels ("RMSE per pixel"), of images in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.errors import UserError
from vaelab.models import Posterior
from vaelab.nearest import nearest
from vaelab.settings import InterpolateSettings, LatentExploreSettings

PathKind = Literal["linear", "slerp"]
PATH_KINDS: tuple[PathKind, ...] = get_args(PathKind)

PARALLEL = 1e-4  # sine of the angle below which a great circle is numerically no circle
MARGIN = 0.35  # of a plane's square beyond its three points, as a share of their extent
STILL = 1e-6  # RMSE per pixel up to which images differ by rounding alone

# --- paths ---------------------------------------------------------------------------------------


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
    """Points from a to b, both included, at equal steps of t.

    a, b: (..., latent_dim). Returns (..., steps, latent_dim).
    """
    t = torch.linspace(0.0, 1.0, steps, dtype=a.dtype).unsqueeze(1)
    between = slerp if kind == "slerp" else lerp
    return between(a.unsqueeze(-2), b.unsqueeze(-2), t)


class Smoothness(NamedTuple):
    """Of paths of images; each (P,), NaN where a path's images do not differ."""

    step: Tensor  # mean distance between neighbours, RMSE per pixel
    evenness: Tensor  # coefficient of variation of the steps: 0 where all are equal
    detour: Tensor  # path length / distance between the end images: 1 where straight


def distance(a: Tensor, b: Tensor) -> Tensor:
    """RMSE per pixel. a, b: (..., C, H, W) in [0, 1]. Returns (...)."""
    return (a - b).square().mean(dim=(-3, -2, -1)).sqrt()


def step_sizes(images: Tensor) -> Tensor:
    """Distances between neighbours. images: (P, S, C, H, W) in [0, 1]. Returns (P, S - 1)."""
    return distance(images[:, 1:], images[:, :-1])


def smoothness(images: Tensor) -> Smoothness:
    """images: (P, S, C, H, W) in [0, 1], P paths of S images."""
    steps = step_sizes(images)
    mean = steps.mean(1)
    straight = distance(images[:, 0], images[:, -1])
    return Smoothness(
        step=mean,
        evenness=torch.where(mean > STILL, steps.std(1, correction=0) / mean, math.nan),
        detour=torch.where(straight > STILL, steps.sum(1) / straight, math.nan),
    )


def mean_smoothness(images: Tensor) -> dict[str, float | None]:
    """Each of Smoothness' figures averaged over the paths that have it; None where none has.

    images: (P, S, C, H, W) in [0, 1].
    """
    means = {name: float(value.nanmean()) for name, value in smoothness(images)._asdict().items()}
    return {name: None if math.isnan(mean) else mean for name, mean in means.items()}


def choose_pairs(labels: Tensor, settings: InterpolateSettings) -> Tensor:
    """Which images to go between: the settings' own, or drawn by their seed.

    labels: (N,). A drawn pair is of two classes where there are two. Returns (P, 2), row numbers.
    Raises UserError where a number given is not that of an image.
    """
    count = len(labels)
    if not isinstance(settings.pairs, int):
        pairs = torch.tensor(settings.pairs)
        if int(pairs.max()) >= count:
            raise UserError(
                f"interpolate.pairs names test image {int(pairs.max())}; "
                f"allowed: 0 to {count - 1}, the test split's images"
            )
        return pairs
    generator = torch.Generator().manual_seed(settings.seed)
    pairs = torch.empty(settings.pairs, 2, dtype=torch.long)
    for pair in pairs:
        order = torch.randperm(count, generator=generator)
        other_class = order[labels[order] != labels[order[0]]]
        pair[0] = order[0]
        pair[1] = other_class[0] if len(other_class) else order[-1]
    return pairs


# --- traversals and planes -----------------------------------------------------------------------


def traverse(z: Tensor, dimension: int, values: Tensor) -> Tensor:
    """z with one of its coordinates set to each value in turn.

    z: (latent_dim,); values: (V,). Returns (V, latent_dim).
    """
    result = z.repeat(len(values), 1)
    result[:, dimension] = values
    return result


class Plane(NamedTuple):
    """origin + u * frame[0] + v * frame[1], through three points of latent space."""

    origin: Tensor  # (latent_dim,): the first point
    frame: Tensor  # (2, latent_dim), orthonormal rows
    coordinates: Tensor  # (3, 2): where the three points lie, (u, v) in units of z

    def at(self, uv: Tensor) -> Tensor:
        """uv: (..., 2). Returns the points of latent space, (..., latent_dim)."""
        return self.origin + uv @ self.frame

    def square(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of a square about the three points, with a margin, in (u, v)."""
        low, high = self.coordinates.amin(0), self.coordinates.amax(0)
        half = 0.5 * (1.0 + MARGIN) * float((high - low).max()) or 1.0
        u, v = (0.5 * (low + high)).tolist()
        return u - half, u + half, v - half, v + half

    def grid(self, side: int) -> Tensor:
        """Centres of side x side cells of that square, row by row from the top.

        Returns (side * side, latent_dim).
        """
        left, right, bottom, top = self.square()
        middles = (torch.arange(side) + 0.5) / side
        u = left + (right - left) * middles
        v = top + (bottom - top) * middles
        return self.at(torch.cartesian_prod(v, u).flip(1))


def plane_through(points: Tensor) -> Plane:
    """points: (3, latent_dim). The first lies at (0, 0), the second on the positive u axis.

    With latent_dim 1 there is no plane: v moves nothing.
    """
    origin = points[0]
    edges = points[1:] - origin
    basis, triangle = torch.linalg.qr(edges.T)
    signs = torch.where(triangle.diagonal() < 0, -1.0, 1.0)
    frame = torch.zeros(2, points.shape[1])
    frame[: basis.shape[1]] = (basis * signs).T
    coordinates = torch.cat([torch.zeros(1, 2), edges @ frame.T])
    return Plane(origin, frame, coordinates)


class Projection(NamedTuple):
    coordinates: Tensor  # (N, 2)
    explained: Tensor  # (2,): each component's share of the variance


def principal_components(mu: Tensor) -> Projection:
    """The two directions in which encodings vary most. mu: (N, latent_dim).

    The sign of a component is chosen so that its largest loading is positive.
    """
    centred = mu.double() - mu.double().mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(mu))
    leading = directions.flip(1)[:, :2]
    leading = leading * leading.gather(0, leading.abs().argmax(0, keepdim=True)).sign()
    coordinates = torch.zeros(len(mu), 2)
    explained = torch.zeros(2)
    coordinates[:, : leading.shape[1]] = (centred @ leading).float()
    if variances.sum() > 0:
        explained[: leading.shape[1]] = (variances.flip(0)[:2] / variances.sum()).float()
    return Projection(coordinates, explained)


# --- regions -------------------------------------------------------------------------------------


class Region(NamedTuple):
    key: str  # in metrics files
    name: str  # in reports
    z: Tensor  # (n, latent_dim)


def shell(noise: Tensor, radius: float) -> Tensor:
    """Uniform on the sphere of `radius` * sqrt(latent_dim): 1 is where N(0, I) concentrates.

    noise: (n, latent_dim), standard normal.
    """
    return radius * math.sqrt(noise.shape[1]) * noise / noise.norm(dim=1, keepdim=True)


def around_classes(noise: Tensor, mu: Tensor, labels: Tensor) -> Tensor:
    """Around each class's mean encoding in turn, with the class's own spread of mu by dimension.

    noise: (n, latent_dim), standard normal; mu: (N, latent_dim); labels: (N,). Row i belongs to
    the class number i mod K of the K that occur, in the order of their labels.
    """
    members = [mu[labels == label] for label in labels.unique()]
    means = torch.stack([group.mean(0) for group in members])
    spreads = torch.stack([group.std(0, correction=0) for group in members])
    classes = torch.arange(len(noise)) % len(members)
    return means[classes] + spreads[classes] * noise


def around_encodings(noise: Tensor, posterior: Posterior) -> Tensor:
    """mu + sigma * noise: draws of q(z|x).

    noise: (n, latent_dim), standard normal; posterior: of n images, or of one for all rows. No
    wider than the posterior: a dimension that holds nothing of the image already has sigma near 1.
    """
    return posterior.mu + (0.5 * posterior.logvar).exp() * noise


def regions(
    noise: Tensor,
    posterior: Posterior,
    labels: Tensor,
    images: Tensor,
    settings: LatentExploreSettings,
) -> list[Region]:
    """The named regions that a report samples.

    Row i of every region comes from row i of the same noise, so that two models, and two regions,
    are compared on the same draws.

    noise: (n, latent_dim), standard normal; posterior: of all N images; labels: (N,);
    images: (n,), the numbers of those images whose encodings are drawn from, the first of them also
    the one image that is looked around.
    """
    chosen = Posterior(posterior.mu[images], posterior.logvar[images])
    one = Posterior(chosen.mu[:1], chosen.logvar[:1])
    middle = torch.tensor(0.5)
    classes = "Around class means" if len(labels.unique()) > 1 else "Around the mean encoding"
    return [
        Region("posterior", "Encoded test images", around_encodings(noise, chosen)),
        Region("image", "Around one encoded image", around_encodings(noise, one)),
        Region("classes", classes, around_classes(noise, posterior.mu, labels)),
        Region("between", "Between data and prior", slerp(chosen.mu, noise, middle)),
        Region("prior", "Prior N(0, I)", noise),
        *(
            Region(f"temperature_{t:g}", f"Temperature {t:g}", t * noise)
            for t in settings.temperatures
        ),
        *(Region(f"shell_{r:g}", f"Shell {r:g} √d", shell(noise, r)) for r in settings.shells),
    ]


# --- how outputs vary ----------------------------------------------------------------------------


class Variation(NamedTuple):
    """Of a set of images."""

    sharpness: float  # mean absolute Laplacian
    diversity: float | None  # mean distance between two of them, RMSE per pixel; None of one
    nearest: float  # mean distance to the nearest training image, RMSE per pixel


def sharpness(images: Tensor) -> Tensor:
    """Mean absolute Laplacian (4 neighbours) over inner pixels and channels.

    images: (N, C, H, W) in [0, 1]. Returns (N,). One of the focus measures that Pertuz et al. 2013
    ("Analysis of focus measure operators for shape-from-focus") compare.
    """
    centre = images[..., 1:-1, 1:-1]
    across = images[..., 1:-1, :-2] + images[..., 1:-1, 2:]
    along = images[..., :-2, 1:-1] + images[..., 2:, 1:-1]
    return (across + along - 4.0 * centre).abs().mean(dim=(1, 2, 3))


def diversity(images: Tensor) -> Tensor:
    """Mean distance over all pairs, RMSE per pixel. images: (N, C, H, W), N > 1. Returns ()."""
    flat = (images - images.mean(0)).flatten(1)
    first, second = torch.triu_indices(len(flat), len(flat), offset=1)
    return torch.cdist(flat, flat)[first, second].mean() / math.sqrt(flat.shape[1])


def share(value: float | None, whole: float | None) -> float | None:
    """value / whole, of one of Variation's figures; None where the whole is rounding alone."""
    return None if value is None or whole is None or whole <= STILL else value / whole


def variation(
    groups: Sequence[Tensor], train: NDArray[np.uint8], device: torch.device | None = None
) -> list[Variation]:
    """Of each group of images: (n, C, H, W) in [0, 1]; train: uint8 (M, C, H, W)."""
    return [
        Variation(
            float(sharpness(images).mean()),
            float(diversity(images)) if len(images) > 1 else None,
            float(found.distance.mean()),
        )
        for images, found in zip(groups, nearest(groups, train, device), strict=True)
    ]
