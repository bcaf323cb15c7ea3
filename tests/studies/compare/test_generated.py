"""Where latents come from and how the images are judged: who is compared with whom."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from toys import image_arrays

from vaelab import nets
from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.metrics import wasserstein
from vaelab.metrics.frame import frame, mean
from vaelab.metrics.inception import InceptionDistances
from vaelab.metrics.pca import fit_pca
from vaelab.settings import load_settings
from vaelab.studies.compare import generated as generation
from vaelab.studies.compare.generated import (
    RECONSTRUCTION,
    RealImages,
    fit_samplers,
    generate,
    generate_by_pca,
    generate_classes,
    judge,
    judge_all,
)
from vaelab.vae.inference import Decoded, decode, encode
from vaelab.vae.model import VAE, VAEConfig
from vaelab.vae.pixels import to_uint8

CPU = torch.device("cpu")
SETTINGS = load_settings(Path(__file__).parents[3] / "params.yaml").compare.model_copy(
    update={"generated": 64, "mixture_components": 2, "flow_steps": 3}
)


def arrays(folder: Path, classes: int = 2, test: int = 200) -> ImageArrays:
    rng = np.random.default_rng(0)

    def draw(count: int) -> NDArray[np.uint8]:
        level = rng.integers(40, 216, (count, 3, 1, 1))
        return (level + rng.integers(-40, 40, (count, 3, 16, 16))).astype(np.uint8)

    return image_arrays(folder, draw, {"train": 90, "val": 5, "test": test}, classes)


@pytest.fixture
def images(tmp_path: Path) -> ImageArrays:
    return arrays(tmp_path / "noise")


def test_the_two_halves_share_no_image(images: ImageArrays) -> None:
    real = RealImages.of(images, SETTINGS)
    assert len(real.reference) == len(real.other) == 64
    np.testing.assert_array_equal(images.test.images[real.other_index.numpy()], real.other[:])
    as_bytes = [{image.tobytes() for image in half} for half in (real.reference, real.other)]
    assert not as_bytes[0] & as_bytes[1]


def test_few_test_images_are_halved(tmp_path: Path) -> None:
    real = RealImages.of(arrays(tmp_path / "few", test=21), SETTINGS)
    assert len(real.reference) == len(real.other) == 10


def small_vae() -> VAE:
    torch.manual_seed(0)
    shared = {"shape": (3, 16, 16), "latent_dim": 4, "likelihood": "gaussian"}
    return nets.build(VAEConfig(architecture="conv", net={"width": 4, "blocks": 0}, **shared))


def test_samplers_and_what_is_generated(images: ImageArrays) -> None:
    vae = small_vae()
    train, test = encode(vae, images.train.images), encode(vae, images.test.images)
    samplers = fit_samplers(train, images.train.labels, SETTINGS, CPU)
    assert list(samplers) == ["prior", "tempered", "mixture", "class", "flow"]
    unlabelled = fit_samplers(train, np.zeros(90, np.int64), SETTINGS, CPU)
    assert list(unlabelled) == ["prior", "tempered", "mixture", "flow"]

    real = RealImages.of(images, SETTINGS)
    generated = generate(vae, samplers, test, real, seed=1)
    assert list(generated) == [RECONSTRUCTION, *samplers]
    assert {group.shape for group in generated.values()} == {(64, 3, 16, 16)}
    z = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    for source, codes in (
        (RECONSTRUCTION, encode(vae, real.other).mu),
        ("prior", z),
        ("tempered", SETTINGS.temperature * z),
    ):
        expected = to_uint8(decode(vae, codes))
        np.testing.assert_array_equal(generated[source][:], expected)
        np.testing.assert_array_equal(generated[source][3:9], expected[3:9])


def test_pca_samples_have_the_mean_and_spread_of_the_images(images: ImageArrays) -> None:
    pca = fit_pca(images.train.images, 5)
    real = RealImages.of(images, SETTINGS.model_copy(update={"generated": 100}))
    generated = generate_by_pca(pca, pca.encode(images.train.images), real, seed=0)
    reconstructed = to_uint8(pca.reconstruct(real.other))
    np.testing.assert_array_equal(generated[RECONSTRUCTION][:], reconstructed)
    level = generated["prior"][:].mean((1, 2, 3))
    true = images.train.images.mean((1, 2, 3))
    assert level.mean() == pytest.approx(true.mean(), abs=10.0)
    assert level.std() == pytest.approx(true.std(), rel=0.3)


def test_judging_ranks_real_images_before_spoilt_ones(images: ImageArrays) -> None:
    real = RealImages.of(images, SETTINGS)
    groups = {
        "real": real.other,
        "flat": np.full_like(real.other[:], 128),
        "train": images.train.images[:64],
    }
    rows = judge(real, groups, CPU)
    assert rows["flat"]["swd"] > 3 * rows["real"]["swd"]
    assert rows["train"]["nearest"] == pytest.approx(0.0, abs=1e-3)
    assert rows["real"]["nearest"] > 0.02
    assert set(rows["real"]) == {"swd", "swd_16", "nearest"}


def test_no_set_is_held(images: ImageArrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked of a set of images is asked of some of them at a time."""
    asked: list[int] = []

    class Watched(Decoded):
        def __getitem__(self, rows: slice | NDArray[np.int64]) -> UInt8Array:
            found = super().__getitem__(rows)
            asked.append(len(found))
            return found

    vae, real = small_vae(), RealImages.of(images, SETTINGS)
    monkeypatch.setattr(wasserstein, "CHUNK", 10 * 3 * 16 * 16)
    monkeypatch.setattr(generation, "NEAREST", 8)
    few = judge(real, {"prior": Watched.by(vae, torch.zeros(64, 4))}, CPU)
    assert max(asked) == 10
    assert sum(asked) == 64 + 8
    monkeypatch.undo()
    monkeypatch.setattr(generation, "NEAREST", 8)
    whole = judge(real, {"prior": Decoded.by(vae, torch.zeros(64, 4))}, CPU)
    assert few["prior"] == pytest.approx(whole["prior"], rel=1e-5)


