"""How linearly factors are read, against scikit-learn and on encodings that hold them."""

from __future__ import annotations

import math

import numpy as np
import torch

from vaelab.metrics.readout import factor_targets, read_factors
from vaelab.sources.shapes import FACTORS, SYMMETRY, draw, sample_factors


def test_targets_are_equal_where_images_are() -> None:
    factors = sample_factors(60, seed=0)
    turned = factors.copy()
    turned[:, FACTORS.index("rotation")] += SYMMETRY[factors[:, 0].astype(int)].astype(np.float32)
    difference = draw(factors, 32).astype(int) - draw(turned, 32).astype(int)
    assert np.abs(difference).max() <= 2
    before, after = (factor_targets(FACTORS, torch.from_numpy(f)) for f in (factors, turned))
    for name in FACTORS:
        torch.testing.assert_close(before[name], after[name], atol=1e-4, rtol=0)


def test_targets_by_hand() -> None:
    rows = torch.tensor([[2.0, 0.4, 0.5, 0.3, math.pi / 2, 0.25, 0.5]])
    targets = factor_targets(FACTORS, rows)
    expected = {
        "shape": [0.0, 0.0, 1.0],
        "x": [0.4],
        "y": [0.5],
        "size": [0.3],
        "rotation": [1.0, 0.0],
        "hue": [1.0, 0.0],
        "background_hue": [0.0, -1.0],
    }
    assert list(targets) == FACTORS
    for name, values in expected.items():
        torch.testing.assert_close(targets[name], torch.tensor([values]), atol=1e-5, rtol=0)


def test_encodings_that_hold_a_factor_and_no_other() -> None:
    factors = torch.from_numpy(sample_factors(2000, seed=1))
    targets = factor_targets(FACTORS, factors)
    noise = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    mu = torch.cat([targets["hue"], noise], dim=1)
    found = read_factors(FACTORS, mu[:1000], factors[:1000], mu[1000:], factors[1000:])
    assert list(found) == FACTORS
    scores = {name: score for name, score in found.items() if score is not None}
    assert scores.pop("hue") > 0.99
    assert len(scores) == len(FACTORS) - 1
    assert max(scores.values()) < 0.02
