"""Samplers against scikit-learn's densities, and densities that are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import normal, seeded

from vaelab.samplers import gaussians as samplers
from vaelab.samplers.gaussians import Density, Mixture, Prior, fit_class_gaussians, fit_mixture
from vaelab.vae.model import Posterior


def two_groups(count: int) -> tuple[Posterior, Tensor]:
    """A quarter at (-4, 0), variances (0.25, 1) and 0.5² of q; the rest at (4, 1), correlated."""
    labels = (torch.arange(count) % 4 > 0).long()
    left = normal(count, 2) * torch.tensor([0.5, 1.0]) + torch.tensor([-4.0, 0.0])
    right = normal(count, 2, seed=1) @ torch.tensor([[1.0, 0.5], [0.0, 1.0]])
    mu = torch.where(labels[:, None] == 1, right + torch.tensor([4.0, 1.0]), left)
    return Posterior(mu, torch.full_like(mu, 0.25).log()), labels


GROUPS = (
    (0.25, [-4.0, 0.0], [[0.50, 0.0], [0.0, 1.25]]),
    (0.75, [4.0, 1.0], [[1.25, 0.5], [0.5, 1.50]]),
)


def check_against_groups(mixture: Mixture) -> None:
    for k, (weight, mean, covariance) in zip(mixture.means[:, 0].argsort(), GROUPS, strict=True):
        assert float(mixture.weights[k]) == pytest.approx(weight, abs=0.01)
        np.testing.assert_allclose(mixture.means[k], mean, atol=0.06)
        np.testing.assert_allclose(mixture.factors[k] @ mixture.factors[k].T, covariance, atol=0.08)


def test_prior_is_standard_normal_and_tempered_scales_it() -> None:
    z = Prior(3).sample(100_000, seeded())
    torch.testing.assert_close(torch.cov(z.T), torch.eye(3), atol=0.02, rtol=0.0)
    cool = Prior(3, temperature=0.5).sample(100_000, seeded())
    torch.testing.assert_close(torch.cov(cool.T), 0.25 * torch.eye(3), atol=0.005, rtol=0.0)


def test_mixture_recovers_a_known_one() -> None:
    posterior, _ = two_groups(20_000)
    check_against_groups(fit_mixture(posterior, seed=0, components=2))


def test_class_gaussians_recover_means_and_covariances() -> None:
    posterior, labels = two_groups(20_000)
    fitted = fit_class_gaussians(posterior, labels * 5 + 2)
    assert fitted.labels.tolist() == [2, 7]
    check_against_groups(fitted)


def test_draws_have_the_mixtures_moments() -> None:
    posterior, labels = two_groups(20_000)
    fitted = fit_class_gaussians(posterior, labels)
    z = fitted.sample(40_000, seeded())
    assert z.dtype == torch.float32
    for side, (weight, mean, covariance) in zip((z[:, 0] < 0, z[:, 0] > 0), GROUPS, strict=True):
        assert float(side.float().mean()) == pytest.approx(weight, abs=0.01)
        np.testing.assert_allclose(z[side].mean(0), mean, atol=0.06)
        np.testing.assert_allclose(torch.cov(z[side].T), covariance, atol=0.08)


def test_draws_of_named_classes() -> None:
    posterior, labels = two_groups(4_000)
    fitted = fit_class_gaussians(posterior, labels)
    z = fitted.sample_components(torch.tensor([1, 0, 0, 1]), seeded())
    assert (z[:, 0] > 0).tolist() == [True, False, False, True]


def test_density_in_float32_and_its_gradient() -> None:
    posterior, labels = two_groups(2_000)
    fitted = fit_class_gaussians(posterior, labels)
    z = (5.0 * normal(4, 3, 2, seed=3)).requires_grad_()
    density = Density.of(fitted, torch.device("cpu"))
    found = density.log_prob(z)
    assert (found.shape, found.dtype) == ((4, 3), torch.float32)
    exact = z.detach().double().requires_grad_()
    expected = Density.of(fitted, torch.device("cpu"), torch.float64).log_prob(exact)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(fitted.log_prob(z.detach().flatten(0, 1)), expected.flatten())
    (slope,), (reference,) = (
        torch.autograd.grad(value.sum(), at) for value, at in ((found, z), (expected, exact))
    )
    torch.testing.assert_close(slope.double(), reference, rtol=1e-3, atol=1e-3)


def test_log_prob_is_sklearns() -> None:
    from sklearn.mixture import GaussianMixture

    data = (normal(2_000, 5) @ normal(5, 5, seed=1)).double().numpy()
    reference = GaussianMixture(3, random_state=0).fit(data)
    mixture = Mixture(
        torch.from_numpy(reference.weights_),
        torch.from_numpy(reference.means_),
        torch.linalg.cholesky(torch.from_numpy(reference.covariances_)),
    )
    expected = reference.score_samples(data)
    np.testing.assert_allclose(mixture.log_prob(torch.from_numpy(data)), expected, rtol=1e-8)


def test_same_seed_same_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samplers, "DRAWS", 500)
    posterior = Posterior(normal(300, 3), torch.zeros(300, 3))
    one, same, other = (fit_mixture(posterior, seed=seed).sample(9, seeded()) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("count", "dimension"), [(60, 64), (3, 5), (1, 2), (50, 1)])
def test_few_encodings_and_any_dimension(
    count: int, dimension: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "DRAWS", 1_000)
    posterior = Posterior(normal(count, dimension), torch.full((count, dimension), -4.0))
    labels = torch.arange(count) % 2
    for fitted in (fit_mixture(posterior, seed=0), fit_class_gaussians(posterior, labels)):
        z = fitted.sample(6, seeded())
        assert z.shape == (6, dimension)
        assert fitted.log_prob(z).isfinite().all()
