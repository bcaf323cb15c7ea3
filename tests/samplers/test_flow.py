"""Flow matching on densities that are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toys import normal, seeded

from vaelab.metrics.aggregate import aggregate_moments
from vaelab.samplers.flow import (
    Flow,
    FlowRecipe,
    VelocityNet,
    fit_flow,
    on_path,
    whitening_of,
)
from vaelab.vae.model import Posterior

CPU = torch.device("cpu")
SMALL = FlowRecipe(width=64, blocks=2, steps=500, ode_steps=16)
TINY = FlowRecipe(width=16, blocks=1, steps=5, batch_size=32, ode_steps=4)


def posterior_of(mu: Tensor, sigma: float) -> Posterior:
    return Posterior(mu, torch.full_like(mu, sigma).log() * 2.0)


def test_path_runs_straight_from_noise_to_data() -> None:
    noise, data = normal(2, 3, 2)
    x, velocity = on_path(noise, data, torch.tensor([0.0, 0.25, 1.0]))
    torch.testing.assert_close(x[0], noise[0])
    torch.testing.assert_close(x[1], 0.75 * noise[1] + 0.25 * data[1])
    torch.testing.assert_close(x[2], data[2])
    torch.testing.assert_close(x + velocity * torch.tensor([1.0, 0.75, 0.0])[:, None], data)


@pytest.mark.parametrize("time", [0.0, 0.3, 0.8, 1.0])
def test_a_new_net_is_the_velocity_of_standard_normal_data(time: float) -> None:
    """E[x_1 - x_0 | x_t] of independent normals, as a least-squares slope on many draws."""
    noise, data = normal(2, 200_000, 1)
    t = torch.full((200_000,), time)
    x, velocity = on_path(noise, data, t)
    slope = (x * velocity).mean() / x.square().mean()
    found = VelocityNet(1, SMALL)(torch.ones(1, 1), t[:1])
    assert found.item() == pytest.approx(float(slope), abs=0.01)


def test_an_untrained_flow_is_the_gaussian_with_the_encodings_moments() -> None:
    mixing = normal(3, 3)
    posterior = posterior_of(normal(5_000, 3, seed=1) @ mixing.T + 2.0, 0.5)
    mean, covariance = aggregate_moments(posterior)
    flow = Flow(VelocityNet(3, TINY), whitening_of(posterior), ode_steps=16)
    z = flow.sample(20_000, seeded()).double()
    torch.testing.assert_close(z.mean(0), mean, atol=0.05, rtol=0.0)
    torch.testing.assert_close(torch.cov(z.T), covariance, atol=0.1, rtol=0.03)


def test_whitening_and_back() -> None:
    posterior = posterior_of(normal(1_000, 4) @ normal(4, 4, seed=1) - 1.0, 0.0001)
    whitening = whitening_of(posterior)
    y = whitening.apply(posterior.mu)
    torch.testing.assert_close(torch.cov(y.T, correction=0), torch.eye(4), atol=1e-3, rtol=0.0)
    torch.testing.assert_close(whitening.undo(y), posterior.mu, atol=1e-4, rtol=1e-4)


def test_two_separated_gaussians() -> None:
    """A quarter of the mass at (-3, 0), the rest at (3, 1), with spreads 0.3 and 0.6."""
    right = torch.arange(8_000) % 4 > 0
    centres = torch.where(right[:, None], torch.tensor([3.0, 1.0]), torch.tensor([-3.0, 0.0]))
    sigma = torch.where(right, 0.6, 0.3)[:, None].expand(-1, 2)
    flow = fit_flow(Posterior(centres, 2.0 * sigma.log()), seed=0, device=CPU, recipe=SMALL)
    z = flow.sample(4_000, seeded())
    found = z[:, 0] > 0
    assert float(found.float().mean()) == pytest.approx(0.75, abs=0.04)
    for side, centre, spread in ((found, [3.0, 1.0], 0.6), (~found, [-3.0, 0.0], 0.3)):
        torch.testing.assert_close(z[side].mean(0), torch.tensor(centre), atol=0.15, rtol=0.0)
        covariance = spread**2 * torch.eye(2)
        torch.testing.assert_close(torch.cov(z[side].T), covariance, atol=0.12, rtol=0.0)


def test_same_seed_same_flow_and_other_random_states_untouched() -> None:
    posterior = posterior_of(normal(200, 3), 0.1)
    state = torch.random.get_rng_state()
    one, same, other = (
        fit_flow(posterior, seed=seed, device=CPU, recipe=TINY).sample(8, seeded())
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(("count", "dimension"), [(100, 128), (1, 4), (50, 1), (20, 512)])
def test_few_encodings_and_any_dimension(count: int, dimension: int) -> None:
    flow = fit_flow(posterior_of(normal(count, dimension), 0.1), seed=0, device=CPU, recipe=TINY)
    z = flow.sample(6, seeded())
    assert z.shape == (6, dimension)
    assert z.isfinite().all()