def test_nearest_images_are_looked_for_among_all_of_a_set(
    images: ImageArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Splits lie sorted by class: the first images of a set stand for one class."""
    real = RealImages.of(images, SETTINGS)
    half_flat = np.where(np.arange(64).reshape(-1, 1, 1, 1) < 32, 128, real.other[:]).astype(
        np.uint8
    )
    monkeypatch.setattr(generation, "NEAREST", 32)
    found = judge(
        real, {"half": half_flat, "real": real.other, "flat": half_flat[:1].repeat(64, 0)}, CPU
    )
    distances = {name: row["nearest"] for name, row in found.items()}
    assert min(distances["real"], distances["flat"]) < distances["half"]
    assert distances["half"] < max(distances["real"], distances["flat"])


def test_samples_of_each_class_in_turn(images: ImageArrays) -> None:
    vae = small_vae()
    train = encode(vae, images.train.images)
    samplers = fit_samplers(train, images.train.labels, SETTINGS, CPU)
    assert generate_classes(vae, samplers["class"], seed=0).shape == (20, 3, 16, 16)


def test_inception_distances_reach_their_rows(
    images: ImageArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealImages.of(images, SETTINGS)

    def by_first_pixel(reference, groups, **options):  # type: ignore[no-untyped-def]
        assert options["weights"] is None
        found = {name: {"fid": float(x[:1][0, 0, 0, 0]), "kid": 0.25} for name, x in groups.items()}
        return InceptionDistances(found, {"weights": "those of a test"})

    monkeypatch.setattr(generation, "inception_distances", by_first_pixel)
    groups = {
        ("fc", 0): {"prior": real.other},
        ("fc", 1): {"prior": real.other, "flow": real.reference},
        ("data", None): {"floor": real.other},
    }
    table, conditions = judge_all(real, groups, None, 0, CPU)
    figures = frame(*table)
    assert conditions == {"weights": "those of a test"}
    assert mean(figures, "fc", "fid", "flow") == float(real.reference[:][0, 0, 0, 0])
    assert mean(figures, "data", "kid", "floor") == 0.25
    assert figures["seed"].dropna().unique().tolist() == [0, 1]


def test_what_is_not_measured_says_why(
    images: ImageArrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = RealImages.of(images, SETTINGS)
    monkeypatch.setattr(
        generation,
        "inception_distances",
        lambda *a, **k: InceptionDistances({}, {"reason": "no net today"}),
    )
    table, conditions = judge_all(real, {("pca", None): {"prior": real.other}}, None, 0, CPU)
    assert conditions == {"reason": "no net today"}
    assert "fid" not in set(frame(*table)["measure"])
