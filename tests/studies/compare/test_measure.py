"""What `compare` measures, each figure against one worked out in another way."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from toys import image_arrays

from vaelab import nets
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.bounds import bounds
from vaelab.metrics.frame import frame, rows
from vaelab.metrics.pca import fit_pca
from vaelab.settings import load_settings
from vaelab.studies.compare.measure import (
    Measured,
    _progress,
    choose,
    headline,
    measure,
    measure_mean_image,
    measure_pca,
    write_tables,
)
from vaelab.vae.inference import encode
from vaelab.vae.model import VAE, VAEConfig
from vaelab.vae.objective import kl_to_standard_normal
from vaelab.vae.pixels import psnr, to_floats

SETTINGS = load_settings(Path(__file__).parents[3] / "params.yaml").compare.model_copy(
    update={"elbo_samples": 3, "iw_samples": 5, "iw_images": 9, "seed": 2}
)


def arrays(folder: Path, classes: int = 2) -> ImageArrays:
    rng = np.random.default_rng(0)

    def draw(count: int) -> NDArray[np.uint8]:
        return rng.integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)

    return image_arrays(folder, draw, {"train": 40, "val": 5, "test": 23}, classes)


@pytest.fixture
def images(tmp_path: Path) -> ImageArrays:
    return arrays(tmp_path / "noise")


def build(**config: Any) -> VAE:
    torch.manual_seed(0)
    fields = {"latent_dim": 5, "likelihood": "bernoulli", "net": {"width": 4, "blocks": 0}} | config
    return nets.build(VAEConfig(architecture="conv", shape=(3, 16, 16), **fields))


def run(vae: VAE, images: ImageArrays) -> Measured:
    splits = encode(vae, images.train.images), encode(vae, images.test.images)
    return measure(vae, images, *splits, SETTINGS)


def test_figures_agree_with_their_parts(images: ImageArrays) -> None:
    vae = build()
    found = run(vae, images)
    test = images.test.images
    expected = bounds(vae, test, elbo_samples=3, iw_samples=5, iw_images=9, seed=2)._asdict()
    assert {key: found.figures[key] for key in expected} == pytest.approx(expected)
    assert found.figures["mse"] == pytest.approx(found.mse.mean().item())
    assert found.figures["psnr"] == pytest.approx(psnr(found.figures["mse"]))
    kl = kl_to_standard_normal(*encode(vae, test)).mean(0)
    torch.testing.assert_close(found.kl_per_dimension.float(), kl)
    parts = found.figures["mutual_information"] + found.figures["marginal_kl_upper"]
    assert found.figures["kl"] == pytest.approx(parts)
    assert found.figures["parameters"] == vae.parameter_count()
    assert "bits_per_dim" not in found.figures


def test_a_proper_likelihood_has_bits_per_dim(images: ImageArrays) -> None:
    figures = run(build(likelihood="discretized_logistic"), images).figures
    nats = figures["iw_bound"]
    assert figures["bits_per_dim"] == pytest.approx(-nats / (3 * 16 * 16 * math.log(2)))


def test_a_point_posterior_has_no_bound(images: ImageArrays) -> None:
    vae = build(posterior="point")
    figures = run(vae, images).figures
    assert not figures.keys() & {"elbo", "iw_bound", "kl", "mutual_information", "active_units"}
    pixels = to_floats(images.test.images)
    with torch.no_grad():
        log_prob = vae.likelihood.log_prob(pixels, vae.decode(vae.encode(pixels).mu))
    assert figures["reconstruction"] == pytest.approx(-log_prob.mean().item(), rel=1e-5)


def test_the_floors(images: ImageArrays) -> None:
    pca = fit_pca(images.train.images, 3)
    floor = measure_pca(pca, pca.encode(images.train.images), images, seed=0)
    assert (floor["parameters"], floor["macs"]) == (4 * 768, 2 * 3 * 768)
    assert floor.keys() >= {"psnr", "ssim", "probe_linear", "probe_knn"}
    mean = images.train.images.mean(0) / 255.0
    expected = np.square(images.test.images / 255.0 - mean).mean()
    assert measure_mean_image(images)["mse"] == pytest.approx(expected, rel=1e-5)


def test_without_classes_nothing_is_probed(tmp_path: Path) -> None:
    alike = arrays(tmp_path / "alike", classes=1)
    assert "probe_linear" not in run(build(), alike).figures


def test_choose() -> None:
    some = choose(100, 10, seed=0)
    assert len(set(some.tolist())) == 10
    assert some.tolist() == sorted(some.tolist())
    assert some.tolist() == choose(100, 10, seed=0).tolist() != choose(100, 10, seed=1).tolist()
    assert choose(4, 10, seed=0).tolist() == [0, 1, 2, 3]


@pytest.fixture
def figures() -> pd.DataFrame:
    return frame(
        rows("fc", {"elbo": 1.0, "psnr": 20.0}, seed=0),
        rows("fc", {"elbo": 2.0, "psnr": 20.0}, seed=3),
        rows("pca", {"psnr": 23.25}),
        rows("fc", {"swd": 50.0, "swd_16": 40.0}, seed=0, source="mixture"),
        rows("fc", {"swd": 52.0, "swd_16": 41.0}, seed=3, source="mixture"),
        rows("data", {"swd": 10.0, "swd_16": 9.0}, source="floor"),
    )


def test_the_headline_s_keys_are_always_the_same(figures: pd.DataFrame) -> None:
    found = headline(figures, ["fc"])
    known = {"elbo": 1.5, "kl": None, "psnr": 20.0, "swd": 51.0}
    assert found == {"fc": known, "pca": {"psnr": 23.25}}
    assert json.dumps(found)


def test_tables(figures: pd.DataFrame, tmp_path: Path) -> None:
    write_tables(figures, tmp_path)
    with (tmp_path / "table.csv").open() as file:
        lines = {(row["measure"], row["source"]): row for row in csv.DictReader(file)}
    assert list(lines)[:2] == [("elbo", ""), ("psnr", "")]
    assert float(lines["elbo", ""]["fc"]) == 1.5
    assert float(lines["elbo", ""]["fc_sd"]) == pytest.approx(math.sqrt(0.5), rel=1e-5)
    assert lines["elbo", ""]["pca"] == ""
    assert float(lines["swd_16", "floor"]["data"]) == 9.0
    text = (tmp_path / "table.md").read_text()
    assert "| PSNR, dB | 20.00 | **23.25** | – |" in text
    assert "swd_16" not in text


def test_progress_of_a_point_posterior_is_its_distortion_s() -> None:
    epochs = pd.DataFrame({"epoch": [1, 2, 3], "val_elbo": [-9.0, -5.0, -4.0]})
    ends = {"first": -9.0, "before_last": -5.0, "last": -4.0}
    course = ends | {"best": -4.0, "best_epoch": 3}
    assert _progress([epochs, epochs]) == course
    turned = epochs.assign(val_elbo=[-9.0, -3.0, -4.0])
    assert _progress([turned]) == course | {"before_last": -3.0, "best": -3.0, "best_epoch": 2}
    endless = epochs.assign(val_elbo=-math.inf, val_reconstruction=[9.0, 5.0, 4.0])
    assert _progress([endless]) == course
    once = _progress([epochs[:1]])
    assert once == dict.fromkeys((*ends, "best"), -9.0) | {"best_epoch": 1}
