"""A plane through three points, and the square of tiles on it."""

from __future__ import annotations

import pytest
import torch

from vaelab.studies.latent.plane import Plane


@pytest.mark.parametrize("latent_dim", [1, 2, 16])
def test_plane_holds_its_three_points(latent_dim: int) -> None:
    points = torch.randn(3, latent_dim, generator=torch.Generator().manual_seed(0))
    plane = Plane.through(points)
    torch.testing.assert_close(
        plane.origin + plane.coordinates @ plane.frame, points, atol=1e-5, rtol=1e-5
    )
    assert plane.coordinates[0].tolist() == [0.0, 0.0]
    assert plane.coordinates[1, 0] > 0
    assert abs(float(plane.coordinates[1, 1])) < 1e-5
    if latent_dim > 1:
        torch.testing.assert_close(plane.frame @ plane.frame.T, torch.eye(2), atol=1e-5, rtol=0)


def test_plane_grid_covers_its_square_from_the_top() -> None:
    plane = Plane.through(torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.0, 2.0]]))
    left, right, bottom, top = plane.square(9)
    assert (left, right, bottom, top) == pytest.approx((-1.0, 5.0, -5.0 / 3.0, 13.0 / 3.0))
    grid = plane.grid(9).reshape(9, 9, 2)
    cell = 4.0 / 6.0  # a whole number of cells from the first point to the second
    torch.testing.assert_close(grid[0, 0], torch.tensor([left + cell / 2, top - cell / 2]))
    torch.testing.assert_close(grid[8, 1], torch.tensor([left + 1.5 * cell, bottom + cell / 2]))


@pytest.mark.parametrize("third", [(1.0, 2.0), (-7.0, 0.3), (3.0, 12.0), (0.1, -5.0)])
def test_first_two_points_are_tiles_of_the_plane(third: tuple[float, float]) -> None:
    points = torch.tensor([[0.0, 0.0], [4.0, 0.0], third])
    plane = Plane.through(points)
    grid = plane.grid(9)
    for point in points[:2]:
        assert float((grid - point).norm(dim=1).min()) < 1e-5
    left, right, bottom, top = plane.square(9)
    low, high = plane.coordinates.amin(0), plane.coordinates.amax(0)
    assert left < float(low[0]) < float(high[0]) < right
    assert bottom < float(low[1]) < float(high[1]) < top


def test_plane_through_one_point_thrice_has_a_square() -> None:
    plane = Plane.through(torch.ones(3, 4))
    left, right, _, _ = plane.square(2)
    assert right > left
    assert plane.grid(2).isfinite().all()
