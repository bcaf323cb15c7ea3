"""Likelihoods against torch.distributions, scipy, sums by hand, and the means of their samples."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import logistic
from torch import Tensor, nn

from vaelab.vae.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    ContinuousBernoulli,
    DiscretizedLogistic,
    Gaussian,
    Likelihood,
    _location,
    build_likelihood,
)

SHAPE = (5, 3, 4, 4)
GREY_VALUES = torch.arange(256) / 255


@pytest.fixture
def raw() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * 2


@pytest.fixture
def images() -> Tensor:
    """Grey values k/255, with some pixels black and some white."""
    uniform = torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))
    return (255 * (1.2 * uniform - 0.1).clamp(0, 1)).round() / 255


def parameter_for(scale: float, floor: float) -> float:
    """The free parameter whose softplus above the floor is log(scale)."""
    return floor + math.log(math.expm1(math.log(scale) - floor))


def gaussian(sigma: float) -> Gaussian:
    """Learned, and at this sigma, which must lie above the floor."""
    likelihood = Gaussian()
    nn.init.constant_(likelihood.log_sigma, parameter_for(sigma, Gaussian.LOG_SIGMA_FLOOR))
    return likelihood


def discretized_logistic(scale: float) -> DiscretizedLogistic:
    """At this scale, which must lie above the floor."""
    likelihood = DiscretizedLogistic()
    floor = DiscretizedLogistic.LOG_SCALE_FLOOR
    nn.init.constant_(likelihood.log_scale, parameter_for(scale, floor))
    return likelihood


def of_each_value(likelihood: Likelihood, raw: float) -> Tensor:
    """log_prob of each grey value, (256,), as images of one pixel."""
    images = GREY_VALUES.reshape(256, 1, 1, 1)
    return likelihood.log_prob(images, torch.full_like(images, raw)).detach()


def masses_by_scipy(location: float, scale: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(256,): the cdf's differences between the bins' ends; from the nearer tail, for accuracy."""
    ends = np.concatenate([[-np.inf], (np.arange(1, 256) - 0.5) / 255, [np.inf]])
    from_below = np.diff(logistic.cdf(ends, location, scale))
    from_above = -np.diff(logistic.sf(ends, location, scale))
    return np.where(np.arange(256) / 255 < location, from_below, from_above)


def test_bernoulli_on_binary_images_is_the_distribution(raw: Tensor, images: Tensor) -> None:
    binary = images.round()
    expected = torch.distributions.Bernoulli(logits=raw).log_prob(binary).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(binary, raw), expected)


def test_bernoulli_on_grey_images_is_the_cross_entropy_by_hand(raw: Tensor, images: Tensor) -> None:
    p = 1 / (1 + torch.exp(-raw.double()))
    expected = (images * p.log() + (1 - images) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(images, raw), expected.float())


@pytest.mark.parametrize("spread", [1e-3, 0.1, 0.3, 1.0, 3.0])
def test_continuous_bernoulli_is_the_distribution(
    spread: float, raw: Tensor, images: Tensor
) -> None:
    """Up to |raw| of about 20: the reference needs 1 - sigmoid(raw), which float64 loses later."""
    raw = raw * spread
    reference = torch.distributions.ContinuousBernoulli(logits=raw.double())
    likelihood = ContinuousBernoulli()
    torch.testing.assert_close(
        likelihood.log_prob(images, raw).double(),
        reference.log_prob(images.double()).sum((1, 2, 3)),
        rtol=1e-5,
        atol=2e-5,
    )
    torch.testing.assert_close(likelihood.mean(raw).double(), reference.mean, rtol=0, atol=2e-6)


@pytest.mark.parametrize("raw", [-40.0, -0.3, 0.0, 0.01, 0.299, 0.301, 4.0])
def test_continuous_bernoulli_integrates_to_one(raw: float) -> None:
    x = torch.linspace(0, 1, 20_001, dtype=torch.float64).reshape(-1, 1, 1, 1)
    likelihood = ContinuousBernoulli()
    density = likelihood.log_prob(x, torch.full_like(x, raw)).exp()
    assert torch.trapezoid(density, x.flatten()) == pytest.approx(1, abs=1e-6)
    moment = torch.trapezoid(density * x.flatten(), x.flatten())
    assert likelihood.mean(torch.tensor([raw])).item() == pytest.approx(moment.item(), abs=1e-6)


