"""latent/regions.py against independent references and cases with a known answer."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import image_arrays

from vaelab.data.arrays import ImageArrays, SplitName, UInt8Array
from vaelab.metrics.nearest import nearest
from vaelab.metrics.probes import LinearProbe
from vaelab.metrics.variation import diversity, sharpness
from vaelab.metrics.wasserstein import PatchReference
from vaelab.samplers.gaussians import ClassGaussians, fit_mixture
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.regions import (
    HEADLINE,
    Explored,
    Reader,
    RealImages,
    RoundTrip,
    between_classes,
    class_pairs,
    decile,
    draw_aggregated,
    draw_posteriors,
    explore_regions,
    regions,
    shell,
)
from vaelab.vae.inference import encode_means
from vaelab.vae.model import VAE, Posterior

SIDE = 16
LATENT_DIM = 4


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed))


def settings(**changes: Any) -> LatentExploreSettings:
    usual: dict[str, Any] = {
        **{"samples": 40, "shells": [0.1, 0.9], "temperatures": [0.5], "deciles": [1, 5, 10]},
        **{"far": 3.0, "traversals": 1, "directions": 1, "mapped": 50, "seed": 0},
    }
    return LatentExploreSettings(**{**usual, **changes})


class Quadrants(torch.nn.Module):
    """A VAE that says what it reads: z is the four quadrants' brightness, in units about 0.5.

    Within |z| < 2 a round trip is exact.
    """

    latent_dim = LATENT_DIM

    def __init__(self, logvar: float = -4.0) -> None:
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(()))
        self.logvar = logvar
        self.stochastic = math.isfinite(logvar)

    def encode(self, images: Tensor) -> Posterior:
        mu = 4.0 * torch.nn.functional.avg_pool2d(images, SIDE // 2).mean(1).flatten(1) - 2.0
        return Posterior(mu, torch.full_like(mu, self.logvar))

    def decode_mean(self, z: Tensor) -> Tensor:
        brightness = (0.25 * z + 0.5).clamp(0.0, 1.0).reshape(-1, 1, 2, 2)
        return brightness.repeat_interleave(SIDE // 2, 2).repeat_interleave(SIDE // 2, 3)


def draw(count: int) -> UInt8Array:
    """Noise, around a brightness of each quadrant; every second image darker on the left."""
    generator = np.random.default_rng(count)
    means = generator.uniform(90.0, 160.0, (count, 1, 2, 2))
    means[::2, :, :, 0] -= 60.0
    images = means.repeat(SIDE // 2, 2).repeat(SIDE // 2, 3)
    return np.clip(images + generator.normal(0.0, 5.0, images.shape), 0, 255).astype(np.uint8)


def toy_data(folder: Path, tests: int = 100, classes: int = 2) -> ImageArrays:
    counts: dict[SplitName, int] = {"train": 120, "val": 20, "test": tests}
    return image_arrays(folder, draw, counts, classes)


def toy_encoded(images: ImageArrays, logvar: float = -4.0) -> Encoded:
    return Encoded.of(cast("VAE", Quadrants(logvar)), images)


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


def test_posterior_draws_have_its_moments() -> None:
    posterior = Posterior(torch.tensor([[9.0, 9.0], [1.0, -2.0]]), torch.tensor([[0.0, -1.4]] * 2))
    z = draw_posteriors(posterior, torch.tensor([1]), normal(4000, 2))
    torch.testing.assert_close(z.mean(0), posterior.mu[1], atol=5 / math.sqrt(4000), rtol=0)
    torch.testing.assert_close(z.std(0), (0.5 * posterior.logvar[1]).exp(), rtol=0.06, atol=0)


def test_aggregated_draws_take_every_image_as_often() -> None:
    posterior = Posterior(torch.arange(7.0).unsqueeze(1), torch.full((7, 1), -math.inf))
    z = draw_aggregated(posterior, 21, seeded())
    assert z.flatten().long().bincount().tolist() == [3] * 7
    assert z.flatten()[:7].tolist() != list(range(7))


def test_deciles_by_density() -> None:
    draws = normal(200, 3)
    density = -draws.norm(dim=1)
    tenths = [decile(draws, density, k) for k in range(1, 11)]
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
    shown = RealImages.of(100, settings()).shown
    spread = math.exp(-2.0)
    torch.testing.assert_close(z["posterior"], encoded.test.mu[shown] + spread * noise)
    torch.testing.assert_close(z["image"], encoded.test.mu[shown[0]] + spread * noise)
    torch.testing.assert_close(z["far"].norm(dim=1), torch.full((40,), 3.0 * math.sqrt(LATENT_DIM)))
    cosine = torch.nn.functional.cosine_similarity(z["far"], noise)
    torch.testing.assert_close(cosine, torch.ones(40))
    test_labels = torch.tensor(images.test.labels)
    for key, labels in (
        ("posterior", test_labels[shown]),
        ("classes", torch.arange(40) % 2),
    ):
        found = named[key].labels
        assert found is not None
        assert found.equal(labels)
    assert named["image"].labels is named["prior"].labels is None


def test_class_samples_start_from_the_same_noise_and_are_of_their_class(
    images: ImageArrays,
) -> None:
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
    apart = named["gap"].apart
    assert apart is not None
    assert apart > 2.0  # images of one class are darker on the left by 60 of 255


def test_shells_lie_at_quantiles_and_deciles_rise_in_density(images: ImageArrays) -> None:
    encoded = toy_encoded(images)
    chosen = settings(samples=200)
    named = {region.key: region.z for region in regions(encoded, images, chosen)}
    draws = draw_aggregated(encoded.test, 100_000, seeded(5)).norm(dim=1)
    for share in (0.1, 0.9):
        radius = named[f"shell_{share}"].norm(dim=1)
        torch.testing.assert_close(radius, radius[:1].expand(200))
        assert float((draws < radius[0]).float().mean()) == pytest.approx(share, abs=0.03)
    density = fit_mixture(encoded.train, seed=0, components=5).log_prob
    rare, middle, dense = (density(named[f"decile_{k}"]) for k in (1, 5, 10))
    assert rare.max() <= middle.min()
    assert middle.max() <= dense.min()


@pytest.mark.parametrize("classes", [1, 120])
def test_labels_that_group_nothing_have_no_regions(tmp_path: Path, classes: int) -> None:
    images = toy_data(tmp_path / "toy", classes=classes)
    keys = {region.key for region in regions(toy_encoded(images), images, settings())}
    assert not keys & {"classes", "gap"}


def test_regions_of_two_models_differ_in_z_alone(images: ImageArrays) -> None:
    one, other = (regions(toy_encoded(images, v), images, settings()) for v in (-4.0, -math.inf))
    assert [region[:3] for region in one] == [region[:3] for region in other]


@pytest.mark.parametrize(("count", "n"), [(100, 40), (30, 15), (3, 1)])
def test_real_images_are_two_disjoint_sets(count: int, n: int) -> None:
    real = RealImages.of(count, settings())
    assert len(real.shown) == len(real.reference) == n
    assert len({*real.shown.tolist(), *real.reference.tolist()}) == 2 * n
    assert max(*real.shown.tolist(), *real.reference.tolist()) < count


def test_a_single_real_image_has_no_reference() -> None:
    real = RealImages.of(1, settings())
    assert real.shown.tolist() == [0]
    assert len(real.reference) == 0


# --- measures ------------------------------------------------------------------------------------


def test_round_trip_of_known_misses() -> None:
    """Dimensions of signal 1, of signal and noise alike, and of noise alone."""
    mu = torch.tensor([[1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
    logvar = torch.tensor([[-math.inf, 0.0, 0.0]] * 2)
    trip = RoundTrip.of(Posterior(mu, logvar))
    torch.testing.assert_close(trip.weight, torch.tensor([1.0, 0.5, 0.0]).double())
    z = torch.tensor([[3.0, 0.0, 5.0], [0.0, 4.0, 7.0]])
    assert trip.miss(z, z) == 0.0
    assert trip.miss(z, torch.zeros(2, 3)) == pytest.approx(1.0)
    back = z + torch.tensor([1.0, 1.0, 100.0])
    assert trip.miss(z, back) == pytest.approx(math.sqrt(3.0 / (9.0 + 8.0)))


def test_round_trip_of_a_code_that_tells_nothing() -> None:
    z = normal(10, 2)
    assert RoundTrip.of(Posterior(torch.zeros(5, 2), torch.zeros(5, 2))).miss(z, z + 1.0) is None
    still = Posterior(torch.ones(5, 2), torch.full((5, 2), -math.inf))
    assert RoundTrip.of(still).miss(z, z + 1.0) is None


class Sure:
    """Class 7 with certainty where the first coordinate is positive, else undecided."""

    def predict_proba(self, codes: Any) -> Any:
        return np.where(codes[:, :1] > 0, [[0.0, 1.0]], [[0.5, 0.5]])


def test_confidence_of_a_probe_that_is_sure() -> None:
    codes = torch.tensor([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [-1.0, 0.0]])
    trip = RoundTrip.of(Posterior(codes, torch.zeros(4, 2)))
    reader = Reader(trip, LinearProbe(torch.tensor([3, 7]), Sure()))
    read = reader.read(codes, codes, torch.tensor([7, 7, 3, 3]))
    assert (read["confidence"], read["accuracy"]) == (pytest.approx(0.875), pytest.approx(0.75))
    assert (read["round_trip"], read["round_trip_rmse"]) == (0.0, 0.0)
    assert reader.read(codes, codes + 2.0, None)["accuracy"] is None
    assert reader.read(codes, codes + 2.0, None)["round_trip_rmse"] == pytest.approx(2.0)
    assert Reader(trip, None).read(codes, codes, None)["confidence"] is None


def test_encoding_decoded_images(images: ImageArrays) -> None:
    vae = cast("VAE", Quadrants())
    z = normal(600, LATENT_DIM).clamp(-1.9, 1.9)
    torch.testing.assert_close(encode_means(vae, vae.decode_mean(z)), z, atol=1e-5, rtol=0)


@pytest.fixture
def explored(images: ImageArrays) -> Explored:
    models = {"fc": toy_encoded(images), "conv": toy_encoded(images, -math.inf)}
    return explore_regions(models, images, settings())


def test_rows_of_both_models(explored: Explored) -> None:
    regions_of_one = ["data", *(region.key for region in explored.regions["fc"])]
    assert [row["region"] for row in explored.rows] == 2 * regions_of_one
    assert [row["model"] for row in explored.rows] == sorted(
        (row["model"] for row in explored.rows), reverse=True
    )
    assert all(list(row) == list(explored.rows[0]) for row in explored.rows)
    assert explored.shown.shape == (40, 1, SIDE, SIDE)
    assert all(x.shape == (40, 1, SIDE, SIDE) for x in explored.samples["conv"])


def test_figures_of_a_model_that_is_consistent(explored: Explored) -> None:
    """Within the range that pixels can show; far outside, what is lost is lost."""
    found = explored.metrics()
    for model, noise in (("fc", math.exp(-2.0)), ("conv", 0.0)):
        figures = found[model]
        for region in ("posterior", "image", "decile_10", "temperature_0.5"):
            assert figures[region]["round_trip"] == pytest.approx(0.0, abs=0.02)
        far = figures["far"]["round_trip"]
        assert far is not None
        assert far > 0.2
        drawn = figures["data"]["round_trip_rmse"]
        assert drawn == pytest.approx(noise, rel=0.15, abs=1e-6)
        assert figures["far"]["radius"] == pytest.approx(3.0)
        assert (figures["data"]["sharpness"], figures["data"]["diversity"]) == (1.0, 1.0)
        confidence, accuracy = (figures["classes"][key] for key in ("confidence", "accuracy"))
        assert confidence is not None
        assert confidence > 0.7
        assert accuracy is not None
        assert accuracy > 0.8
        assert figures["gap"]["apart"] == explored.regions[model][6].apart


def test_figures_against_their_own_definitions(explored: Explored, images: ImageArrays) -> None:
    real = RealImages.of(100, settings())
    shown, reference = (
        torch.tensor(images.test.images[rows.numpy()]).float() / 255.0
        for rows in (real.shown, real.reference)
    )
    patches = PatchReference(reference, seed=0)
    found = explored.metrics()
    assert found["fc"]["data"]["swd"] == patches.distance(shown).mean
    prior = torch.from_numpy(explored.samples["fc"][8])
    assert explored.regions["fc"][8].key == "prior"
    assert found["fc"]["prior"]["swd"] == patches.distance(prior).mean
    assert found["fc"]["image"]["swd"] is found["fc"]["image"]["accuracy"] is None
    distance = nearest([prior], images.train.images)[0].distance.mean()
    assert found["fc"]["prior"]["nearest"] == pytest.approx(float(distance))


def test_headline_has_the_same_keys_for_every_model(explored: Explored) -> None:
    for figures in explored.headline().values():
        assert tuple(figures) == HEADLINE["regions"]
        for each in figures.values():
            assert tuple(each) == HEADLINE["measures"]


@pytest.mark.parametrize(("tests", "real"), [(1, 1), (2, 1), (30, 15)])
def test_few_test_images(tmp_path: Path, tests: int, real: int) -> None:
    images = toy_data(tmp_path / "few", tests=tests, classes=1)
    explored = explore_regions({"conv": toy_encoded(images)}, images, settings())
    assert len(explored.shown) == real
    data, posterior, *_ = explored.rows
    assert (data["swd"] is None) == (posterior["swd"] is None) == (tests == 1)
    assert (data["diversity"] is None) == (real == 1)
    assert data["confidence"] is None
    assert posterior["round_trip"] == pytest.approx(0.0, abs=0.02)


def test_the_same_again(images: ImageArrays) -> None:
    first, second = (
        explore_regions({"fc": toy_encoded(images)}, images, settings()) for _ in range(2)
    )
    assert first.rows == second.rows


def test_sharpness_and_diversity_are_beside_the_real_images(explored: Explored) -> None:
    shown = torch.from_numpy(explored.shown).float() / 255.0
    for model, figures in explored.metrics().items():
        prior = torch.from_numpy(explored.samples[model][8])
        assert explored.regions[model][8].key == "prior"
        sharp = float(sharpness(prior).mean() / sharpness(shown).mean())
        diverse = float(diversity(prior) / diversity(shown))
        assert not {sharp, diverse} & {1.0}
        assert figures["prior"]["sharpness"] == pytest.approx(sharp)
        assert figures["prior"]["diversity"] == pytest.approx(diverse)
