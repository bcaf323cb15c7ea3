"""Disentanglement scores, of codes whose scores are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import normal

from vaelab.metrics import disentanglement as scores
from vaelab.metrics.disentanglement import (
    Disentanglement,
    correlation_ratio,
    dci,
    disentanglement,
    equal_bins,
    factor_bins,
    gaps,
)
from vaelab.metrics.readout import read_factors, turns
from vaelab.sources.shapes import FACTORS, sample_factors

COUNT = 1500


@pytest.fixture(scope="module")
def factors() -> Tensor:
    return torch.from_numpy(sample_factors(2 * COUNT, seed=0))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "TREES", 5)


def perfect_code(factors: Tensor) -> Tensor:
    """A dimension for each factor, in another order and on other scales, and three of noise."""
    named = dict(zip(FACTORS, factors.unbind(1), strict=True)) | turns(FACTORS, factors)
    columns = torch.stack([named[name] for name in FACTORS], dim=1)
    scales = torch.tensor([3.0, -10.0, 0.5, 20.0, -1.0, 4.0, 0.1])
    code = torch.cat([columns * scales, normal(len(factors), 3)], dim=1)
    return code[:, torch.tensor([9, 2, 0, 4, 8, 6, 1, 3, 7, 5])]


def measure(code: Tensor, factors: Tensor) -> Disentanglement:
    found = disentanglement(
        FACTORS, code[:COUNT], factors[:COUNT], code[COUNT:], factors[COUNT:], seed=0
    )
    return found


def test_a_perfect_code(factors: Tensor) -> None:
    found = measure(perfect_code(factors), factors)
    assert found.factors == FACTORS
    best = found.information.argmax(0)
    assert best.tolist() == [2, 6, 1, 7, 3, 9, 5]
    assert [first for first, _ in found.best().values()] == best.tolist()
    figures = found.scores
    assert figures["mig"] == pytest.approx(1.0, abs=0.03)
    assert figures["dci_disentanglement"] == pytest.approx(1.0, abs=0.02)
    assert figures["dci_completeness"] == pytest.approx(1.0, abs=0.02)
    assert figures["dci_informativeness"] == pytest.approx(1.0, abs=0.03)
    # Four factors are held linearly; an angle as a number from 0 to 1 has 6 / π² of its variance
    # along its sine: the series of a sawtooth.
    assert figures["sap"] == pytest.approx((4 + 3 * 6 / math.pi**2) / 7, abs=0.02)


def test_a_random_code(factors: Tensor) -> None:
    found = measure(normal(len(factors), 10), factors)
    for figure, score in found.scores.items():
        assert score == pytest.approx(0.0, abs=0.1), figure
    assert found.scores["mig"] == pytest.approx(0.0, abs=0.005)
    assert found.scores["sap"] == pytest.approx(0.0, abs=0.005)
    floor = found.floor.expand_as(found.information)
    assert (found.information < 2.0 * floor).all()
    assert float(found.information.mean()) == pytest.approx(float(floor.mean()), rel=0.1)


def test_a_rotated_code_holds_all_and_scores_low(factors: Tensor) -> None:
    code = perfect_code(factors)
    code = (code - code.mean(0)) / code.std(0)
    rotation = torch.linalg.qr(normal(10, 10)).Q
    rotated = code @ rotation
    for name, score in measure(rotated, factors).scores.items():
        if name != "dci_informativeness":
            assert score < 0.4, name
    split = rotated[:COUNT], factors[:COUNT], rotated[COUNT:], factors[COUNT:]
    readout = read_factors(FACTORS, *split)
    assert [readout[name] for name in ("x", "y", "size")] == pytest.approx([1.0] * 3, abs=0.01)


def test_factors_that_do_not_vary_are_left_out(factors: Tensor) -> None:
    still = factors.clone()
    still[:, [FACTORS.index("x"), FACTORS.index("shape")]] = factors[
        0, [FACTORS.index("x"), FACTORS.index("shape")]
    ]
    still[:, FACTORS.index("rotation")] = 0.1
    found = measure(normal(len(factors), 1), still)
    assert found.factors == ["y", "size", "hue", "background_hue"]
    figures = found.scores
    assert figures["dci_completeness"] is None
    assert figures["mig"] == pytest.approx(float(found.information.mean()))
    still[:] = still[0]
    code = normal(len(factors), 2)
    assert disentanglement(FACTORS, code, still, code, still, seed=0) is None
    few = code[:199], factors[:199]
    assert disentanglement(FACTORS, code, factors, *few, seed=0) is None


def test_a_rotation_is_binned_at_its_shapes_period() -> None:
    quarter, half = math.pi / 2, math.pi
    rows = [[0, 0, 0, 0, 0.55 * quarter, 0.05, 0.95], [1, 1, 1, 1, 1.55 * half, 1.05, 0.25]]
    bins = factor_bins(FACTORS, torch.tensor(rows))
    assert {name: values.tolist() for name, values in bins.items()} == {
        "shape": [0, 1],
        "x": [0, 9],
        "y": [0, 9],
        "size": [0, 9],
        "rotation": [5, 5],
        "hue": [0, 0],
        "background_hue": [9, 2],
    }


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
