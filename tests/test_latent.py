"""The geometry of latent space against independent references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from torch import Tensor

from vaelab import latent
from vaelab.errors import UserError
from vaelab.models import Posterior
from vaelab.nearest import nearest
from vaelab.settings import InterpolateSettings, LatentExploreSettings


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


# --- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", latent.PATH_KINDS)
def test_paths_begin_and_end_exactly(kind: latent.PathKind) -> None:
    a, b = normal(2, 5, 16)
    points = latent.path(a, b, 7, kind)
    assert points.shape == (5, 7, 16)
    assert torch.equal(points[:, 0], a)
    assert torch.equal(points[:, -1], b)


def test_linear_path_is_evenly_spaced_on_the_line() -> None:
    a, b = normal(2, 16)
    points = latent.path(a, b, 5, "linear")
    torch.testing.assert_close(points[1], 0.75 * a + 0.25 * b)


def test_slerp_keeps_a_shared_norm_and_turns_at_constant_speed() -> None:
    a, b = torch.nn.functional.normalize(normal(2, 3, 16), dim=-1) * 4.0
    points = latent.path(a, b, 9, "slerp")
    torch.testing.assert_close(points.norm(dim=-1), torch.full((3, 9), 4.0))
    cosines = (points[:, 1:] * points[:, :-1]).sum(-1) / 16.0
    angles = cosines.double().acos()
    whole = ((a * b).sum(-1) / 16.0).double().acos()
    torch.testing.assert_close(angles, (whole / 8)[:, None].expand(3, 8), rtol=1e-3, atol=1e-4)


def test_slerp_takes_the_norm_linearly() -> None:
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 6.0])
    middle = latent.slerp(a, b, torch.tensor(0.5))
    torch.testing.assert_close(middle, torch.tensor([4.0, 4.0]) / math.sqrt(2.0))


@pytest.mark.parametrize("b", [[3.0, 0.0], [-2.0, 0.0], [0.0, 0.0], [1.0, 1e-6]])
def test_slerp_without_a_circle_is_linear(b: list[float]) -> None:
    a = torch.tensor([1.0, 0.0])
    points = latent.path(a, torch.tensor(b), 5, "slerp")
    torch.testing.assert_close(points, latent.path(a, torch.tensor(b), 5, "linear"))


def test_a_cross_fade_is_straight_and_even() -> None:
    a, b = torch.rand(2, 4, 3 * 8 * 8, generator=seeded())
    images = latent.path(a, b, 6, "linear").unflatten(-1, (3, 8, 8))
    step, evenness, detour = latent.smoothness(images)
    expected = (a - b).square().mean(1).sqrt() / 5
    torch.testing.assert_close(step, expected)
    torch.testing.assert_close(evenness, torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(detour, torch.ones(4))


def test_smoothness_by_hand() -> None:
    greys = torch.tensor([[0.0, 0.3, 0.2, 0.4]])
    images = greys[..., None, None, None].expand(1, 4, 1, 4, 4)
    torch.testing.assert_close(latent.step_sizes(images), torch.tensor([[0.3, 0.1, 0.2]]))
    step, evenness, detour = latent.smoothness(images)
    assert float(step) == pytest.approx(0.2)
    assert float(evenness) == pytest.approx(np.std([0.3, 0.1, 0.2]) / 0.2)
    assert float(detour) == pytest.approx(0.6 / 0.4)


def test_mean_smoothness_leaves_out_what_does_not_move() -> None:
    still = torch.full((1, 3, 1, 4, 4), 0.5)
    moving = torch.tensor([0.0, 0.5, 1.0])[None, :, None, None, None].expand(1, 3, 1, 4, 4)
    both = latent.mean_smoothness(torch.cat([still, moving]))
    assert both == pytest.approx({"step": 0.25, "evenness": 0.0, "detour": 1.0})
    assert latent.mean_smoothness(still) == {"step": 0.0, "evenness": None, "detour": None}


def test_rounding_is_no_movement() -> None:
    noise = 1e-8 * torch.rand(1, 5, 1, 4, 4, generator=seeded())
    found = latent.mean_smoothness(noise)
    assert found["step"] == pytest.approx(0.0, abs=1e-7)
    assert found["evenness"] is None
    assert found["detour"] is None


def test_pairs_drawn_by_seed_are_of_two_classes() -> None:
    labels = torch.tensor([0] * 30 + [1] * 3)
    pairs = latent.choose_pairs(labels, InterpolateSettings(pairs=12, steps=3, seed=5))
    assert pairs.shape == (12, 2)
    assert (labels[pairs[:, 0]] != labels[pairs[:, 1]]).all()
    again = latent.choose_pairs(labels, InterpolateSettings(pairs=12, steps=3, seed=5))
    other = latent.choose_pairs(labels, InterpolateSettings(pairs=12, steps=3, seed=6))
    assert torch.equal(pairs, again)
    assert not torch.equal(pairs, other)


def test_pairs_of_one_class_are_of_two_images() -> None:
    settings = InterpolateSettings(pairs=12, steps=3, seed=0)
    pairs = latent.choose_pairs(torch.zeros(2, dtype=torch.long), settings)
    assert (pairs[:, 0] != pairs[:, 1]).all()


def test_given_pairs() -> None:
    labels = torch.zeros(20, dtype=torch.long)
    settings = InterpolateSettings(pairs=[[3, 19], [0, 1]], steps=3, seed=0)
    assert latent.choose_pairs(labels, settings).tolist() == [[3, 19], [0, 1]]
    with pytest.raises(UserError, match=r"interpolate\.pairs .* 19; allowed: 0 to 18"):
        latent.choose_pairs(labels[:19], settings)


# --- traversals and planes -----------------------------------------------------------------------


def test_traversal_changes_one_coordinate() -> None:
    z = normal(5)
    result = latent.traverse(z, 2, torch.tensor([-1.0, 4.0]))
    assert result[:, 2].tolist() == [-1.0, 4.0]
    keep = torch.tensor([0, 1, 3, 4])
    assert torch.equal(result[:, keep], z[keep].expand(2, 4))


@pytest.mark.parametrize("latent_dim", [1, 2, 16])
def test_plane_holds_its_three_points(latent_dim: int) -> None:
    points = normal(3, latent_dim)
    plane = latent.plane_through(points)
    torch.testing.assert_close(plane.at(plane.coordinates), points, atol=1e-5, rtol=1e-5)
    assert plane.coordinates[0].tolist() == [0.0, 0.0]
    assert plane.coordinates[1, 0] > 0
    assert abs(float(plane.coordinates[1, 1])) < 1e-5
    if latent_dim > 1:
        torch.testing.assert_close(plane.frame @ plane.frame.T, torch.eye(2), atol=1e-5, rtol=0)


def test_plane_grid_covers_its_square_from_the_top() -> None:
    plane = latent.plane_through(torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.0, 2.0]]))
    left, right, bottom, top = plane.square()
    assert (left, right) == pytest.approx((-0.7, 4.7))
    assert top - bottom == pytest.approx(right - left)
    grid = plane.grid(3).reshape(3, 3, 2)
    cell = (right - left) / 3
    torch.testing.assert_close(grid[0, 0], torch.tensor([left + cell / 2, top - cell / 2]))
    torch.testing.assert_close(grid[2, 1], torch.tensor([left + 1.5 * cell, bottom + cell / 2]))


def test_plane_through_one_point_thrice_has_a_square() -> None:
    plane = latent.plane_through(torch.ones(3, 4))
    left, right, _, _ = plane.square()
    assert right > left
    assert plane.grid(2).isfinite().all()


def test_principal_components_against_sklearn() -> None:
    mu = normal(200, 6) * torch.tensor([3.0, 0.1, 2.0, 0.5, 0.2, 1.0])
    found = latent.principal_components(mu)
    reference = PCA(2).fit(mu.numpy())
    expected = reference.transform(mu.numpy())
    np.testing.assert_allclose(np.abs(found.coordinates.numpy()), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_, rtol=1e-4)


def test_principal_components_of_equal_encodings() -> None:
    found = latent.principal_components(torch.ones(20, 4))
    assert found.explained.tolist() == [0.0, 0.0]
    assert found.coordinates.isfinite().all()


def test_principal_components_of_one_dimension() -> None:
    found = latent.principal_components(normal(20, 1))
    assert found.explained.tolist() == [1.0, 0.0]
    assert found.coordinates.shape == (20, 2)


# --- regions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 1.0, 2.0])
def test_shell_has_its_radius_and_no_direction(radius: float) -> None:
    z = latent.shell(normal(4000, 25), radius)
    torch.testing.assert_close(z.norm(dim=1), torch.full((4000,), radius * 5.0))
    standard_error = radius / math.sqrt(4000)  # each coordinate's variance is radius²
    assert z.mean(0).abs().max() < 5 * standard_error


def test_class_draws_have_the_class_s_mean_and_spread() -> None:
    labels = torch.tensor([2, 7]).repeat_interleave(50)
    centres = torch.tensor([[5.0, -5.0], [0.0, 3.0]]).repeat_interleave(50, dim=0)
    mu = centres + normal(100, 2) * torch.tensor([0.1, 2.0])
    z = latent.around_classes(normal(4000, 2, seed=1), mu, labels)
    for row, label in enumerate((2, 7)):
        drawn, members = z[row::2], mu[labels == label]
        spread = members.std(0, correction=0)
        assert ((drawn.mean(0) - members.mean(0)).abs() < 5 * spread / math.sqrt(2000)).all()
        torch.testing.assert_close(drawn.std(0), spread, rtol=0.1, atol=0)


def test_encoding_draws_have_the_posterior_s_moments() -> None:
    one = Posterior(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, math.log(0.25)]]))
    z = latent.around_encodings(normal(4000, 2), one)
    torch.testing.assert_close(z.mean(0), one.mu[0], atol=5 / math.sqrt(4000), rtol=0)
    torch.testing.assert_close(z.std(0), torch.tensor([1.0, 0.5]), rtol=0.06, atol=0)


def test_regions_by_name() -> None:
    settings = LatentExploreSettings(
        samples=500, shells=[0.5, 1.5], temperatures=[0.8], traversals=1, seed=0
    )
    posterior = Posterior(normal(40, 8, seed=1), normal(40, 8, seed=2) - 2.0)
    noise = normal(500, 8)
    chosen = torch.arange(500) % 40
    labels = torch.arange(40) % 3
    regions = latent.regions(noise, posterior, labels, chosen, settings)
    z = {region.key: region.z for region in regions}
    assert list(z) == [
        *("posterior", "image", "classes", "between", "prior"),
        *("temperature_0.8", "shell_0.5", "shell_1.5"),
    ]
    assert all(points.shape == (500, 8) for points in z.values())
    assert torch.equal(z["prior"], noise)
    assert float(z["temperature_0.8"].var()) == pytest.approx(0.64, rel=0.1)
    offset = (z["posterior"] - posterior.mu[chosen]) / (0.5 * posterior.logvar[chosen]).exp()
    torch.testing.assert_close(offset, noise, atol=1e-4, rtol=1e-4)
    offset = (z["image"] - posterior.mu[0]) / (0.5 * posterior.logvar[0]).exp()
    torch.testing.assert_close(offset, noise, atol=1e-4, rtol=1e-4)
    mean_norm = 0.5 * (posterior.mu[chosen].norm(dim=1) + noise.norm(dim=1))
    torch.testing.assert_close(z["between"].norm(dim=1), mean_norm, rtol=1e-3, atol=0)


# --- how outputs vary ----------------------------------------------------------------------------


def test_sharpness_by_hand() -> None:
    flat = torch.full((1, 1, 5, 5), 0.3)
    ramp = torch.linspace(0, 1, 5).expand(1, 1, 5, 5)
    dot = torch.zeros(1, 1, 5, 5)
    dot[..., 2, 2] = 1.0  # |Laplacian|: 4 there, 1 at four neighbours, over 9 inner pixels
    found = latent.sharpness(torch.cat([flat, ramp, dot]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 8.0 / 9.0]), atol=1e-6, rtol=0)


def test_sharpness_falls_with_blur() -> None:
    images = torch.rand(4, 3, 16, 16, generator=seeded())
    blurred = torch.nn.functional.avg_pool2d(images, 3, stride=1)
    assert (latent.sharpness(blurred) < 0.5 * latent.sharpness(images)).all()


def test_diversity_by_hand_and_by_scipy() -> None:
    greys = torch.tensor([0.0, 0.1, 0.4]).reshape(3, 1, 1, 1).expand(3, 3, 4, 4)
    assert float(latent.diversity(greys)) == pytest.approx((0.1 + 0.4 + 0.3) / 3)
    images = torch.rand(40, 3, 8, 8, generator=seeded())
    expected = pdist(images.flatten(1).numpy()).mean() / math.sqrt(3 * 8 * 8)
    assert float(latent.diversity(images)) == pytest.approx(expected, rel=1e-5)


def test_diversity_of_nearly_equal_images_keeps_its_digits() -> None:
    images = 0.9 + 1e-5 * torch.rand(30, 3, 32, 32, generator=seeded())
    expected = pdist(images.double().flatten(1).numpy()).mean() / math.sqrt(3 * 32 * 32)
    assert float(latent.diversity(images)) == pytest.approx(expected, rel=1e-2)


def test_variation_of_groups_of_several_sizes() -> None:
    train = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    groups = [torch.rand(n, 1, 8, 8, generator=seeded(n)) for n in (2, 5)]
    for images, found in zip(groups, latent.variation(groups, train), strict=True):
        assert found.sharpness == pytest.approx(float(latent.sharpness(images).mean()))
        assert found.diversity == pytest.approx(float(latent.diversity(images)))
        distance = nearest([images], train)[0].distance
        assert found.nearest == pytest.approx(float(distance.mean()), rel=1e-5)


def test_one_image_has_no_diversity() -> None:
    train = np.zeros((2, 1, 8, 8), np.uint8)
    [found] = latent.variation([torch.rand(1, 1, 8, 8, generator=seeded())], train)
    assert found.diversity is None
    assert found.sharpness > 0


def test_share_of_nothing() -> None:
    assert latent.share(0.1, 0.2) == 0.5
    for value, whole in ((0.1, 0.0), (0.1, 1e-9), (None, 0.2), (0.1, None)):
        assert latent.share(value, whole) is None
