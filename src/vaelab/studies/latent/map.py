"""Two dimensions of latent space: maps of a split's encodings, and the plane through three of them.

rows = mapped_rows(len(mu), settings.latent_explore.mapped, seed=0)
found = map_encodings(mu, rows, seed=0)
trustworthiness(mu[rows], found.best)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MARGIN = 0.35  # of a plane's square beyond its three points, as a share of their extent
PERPLEXITY = 30.0  # of t-SNE, with three times as many images or more
FEWEST = 16  # images that t-SNE is shown: its perplexity is then 5
START = 1e-4  # standard deviation of t-SNE's first component when it begins
STILL = 1e-6  # standard deviation up to which encodings differ by rounding alone
NEIGHBOURS = 10


class Plane(NamedTuple):
    """origin + u * frame[0] + v * frame[1], through three points of latent space."""

    origin: Tensor  # (latent_dim,): the first point
    frame: Tensor  # (2, latent_dim), orthonormal rows
    coordinates: Tensor  # (3, 2): where the three points lie, (u, v) in units of z

    def at(self, uv: Tensor) -> Tensor:
        """uv: (..., 2). Returns the points of latent space, (..., latent_dim)."""
        return self.origin + uv @ self.frame

    def square(self, side: int) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of a square about the three points, with a margin, in (u, v).

        Of its side x side cells one is centred at the first point and, unless the two are less than
        a cell apart, one at the second.
        """
        low, high = self.coordinates.amin(0), self.coordinates.amax(0)
        cell = (1.0 + MARGIN) * float((high - low).max()) / side or 1.0
        apart = float(self.coordinates[1, 0])
        cell = apart / max(int(apart / cell), 1) if apart >= cell else cell
        middle = 0.5 * (low + high)
        left, bottom = ((middle / cell - 0.5 * side + 0.5).round() * cell - 0.5 * cell).tolist()
        return left, left + side * cell, bottom, bottom + side * cell

    def grid(self, side: int) -> Tensor:
        """Centres of side x side cells of that square, row by row from the top.

        Returns (side * side, latent_dim).
        """
        left, right, bottom, top = self.square(side)
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


def perplexity(count: int) -> float:
    """Of t-SNE of `count` images: at most a third of the others, as its author's code asks."""
    return min(PERPLEXITY, (count - 1) / 3)


def tsne(mu: Tensor, seed: int) -> Tensor | None:
    """t-SNE by Barnes and Hut's approximation (van der Maaten & Hinton 2008; van der Maaten 2014).

    mu: (M, latent_dim). Returns (M, 2), in units of its own; None where there are fewer than FEWEST
    encodings, where they do not vary, and where they have no more than two dimensions anyway. It
    begins at the principal components (Kobak & Berens 2019), so that what chance decides is little.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(mu) < FEWEST or mu.shape[1] <= 2 or not _varies(mu):
        return None
    start = principal_components(mu).coordinates
    start = START * start / start[:, 0].std(correction=0)
    model = TSNE(perplexity=perplexity(len(mu)), init=start.numpy(), random_state=seed)
    with threadpool_limits(1):  # its threads' sums come in no fixed order
        return torch.from_numpy(model.fit_transform(mu.double().numpy()))


class EncodingMap(NamedTuple):
    """Of M of a split's encodings; coordinates are (M, 2)."""

    pca: Tensor  # along the principal components of the whole split, in units of z
    explained: Tensor  # (2,): each component's share of the split's variance
    tsne: Tensor | None  # in units of its own; None as `tsne` says

    @property
    def best(self) -> Tensor:
        """t-SNE's coordinates where there are any, the principal components' elsewhere."""
        return self.pca if self.tsne is None else self.tsne

    @property
    def method(self) -> str:
        """The name of the method that `best` is by."""
        return "PCA" if self.tsne is None else "t-SNE"


def mapped_rows(count: int, most: int, seed: int) -> Tensor:
    """`most` of `count` images, all where there are no more: their numbers, in an order of chance.

    Two models are mapped by the same images.
    """
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most]


def map_encodings(mu: Tensor, rows: Tensor, seed: int) -> EncodingMap:
    """mu: (N, latent_dim), of a whole split; rows: (M,), which of them lie on the map."""
    projection = principal_components(mu)
    return EncodingMap(projection.coordinates[rows], projection.explained, tsne(mu[rows], seed))


