"""Maps of encodings in two dimensions, what is read from them, and the part as a whole."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from quadrants import settings, toy_data, toy_encoded
from scipy import stats
from torch import Tensor
from toys import normal, seeded

from vaelab.metrics.frame import frame, mean
from vaelab.metrics.neighbours import same_class
from vaelab.metrics.pca import principal_components
from vaelab.studies.latent.map import FEWEST, best_read, explore, prior_fit, read_map, tsne


def test_tsne_keeps_far_classes_apart_and_repeats_itself() -> None:
    labels = torch.arange(60) % 3
    codes = 50.0 * torch.eye(3, 8)[labels] + normal(60, 8)
    found = tsne(codes, seed=0)
    assert found.shape == (60, 2)
    assert same_class(found, labels) == 1.0
    torch.testing.assert_close(tsne(codes, seed=0), found, rtol=0, atol=0)


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
    assert {path.name for path in tmp_path.glob("*.png")} == {"encodings.png", "radius.png"}
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
    assert explore(models, images, settings(), tmp_path) == found


@pytest.mark.parametrize("latent_dim", [1, 2, 64])
def test_draws_of_the_prior_fit_it(latent_dim: int) -> None:
    count = 4000
    figures = prior_fit(normal(count, latent_dim))
    chi = stats.chi(latent_dim)
    assert figures["radius_mean"] == pytest.approx(chi.mean(), abs=0.05)
    assert figures["radius_sd"] == pytest.approx(chi.std(), abs=0.03)
    assert figures["radius_distance"] == pytest.approx(0.0, abs=0.04)
    assert figures["prior_inside"] == pytest.approx(0.95, abs=0.01)


def test_radius_distance_against_scipy() -> None:
    z = normal(500, 4) * torch.tensor([2.0, 1.0, 1.0, 0.3]) + 0.5
    prior = stats.chi(4).ppf((np.arange(500) + 0.5) / 500)
    expected = stats.wasserstein_distance(z.double().norm(dim=1).numpy(), prior)
    assert prior_fit(z)["radius_distance"] == pytest.approx(expected)


def test_spread_is_of_a_sample() -> None:
    z = normal(20, 3)
    expected = np.std(z.double().norm(dim=1).numpy(), ddof=1)
    assert prior_fit(z)["radius_sd"] == pytest.approx(expected)
    assert prior_fit(z[:1])["radius_sd"] is None
