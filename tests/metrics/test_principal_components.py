"""Principal components of codes, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from vaelab.metrics.pca import principal_components


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_principal_components_against_sklearn() -> None:
    mu = normal(200, 6) * torch.tensor([3.0, 0.1, 2.0, 0.5, 0.2, 1.0])
    found = principal_components(mu)
    reference = PCA(2).fit(mu.numpy())
    expected = reference.transform(mu.numpy())
    np.testing.assert_allclose(np.abs(found.coordinates.numpy()), np.abs(expected), atol=1e-3)
    np.testing.assert_allclose(found.explained, reference.explained_variance_ratio_, rtol=1e-4)


def test_principal_components_of_equal_encodings() -> None:
    found = principal_components(torch.ones(20, 4))
    assert found.explained.tolist() == [0.0, 0.0]
    assert found.coordinates.isfinite().all()


def test_principal_components_of_one_dimension() -> None:
    found = principal_components(normal(20, 1))
    assert found.explained.tolist() == [1.0, 0.0]
    assert found.coordinates.shape == (20, 2)
