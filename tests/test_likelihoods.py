"""Likelihoods against torch.distributions, sums by hand, and the means of their samples."""

import math

import pytest
import torch
from torch import Tensor, nn

from vaelab.likelihoods import LIKELIHOODS, Bernoulli, Gaussian, build_likelihood

SHAPE = (5, 3, 4, 4)


@pytest.fixture
def raw() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def images() -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))


def gaussian(sigma: float) -> Gaussian:
    """With this sigma, which must lie above the floor."""
    likelihood = Gaussian()
    floor = Gaussian.LOG_SIGMA_FLOOR
    nn.init.constant_(likelihood.log_sigma, floor + math.log(math.expm1(math.log(sigma) - floor)))
    return likelihood


def test_bernoulli_on_binary_images_is_the_distribution(raw: Tensor, images: Tensor) -> None:
    binary = images.round()
    expected = torch.distributions.Bernoulli(logits=raw).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(binary, raw), expected)


def test_bernoulli_on_grey_images_is_the_cross_entropy_by_hand(raw: Tensor, images: Tensor) -> None:
    p = 1 / (1 + torch.exp(-raw.double()))
    expected = (images * p.log() + (1 - images) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(images, raw), expected.float())


def test_bernoulli_is_finite_far_out() -> None:
    raw = torch.full(SHAPE, 200.0)
    assert torch.isfinite(Bernoulli().log_prob(torch.zeros(SHAPE), raw)).all()


@pytest.mark.parametrize("sigma", [0.01, 0.25, 1.5])
def test_gaussian_is_the_distribution(sigma: float, raw: Tensor, images: Tensor) -> None:
    expected = torch.distributions.Normal(raw.sigmoid(), sigma).log_prob(images).sum((1, 2, 3))
    torch.testing.assert_close(gaussian(sigma).log_prob(images, raw), expected, rtol=1e-4, atol=0.0)


def test_gaussian_learns_the_sigma_of_the_errors(raw: Tensor) -> None:
    """The best sigma is the root mean squared error: Rybkin et al. 2021, section 3.3."""
    likelihood = gaussian(0.25)
    errors = 0.07 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    images = raw.sigmoid() + errors
    optimiser = torch.optim.Adam(likelihood.parameters(), lr=0.02)
    for _ in range(400):
        optimiser.zero_grad()
        (-likelihood.log_prob(images, raw).mean()).backward()
        optimiser.step()
    learned = torch.distributions.Normal(raw.sigmoid(), errors.square().mean().sqrt())
    expected = learned.log_prob(images).sum((1, 2, 3)).mean()
    torch.testing.assert_close(likelihood.log_prob(images, raw).mean(), expected, rtol=1e-4, atol=0)


def test_gaussian_has_a_floor_with_a_gradient(raw: Tensor) -> None:
    """A perfect reconstruction does not get an unbounded density."""
    likelihood = Gaussian()
    nn.init.constant_(likelihood.log_sigma, Gaussian.LOG_SIGMA_FLOOR - 3.0)
    density = likelihood.log_prob(raw.sigmoid(), raw)
    most = -math.prod(SHAPE[1:]) * (math.log(0.5 / 255) + 0.5 * math.log(2 * math.pi))
    assert (density < most).all()
    density.sum().backward()
    assert likelihood.log_sigma.grad is not None
    assert likelihood.log_sigma.grad != 0


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_is_in_the_range_of_the_data(name: str) -> None:
    mean = build_likelihood(name).mean(torch.tensor([[[[-1e4, -1.0, 0.0, 1.0, 1e4]]]]))
    assert mean.min() == 0.0
    assert mean.max() == 1.0
    assert mean.flatten()[2] == 0.5


@pytest.mark.parametrize("likelihood", [Bernoulli(), gaussian(0.05)])
def test_samples_have_the_mean(likelihood: Bernoulli | Gaussian) -> None:
    raw = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
    draws = 20_000
    with torch.no_grad():
        samples = likelihood.sample(
            raw.expand(draws, 3, 1, 1), torch.Generator().manual_seed(3)
        ).squeeze()
    assert samples.min() >= 0.0
    assert samples.max() <= 1.0
    error = (samples.mean(0) - likelihood.mean(raw).flatten()).abs()
    assert (error < 5 * samples.std(0) / math.sqrt(draws)).all()


def test_samples_follow_the_generator(raw: Tensor) -> None:
    for likelihood in (Bernoulli(), gaussian(0.1)):
        one, same, other = (
            likelihood.sample(raw, torch.Generator().manual_seed(seed)) for seed in (4, 4, 5)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)
