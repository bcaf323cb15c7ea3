"""Scores of codes whose scores are known, and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mutual_info_score, r2_score

from vaelab.metrics.disentanglement import (
    correlation_ratio,
    dci,
    equal_bins,
    gaps,
    linear_readout,
    mutual_information,
)


def test_mutual_information_against_sklearn() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 6, size=(500, 3))
    factor = (codes[:, 1] + rng.integers(0, 2, size=500)) // 2
    found = mutual_information(torch.from_numpy(codes), torch.from_numpy(factor))
    expected = [mutual_info_score(column, factor) for column in codes.T]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_bins() -> None:
    values = torch.tensor([[0.0, 7.0], [0.49, 7.0], [0.5, 7.0], [1.0, 7.0]])
    assert equal_bins(values, 2).T.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]


def test_correlation_ratios() -> None:
    angle = torch.arange(360).double() * math.pi / 180.0
    circle = torch.stack([angle.sin(), angle.cos()], dim=1)
    kinds = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    dimensions = torch.stack([(angle + 1.0).cos(), (2 * angle).cos(), 0 * angle], dim=1)
    torch.testing.assert_close(
        correlation_ratio(dimensions, circle), torch.tensor([1.0, 0.0, 0.0]).double()
    )
    # Between the kinds' means (1 and 5) a sum of squares of 16; within them 2 + 2.
    mu = torch.tensor([[0.0], [2.0], [4.0], [6.0]])
    assert float(correlation_ratio(mu, kinds)) == pytest.approx(16 / 20)
    line = torch.tensor([[1.0], [2.0], [2.0], [4.0]])
    expected = np.corrcoef(mu[:, 0], line[:, 0])[0, 1] ** 2
    assert float(correlation_ratio(mu, line)) == pytest.approx(expected)


def test_dci_by_hand() -> None:
    importance = torch.tensor([[1.0, 0.0], [0.0, 0.5], [0.0, 0.5], [0.0, 0.0]]).double()
    disentangled, complete = dci(importance)
    assert disentangled == pytest.approx(1.0)
    assert complete == pytest.approx((1.0 + 0.5) / 2)  # log 2 / log 4 of the entropy is there
    spread = torch.full((4, 2), 0.25).double()
    assert dci(spread) == (pytest.approx(0.0), pytest.approx(0.0))
    assert dci(torch.ones(1, 2).double()) == (pytest.approx(0.0), None)
    assert dci(torch.zeros(3, 2).double()) == (0.0, 0.0)


def test_gaps() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.1], [0.3, 0.0]])
    torch.testing.assert_close(gaps(scores), torch.tensor([0.6, 0.0]))
    torch.testing.assert_close(gaps(scores[:1]), scores[0])


def test_readout_against_sklearn() -> None:
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(300, 6, generator=generator) + 3.0
    target = mu[:, :1] * 2.0 - 1.0 + torch.randn(300, 1, generator=generator)
    found = linear_readout(mu[:200], target[:200], mu[200:], target[200:])
    reference = Ridge(alpha=1.0).fit(mu[:200].numpy(), target[:200].numpy())
    expected = r2_score(target[200:].numpy(), reference.predict(mu[200:].numpy()))
    assert found == pytest.approx(expected, rel=1e-4)


def test_targets_that_do_not_vary_have_no_score() -> None:
    mu, target = torch.randn(20, 3), torch.full((20, 1), 0.1)
    assert linear_readout(mu, target, mu, target) is None