@pytest.mark.parametrize("raw", [-20.0, -0.5, 0.0, 2.0])
def test_continuous_bernoulli_samples_follow_the_distribution_function(raw: float) -> None:
    draws = 20_000
    logits = torch.full((draws,), raw)
    samples = ContinuousBernoulli().sample(logits, torch.Generator().manual_seed(3)).double()
    levels = torch.distributions.ContinuousBernoulli(logits=logits.double()).cdf(samples)
    ranks = (torch.arange(draws) + 0.5) / draws
    assert (levels.sort().values - ranks).abs().max() < 1.95 / math.sqrt(draws)  # p = 0.001


@pytest.mark.parametrize("sigma", [0.01, 0.25, 1.5])
@pytest.mark.parametrize("build", [gaussian, Gaussian], ids=["learned", "fixed"])
def test_gaussian_is_the_distribution(
    build: Callable[[float], Gaussian], sigma: float, raw: Tensor, images: Tensor
) -> None:
    reference = torch.distributions.Normal(_location(raw).double(), sigma)
    torch.testing.assert_close(
        build(sigma).log_prob(images, raw).double(),
        reference.log_prob(images.double()).sum((1, 2, 3)),
        rtol=1e-5,
        atol=1e-4,
    )


def test_a_fixed_sigma_is_no_weight() -> None:
    fixed, learned = Gaussian(0.1), Gaussian()
    assert not list(fixed.parameters())
    assert not fixed.state_dict()
    assert [name for name, _ in learned.named_parameters()] == ["log_sigma"]


def slope(likelihood: Gaussian | DiscretizedLogistic, images: Tensor, raw: Tensor) -> float:
    """The gradient of the log probability by the free parameter of the scale."""
    (parameter,) = likelihood.parameters()
    (gradient,) = torch.autograd.grad(likelihood.log_prob(images, raw).sum(), parameter)
    return gradient.item()


def test_gaussian_learns_the_sigma_of_the_errors(raw: Tensor) -> None:
    """The best sigma is the root mean squared error: Rybkin et al. 2021, section 3.3."""
    errors = 0.07 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    images = _location(raw) + errors
    best = errors.square().mean().sqrt().item()
    assert slope(gaussian(0.999 * best), images, raw) > 0
    assert slope(gaussian(1.001 * best), images, raw) < 0


def test_discretized_logistic_learns_the_scale_of_the_errors() -> None:
    """The best scale by scipy, from how often each grey value occurs."""
    errors = logistic.rvs(scale=0.03, size=(20, 1, 16, 16), random_state=2)
    values = np.clip(np.rint(255 * (0.5 + errors)), 0, 255).astype(int)
    counts = np.bincount(values.ravel(), minlength=256)

    def surprise(log_scale: float) -> float:
        seen = counts > 0
        return -(counts[seen] * np.log(masses_by_scipy(0.5, math.exp(log_scale))[seen])).sum()

    best = math.exp(minimize_scalar(surprise, bounds=(-5, -2), method="bounded").x)
    images, raw = torch.from_numpy(values).float() / 255, torch.zeros(values.shape)
    assert slope(discretized_logistic(0.999 * best), images, raw) > 0
    assert slope(discretized_logistic(1.001 * best), images, raw) < 0


