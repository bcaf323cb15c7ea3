"""Against independent references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from toys import seeded

from vaelab.metrics.nearest import NearestSearch
from vaelab.metrics.variation import diversity, share, sharpness, variation


def test_sharpness_by_hand() -> None:
    flat = torch.full((1, 1, 5, 5), 0.3)
    ramp = torch.linspace(0, 1, 5).expand(1, 1, 5, 5)
    dot = torch.zeros(1, 1, 5, 5)
    dot[..., 2, 2] = 1.0  # |Laplacian|: 4 there, 1 at four neighbours, over 9 inner pixels
    found = sharpness(torch.cat([flat, ramp, dot]))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 8.0 / 9.0]), atol=1e-6, rtol=0)


def test_diversity_by_hand_and_by_scipy() -> None:
    greys = torch.tensor([0.0, 0.1, 0.4]).reshape(3, 1, 1, 1).expand(3, 3, 4, 4)
    assert float(diversity(greys)) == pytest.approx((0.1 + 0.4 + 0.3) / 3)
    images = torch.rand(40, 3, 8, 8, generator=seeded())
    expected = pdist(images.flatten(1).numpy()).mean() / math.sqrt(3 * 8 * 8)
    assert float(diversity(images)) == pytest.approx(expected, rel=1e-5)


def test_diversity_of_nearly_equal_images_keeps_its_digits() -> None:
    images = 0.9 + 1e-5 * torch.rand(30, 3, 32, 32, generator=seeded())
    expected = pdist(images.double().flatten(1).numpy()).mean() / math.sqrt(3 * 32 * 32)
    assert float(diversity(images)) == pytest.approx(expected, rel=1e-2)


def test_variation_of_groups_of_several_sizes() -> None:
    train = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
    training = NearestSearch(train)
    assert variation(torch.rand(1, 1, 8, 8), training).diversity is None
    for n in (2, 5):
        images = torch.rand(n, 1, 8, 8, generator=seeded(n))
        found = variation(images, training)
        assert found.sharpness == pytest.approx(float(sharpness(images).mean()))
        assert found.diversity == pytest.approx(float(diversity(images)))
        distance = training.find(images).distance
        assert found.nearest == pytest.approx(float(distance.mean()), rel=1e-5)


def test_share_of_nothing() -> None:
    assert share(0.1, 0.2) == 0.5
    for value, whole in ((0.1, 0.0), (0.1, 1e-9), (None, 0.2), (0.1, None)):
        assert share(value, whole) is None
