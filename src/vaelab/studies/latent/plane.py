"""A plane of latent space through three encodings, as a square of points to decode."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

MARGIN = 0.35  # of the square beyond the three points, as a share of their extent


class Plane(NamedTuple):
    """origin + u * frame[0] + v * frame[1], through three points of latent space."""

    origin: Tensor  # (latent_dim,): the first point
    frame: Tensor  # (2, latent_dim), orthonormal rows
    coordinates: Tensor  # (3, 2): where the three points lie, (u, v) in units of z

    @classmethod
    def through(cls, points: Tensor) -> Plane:
        """points: (3, latent_dim). The first lies at (0, 0), the second on the positive u axis.

        With latent_dim 1 there is no plane: v moves nothing.
        """
        origin = points[0]
        edges = points[1:] - origin
        basis, triangle = torch.linalg.qr(edges.T)
        signs = torch.where(triangle.diagonal() < 0, -1.0, 1.0)
        frame = torch.zeros(2, points.shape[1])
        frame[: basis.shape[1]] = (basis * signs).T
        return cls(origin, frame, torch.cat([torch.zeros(1, 2), edges @ frame.T]))

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
        """Centres of those cells, row by row from the top. Returns (side * side, latent_dim)."""
        left, right, bottom, top = self.square(side)
        middles = (torch.arange(side) + 0.5) / side
        u = left + (right - left) * middles
        v = top + (bottom - top) * middles
        return self.origin + torch.cartesian_prod(v, u).flip(1) @ self.frame
