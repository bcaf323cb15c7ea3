"""Neighbours of codes and of maps with a known answer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toys import normal, seeded

from vaelab.metrics.neighbours import (
    neighbourhoods,
    same_class,
    same_class_by_chance,
    trustworthiness,
)


def blobs(count: int, classes: int, dimensions: int = 8) -> tuple[Tensor, Tensor]:
    """Classes far apart: (count, dimensions) and their labels (count,)."""
    labels = torch.arange(count) % classes
    centres = 50.0 * torch.eye(classes, dimensions)
    return centres[labels] + normal(count, dimensions), labels


def test_an_isometric_map_is_wholly_trustworthy_and_a_random_one_half() -> None:
    flat = normal(300, 2)
    turn = torch.linalg.qr(normal(8, 8))[0][:2]
    assert trustworthiness(flat @ turn, flat) == 1.0
    assert trustworthiness(normal(300, 8), normal(300, 2, seed=1)) == pytest.approx(0.5, abs=0.03)


def test_neighbours_of_separate_classes_and_of_labels_by_chance() -> None:
    codes, labels = blobs(90, 3)
    assert same_class(codes, labels) == 1.0
    labels = torch.randint(4, (1000,), generator=seeded())
    chance = same_class_by_chance(labels)
    assert chance == pytest.approx(0.25, abs=0.01)
    assert same_class(normal(1000, 8, seed=1), labels) == pytest.approx(chance, abs=0.02)


def test_chance_of_uneven_classes() -> None:
    # Of four images three are alike: each of the three has two of three others, the fourth none.
    assert same_class_by_chance(torch.tensor([0, 0, 0, 1])) == pytest.approx(0.5)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_codes_have_no_neighbours(count: int) -> None:
    codes, labels = blobs(count, 2)
    assert set(neighbourhoods(codes, {"pca": codes[:, :2]}, labels).values()) == {None}


def test_neighbourhoods_of_one_class_and_of_a_map_that_is_not_there() -> None:
    codes = normal(3, 8)
    maps = {"pca": codes[:, :2], "tsne": None}
    figures = neighbourhoods(codes, maps, torch.zeros(3, dtype=torch.long))
    assert figures.pop("trust_pca") is not None
    assert set(figures.values()) == {None}


def test_neighbourhoods_of_equal_codes() -> None:
    codes, labels = torch.ones(30, 8), torch.arange(30) % 2
    figures = neighbourhoods(codes, {"pca": torch.zeros(30, 2)}, labels)
    assert figures.pop("same_class_chance") == pytest.approx(14 / 29)
    assert set(figures.values()) == {None}
