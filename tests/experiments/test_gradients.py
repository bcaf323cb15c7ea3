"""Estimators of a gradient through noise, against exact ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gradients
from vaelab.vae.model import Posterior

DRAWS = 40_000
MU = torch.tensor([0.5, -1.0, 2.0])
LOGVAR = torch.tensor([-1.0, 0.0, 0.7])
CURVATURE = torch.tensor([[2.0, 0.3, 0.0], [0.3, 1.0, -0.5], [0.0, -0.5, 0.7]])
SLOPE = torch.tensor([0.4, -0.2, 1.0])
OFFSET = 5.0


def quadratic(z: Tensor) -> Tensor:
    """E_q of it is known: OFFSET + b'mu + (mu'A mu + sum_j A_jj sigma_j²) / 2."""
    return OFFSET + z @ SLOPE + 0.5 * ((z @ CURVATURE) * z).sum(1)


@pytest.fixture(scope="module")
def estimates() -> dict[str, gradients.Gradients]:
    noise = torch.randn(DRAWS, 3, generator=torch.Generator().manual_seed(0))
    return gradients.gradient_estimates(quadratic, Posterior(MU, LOGVAR), noise)


@pytest.mark.parametrize("key", gradients.ESTIMATORS)
def test_each_estimator_has_the_exact_gradient_for_its_mean(
    estimates: dict[str, gradients.Gradients], key: str
) -> None:
    exact = (CURVATURE @ MU + SLOPE, 0.5 * CURVATURE.diagonal() * LOGVAR.exp())
    for found, wanted in zip(estimates[key], exact, strict=True):
        error = found.std(0) / DRAWS**0.5
        assert ((found.mean(0) - wanted).abs() < 4 * error).all()
        assert (error < 0.2).all()  # so that the line above says something


def test_variance_of_the_reparameterised_gradient(
    estimates: dict[str, gradients.Gradients],
) -> None:
    """Of mu: A sigma eps varies by sum_k A_jk² sigma_k²."""
    wanted = (CURVATURE.square() @ LOGVAR.exp()).double()
    torch.testing.assert_close(estimates["pathwise"].mu.var(0), wanted, rtol=0.05, atol=0.0)


def test_variance_of_the_score_function_of_a_linear_function() -> None:
    """docs/theory.md's example: with the best constant, sum_k b_k² sigma_k² / sigma_j² + b_j²."""
    noise = torch.randn(DRAWS, 3, generator=torch.Generator().manual_seed(1))
    found = gradients.gradient_estimates(lambda z: z @ SLOPE + OFFSET, Posterior(MU, LOGVAR), noise)
    spread = (SLOPE.square() * LOGVAR.exp()).sum()
    wanted = (spread / LOGVAR.exp() + SLOPE.square()).double()
    torch.testing.assert_close(found["baseline"].mu.var(0), wanted, rtol=0.05, atol=0.0)
    assert found["pathwise"].mu.var(0).max() < 1e-12


def test_a_baseline_makes_the_offset_harmless(estimates: dict[str, gradients.Gradients]) -> None:
    noise = torch.randn(DRAWS, 3, generator=torch.Generator().manual_seed(0))
    higher = gradients.gradient_estimates(
        lambda z: quadratic(z) + 1000.0, Posterior(MU, LOGVAR), noise
    )
    torch.testing.assert_close(higher["baseline"].mu, estimates["baseline"].mu, rtol=0, atol=0.01)
    assert (higher["score"].mu.var(0) > 100 * estimates["score"].mu.var(0)).all()


def test_standardised_difference() -> None:
    generator = torch.Generator().manual_seed(2)
    a = torch.randn(400, 2000, generator=generator)
    b = a + torch.randn(400, 2000, generator=generator)
    same = gradients.standardised_difference(a, b)
    assert float(same.square().mean().sqrt()) == pytest.approx(1.0, abs=0.05)
    apart = gradients.standardised_difference(a + 0.5, b)
    assert float(apart.mean()) == pytest.approx(0.5 * 400**0.5, rel=0.05)
