"""Draws of known distributions against the prior."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from vaelab.studies.latent.prior_fit import prior_fit


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("latent_dim", [1, 2, 64])
def test_draws_of_the_prior_fit_it(latent_dim: int) -> None:
    count = 4000
    figures = prior_fit(normal(count, latent_dim))
    chi = stats.chi(latent_dim)
    assert figures["radius_mean"] == pytest.approx(chi.mean(), abs=0.05)
    assert figures["radius_sd"] == pytest.approx(chi.std(), abs=0.03)
    assert figures["radius_distance"] == pytest.approx(0.0, abs=0.04)
    assert figures["prior_inside"] == pytest.approx(0.95, abs=0.01)


def test_scaled_draws_are_off_by_their_scale() -> None:
    figures = prior_fit(3.0 * normal(2000, 16))
    prior = stats.chi(16)
    assert figures["radius_mean"] == pytest.approx(3.0 * prior.mean(), rel=0.02)
    assert figures["radius_distance"] == pytest.approx(2.0 * prior.mean(), rel=0.02)
    assert figures["prior_inside"] == 0.0


def test_radius_distance_against_scipy() -> None:
    z = normal(500, 4) * torch.tensor([2.0, 1.0, 1.0, 0.3]) + 0.5
    prior = stats.chi(4).ppf((np.arange(500) + 0.5) / 500)
    expected = stats.wasserstein_distance(z.double().norm(dim=1).numpy(), prior)
    assert prior_fit(z)["radius_distance"] == pytest.approx(expected)


def test_spread_is_of_a_sample() -> None:
    z = normal(20, 3)
    expected = np.std(z.double().norm(dim=1).numpy(), ddof=1)
    assert prior_fit(z)["radius_sd"] == pytest.approx(expected)
    assert prior_fit(z[:1])["radius_sd"] is None
