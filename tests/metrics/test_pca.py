"""PCA against scikit-learn's, and what a linear map through K numbers must satisfy."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA as SklearnPCA

from vaelab.metrics import pca as module
from vaelab.metrics.pca import fit_pca, principal_axes, principal_components


def correlated(count: int, shape: tuple[int, int, int], rank: int) -> NDArray[np.uint8]:
    """Images of falling variance along `rank` directions, with noise in all the others."""
    rng = np.random.default_rng(0)
    pixels = int(np.prod(shape))
    directions = rng.standard_normal((rank, pixels)) * (30.0 / np.arange(1, rank + 1))[:, None]
    values = 128 + rng.standard_normal((count, rank)) @ directions
    values += 4 * rng.standard_normal((count, pixels))
    return np.clip(values, 0, 255).astype(np.uint8).reshape(count, *shape)


@pytest.mark.parametrize(
    ("shape", "components"),
    # As many Krylov vectors as dimensions; fewer; and more dimensions than images.
    [((1, 4, 4), 5), ((1, 8, 8), 5), ((3, 16, 16), 12)],
)
def test_same_as_sklearn(shape: tuple[int, int, int], components: int) -> None:
    images = correlated(400, shape, rank=20)
    train, test = images[:300], images[300:]
    pca = fit_pca(train, components)
    reference = SklearnPCA(components, svd_solver="full").fit(train.reshape(300, -1) / 255.0)

    flat = test.reshape(100, -1) / 255.0
    expected = reference.inverse_transform(reference.transform(flat)).clip(0, 1)
    np.testing.assert_allclose(pca.reconstruct(test).reshape(100, -1), expected, atol=2e-4)
    overlap = np.abs((pca.components.numpy() * reference.components_).sum(1))
    np.testing.assert_allclose(overlap, 1.0, atol=1e-3)
    np.testing.assert_allclose(pca.mean.numpy(), reference.mean_, atol=1e-6)
    gram = pca.components @ pca.components.T
    torch.testing.assert_close(gram, torch.eye(components), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("count", "wanted", "expected"), [(200, 99, 16), (6, 99, 5), (200, 3, 3)])
def test_at_most_what_the_data_span(count: int, wanted: int, expected: int) -> None:
    images = correlated(count, (1, 4, 4), rank=20)
    pca = fit_pca(images, wanted)
    assert pca.components.shape == (expected, 16)
    assert pca.parameter_count() == 16 * (expected + 1)
    assert pca.macs() == 2 * 16 * expected
    if expected != wanted:
        np.testing.assert_allclose(pca.reconstruct(images), images / 255.0, atol=1e-5)


def test_constant_images() -> None:
    images = np.full((40, 1, 16, 16), 77, np.uint8)
    np.testing.assert_allclose(fit_pca(images, 4).reconstruct(images), 77 / 255, atol=1e-6)


def test_reconstruction_is_clipped() -> None:
    images = correlated(200, (1, 4, 4), rank=20)
    pca = fit_pca(images, 2)
    far = pca.decode(torch.tensor([[50.0, 50.0], [-50.0, -50.0]]))
    assert far.shape == (2, 1, 4, 4)
    assert far.min() == 0.0
    assert far.max() == 1.0


def test_memory_mapped_in_uneven_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = correlated(200, (1, 16, 16), rank=20)
    whole = fit_pca(images, 6)
    np.save(tmp_path / "train.npy", images)
    monkeypatch.setattr(module, "CHUNK", 61 * 256)
    parts = fit_pca(np.load(tmp_path / "train.npy", mmap_mode="r"), 6)
    np.testing.assert_allclose(parts.reconstruct(images), whole.reconstruct(images), atol=1e-4)


@pytest.mark.parametrize(("count", "dimension"), [(200, 8), (30, 50)])
def test_principal_axes_against_sklearn(count: int, dimension: int) -> None:
    """By the covariance, and by the inner products where there are fewer points than dimensions."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((count, dimension)) * np.arange(dimension, 0, -1)
    points -= points.mean(0)
    variances, axes = principal_axes(torch.from_numpy(points), 4)
    reference = SklearnPCA(4, svd_solver="full").fit(points)
    expected = reference.explained_variance_ * (count - 1) / count
    np.testing.assert_allclose(variances, expected, rtol=1e-8)
    np.testing.assert_allclose(np.abs(reference.components_ @ axes.numpy()), np.eye(4), atol=1e-6)


@pytest.mark.parametrize(("count", "dimension"), [(200, 6), (20, 30), (20, 1)])
def test_principal_components_against_sklearn(count: int, dimension: int) -> None:
    codes = torch.randn(count, dimension, generator=torch.Generator().manual_seed(0))
    codes = codes * torch.arange(1, dimension + 1) + 3.0
    found = principal_components(codes)
    known = min(2, dimension)
    reference = SklearnPCA(known).fit(codes.double().numpy())
    expected = np.abs(reference.transform(codes.double().numpy()))
    np.testing.assert_allclose(found.coordinates[:, :known].abs(), expected, rtol=1e-4, atol=1e-4)
    ratios = reference.explained_variance_ratio_
    np.testing.assert_allclose(found.explained[:known], ratios, rtol=1e-5)
    assert not found.coordinates[:, known:].any()
    assert not principal_components(torch.ones(20, dimension)).coordinates.any()
