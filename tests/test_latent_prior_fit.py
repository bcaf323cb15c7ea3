"""latent/prior_fit.py on draws of known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from vaelab.studies.latent.prior_fit import PriorFit


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("latent_dim", [1, 2, 64])
def test_draws_of_the_prior_fit_it(latent_dim: int) -> None:
    count = 4000
    figures = PriorFit.of(normal(count, latent_dim)).figures()
    chi = stats.chi(latent_dim)
    assert figures["radius_mean"] == pytest.approx(chi.mean(), abs=0.05)
    assert figures["radius_sd"] == pytest.approx(chi.std(), abs=0.03)
    assert figures["radius_distance"] == pytest.approx(0.0, abs=0.04)
    assert figures["radius_inside"] == pytest.approx(0.95, abs=0.01)
    assert figures["sd_low"] == pytest.approx(1.0, abs=0.05)
    assert figures["sd_high"] == pytest.approx(1.0, abs=0.05)
    assert figures["kurtosis_low"] == pytest.approx(0.0, abs=0.3)
    assert figures["kurtosis_high"] == pytest.approx(0.0, abs=0.3)


def test_correlations_of_independent_dimensions_are_of_the_size_of_sampling() -> None:
    count, latent_dim = 4000, 32
    fit = PriorFit.of(normal(count, latent_dim))
    pairs = fit.correlations()
    assert len(pairs) == latent_dim * (latent_dim - 1) // 2
    root_mean_square = float(pairs.square().mean().sqrt())
    assert root_mean_square == pytest.approx(1.0 / math.sqrt(count), rel=0.1)
    mean = fit.figures()["correlation_mean"]
    assert mean == pytest.approx(math.sqrt(2.0 / (math.pi * count)), rel=0.1)


def test_scaled_draws_are_off_by_their_scale() -> None:
    figures = PriorFit.of(3.0 * normal(2000, 16)).figures()
    prior = stats.chi(16)
    assert figures["radius_mean"] == pytest.approx(3.0 * prior.mean(), rel=0.02)
    assert figures["radius_distance"] == pytest.approx(2.0 * prior.mean(), rel=0.02)
    assert figures["radius_inside"] == 0.0
    assert figures["sd_low"] == pytest.approx(3.0, rel=0.1)
    assert figures["kurtosis_high"] == pytest.approx(0.0, abs=0.5)


def test_radius_distance_against_scipy() -> None:
    z = normal(500, 4) * torch.tensor([2.0, 1.0, 1.0, 0.3]) + 0.5
    prior = stats.chi(4).ppf((np.arange(500) + 0.5) / 500)
    expected = stats.wasserstein_distance(z.double().norm(dim=1).numpy(), prior)
    assert PriorFit.of(z).figures()["radius_distance"] == pytest.approx(expected)


def test_moments_against_scipy_and_numpy() -> None:
    z = normal(300, 5).exp() @ normal(5, 5)
    fit = PriorFit.of(z)
    values = z.double().numpy()
    np.testing.assert_allclose(fit.mean, values.mean(0))
    np.testing.assert_allclose(fit.sd, values.std(0))
    np.testing.assert_allclose(fit.kurtosis, stats.kurtosis(values), rtol=1e-9)
    np.testing.assert_allclose(fit.correlation, np.corrcoef(values.T), rtol=1e-9)


def test_equal_dimensions_are_wholly_correlated() -> None:
    one = normal(100, 1)
    figures = PriorFit.of(torch.cat([one, -one, normal(100, 2)[:, 1:]], dim=1)).figures()
    assert figures["correlation_high"] == pytest.approx(1.0)


def test_dimensions_that_do_not_vary_have_no_shape() -> None:
    z = normal(100, 3) * torch.tensor([1.0, 0.0, 1.0])
    fit = PriorFit.of(z)
    assert fit.kurtosis[1].isnan()
    assert fit.correlation[1].isnan().all()
    assert len(fit.correlations()) == 1
    assert fit.figures()["sd_low"] == 0.0
    assert [row["dimension"] for row in fit.rows(torch.tensor([1.0, 0.0, 2.0]))] == [2, 0, 1]
    assert fit.rows(torch.ones(3))[0]["correlation"] == pytest.approx(float(fit.correlations()[0]))


@pytest.mark.parametrize("z", [torch.ones(1, 4), torch.zeros(20, 4)])
def test_nothing_is_said_of_the_shape_of_what_does_not_vary(z: Tensor) -> None:
    figures = PriorFit.of(z).figures()
    assert figures["radius_mean"] == float(z[0].norm())
    assert figures["kurtosis_low"] is None
    assert figures["correlation_mean"] is None
    assert (figures["radius_sd"] is None) == (len(z) == 1)


def test_one_dimension_has_no_correlation() -> None:
    assert PriorFit.of(normal(50, 1)).figures()["correlation_high"] is None
