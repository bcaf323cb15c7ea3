"""Both latent stages on untrained models: what they write, and that they write it again."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

import interpolate
import latent_explore
from vaelab import tracking
from vaelab.data import arrays
from vaelab.data.shapes import FACTORS, SHAPES, draw, sample_factors
from vaelab.errors import UserError
from vaelab.models import seed_dir
from vaelab.models.conv import build_conv, conv_config
from vaelab.models.fc import build_fc, fc_config
from vaelab.settings import load_settings

PARAMS = Path(__file__).parents[1] / "params.yaml"


class Recorder:
    """Stands for MLflow's run."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.metrics: dict[str, float | None] = {}
        self.artifacts: list[tuple[Path, str | None]] = []

    @contextmanager
    def run(self, stage: str, settings: Any, meta: arrays.Meta, *, name: str) -> Iterator[Recorder]:
        self.names.append(name)
        yield self

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        self.metrics |= metrics

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        assert path.exists()
        self.artifacts.append((path, folder))


def write_data(
    folder: Path, *, known_factors: bool, grey: bool = False, tests: int = 30
) -> arrays.Meta:
    factors = sample_factors(90, seed=0)
    images = np.full((90, 3, 16, 16), 128, np.uint8) if grey else draw(factors, 16)
    kind = factors[:, 0].astype(np.int64) if known_factors else np.zeros(90, np.int64)
    every = arrays.Split(images, kind, factors if known_factors else None)
    return arrays.save(
        folder,
        {"train": every[:40], "val": every[40:60], "test": every[60 : 60 + tests]},
        name=folder.name,
        source={},
        class_names=SHAPES if known_factors else ["toys"],
        factor_names=FACTORS if known_factors else [],
        split_seed=0,
    )


def write_params(**changes: Any) -> None:
    tree = yaml.safe_load(PARAMS.read_text())
    tree["datasets"] = {"toys": {"source": "shapes", "image_size": 16, "count": 90}}
    tree["model"] |= {"latent_dim": 4, "fc": {"width": 8, "blocks": 1}, "conv": {"width": 2}}
    tree["train"] |= {"device": "cpu"}
    tree["interpolate"] = {"pairs": 2, "steps": 3, "seed": 0} | changes.pop("interpolate", {})
    tree["latent_explore"] |= {"samples": 9, "traversals": 6}
    Path("params.yaml").write_text(yaml.safe_dump(tree))


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    monkeypatch.setattr(tracking, "run", recorder.run)
    write_params()
    settings = load_settings().of("toys")
    torch.manual_seed(0)
    for vae in (
        build_fc(fc_config(settings.model, (3, 16, 16))),
        build_conv(conv_config(settings.model, (3, 16, 16))),
    ):
        vae.save(seed_dir(settings.model_dir(vae.config.architecture), 0))
    return recorder


def contents(*folders: str) -> dict[str, bytes]:
    files = [path for folder in folders for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path): path.read_bytes() for path in files}


def assert_links_work(report: Path) -> None:
    links = re.findall(r"\]\((.*?)\)", report.read_text())
    assert links
    assert all((report.parent / link).is_file() for link in links)


def test_interpolate(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    interpolate.main("toys")
    metrics = json.loads(Path("metrics/toys/interpolate.json").read_text())
    assert list(metrics) == ["fc", "conv", "pixels"]
    assert len({tuple(figures) for figures in metrics.values()}) == 1
    assert metrics["pixels"]["slerp_step"] is None
    assert metrics["fc"]["linear_detour"] >= 1.0
    assert_links_work(Path("reports/toys/interpolate.md"))
    assert recorder.names == ["interpolate-z4"]
    assert recorder.metrics["conv.slerp_step"] == pytest.approx(
        metrics["conv"]["slerp_step"], rel=1e-5
    )
    assert (Path("reports/toys/interpolate"), "interpolate") in recorder.artifacts

    first = contents("metrics", "reports")
    interpolate.main("toys")
    assert contents("metrics", "reports") == first


def test_interpolate_refuses_an_image_that_is_not_there(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    write_params(interpolate={"pairs": [[0, 30]]})
    with pytest.raises(UserError, match=r"interpolate\.pairs .* 30; allowed: 0 to 29"):
        interpolate.main("toys")
    assert not recorder.names
    assert not Path("reports").exists()


def test_latent_explore(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    latent_explore.main("toys")
    metrics = json.loads(Path("metrics/toys/latent_explore.json").read_text())
    assert metrics["data"]["data"] | {"nearest": 0} == {
        "radius": None, "sharpness": 1.0, "diversity": 1.0, "nearest": 0,
    }  # fmt: skip
    assert set(metrics["fc"]) == set(metrics["conv"]) == {"prior", "encodings"}
    assert metrics["fc"]["prior"]["radius"] == metrics["conv"]["prior"]["radius"]
    with Path("reports/toys/latent_explore/regions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    regions = [row["region"] for row in rows if row["model"] == "fc"]
    assert {"prior", "shell_0.5", "shell_1", "shell_1.5"} <= set(regions)
    assert [(row["model"], row["region"]) for row in rows] == [
        ("data", "data"),
        *(("fc", key) for key in regions),
        *(("conv", key) for key in regions),
    ]
    shell = next(row for row in rows if row["region"] == "shell_1.5")
    assert float(shell["radius"]) == pytest.approx(1.5)
    assert_links_work(Path("reports/toys/latent_explore.md"))
    assert recorder.names == ["latent_explore-z4"]
    assert recorder.metrics["fc.shell_1.sharpness"] is not None
    assert {f"fc.readout.{factor}" for factor in FACTORS} <= set(recorder.metrics)

    first = contents("metrics", "reports")
    latent_explore.main("toys")
    assert contents("metrics", "reports") == first


def test_latent_explore_without_classes_or_factors(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=False)
    latent_explore.main("toys")
    assert not any("readout" in name for name in recorder.metrics)
    assert "Around the mean encoding" in Path("reports/toys/latent_explore.md").read_text()


@pytest.mark.parametrize("changes", [{"grey": True}, {"tests": 1}, {"grey": True, "tests": 1}])
def test_images_that_do_not_vary(recorder: Recorder, changes: dict[str, Any]) -> None:
    write_data(Path("data/toys"), known_factors=True, **changes)
    latent_explore.main("toys")
    interpolate.main("toys")
    written = contents("metrics", "reports")
    texts = [data.decode() for name, data in written.items() if name.endswith((".json", ".md"))]
    assert len(texts) == 4
    assert not any(re.search(r"\b(nan|inf|infinity)\b", text, re.IGNORECASE) for text in texts)
    finite = [value for value in recorder.metrics.values() if value is not None]
    assert np.isfinite(finite).all()
    metrics = json.loads(written["metrics/toys/latent_explore.json"])
    assert metrics["fc"]["prior"]["diversity"] is None
