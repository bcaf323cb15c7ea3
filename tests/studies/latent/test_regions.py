"""Regions against independent references and cases with a known answer."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from quadrants import LATENT_DIM, settings, toy_data, toy_encoded
from toys import normal, seeded

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.metrics.frame import frame, mean
from vaelab.metrics.nearest import NearestSearch
from vaelab.metrics.round_trip import RoundTrip
from vaelab.metrics.variation import diversity, sharpness
from vaelab.metrics.wasserstein import PatchReference
from vaelab.samplers.gaussians import ClassGaussians
from vaelab.studies.latent.regions import (
    Region,
    between_classes,
    class_pairs,
    deciles,
    draw_aggregated,
    explore,
    measure,
    read,
    real_images,
    regions,
    shell,
)
from vaelab.vae.inference import decode
from vaelab.vae.model import Posterior
from vaelab.vae.pixels import to_uint8


@pytest.fixture
def images(tmp_path: Path) -> ImageArrays:
    return toy_data(tmp_path / "toy")


# --- where points are drawn ----------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0.5, 20.0])
def test_shell_has_its_radius_and_no_direction(radius: float) -> None:
    z = shell(normal(4000, 25), radius)
    torch.testing.assert_close(z.norm(dim=1), torch.full((4000,), radius))
    standard_error = radius / 5.0 / math.sqrt(4000)  # each coordinate's variance is radius² / 25
    assert z.mean(0).abs().max() < 5 * standard_error


def test_aggregated_draws_take_every_image_as_often() -> None:
    posterior = Posterior(torch.arange(7.0).unsqueeze(1), torch.full((7, 1), -math.inf))
    z = draw_aggregated(posterior, 21, seeded())
    assert z.flatten().long().bincount().tolist() == [3] * 7
    assert z.flatten()[:7].tolist() != list(range(7))


def test_deciles_by_density() -> None:
    draws = normal(200, 3)
    density = -draws.norm(dim=1)
    tenths = [*deciles(draws, density, range(1, 11)).values()]
    assert all(tenth.shape == (20, 3) for tenth in tenths)
    for rarer, denser in pairwise(tenths):
        assert rarer.norm(dim=1).min() >= denser.norm(dim=1).max()
    assert torch.cat(tenths).sort(0).values.equal(draws.sort(0).values)
    rows = [(draws == z).all(1).nonzero().item() for z in tenths[0]]
    assert rows == sorted(rows)


def test_class_pairs_are_all_taken_before_one_returns() -> None:
    pairs = [tuple(pair) for pair in class_pairs(13, 4).tolist()]
    assert len(set(pairs[:12])) == 12
    assert pairs[12] == pairs[0]
    assert all(a != b for a, b in pairs)
    assert [a for a, _ in pairs[:5]] == [0, 1, 2, 3, 0]
    assert class_pairs(3, 2).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_gap_is_half_way_and_as_wide_as_the_classes() -> None:
    """Two classes 8 apart along the first axis, of variances 1 and 3 there."""
    gaussians = ClassGaussians(
        torch.tensor([0.5, 0.5]).double(),
        torch.tensor([[-4.0, 1.0], [4.0, 1.0]]).double(),
        torch.diag_embed(torch.tensor([[1.0, 2.0], [3.0, 4.0]]).double().sqrt()),
        torch.tensor([0, 1]),
    )
    z, apart = between_classes(gaussians, class_pairs(4000, 2), normal(4000, 2))
    torch.testing.assert_close(z.mean(0), torch.tensor([0.0, 1.0]), atol=0.15, rtol=0)
    torch.testing.assert_close(z.var(0), torch.tensor([2.0, 3.0]), rtol=0.1, atol=0)
    torch.testing.assert_close(apart, torch.full((4000,), 8.0 / math.sqrt(2.0)))


# --- the regions ---------------------------------------------------------------------------------


def test_regions_by_name(images: ImageArrays) -> None:
    encoded = toy_encoded(images)
    named = {region.key: region for region in regions(encoded, images, settings())}
    assert list(named) == [
        *("posterior", "image", "decile_1", "decile_5", "decile_10", "classes", "gap"),
        *("temperature_0.5", "prior", "shell_0.1", "shell_0.9", "far"),
    ]
    z = {key: region.z for key, region in named.items()}
    assert all(points.shape == (40, LATENT_DIM) for points in z.values())
    noise = normal(40, LATENT_DIM)
    torch.testing.assert_close(z["prior"], noise)
    torch.testing.assert_close(z["temperature_0.5"], 0.5 * noise)
    shown, _ = real_images(100, settings())
    spread = math.exp(-2.0)
    torch.testing.assert_close(z["posterior"], encoded.test.mu[shown] + spread * noise)
    torch.testing.assert_close(z["image"], encoded.test.mu[shown[0]] + spread * noise)
    torch.testing.assert_close(z["far"].norm(dim=1), torch.full((40,), 3.0 * math.sqrt(LATENT_DIM)))
    cosine = torch.nn.functional.cosine_similarity(z["far"], noise)
    torch.testing.assert_close(cosine, torch.ones(40))
    test_labels = torch.tensor(images.test.labels)
    for key, labels in (("posterior", test_labels[shown]), ("classes", torch.arange(40) % 2)):
        torch.testing.assert_close(named[key].labels, labels)
    assert named["image"].labels is named["prior"].labels is None


def test_class_samples_are_of_their_class(images: ImageArrays) -> None:
    encoded = toy_encoded(images)
    named = {region.key: region for region in regions(encoded, images, settings(samples=400))}
    z, labels = named["classes"].z, torch.tensor(images.train.labels)
    noise = normal(400, LATENT_DIM)
    for label in (0, 1):
        own = encoded.train.mu[labels == label]
        covariance = torch.cov(own.T, correction=0) + math.exp(-4.0) * torch.eye(LATENT_DIM)
        expected = own.mean(0) + noise[label::2] @ torch.linalg.cholesky(covariance).T
        torch.testing.assert_close(z[label::2], expected, atol=1e-3, rtol=1e-3)
    middle = torch.stack([encoded.train.mu[labels == label].mean(0) for label in (0, 1)]).mean(0)
    error = 5.0 * named["gap"].z.std(0) / math.sqrt(400)
    assert ((named["gap"].z.mean(0) - middle).abs() < error).all()
    assert (named["gap"].apart or 0.0) > 2.0  # one is darker on the left by 60 of 255


def test_shells_lie_at_quantiles_and_deciles_rise_in_density(images: ImageArrays) -> None:
    encoded = toy_encoded(images)
    chosen = settings(samples=200)
    named = {region.key: region.z for region in regions(encoded, images, chosen)}
    draws = draw_aggregated(encoded.test, 100_000, seeded(5)).norm(dim=1)
    for share in (0.1, 0.9):
        radius = named[f"shell_{share}"].norm(dim=1)
        torch.testing.assert_close(radius, radius[:1].expand(200))
        assert float((draws < radius[0]).float().mean()) == pytest.approx(share, abs=0.03)
    density = encoded.mixture.log_prob
    rare, middle, dense = (density(named[f"decile_{k}"]) for k in (1, 5, 10))
    assert rare.max() <= middle.min()
    assert middle.max() <= dense.min()


# --- measures ------------------------------------------------------------------------------------


class Sure:
    """Class 7 with certainty where the first coordinate is positive, else undecided."""

    classes_ = np.array([3, 7])

    def predict_proba(self, codes: Any) -> Any:
        return np.where(codes[:, :1] > 0, [[0.0, 1.0]], [[0.5, 0.5]])


def test_confidence_of_a_probe_that_is_sure() -> None:
    codes = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])
    trip = RoundTrip.of(Posterior(codes, torch.zeros(4, 2)))
    found = read(trip, Sure(), codes, codes, torch.tensor([7, 7, 3, 3]))
    assert found == {"round_trip": 0.0, "confidence": 0.875, "accuracy": 0.75}
    assert read(trip, Sure(), codes, codes + 2.0, None)["accuracy"] is None
    assert read(trip, None, codes, codes, None)["confidence"] is None


class Explored(NamedTuple):
    named: dict[str, list[Region]]
    samples: dict[str, dict[str, UInt8Array]]
    measured: dict[str, dict[str, dict[str, float | None]]]


@pytest.fixture
def explored(images: ImageArrays) -> Explored:
    models = {"one": toy_encoded(images), "points": toy_encoded(images, -math.inf)}
    named = {model: regions(encoded, images, settings()) for model, encoded in models.items()}
    measured, samples = measure(models, named, images, settings())
    return Explored(named, samples, measured)


def test_figures_of_a_model_that_is_consistent(explored: Explored) -> None:
    """Within the range that pixels can show; far outside, what is lost is lost."""
    for model, figures in explored.measured.items():
        assert [*figures] == ["data", *(region.key for region in explored.named[model])]
        for region in ("posterior", "image", "decile_10", "temperature_0.5"):
            assert figures[region]["round_trip"] == pytest.approx(0.0, abs=0.02)
        far, classes = figures["far"], figures["classes"]
        assert (far["round_trip"] or 0.0) > 0.2
        assert far["radius"] == pytest.approx(3.0)
        assert (figures["data"]["sharpness"], figures["data"]["diversity"]) == (1.0, 1.0)
        assert (classes["confidence"] or 0.0) > 0.7
        assert (classes["accuracy"] or 0.0) > 0.8
        assert figures["gap"]["apart"] == explored.named[model][6].apart
    assert explored.measured["points"]["data"]["round_trip"] == 0.0


def test_figures_against_their_own_definitions(explored: Explored, images: ImageArrays) -> None:
    shown, reference = (
        torch.tensor(images.test.images[rows.numpy()]).float() / 255.0
        for rows in real_images(100, settings())
    )
    patches = PatchReference(reference, seed=0)
    region = explored.named["one"][8]
    assert region.key == "prior"
    prior = torch.from_numpy(decode(toy_encoded(images).vae, region.z))
    shown_prior = explored.samples["one"]["prior"]
    np.testing.assert_array_equal(shown_prior, to_uint8(prior[: len(shown_prior)].numpy()))
    found = explored.measured["one"]
    assert found["data"]["swd"] == patches.distance(shown).mean
    assert found["prior"]["swd"] == patches.distance(prior).mean
    assert found["image"]["swd"] is found["image"]["accuracy"] is None
    distance = NearestSearch(images.train.images).find(prior).distance.mean()
    assert found["prior"]["nearest"] == pytest.approx(float(distance))
    sharp = float(sharpness(prior).mean() / sharpness(shown).mean())
    diverse = float(diversity(prior) / diversity(shown))
    assert found["prior"]["sharpness"] == pytest.approx(sharp)
    assert found["prior"]["diversity"] == pytest.approx(diverse)


@pytest.mark.parametrize(("tests", "real"), [(1, 1), (2, 1), (30, 15)])
def test_few_test_images(tmp_path: Path, tests: int, real: int) -> None:
    images = toy_data(tmp_path / "few", tests=tests, classes=1)
    found = explore({"conv": toy_encoded(images)}, images, settings(), tmp_path)
    assert found.facts["real"] == real
    figures = frame(found.figures)
    of = {source: mean(figures, "conv", "swd", source) for source in ("data", "posterior")}
    assert (of["data"] is None) == (of["posterior"] is None) == (tests == 1)
    assert (mean(figures, "conv", "diversity", "data") is None) == (real == 1)
    assert mean(figures, "conv", "confidence", "data") is None
    assert mean(figures, "conv", "round_trip", "posterior") == pytest.approx(0.0, abs=0.02)
    assert "classes" not in found.facts["names"]
