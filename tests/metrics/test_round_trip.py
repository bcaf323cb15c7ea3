"""Round trips that miss by a known amount."""

from __future__ import annotations

import math

import pytest
import torch

from vaelab.metrics.round_trip import RoundTrip
from vaelab.vae.model import Posterior


def test_round_trip_of_known_misses() -> None:
    """Dimensions of signal 1, of signal and noise alike, and of noise alone."""
    mu = torch.tensor([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
    logvar = torch.tensor([[-math.inf, 0.0, 0.0]] * 2)
    trip = RoundTrip.of(Posterior(mu, logvar))
    torch.testing.assert_close(trip.weight, torch.tensor([1.0, 0.5, 0.0]).double())
    z = torch.tensor([[3.0, 0.0, 5.0], [0.0, 4.0, 7.0]])
    assert trip.miss(z, z) == 0.0
    assert trip.miss(z, torch.zeros(2, 3)) == pytest.approx(1.0)
    back = z + torch.tensor([1.0, 1.0, 100.0])
    assert trip.miss(z, back) == pytest.approx(math.sqrt(3.0 / (9.0 + 8.0)))


def test_round_trip_of_a_code_that_tells_nothing() -> None:
    z = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    assert RoundTrip.of(Posterior(torch.zeros(5, 2), torch.zeros(5, 2))).miss(z, z + 1.0) is None
    still = Posterior(torch.ones(5, 2), torch.full((5, 2), -math.inf))
    assert RoundTrip.of(still).miss(z, z + 1.0) is None
