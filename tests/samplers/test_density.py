"""A mixture's log density that can be differentiated."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor

from vaelab.samplers.gaussians import Density, Mixture

CPU = torch.device("cpu")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixture() -> Mixture:
    factors = 0.3 * normal(3, 4, 4, seed=1).double().tril()
    factors.diagonal(dim1=1, dim2=2).abs_().add_(0.2)
    return Mixture(torch.tensor([0.5, 0.3, 0.2]).double(), normal(3, 4, seed=2).double(), factors)


def test_density_is_the_mixtures() -> None:
    fitted = mixture()
    z = normal(5, 7, 4)
    reference = GaussianMixture(3)
    reference.weights_, reference.means_ = fitted.weights.numpy(), fitted.means.numpy()
    inverses = torch.linalg.inv(fitted.factors)
    reference.precisions_cholesky_ = inverses.mT.numpy()
    expected = reference.score_samples(z.reshape(-1, 4).double().numpy()).reshape(5, 7)
    found = Density.of(fitted, CPU).log_prob(z)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_density_is_differentiable() -> None:
    z = normal(6, 4).requires_grad_()
    (slope,) = torch.autograd.grad(Density.of(mixture(), CPU).log_prob(z).sum(), z)
    step = 1e-5 * torch.eye(4).double()
    ahead, behind = (mixture().log_prob(z.detach() + s * step[0]) for s in (1, -1))
    torch.testing.assert_close(slope[:, 0].double(), (ahead - behind) / 2e-5, rtol=1e-3, atol=1e-3)
