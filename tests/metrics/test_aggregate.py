"""The aggregated posterior: cases with known answers, and a mixture by torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal
from toys import normal, seeded

from vaelab.metrics import aggregate
from vaelab.metrics.aggregate import (
    active_units,
    aggregate_moments,
    aggregated_posterior,
    encoding_statistics,
    log_mixture,
)
from vaelab.vae.model import Posterior
from vaelab.vae.objective import kl_to_standard_normal


def mean_kl(posterior: Posterior) -> float:
    return kl_to_standard_normal(*posterior).double().sum(1).mean().item()


def test_the_prior_for_every_image_tells_nothing() -> None:
    found = aggregated_posterior(Posterior(torch.zeros(500, 4), torch.zeros(500, 4)), seed=0)
    assert found == pytest.approx((0.0, 0.0, 0.0, math.log(500)), abs=1e-9)
    assert not found.saturated


def test_posteriors_far_apart_saturate() -> None:
    mu = torch.arange(50.0).unsqueeze(1) * torch.tensor([10.0, 0.0])
    posterior = Posterior(mu, torch.full_like(mu, -4.0))
    found = aggregated_posterior(posterior, seed=0)
    assert found.mutual_information == pytest.approx(math.log(50), abs=1e-9)
    assert found.marginal_kl_upper == pytest.approx(mean_kl(posterior) - math.log(50))
    assert found.saturated


def test_a_gaussian_channel() -> None:
    """mu ~ N(0, s²), q(z|x) = N(mu, t²): 0.5 log(1 + s²/t²) a dimension, q(z) = N(0, s² + t²)."""
    count, s, t = 20_000, torch.tensor([1.5, 0.6]), torch.tensor([0.5, 0.8])
    mu = s * normal(count, 2, seed=3)
    found = aggregated_posterior(Posterior(mu, t.square().log().expand(count, 2)), seed=0)
    information = 0.5 * (1.0 + s.square() / t.square()).log().sum().item()
    total = s.square() + t.square()
    gap = 0.5 * (total - 1.0 - total.log()).sum().item()
    error = 4 * math.sqrt(2 / aggregate.DRAWS)  # of a draw, log q(z|x) - log q(z) varies by < d
    assert found.mutual_information == pytest.approx(information, abs=error)
    assert found.marginal_kl_upper == pytest.approx(gap, abs=error)
    assert not found.saturated


def test_against_torch_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    """KL(q(z) || p(z)) by brute force, from other draws; in chunks, with very narrow components."""
    mu, logvar = normal(60, 3).double(), 2.0 * normal(60, 3, seed=1).double() - 1.0
    q = MixtureSameFamily(
        Categorical(torch.ones(60).double()), Independent(Normal(mu, (0.5 * logvar).exp()), 1)
    )
    torch.manual_seed(1)
    z = q.sample((50_000,))
    expected = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z).sum(1)).mean().item()

    monkeypatch.setattr(aggregate, "PAIRS", 700)
    posterior = Posterior(mu, logvar)
    gaps = [aggregated_posterior(posterior, seed=seed).marginal_kl_upper for seed in range(40)]
    assert sum(gaps) / len(gaps) == pytest.approx(expected, abs=0.1)


def test_log_mixture_of_many_narrow_components() -> None:
    """Squares multiplied out, against differences squared, where posteriors are narrow."""
    mu = 3.0 * normal(40, 128)
    mu[20:] = mu[:20] + 0.01 * normal(20, 128, seed=1)  # neighbours that overlap
    mu, logvar = mu.double(), torch.full((40, 128), -10.0).double()
    z = mu + (0.5 * logvar).exp() * normal(40, 128, seed=2)
    components = Normal(mu, (0.5 * logvar).exp()).log_prob(z.unsqueeze(1)).sum(2)
    expected = components.logsumexp(1) - math.log(40) + 64 * math.log(2 * math.pi)
    found = log_mixture(z, mu, logvar)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_moments_are_those_of_draws() -> None:
    posterior = Posterior(
        normal(4_000, 3) * torch.tensor([1.0, 2.0, 0.1]), normal(4_000, 3, seed=1)
    )
    mean, covariance = aggregate_moments(posterior)
    draws = torch.cat([posterior.sample(seeded(seed)) for seed in range(50)]).double()
    torch.testing.assert_close(draws.mean(0), mean, atol=0.02, rtol=0.0)
    torch.testing.assert_close(torch.cov(draws.T), covariance, atol=0.05, rtol=0.02)


def test_encodings_that_fill_the_prior() -> None:
    posterior = Posterior(normal(20_000, 4) * 0.6, torch.full((20_000, 4), math.log(0.64)))
    kl = kl_to_standard_normal(*posterior).mean(0)
    found = encoding_statistics(posterior, kl)
    assert found.variance == pytest.approx(1.0, abs=0.02)
    assert found.norm == pytest.approx(1.0, abs=0.02)
    assert found.marginal_kl_lower == pytest.approx(0.0, abs=0.01)
    assert found.kl == pytest.approx(float(kl.sum()))


def test_marginal_kl_of_a_gaussian_against_torch() -> None:
    mixing = normal(4, 4)
    posterior = Posterior(normal(50_000, 4, seed=1) @ mixing.T + 0.5, torch.full((50_000, 4), -1.0))
    truth = torch.distributions.MultivariateNormal(
        torch.full((4,), 0.5), mixing @ mixing.T + math.exp(-1.0) * torch.eye(4)
    )
    prior = torch.distributions.MultivariateNormal(torch.zeros(4), torch.eye(4))
    expected = float(torch.distributions.kl_divergence(truth, prior))
    kl = kl_to_standard_normal(*posterior).mean(0)
    found = encoding_statistics(posterior, kl)
    assert found.marginal_kl_lower == pytest.approx(expected, rel=0.02)
    assert found.marginal_kl_lower < found.kl


def test_active_units_counts_variance_and_not_size() -> None:
    mu = torch.tensor([[5.0, 0.0], [5.0, 0.19]])  # variances 0 and 0.009
    assert active_units(mu) == 0
    assert active_units(torch.tensor([[5.0, 0.0], [5.0, 0.21]])) == 1  # 0.011
