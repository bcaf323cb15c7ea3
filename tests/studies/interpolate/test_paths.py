"""studies/interpolate/paths.py against independent references."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import Blocks, normal

from vaelab.samplers.gaussians import Density, Mixture
from vaelab.studies.interpolate.paths import (
    Function,
    PathKind,
    blend,
    cross_fades,
    decoded,
    departure_from_level,
    energy,
    geodesics,
    path,
    slerp,
)
from vaelab.vae.model import VAE


@pytest.mark.parametrize("kind", ["linear", "slerp"])
def test_paths_begin_and_end_exactly(kind: PathKind) -> None:
    a, b = normal(2, 5, 16)
    points = path(a, b, 7, kind)
    assert points.shape == (5, 7, 16)
    assert torch.equal(points[:, 0], a)
    assert torch.equal(points[:, -1], b)


def test_slerp_keeps_a_shared_norm_and_turns_at_constant_speed() -> None:
    a, b = torch.nn.functional.normalize(normal(2, 3, 16), dim=-1) * 4.0
    points = path(a, b, 9, "slerp")
    torch.testing.assert_close(points.norm(dim=-1), torch.full((3, 9), 4.0))
    cosines = (points[:, 1:] * points[:, :-1]).sum(-1) / 16.0
    angles = cosines.double().acos()
    whole = ((a * b).sum(-1) / 16.0).double().acos()
    torch.testing.assert_close(angles, (whole / 8)[:, None].expand(3, 8), rtol=1e-3, atol=1e-4)


def test_slerp_takes_the_norm_linearly() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 6.0])
    middle = slerp(a, b, torch.tensor(0.5))
    torch.testing.assert_close(middle, torch.tensor([4.0, 4.0]) / math.sqrt(2.0))


@pytest.mark.parametrize("b", [[3.0, 0.0], [-2.0, 0.0], [0.0, 0.0], [1.0, 1e-6]])
def test_slerp_without_a_circle_is_linear(b: list[float]) -> None:
    a = torch.tensor([1.0, 0.0])
    points = path(a, torch.tensor(b), 5, "slerp")
    torch.testing.assert_close(points, path(a, torch.tensor(b), 5, "linear"))


def test_a_blend_is_bilinear() -> None:
    corners = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 8.0], [4.0, 8.0]])
    grid = blend(corners, 5).reshape(5, 5, 2)
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(5.0), indexing="ij")
    torch.testing.assert_close(grid, torch.stack([columns, 2.0 * rows], 2))
    torch.testing.assert_close(blend(normal(4, 3), 3)[4], normal(4, 3).mean(0))


# --- along the data ------------------------------------------------------------------------------


def even(z: Tensor) -> Tensor:
    """A density that is everywhere the same."""
    return torch.zeros(z.shape[:-1])


def flat(z: Tensor) -> Tensor:
    """A decoder that is linear: rows of two pixels."""
    return (z @ torch.tensor([[1.0, 0.5], [0.0, 2.0]]))[:, None, None]


def polar(z: Tensor) -> Tensor:
    """Radius and angle to the point of the plane, as an image of two pixels."""
    radius, angle = z.unbind(1)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)[:, None, None]


def log_density(latent_dim: int) -> Function:
    """Of three Gaussians."""
    factors = 0.3 * normal(3, latent_dim, latent_dim, seed=1).double().tril()
    factors.diagonal(dim1=1, dim2=2).abs_().add_(0.2)
    means = normal(3, latent_dim, seed=2).double()
    weights = torch.tensor([0.5, 0.3, 0.2]).double()
    return Density.of(Mixture(weights, means, factors), torch.device("cpu")).log_prob


def test_energy_by_hand() -> None:
    z = torch.tensor([[[0.0], [1.0], [3.0]]])
    images = lambda z: z[:, None, None].expand(-1, 1, 1, 4)  # noqa: E731
    assert float(energy(images, even, z)) == pytest.approx(2 * (1 + 4))

    def peaked(z: Tensor) -> Tensor:  # log densities 0, 3, 1: the middle 2.5 above the level
        return torch.where(z == 1.0, 3.0, torch.where(z == 3.0, 1.0, 0.0))[..., 0]

    cost = 1 + 2 * 2.5
    half_way = 0.5 * (1 + cost)
    assert float(energy(images, peaked, z)) == pytest.approx(2 * half_way * (1 + 4))
    assert departure_from_level(peaked(z)).tolist() == [[0.0, 2.5, 0.0]]


def test_the_geodesic_of_a_flat_decoder_is_the_straight_line() -> None:
    start = path(normal(4, 2), normal(4, 2, seed=1), 7, "slerp")
    found = geodesics(flat, even, start, 300)
    straight = path(start[:, 0], start[:, -1], 7, "linear")
    torch.testing.assert_close(found.z, straight, atol=0.01, rtol=0)
    images = flat(start[:, [0, -1]].flatten(0, 1)).unflatten(0, (4, 2))
    distances = (images[:, 0] - images[:, 1]).square().mean((1, 2, 3))
    torch.testing.assert_close(found.after, distances, rtol=1e-3, atol=0)
    assert (found.before > 1.01 * found.after).all()


def test_the_geodesic_of_polar_coordinates_is_the_chord() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 2.0]])
    found = geodesics(polar, even, path(a, b, 9, "linear"), 500)
    points = polar(found.z[0])[:, 0, 0]
    chord = path(points[0], points[-1], 9, "linear")
    torch.testing.assert_close(points, chord, atol=0.01, rtol=0)
    assert float(found.before) == pytest.approx((8 * 2 * math.sin(0.125)) ** 2 / 2, rel=1e-4)
    assert float(found.after) == pytest.approx((2 * math.sin(1.0)) ** 2 / 2, rel=1e-3)


def test_a_geodesic_keeps_to_the_density_of_its_ends() -> None:
    def ring(z: Tensor) -> Tensor:
        return -20.0 * (z.norm(dim=-1) - 1.0).square()

    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    start = path(a, b, 9, "linear")
    found = geodesics(lambda z: z[:, None, None], ring, start, 300)
    assert start.norm(dim=2).min() < 0.71
    assert found.z.norm(dim=2).min() > 0.9
    lower = geodesics(lambda z: z[:, None, None], even, start, 300)
    assert lower.z.norm(dim=2).min() < 0.71


@pytest.mark.parametrize("iterations", [1, 2, 40])
def test_the_energy_never_rises(iterations: int) -> None:
    density = log_density(4)
    weights = normal(4, 8, seed=3)
    decoder = lambda z: (3.0 * z @ weights).tanh()[:, None, None]  # noqa: E731
    start = path(normal(30, 4, seed=4), normal(30, 4, seed=5), 6, "slerp")
    found = geodesics(decoder, density, start, iterations)
    assert (found.after <= found.before).all()
    assert torch.equal(found.z[:, [0, -1]], start[:, [0, -1]])
    torch.testing.assert_close(energy(decoder, density, found.z), found.after)


# --- a few paths at a time -----------------------------------------------------------------------


@pytest.mark.parametrize("part", [1, 2, 3, 7, 16])
def test_every_path_is_decoded_in_its_place(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vaelab.studies.interpolate.paths.PART", part)
    z, vae = normal(7, 5, 4), Blocks()
    parts = list(decoded(cast("VAE", vae), z))
    assert max(map(len, parts)) == min(part, 7)
    assert torch.equal(torch.cat(parts).flatten(0, 1), vae.decode_mean(z.flatten(0, 1)))
    ends = np.random.default_rng(0).integers(0, 256, (7, 2, 3, 4, 4), dtype=np.uint8)
    fades = torch.cat([*cross_fades(ends, 3)]).numpy()
    np.testing.assert_allclose(fades[:, [0, 2]], ends / 255.0, atol=1e-6)
    np.testing.assert_allclose(fades[:, 1], ends.mean(1) / 255.0, atol=1e-6)


@pytest.mark.parametrize("chunk", [1, 20, 65, 2**21])  # a path is 5 images of 2 values
def test_geodesics_of_a_few_pairs_at_a_time(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    start = path(normal(7, 2), normal(7, 2, seed=1), 5, "linear")
    density = log_density(2)
    alone = [geodesics(polar, density, each, 20) for each in start.split(1)]
    most = []

    def watched(z: Tensor) -> Tensor:
        most.append(len(z))
        return polar(z)

    monkeypatch.setattr("vaelab.studies.interpolate.paths.CHUNK", chunk)
    found = geodesics(watched, density, start, 20)
    assert max(most) == 5 * min(max(1, chunk // 10), 7)
    for field, expected in zip(found, zip(*alone, strict=True), strict=True):
        torch.testing.assert_close(field, torch.cat(expected), rtol=1e-3, atol=1e-4)
