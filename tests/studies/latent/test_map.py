"""Maps of encodings in two dimensions, what is read from them, and the part as a whole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from quadrants import LATENT_DIM, settings, toy_data, toy_encoded
from torch import Tensor

from vaelab.metrics.frame import frame, mean
from vaelab.metrics.neighbours import same_class
from vaelab.metrics.pca import principal_components
from vaelab.studies.latent.map import (
    FEWEST,
    best_read,
    explore,
    mapped_rows,
    perplexity,
    read_map,
    tsne,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def test_tsne_keeps_far_classes_apart_and_repeats_itself() -> None:
    labels = torch.arange(60) % 3
    codes = 50.0 * torch.eye(3, 8)[labels] + normal(60, 8)
    found = tsne(codes, seed=0)
    assert found is not None
    assert found.shape == (60, 2)
    assert same_class(found, labels) == 1.0
    again = tsne(codes, seed=0)
    assert again is not None
    assert torch.equal(found, again)


def test_perplexity_is_of_a_third_of_the_others() -> None:
    assert perplexity(16) == 5.0
    assert perplexity(91) == 30.0
    assert perplexity(2000) == 30.0


def test_mapped_rows_are_a_sample() -> None:
    rows = mapped_rows(100, 30, seed=0)
    assert len(rows.unique()) == 30
    assert rows.max() > 60  # not the first ones
    assert torch.equal(rows, mapped_rows(100, 30, seed=0))
    assert sorted(mapped_rows(20, 30, seed=0).tolist()) == list(range(20))


@pytest.mark.parametrize(
    "codes", [normal(FEWEST - 1, 8), normal(50, 1), normal(50, 2), torch.ones(50, 8)]
)
def test_no_tsne_where_there_is_nothing_to_map(codes: Tensor) -> None:
    assert tsne(codes, seed=0) is None


def test_an_angle_is_read_from_a_ring_and_is_what_the_map_is_coloured_by() -> None:
    turns = torch.rand(300, generator=seeded())
    angle = 2.0 * math.pi * turns
    ring = torch.stack([angle.sin(), angle.cos()], 1)
    targets = {
        "size": normal(300, 1, seed=1),
        "hue": ring,
        "kind": torch.eye(3)[torch.arange(300) % 3],
    }
    along = principal_components(3.0 * ring).coordinates
    found = read_map(along, targets)
    assert found["hue"] == pytest.approx(1.0, abs=1e-3)
    assert found["size"] == pytest.approx(0.0, abs=0.05)
    best = best_read({**found, "kind": 1.0}, targets)  # classes show kinds
    assert best is not None
    assert (best.name, best.circular, best.r2) == ("hue", True, found["hue"])
    torch.testing.assert_close(best.values, turns)
    assert set(read_map(torch.zeros(300, 2), targets).values()) == {None}
    assert best_read(dict.fromkeys(targets), targets) is None


def test_explore(tmp_path: Path) -> None:
    """Quadrants' brightness is the code, so the sum of two components tells most of its mean."""
    images = toy_data(tmp_path / "toy")
    models = {"fc": toy_encoded(images), "conv": toy_encoded(images, -math.inf)}
    found = explore(models, images, settings(), tmp_path)
    figures = frame(found.figures)
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "encodings.png",
        "radius.png",
    }
    variance = mean(figures, "fc", "variance", "encodings")
    mu = models["fc"].test.mu
    assert variance == pytest.approx(float(mu.var(0, correction=0).mean()) + math.exp(-4.0))
    assert mean(figures, "conv", "radius_mean", "encodings") == pytest.approx(
        float(mu.norm(dim=1).mean())
    )
    assert mean(figures, "conv", "marginal_kl_lower", "encodings") is not None
    assert figures[figures["measure"] == "map_r2"]["source"].tolist() == 2 * ["brightness"]
    assert found.facts["mapped"] == 50
    assert found.facts["read_best"]["fc"][0] == "brightness"
    assert found.facts["prior"]["radius_mean"] == pytest.approx(math.sqrt(LATENT_DIM), rel=0.15)
    assert explore(models, images, settings(), tmp_path) == found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("tests", "classes"), [(1, 1), (2, 2), (3, 1)])
def test_few_test_images(tmp_path: Path, tests: int, classes: int) -> None:
    images = toy_data(tmp_path / "toy", tests=tests, classes=classes)
    found = explore({"conv": toy_encoded(images)}, images, settings(), tmp_path)
    sd = mean(frame(found.figures), "conv", "radius_sd", "encodings")
    assert (sd is None) == (tests == 1)
