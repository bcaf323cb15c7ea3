"""The stage `interpolate` on untrained models: what it writes, and that it writes it again."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toys import Recorder, assert_links_work, contents, save_models, write_data, write_params

import interpolate
from vaelab.errors import UserError

METRICS = Path("metrics/toys/interpolate.json")
REPORT = Path("reports/toys/interpolate.md")


def test_what_it_writes(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    interpolate.main("toys")
    metrics = json.loads(METRICS.read_text())
    assert list(metrics) == ["pixels", "fc", "conv"]
    assert len({tuple(figures) for figures in metrics.values()}) == 1
    assert metrics["pixels"]["slerp_detour"] is None
    assert metrics["pixels"]["linear_detour"] == pytest.approx(1.0)
    assert metrics["fc"]["linear_detour"] >= 1.0
    assert_links_work(REPORT)
    assert recorder.names == ["interpolate-z4"]
    assert recorder.metrics["conv.geodesic_contrast"] == pytest.approx(
        metrics["conv"]["geodesic_contrast"], rel=1e-5
    )
    assert (REPORT.with_suffix(""), "interpolate") in recorder.artifacts

    with (REPORT.with_suffix("") / "measures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (1 + 2 * 3)
    counts = {row["pairs"]: int(row["count"]) for row in rows}
    assert counts["all"] == counts["within"] + counts["across"] == 6

    first = contents("metrics", "reports")
    interpolate.main("toys")
    assert contents("metrics", "reports") == first


def test_the_descent_lowers_the_energy(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    write_params(interpolate={"relaxation": 20, "steps": 5})
    interpolate.main("toys")
    assert re.search(r"energy by \d+% for\s+FC and \d+%\s+for\s+Conv", REPORT.read_text())


def test_own_files(recorder: Recorder, tmp_path: Path) -> None:
    write_data(Path("data/toys"), known_factors=True)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    write_params(
        interpolate={"pairs": [[3, "mine.png"]], "corners": ["mine.png", 1, 2, "mine.png"]}
    )
    interpolate.main("toys")
    assert_links_work(REPORT)
    pictures = sorted(path.name for path in REPORT.with_suffix("").glob("pair_*.png"))
    assert pictures == ["pair_1.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": [[0, 30]]}, r"interpolate\.pairs .* 30; allowed: 0 to 29"),
        ({"corners": [0, 1, 31, 2]}, r"interpolate\.corners .* 31; allowed: 0 to 29"),
        ({"pairs": [[0, "none.png"]]}, r"none\.png cannot be read"),
    ],
)
def test_a_picture_that_is_not_there(
    changes: dict[str, Any], message: str, recorder: Recorder
) -> None:
    write_data(Path("data/toys"), known_factors=True)
    write_params(interpolate=changes)
    with pytest.raises(UserError, match=message):
        interpolate.main("toys")
    assert not recorder.names
    assert not Path("reports").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"known_factors": False},
        {"grey": True},
        {"tests": 1},
        {"grey": True, "tests": 1, "known_factors": False},
    ],
)
def test_images_that_do_not_vary(changes: dict[str, Any], recorder: Recorder) -> None:
    write_data(Path("data/toys"), **{"known_factors": True, **changes})
    interpolate.main("toys")
    assert_no_figure_is_lost(recorder)


@pytest.mark.parametrize("model", [{"latent_dim": 1}, {"latent_dim": 2, "posterior": "point"}])
def test_other_latents(model: dict[str, Any], recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    save_models(**model)
    interpolate.main("toys")
    assert_no_figure_is_lost(recorder)
    assert json.loads(METRICS.read_text())["fc"]["geodesic_detour"] is not None


def assert_no_figure_is_lost(recorder: Recorder) -> None:
    for text in (METRICS.read_text(), REPORT.read_text()):
        assert not re.search(r"\b(nan|inf|infinity)\b|∞", text, re.IGNORECASE)
    finite = [value for value in recorder.metrics.values() if value is not None]
    assert np.isfinite(finite).all()
