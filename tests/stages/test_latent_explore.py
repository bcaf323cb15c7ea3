"""The stage `latent_explore` on untrained models: what it writes, and the page made of that."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from toys import (
    Recorder,
    contents,
    save_models,
    standard_mixture,
    write_data,
    write_params,
)

import latent_explore
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.frame import mean, read_frame
from vaelab.nets.saved import load_first
from vaelab.report.latent_explore import page
from vaelab.runtime.errors import UserError
from vaelab.studies.latent.encoded import Encoded

HEADLINE = ["prior_inside", "prior_round_trip", "same_class"]
REPORTS = Path("reports/toys")


def run(recorder: Recorder) -> tuple[dict[str, Any], pd.DataFrame]:
    """What it wrote: metrics and figures. Nothing that is not a number may reach a reader."""
    latent_explore.main("toys")
    metrics = json.loads(Path("metrics/toys/latent_explore.json").read_text())
    assert [list(figures) for figures in metrics.values()] == [HEADLINE] * len(metrics)
    known = {key: value for key, value in recorder.metrics.items() if value is not None}
    assert not [key for key, value in known.items() if value != value]
    text = page(REPORTS)
    assert not re.search(r"\b(nan|inf|infinity|None)\b", text)
    links = re.findall(r"\]\(([^#].*?)\)", text)
    assert all((REPORTS / link).is_file() for link in links)
    drawn = {path.name for path in (REPORTS / "latent_explore").glob("*.png")}
    assert drawn == {Path(link).name for link in links if link.endswith(".png")}
    return metrics, read_frame(REPORTS / "latent_explore" / "measures.csv")


def test_latent_explore(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    metrics, figures = run(recorder)
    assert list(metrics) == ["fc", "conv"]
    regions = figures[figures["measure"] == "round_trip"]
    sources = [regions[regions["model"] == model]["source"].tolist() for model in metrics]
    assert sources[0] == sources[1]
    assert {"data", "posterior", "prior", "decile_1", "classes", "far"} <= set(sources[0])
    assert mean(figures, "fc", "radius", "far") == pytest.approx(3.0)
    assert metrics["fc"]["prior_round_trip"] == mean(figures, "fc", "round_trip", "prior")
    assert recorder.names == ["latent_explore-z4"]
    assert recorder.metrics["conv.same_class"] == pytest.approx(
        metrics["conv"]["same_class"], rel=1e-5
    )
    facts = json.loads((REPORTS / "latent_explore" / "facts.json").read_text())
    assert list(facts) == [
        *("dataset", "latent_dim"),
        *("map", "regions", "dimensions", "directions"),
    ]

    first = contents("metrics", "reports")
    latent_explore.main("toys")
    assert contents("metrics", "reports") == first


def test_without_classes_or_factors(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=False)
    metrics, _ = run(recorder)
    assert metrics["fc"]["same_class"] is None
    assert metrics["fc"]["prior_inside"] is not None


@pytest.mark.parametrize("changes", [{"grey": True}, {"tests": 1}, {"grey": True, "tests": 1}])
def test_images_that_do_not_vary(recorder: Recorder, changes: dict[str, Any]) -> None:
    write_data(Path("data/toys"), known_factors=True, **changes)
    _, figures = run(recorder)
    assert mean(figures, "fc", "diversity", "prior") is None


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_few_dimensions(recorder: Recorder, latent_dim: int) -> None:
    save_models(latent_dim=latent_dim)
    write_data(Path("data/toys"), known_factors=True)
    run(recorder)


def test_an_autoencoder(recorder: Recorder) -> None:
    save_models(posterior="point")
    write_data(Path("data/toys"), known_factors=True)
    _, figures = run(recorder)
    assert mean(figures, "fc", "kl", "encodings") is None


def test_a_single_architecture(recorder: Recorder) -> None:
    shutil.rmtree("models/toys/fc")
    write_data(Path("data/toys"), known_factors=True)
    metrics, _ = run(recorder)
    assert list(metrics) == ["conv"]


def test_a_direction_of_nothing(recorder: Recorder) -> None:
    write_params(latent_explore={"directions": ["smiling"]})
    write_data(Path("data/toys"), known_factors=True)
    with pytest.raises(UserError, match="names 'smiling'; allowed: square, ellipse, heart"):
        latent_explore.main("toys")


@pytest.mark.parametrize("posterior", ["gaussian", "point"])
def test_what_a_dimension_holds_is_of_the_test_images(recorder: Recorder, posterior: str) -> None:
    save_models(posterior=posterior)
    write_data(Path("data/toys"), known_factors=True)
    images = ImageArrays.open(Path("data/toys"))
    for vae in load_first(Path("models/toys"), torch.device("cpu")).values():
        encoded = Encoded.of(vae, images, standard_mixture(vae.latent_dim))
        mu, logvar = encoded.test
        kl = 0.5 * (mu**2 + logvar.exp() - 1.0 - logvar).mean(0)
        variance = (mu - mu.mean(0)).square().mean(0)
        torch.testing.assert_close(encoded.held, kl if posterior == "gaussian" else variance)
