"""Probes on codes of which it is known what they tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from vaelab.metrics import probes
from vaelab.metrics.probes import Probe, chance_accuracy, held_out, probe, probe_rows

Split = tuple[Tensor, Tensor, Tensor, Tensor]


def halves(codes: Tensor, labels: Tensor) -> Split:
    half = len(codes) // 2
    return codes[:half], labels[:half], codes[half:], labels[half:]


@pytest.fixture
def clusters() -> Split:
    """Three, well apart; the labels' order at random."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (600,), generator=generator)
    centres = torch.tensor([[0.0, 10.0, 0.0], [10.0, 0.0, 0.0], [0.0, 0.0, 10.0]])
    return halves(centres[labels] + torch.randn(600, 3, generator=generator), labels)


def found(split: Split, seed: int = 0) -> Probe:
    result = probe(*split, seed=seed)
    return result


@pytest.mark.filterwarnings("error")
def test_clusters_are_told_apart(clusters: Split) -> None:
    names, counts = clusters[1].unique(return_counts=True)
    commonest = (clusters[3] == names[counts.argmax()]).double().mean().item()
    assert found(clusters) == pytest.approx((1.0, 1.0, commonest))
    few = found((clusters[0][:4], clusters[1][:4], *clusters[2:]))  # than neighbours
    assert 0.0 <= few.knn <= 1.0


def test_chance_names_the_commonest_of_the_training_labels() -> None:
    train, test = torch.tensor([7, 4, 4, 7, 7]), torch.tensor([4, 4, 4, 7])
    assert chance_accuracy(train, test) == 0.25
    assert chance_accuracy(train[:4], test) == 0.75  # of equally common ones the least


def test_rings_are_seen_by_neighbours_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (1000,), generator=generator)
    angle = 2 * torch.pi * torch.rand(1000, generator=generator)
    radius = 1.0 + 2.0 * labels
    rings = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    result = found(halves(rings, labels))
    assert result.knn > 0.99
    assert result.linear < 0.65


def test_a_scale_is_nothing_to_the_linear_probe(clusters: Split) -> None:
    """Nor an offset, nor a dimension that is always the same; to the neighbours a scale is much."""
    codes, labels, test_codes, test_labels = clusters

    def stretched(x: Tensor) -> Tensor:
        noise = 1e4 * torch.randn(len(x), 1, generator=torch.Generator().manual_seed(len(x)))
        return torch.cat([1e-3 * x + 5.0, noise, torch.full((len(x), 1), 7.0)], 1)

    result = found((stretched(codes), labels, stretched(test_codes), test_labels))
    assert result.linear == 1.0
    assert result.knn < 0.6


@pytest.mark.parametrize("variances", [[1e-7, 0.02], [0.02, 1e-7]])
def test_linear_against_sklearn_by_hand(
    variances: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the penalty that lets the probe learn, in whatever order they are tried."""
    monkeypatch.setattr(probes, "LOGIT_VARIANCES", variances)
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (2000,), generator=generator)
    codes = torch.randn(2000, 400, generator=generator)
    codes[:, :5] += labels.unsqueeze(1)
    x, y, test_x, test_y = (part.numpy() for part in halves(codes, labels))
    x, test_x = (x - x.mean(0)) / x.std(0), (test_x - x.mean(0)) / x.std(0)

    def accuracy(inverse_penalty: float) -> float:
        reference = LogisticRegression(C=inverse_penalty, tol=1e-6).fit(x, y)
        return float((reference.predict(test_x) == test_y).mean())

    expected = accuracy(0.02 / 400)
    assert abs(accuracy(0.02) - expected) > 0.03
    assert found(halves(codes, labels)).linear == pytest.approx(expected, abs=0.01)


def test_held_out() -> None:
    labels = torch.tensor([5, 2, 5, 2, 5, 5, 5, 5, 9, 5]).numpy()
    assert held_out(labels).nonzero()[0].tolist() == [2, 3, 9]  # 5's second and seventh; 2's second


def test_a_class_without_training_images_is_mistaken(clusters: Split) -> None:
    codes, labels, test_codes, test_labels = clusters
    known = labels != 2
    result = found((codes[known], labels[known], test_codes, test_labels))
    share = (test_labels != 2).float().mean().item()
    assert (result.linear, result.knn) == pytest.approx((share, share))


def test_labels_that_group_nothing_have_no_probe(clusters: Split) -> None:
    codes, labels, test_codes, test_labels = clusters
    assert probe(codes, torch.zeros_like(labels), test_codes, test_labels, seed=0) is None
    assert probe(codes, torch.arange(len(labels)), test_codes, test_labels, seed=0) is None


def test_rows_are_the_same_for_every_code(clusters: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a code made for those rows alone gives what the whole code does."""
    monkeypatch.setattr(probes, "TRAIN_IMAGES", 40)
    monkeypatch.setattr(probes, "TEST_IMAGES", 90)
    codes, labels, test_codes, test_labels = clusters
    generator = torch.Generator().manual_seed(0)
    vague, test_vague = (
        x + 12.0 * torch.randn(x.shape, generator=generator) for x in (codes, test_codes)
    )
    one, same, other = (found((vague, labels, test_vague, test_labels), seed) for seed in (0, 0, 1))
    assert one == same
    assert one.linear != other.linear
    rows, test_rows = probe_rows(300, 40, 0), probe_rows(300, 90, 0)
    chosen = (vague[rows], labels[rows], test_vague[test_rows], test_labels[test_rows])
    assert found(chosen)[:2] == one[:2]  # chance is of all labels
    assert probe_rows(3, 10, 0).tolist() == [0, 1, 2]
    assert len(np.unique(rows)) == 40
