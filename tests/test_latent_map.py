"""latent/map.py against independent references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from vaelab.studies.latent.map import (
    FEWEST,
    brightness_on_map,
    map_encodings,
    mapped_rows,
    neighbourhoods,
    perplexity,
    plane_through,
    principal_components,
    same_class,
    same_class_by_chance,
    spread_out,
    trustworthiness,
    tsne,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


@pytest.mark.parametrize("latent_dim", [1, 2, 16])
def test_plane_holds_its_three_points(latent_dim: int) -> None:
    points = normal(3, latent_dim)
    plane = plane_through(points)
    torch.testing.assert_close(plane.at(plane.coordinates), points, atol=1e-5, rtol=1e-5)
    assert plane.coordinates[0].tolist() == [0.0, 0.0]
    assert plane.coordinates[1, 0] > 0
    assert abs(float(plane.coordinates[1, 1])) < 1e-5
    if latent_dim > 1:
        torch.testing.assert_close(plane.frame @ plane.frame.T, torch.eye(2), atol=1e-5, rtol=0)


def test_plane_grid_covers_its_square_from_the_top() -> None:
    plane = plane_through(torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.0, 2.0]]))
    left, right, bottom, top = plane.square(9)
    assert (left, right, bottom, top) == pytest.approx((-1.0, 5.0, -5.0 / 3.0, 13.0 / 3.0))
    grid = plane.grid(9).reshape(9, 9, 2)
    cell = 4.0 / 6.0  # a whole number of cells from the first point to the second
    torch.testing.assert_close(grid[0, 0], torch.tensor([left + cell / 2, top - cell / 2]))
    torch.testing.assert_close(grid[8, 1], torch.tensor([left + 1.5 * cell, bottom + cell / 2]))


@pytest.mark.parametrize("third", [(1.0, 2.0), (-7.0, 0.3), (3.0, 12.0), (0.1, -5.0)])
def test_first_two_points_are_tiles_of_the_plane(third: tuple[float, float]) -> None:
    points = torch.tensor([[0.0, 0.0], [4.0, 0.0], third])
    plane = plane_through(points)
    grid = plane.grid(9)
    for point in points[:2]:
        assert float((grid - point).norm(dim=1).min()) < 1e-5
    left, right, bottom, top = plane.square(9)
    low, high = plane.coordinates.amin(0), plane.coordinates.amax(0)
    assert left < float(low[0]) < float(high[0]) < right
    assert bottom < float(low[1]) < float(high[1]) < top


def test_points_nearer_than_a_tile() -> None:
    """The square still holds the third, and the first is a tile."""
    plane = plane_through(torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 9.0]]))
    _, _, bottom, top = plane.square(9)
    assert bottom < 0.0 < 9.0 < top
    assert float(plane.grid(9).norm(dim=1).min()) < 1e-5


def test_plane_through_one_point_thrice_has_a_square() -> None:
    plane = plane_through(torch.ones(3, 4))
    left, right, _, _ = plane.square(2)
    assert right > left
    assert plane.grid(2).isfinite().all()


def test_principal_components_against_sklearn() -> None:
    mu = normal(200, 6) * torch.tensor([3.0, 0.1, 2.0, 0.5, 0.2, 1.0])
    found = principal_components(mu)
    reference = PCA(2).fit(mu.numpy())
    expected = reference.transform(mu.numpy())
    np.testing.assert_allclose(np.abs(found.coordinates.numpy()), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_, rtol=1e-4)


def test_principal_components_of_equal_encodings() -> None:
    found = principal_components(torch.ones(20, 4))
    assert found.explained.tolist() == [0.0, 0.0]
    assert found.coordinates.isfinite().all()


def test_principal_components_of_one_dimension() -> None:
    found = principal_components(normal(20, 1))
    assert found.explained.tolist() == [1.0, 0.0]
    assert found.coordinates.shape == (20, 2)


def blobs(count: int, classes: int, dimensions: int = 8) -> tuple[Tensor, Tensor]:
    """Classes far apart: (count, dimensions) and their labels (count,)."""
    labels = torch.arange(count) % classes
    centres = 50.0 * torch.eye(classes, dimensions)
    return centres[labels] + normal(count, dimensions), labels


def test_tsne_keeps_far_classes_apart_and_repeats_itself() -> None:
    codes, labels = blobs(60, 3)
    found = tsne(codes, seed=0)
    assert found is not None
    assert found.shape == (60, 2)
    assert same_class(found, labels) == 1.0
    again = tsne(codes, seed=0)
    assert again is not None
    assert torch.equal(found, again)


@pytest.mark.parametrize(
    "codes",
    [
        normal(1, 8),
        normal(3, 8),
        normal(FEWEST - 1, 8),
        normal(50, 1),
        normal(50, 2),
        torch.ones(50, 8),
    ],
)
def test_no_tsne_where_there_is_nothing_to_map(codes: Tensor) -> None:
    assert tsne(codes, seed=0) is None
    found = map_encodings(codes, torch.arange(len(codes)), seed=0)
    assert found.method == "PCA"
    assert found.best.shape == (len(codes), 2)
    assert found.best.isfinite().all()


def test_tsne_of_the_fewest_images() -> None:
    found = tsne(normal(FEWEST, 8), seed=0)
    assert found is not None
    assert found.isfinite().all()


def test_perplexity_is_of_a_third_of_the_others() -> None:
    assert perplexity(16) == 5.0
    assert perplexity(91) == 30.0
    assert perplexity(2000) == 30.0


def test_mapped_rows_are_a_sample() -> None:
    rows = mapped_rows(100, 30, seed=0)
    assert len(rows.unique()) == 30
    assert rows.max() > 60  # not the first ones
    assert torch.equal(rows, mapped_rows(100, 30, seed=0))
    assert sorted(mapped_rows(20, 30, seed=0).tolist()) == list(range(20))


def test_map_is_of_the_rows_that_it_names() -> None:
    mu = normal(40, 6)
    rows = mapped_rows(40, 20, seed=0)
    found = map_encodings(mu, rows, seed=0)
    torch.testing.assert_close(found.pca, principal_components(mu).coordinates[rows])


def test_an_isometric_map_is_wholly_trustworthy_and_a_random_one_half() -> None:
    flat = normal(300, 2)
    turn = torch.linalg.qr(normal(8, 8))[0][:2]
    assert trustworthiness(flat @ turn, flat) == 1.0
    assert trustworthiness(normal(300, 8), normal(300, 2, seed=1)) == pytest.approx(0.5, abs=0.03)


def test_neighbours_of_separate_classes_and_of_labels_by_chance() -> None:
    codes, labels = blobs(90, 3)
    assert same_class(codes, labels) == 1.0
    labels = torch.randint(4, (1000,), generator=seeded())
    chance = same_class_by_chance(labels)
    assert chance == pytest.approx(0.25, abs=0.01)
    assert same_class(normal(1000, 8, seed=1), labels) == pytest.approx(chance, abs=0.02)


def test_chance_of_uneven_classes() -> None:
    # Of four images three are alike: each of the three has two of three others, the fourth none.
    assert same_class_by_chance(torch.tensor([0, 0, 0, 1])) == pytest.approx(0.5)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_have_no_neighbours(count: int) -> None:
    codes, labels = blobs(count, 2)
    found = map_encodings(codes, torch.arange(count), seed=0)
    assert set(neighbourhoods(codes, found, labels).values()) == {None}


def test_neighbourhoods_of_three_images_of_one_class() -> None:
    codes = normal(3, 8)
    found = map_encodings(codes, torch.arange(3), seed=0)
    figures = neighbourhoods(codes, found, torch.zeros(3, dtype=torch.long))
    assert figures.pop("trust_pca") is not None
    assert set(figures.values()) == {None}


def test_neighbourhoods_of_equal_encodings() -> None:
    codes, labels = torch.ones(30, 8), torch.arange(30) % 2
    found = map_encodings(codes, torch.arange(30), seed=0)
    figures = neighbourhoods(codes, found, labels)
    assert figures.pop("same_class_chance") == pytest.approx(14 / 29)
    assert set(figures.values()) == {None}


def test_brightness_on_the_map() -> None:
    images = np.arange(0, 200, dtype=np.uint8)[:, None, None, None].repeat(16, 2).repeat(16, 3)
    mu = torch.linspace(-5.0, 5.0, 200).unsqueeze(1) * torch.tensor([3.0, 4.0, 0.0])
    along = principal_components(mu).coordinates
    assert brightness_on_map(along, images) == pytest.approx(1.0)
    assert brightness_on_map(along, images[:1].repeat(200, 0)) is None
    assert brightness_on_map(torch.zeros(200, 2), images) is None
    assert brightness_on_map(along[:1], images[:1]) is None
    shuffled = images[torch.randperm(200, generator=seeded()).numpy()]
    share = brightness_on_map(principal_components(normal(200, 2)).coordinates, shuffled)
    assert share is not None
    assert share < 0.1


@pytest.mark.parametrize("side", [0.05, 0.3])
def test_thumbnails_do_not_overlap(side: float) -> None:
    coordinates = normal(300, 2) * torch.tensor([20.0, 3.0])
    taken, centres = spread_out(coordinates, side)
    apart = (centres.unsqueeze(0) - centres.unsqueeze(1)).abs().amax(2)
    assert taken[0] == 0
    assert (apart.fill_diagonal_(1.0) >= side).all()
    assert centres.min() >= side / 2
    assert centres.max() <= 1.0 - side / 2
    # What was left out would have covered one that was taken.
    _, every = spread_out(coordinates, 1e-9)
    scaled = 0.5 + (1.0 - side) * (every - 0.5)
    covers = (scaled.unsqueeze(1) - centres).abs().amax(2) < side
    assert covers.any(1).all()


def test_thumbnails_of_one_image_and_of_equal_ones() -> None:
    for count in (1, 5):
        taken, centres = spread_out(torch.ones(count, 2), 0.1)
        assert taken == [0]
        assert centres.tolist() == [[0.5, 0.5]]
