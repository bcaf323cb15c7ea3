"""The stage `latent_explore` on untrained models: what it writes, and that it writes it again."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import Recorder, assert_links_work, contents, save_models, write_data, write_params

import chapters.dimensions
import chapters.map
import latent_explore
from vaelab.data.arrays import ImageArrays
from vaelab.nets.saved import load_vae
from vaelab.runtime.errors import UserError
from vaelab.settings import load_settings
from vaelab.sources.shapes import FACTORS
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.map import principal_components

GROUPS = {"encodings", "posterior", "prior", "scores", "directions"}
REPORT = Path("reports/toys/latent_explore.md")


def keys(tree: dict[str, Any]) -> dict[str, Any]:
    return {group: sorted(figures) for group, figures in tree.items()}


def test_latent_explore(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    latent_explore.main("toys")
    metrics = json.loads(Path("metrics/toys/latent_explore.json").read_text())
    assert set(metrics) == {"fc", "conv"}
    assert set(metrics["fc"]) == GROUPS
    assert keys(metrics["fc"]) == keys(metrics["conv"])
    with Path("reports/toys/latent_explore/regions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    regions = [row["region"] for row in rows if row["model"] == "fc"]
    assert regions == [row["region"] for row in rows if row["model"] == "conv"]
    assert {"posterior", "prior", "decile_1", "decile_10", "classes", "far"} <= set(regions)
    for row in rows:
        if row["region"] == "far":
            assert float(row["radius"]) == pytest.approx(3.0)
    assert_links_work(REPORT)
    text = REPORT.read_text()
    anchors = re.findall(r"\]\(#(.*?)\)", text)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert set(anchors) == {heading.lower().replace(" ", "-") for heading in headings}
    assert recorder.names == ["latent_explore-z4"]
    assert {f"fc.readout.{factor}" for factor in FACTORS} <= set(recorder.metrics)

    first = contents("metrics", "reports")
    latent_explore.main("toys")
    assert contents("metrics", "reports") == first


def test_without_classes_or_factors(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=False)
    latent_explore.main("toys")
    assert not any("readout" in name for name in recorder.metrics)
    metrics = json.loads(Path("metrics/toys/latent_explore.json").read_text())
    assert set(metrics["fc"]) == GROUPS
    assert metrics["fc"]["directions"]["auc"] is None
    assert_links_work(REPORT)


@pytest.mark.parametrize("changes", [{"grey": True}, {"tests": 1}, {"grey": True, "tests": 1}])
def test_images_that_do_not_vary(recorder: Recorder, changes: dict[str, Any]) -> None:
    write_data(Path("data/toys"), known_factors=True, **changes)
    latent_explore.main("toys")
    assert_plain(recorder)
    metrics = json.loads(Path("metrics/toys/latent_explore.json").read_text())
    assert metrics["fc"]["prior"]["diversity"] is None


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_few_dimensions(recorder: Recorder, latent_dim: int) -> None:
    save_models(latent_dim=latent_dim)
    write_data(Path("data/toys"), known_factors=True)
    latent_explore.main("toys")
    assert_plain(recorder)


def test_an_autoencoder(recorder: Recorder) -> None:
    save_models(posterior="point")
    write_data(Path("data/toys"), known_factors=True)
    latent_explore.main("toys")
    assert_plain(recorder)
    metrics = json.loads(Path("metrics/toys/latent_explore.json").read_text())
    assert metrics["fc"]["encodings"]["kl"] is None


def test_a_direction_of_nothing(recorder: Recorder) -> None:
    write_params(latent_explore={"directions": ["smiling"]})
    write_data(Path("data/toys"), known_factors=True)
    with pytest.raises(UserError, match="names 'smiling'; allowed: square, ellipse, heart"):
        latent_explore.main("toys")


def assert_plain(recorder: Recorder) -> None:
    """Nothing that is not a number reaches a reader; an infinite KL is the exception, in words."""
    written = contents("metrics", "reports")
    texts = [data.decode() for name, data in written.items() if name.endswith((".json", ".md"))]
    assert len(texts) == 2
    assert not any(re.search(r"\b(nan|inf|infinity)\b", text) for text in texts)
    known = {key: value for key, value in recorder.metrics.items() if value is not None}
    assert [key for key, value in known.items() if np.isnan(value)] == []
    assert_links_work(REPORT)


def load_encoded(images: ImageArrays) -> dict[str, Encoded]:
    settings, device = load_settings().of("toys"), torch.device("cpu")
    return {
        model: Encoded.of(load_vae(settings.model_dir(model), device), images)
        for model in ("fc", "conv")
    }


def test_what_readers_are_fitted_to_and_scored_on(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Factors: fitted to the validation split. Classes: to the training split. Scored on test."""
    calls: dict[str, list[list[torch.Tensor]]] = {}

    def watch(module: Any, name: str) -> None:
        function = getattr(module, name)
        key = f"{module.__name__}.{name}"

        def watched(*arguments: Any) -> Any:
            calls.setdefault(key, []).append([x for x in arguments if torch.is_tensor(x)])
            return function(*arguments)

        monkeypatch.setattr(module, name, watched)

    for module, name in (
        (chapters.map, "read_factors"),
        (chapters.dimensions, "read_factors"),
        (chapters.dimensions, "disentanglement"),
        (chapters.dimensions.dims, "best_by_class"),
        (chapters.dimensions.dims, "read_classes"),
    ):
        watch(module, name)
    write_data(Path("data/toys"), known_factors=True)
    images = ImageArrays.open(Path("data/toys"))
    encoded = load_encoded(images)
    for chapter in (chapters.map, chapters.dimensions):
        chapter.tell(encoded, images, load_settings().of("toys").latent_explore, Path("report"))

    val, test = (torch.tensor(split.factors) for split in (images.val, images.test))
    train_labels, test_labels = (torch.tensor(s.labels) for s in (images.train, images.test))
    models = encoded.values()
    on_map = [principal_components(each.test.mu).coordinates for each in models]
    by_factor = [[each.val.mu, val, each.test.mu, test] for each in models]
    by_class = [[each.train.mu, train_labels, each.test.mu, test_labels] for each in models]
    expected = {
        "chapters.map.read_factors": [[along, test, along, test] for along in on_map],
        "chapters.dimensions.read_factors": by_factor,
        "chapters.dimensions.disentanglement": by_factor,
        "vaelab.studies.latent.dimensions.best_by_class": by_class,
        "vaelab.studies.latent.dimensions.read_classes": by_class,
    }
    torch.testing.assert_close(calls, expected, rtol=0, atol=0)


@pytest.mark.parametrize("posterior", ["gaussian", "point"])
def test_what_a_dimension_holds_is_of_the_test_images(recorder: Recorder, posterior: str) -> None:
    save_models(posterior=posterior)
    write_data(Path("data/toys"), known_factors=True)
    for encoded in load_encoded(ImageArrays.open(Path("data/toys"))).values():
        mu, logvar = encoded.test
        kl = 0.5 * (mu**2 + logvar.exp() - 1.0 - logvar).mean(0)
        variance = (mu - mu.mean(0)).square().mean(0)
        torch.testing.assert_close(encoded.held, kl if posterior == "gaussian" else variance)
