"""The nearest images against all distances, however the images are cut into chunks."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from vaelab.metrics import nearest as module
from vaelab.metrics.nearest import NearestSearch


@pytest.mark.parametrize("chunk", [0.5, 7, 64])
def test_nearest_against_brute_force(chunk: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", int(chunk * 3 * 8 * 8))
    train = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
    queries = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    queries[0] = torch.from_numpy(train[49]).float() / 255.0
    distances = cdist(queries.flatten(1).numpy(), train.reshape(50, -1) / 255.0)
    nearest = NearestSearch(train).find(queries)
    found, index = nearest.distance, nearest.index
    np.testing.assert_allclose(found[1:], distances.min(1)[1:] / math.sqrt(3 * 8 * 8), rtol=1e-4)
    assert float(found[0]) < 1e-3
    assert index.tolist() == distances.argmin(1).tolist()


@pytest.mark.parametrize("components", [1, 16, 256])
@pytest.mark.parametrize("few", [0.0, 1 / 128, 1.0])
def test_none_is_passed_over(components: int, few: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """However loose the bound, and whoever compares; images of few directions, copies, noise."""
    monkeypatch.setattr(module, "COMPONENTS", components)
    monkeypatch.setattr(module, "FITTED", 40)
    monkeypatch.setattr(module, "FEW", few)
    monkeypatch.setattr(module, "QUERIES", 7)
    rng = np.random.default_rng(0)
    smooth = 128 + rng.normal(0, 12, (300, 5)) @ rng.normal(0, 1, (5, 3 * 8 * 8))
    train = (smooth + rng.normal(0, 4, smooth.shape)).clip(0, 255).astype(np.uint8)
    train[17] = train[203]
    queries = np.concatenate(
        [train[[203, 5]], train[:30] * 0.9 + 10, rng.uniform(0, 255, (9, 192))]
    )
    distances = cdist(queries / 255.0, train / 255.0) / math.sqrt(192)
    images = torch.from_numpy(queries / 255.0).float().reshape(-1, 3, 8, 8)
    found = NearestSearch(train.reshape(-1, 3, 8, 8)).find(images)
    assert found.index.tolist() == distances.argmin(1).tolist()
    np.testing.assert_allclose(found.distance, distances.min(1), rtol=1e-4, atol=1e-3)


def test_images_nearer_to_each_other_than_the_bound_is_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One picture, of large norm, with another pixel a little brighter each time."""
    monkeypatch.setattr(module, "FEW", 1.0)
    rng = np.random.default_rng(0)
    train = np.tile(rng.choice(np.array([3, 252], np.uint8), 3 * 8 * 8), (192, 1))
    train[np.diag_indices(192)] += 2
    queries = (train[0] + rng.uniform(-1, 1, (50, 192))) / 255.0
    distances = cdist(queries, train / 255.0) / math.sqrt(192)
    images = torch.from_numpy(queries).float().reshape(-1, 3, 8, 8)
    found = NearestSearch(train.reshape(-1, 3, 8, 8)).find(images)
    np.testing.assert_allclose(found.distance, distances.min(1), rtol=1e-4)