def neighbours_of(count: int) -> int:
    """How many of `count` images' neighbours are looked at: always less than half of them."""
    return min(NEIGHBOURS, (count - 1) // 2)


def trustworthiness(codes: Tensor, coordinates: Tensor) -> float | None:
    """How far neighbours on a map are neighbours indeed: 1 is perfect, about 0.5 a map by chance.

    codes: (M, latent_dim); coordinates: (M, 2). One less a sum over those among an image's k
    nearest on the map that are not among its k nearest codes, of how far down they come in the
    order of its codes' distances, scaled (Venna & Kaski 2001). k is NEIGHBOURS, or less than half
    of the images. None of fewer than three, and where the codes do not vary.
    """
    from sklearn import manifold

    k = neighbours_of(len(codes))
    if not k or not _varies(codes):
        return None
    arrays = codes.double().numpy(), coordinates.double().numpy()
    return float(manifold.trustworthiness(*arrays, n_neighbors=k))


def same_class(codes: Tensor, labels: Tensor) -> float | None:
    """The share of an image's k nearest neighbours that are of its class, mean over the images.

    codes: (M, d); labels: (M,). k as in `trustworthiness`. None of fewer than three images, where
    the codes do not vary, and where all have one label.
    """
    from sklearn.neighbors import NearestNeighbors

    k = neighbours_of(len(codes))
    if not k or not _varies(codes) or (labels == labels[0]).all():
        return None
    search = NearestNeighbors(n_neighbors=k, algorithm="brute")
    found = search.fit(codes.double().numpy()).kneighbors(return_distance=False)
    return float((labels[torch.from_numpy(found)] == labels.unsqueeze(1)).double().mean())


def same_class_by_chance(labels: Tensor) -> float | None:
    """`same_class` of neighbours drawn by chance from the other images; None as there."""
    counts = labels.unique(return_counts=True)[1].double()
    if len(labels) < 3 or len(counts) < 2:
        return None
    return float((counts * (counts - 1)).sum()) / (len(labels) * (len(labels) - 1))


def neighbourhoods(codes: Tensor, found: EncodingMap, labels: Tensor) -> dict[str, float | None]:
    """How much of the neighbourhoods a map keeps, and how far they are of one class.

    codes: (M, latent_dim), those on the map; labels: (M,). `trust_…`: `trustworthiness`;
    `same_class`: of the codes, and of neighbours on the maps and by chance.
    """
    maps = {"pca": found.pca, "tsne": found.tsne}
    on_maps = {key: uv for key, uv in maps.items() if uv is not None}
    trust = {f"trust_{key}": trustworthiness(codes, uv) for key, uv in on_maps.items()}
    same = {f"same_class_{key}": same_class(uv, labels) for key, uv in on_maps.items()}
    return {
        "trust_pca": None,
        "trust_tsne": None,
        **trust,
        "same_class": same_class(codes, labels),
        "same_class_pca": None,
        "same_class_tsne": None,
        **same,
        "same_class_chance": same_class_by_chance(labels),
    }


def brightness_on_map(coordinates: Tensor, images: NDArray[np.uint8]) -> float | None:
    """The share of the variance of images' mean brightness that a linear map reads from two
    components.

    coordinates: (N, 2), of all N images that the components were fitted to, and therefore
    uncorrelated: the share is the sum of the squared correlations. images: uint8 (N, C, H, W). None
    where either does not vary.
    """
    brightness = mean_brightness(images)
    axes = coordinates[:, coordinates.std(0, correction=0) > STILL].double()
    if not axes.shape[1] or not _varies(brightness.unsqueeze(1)):
        return None
    every = torch.cat([brightness.unsqueeze(1), axes], dim=1)
    return float(torch.corrcoef(every.T)[0, 1:].square().sum())


def mean_brightness(images: NDArray[np.uint8]) -> Tensor:
    """images: uint8 (N, C, H, W). Returns (N,), float64 in [0, 1]."""
    return torch.from_numpy(images.mean(axis=(1, 2, 3))) / 255.0


def spread_out(coordinates: Tensor, side: float) -> tuple[list[int], Tensor]:
    """Which images to show on a map as thumbnails that do not overlap, and where.

    coordinates: (M, 2); side: of a thumbnail, as a share of the map's, which is a square about all
    of them. Each image in turn is taken unless its thumbnail would lie over one taken before.
    Returns the K numbers of those taken, and their centres, (K, 2) in [side/2, 1 - side/2].
    """
    low, high = coordinates.double().amin(0), coordinates.double().amax(0)
    extent = float((high - low).max()) or 1.0
    centres = 0.5 + (1.0 - side) * (coordinates.double() - 0.5 * (low + high)) / extent
    taken: list[int] = []
    for i, centre in enumerate(centres):
        if ((centres[taken] - centre).abs().amax(1) >= side).all():
            taken.append(i)
    return taken, centres[taken]


def _varies(codes: Tensor) -> bool:
    return bool((codes.std(0, correction=0) > STILL).any())
