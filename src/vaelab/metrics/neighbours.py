"""Neighbours of codes and of their map in two dimensions: are they the same, are they of one class?

neighbourhoods(codes, {"pca": uv}, labels)["trust_pca"]
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

NEIGHBOURS = 10
STILL = 1e-6  # standard deviation up to which codes differ by rounding alone


def neighbourhoods(
    codes: Tensor, maps: Mapping[str, Tensor | None], labels: Tensor
) -> dict[str, float | None]:
    """How much of the neighbourhoods each map keeps, and how far they are of one class.

    codes: (M, latent_dim); maps: key -> (M, 2), None where there is no such map; labels: (M,).
    """
    measured: dict[str, float | None] = {}
    for key, uv in maps.items():
        measured[f"trust_{key}"] = None if uv is None else trustworthiness(codes, uv)
        measured[f"same_class_{key}"] = None if uv is None else same_class(uv, labels)
    chance = same_class_by_chance(labels)
    return measured | {"same_class": same_class(codes, labels), "same_class_chance": chance}


def neighbours_of(count: int) -> int:
    """How many of `count` images' neighbours are looked at: always less than half of them."""
    return min(NEIGHBOURS, (count - 1) // 2)


def trustworthiness(codes: Tensor, coordinates: Tensor) -> float | None:
    """How far neighbours on a map are neighbours indeed: 1 is perfect, about 0.5 a map by chance.

    codes: (M, latent_dim); coordinates: (M, 2). One less a sum over those among an image's k
    nearest on the map that are not among its k nearest codes, of how far down they come in the
    order of its codes' distances, scaled (Venna & Kaski 2001). None of fewer than three images, and
    where the codes do not vary.
    """
    from sklearn import manifold

    k = neighbours_of(len(codes))
    if not k or not varies(codes):
        return None
    arrays = codes.double().numpy(), coordinates.double().numpy()
    return float(manifold.trustworthiness(*arrays, n_neighbors=k))


def same_class(codes: Tensor, labels: Tensor) -> float | None:
    """The share of an image's k nearest neighbours that are of its class, mean over the images.

    codes: (M, d); labels: (M,). None as in `trustworthiness`, and where all have one label.
    """
    from sklearn.neighbors import NearestNeighbors

    k = neighbours_of(len(codes))
    if not k or not varies(codes) or (labels == labels[0]).all():
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


def varies(codes: Tensor) -> bool:
    """codes: (N, d). Whether any dimension differs by more than rounding."""
    return bool((codes.std(0, correction=0) > STILL).any())