@pytest.mark.parametrize("scale", [0.0005, 0.004, 0.05, 0.5, 30.0])
@pytest.mark.parametrize("raw", [-6.0, -0.3, 0.0, 1.7])
def test_discretized_logistic_is_the_difference_of_the_distribution_function(
    scale: float, raw: float
) -> None:
    masses = masses_by_scipy(_location(torch.tensor(raw)).item(), scale)
    seen = masses > 1e-300  # below, float64 has no difference left to compare with
    log_prob = of_each_value(discretized_logistic(scale), raw).numpy()
    np.testing.assert_allclose(log_prob[seen], np.log(masses[seen]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("raw", [-8.0, 0.4])
def test_only_proper_ones_are_probabilities_of_the_grey_values(name: str, raw: float) -> None:
    likelihood = build_likelihood(name)
    mass = of_each_value(likelihood, raw).double().exp().sum()
    assert (abs(mass - 1) < 1e-5) == likelihood.proper == (name == "discretized_logistic")


def test_names_build_their_classes() -> None:
    for name, expected in LIKELIHOODS.items():
        assert type(build_likelihood(name)) is expected
    fixed = build_likelihood("gaussian", sigma=0.2)
    assert isinstance(fixed, Gaussian)
    assert fixed.sigma == 0.2


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("extreme", [0.0, -50.0, 1e4])
@pytest.mark.parametrize("shift", [-40.0, 0.0, 10.0])
def test_finite_with_finite_gradients_far_out(name: str, extreme: float, shift: float) -> None:
    """shift: of the free parameter of a scale, to about its floor and to thousands."""
    likelihood = build_likelihood(name)
    assert isinstance(likelihood, nn.Module)
    for parameter in likelihood.parameters():
        nn.init.constant_(parameter, shift)
    raw = torch.full((3, 1, 1, 1), extreme, requires_grad=True)
    log_prob = likelihood.log_prob(torch.tensor([0.0, 0.2, 1.0]).reshape(3, 1, 1, 1), raw)
    log_prob.sum().backward()
    gradients = [raw.grad, *(parameter.grad for parameter in likelihood.parameters())]
    for tensor in (log_prob, *gradients):
        assert tensor is not None
        assert tensor.isfinite().all()


def test_gaussian_has_a_floor_with_a_gradient(raw: Tensor) -> None:
    """A perfect reconstruction does not get an unbounded density."""
    likelihood = Gaussian()
    nn.init.constant_(likelihood.log_sigma, Gaussian.LOG_SIGMA_FLOOR - 3.0)
    density = likelihood.log_prob(_location(raw), raw)
    most = -math.prod(SHAPE[1:]) * (math.log(0.5 / 255) + 0.5 * math.log(2 * math.pi))
    assert (density < most).all()
    density.sum().backward()
    assert likelihood.log_sigma.grad is not None
    assert likelihood.log_sigma.grad != 0


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_mean_is_in_the_range_of_the_data(name: str) -> None:
    mean = build_likelihood(name).mean(torch.tensor([[[[-1e10, -1.0, 0.0, 1.0, 1e10]]]])).flatten()
    assert mean[[0, 2, 4]].tolist() == pytest.approx([0.0, 0.5, 1.0], abs=1e-6)
    assert (mean.diff() > 0).all()


LIKELIHOODS_WITH_NARROW_SCALES = [
    Bernoulli(),
    ContinuousBernoulli(),
    gaussian(0.05),
    Gaussian(0.05),
    discretized_logistic(0.02),
]


@pytest.mark.parametrize("likelihood", LIKELIHOODS_WITH_NARROW_SCALES)
def test_samples_have_the_mean(likelihood: Likelihood) -> None:
    raw = torch.tensor([-0.2, 0.0, 0.1]).reshape(1, 3, 1, 1)
    draws = 20_000
    with torch.no_grad():
        samples = likelihood.sample(
            raw.expand(draws, 3, 1, 1), torch.Generator().manual_seed(3)
        ).squeeze()
    assert samples.min() >= 0.0
    assert samples.max() <= 1.0
    error = (samples.mean(0) - likelihood.mean(raw).flatten()).abs()
    assert (error < 5 * samples.std(0) / math.sqrt(draws)).all()


def test_discretized_logistic_samples_have_its_masses() -> None:
    likelihood, raw, draws = discretized_logistic(0.1), -1.5, 50_000
    with torch.no_grad():
        samples = 255 * likelihood.sample(
            torch.full((draws,), raw), torch.Generator().manual_seed(3)
        )
    torch.testing.assert_close(samples, samples.round(), rtol=0, atol=1e-4)  # on the grid
    observed = torch.bincount(samples.round().long(), minlength=256).numpy() / draws
    expected = masses_by_scipy(_location(torch.tensor(raw)).item(), 0.1)
    standard_error = np.sqrt(expected * (1 - expected) / draws)
    assert (np.abs(observed - expected) < 5 * standard_error + 1 / draws).all()
