"""The nearest images against all distances, however the images are cut into chunks."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from vaelab import nearest as module
from vaelab.nearest import nearest


@pytest.mark.parametrize("chunk", [0.5, 1, 7, 50, 64])
def test_nearest_against_brute_force(chunk: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", int(chunk * 3 * 8 * 8))
    train = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8), dtype=np.uint8)
    queries = torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    queries[0] = torch.from_numpy(train[49]).float() / 255.0
    distances = cdist(queries.flatten(1).numpy(), train.reshape(50, -1) / 255.0)
    groups = nearest(queries.split([3, 6]), train)
    assert [len(group.distance) for group in groups] == [3, 6]
    found = torch.cat([group.distance for group in groups])
    np.testing.assert_allclose(found[1:], distances.min(1)[1:] / math.sqrt(3 * 8 * 8), rtol=1e-4)
    assert float(found[0]) < 1e-3
    index = torch.cat([group.index for group in groups])
    assert index.tolist() == distances.argmin(1).tolist()
