"""The page on latent space: as it is for made-up figures, and whatever is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vaelab.metrics.frame import Rows, frame, rows
from vaelab.report.latent_explore import page, regions_part
from vaelab.runtime.outputs import write_csv, write_json

SNAPSHOT = Path(__file__).parent / "snapshots" / "latent_explore.md"
ENCODINGS = {
    "kl": 20.0,
    "marginal_kl_lower": 6.0,
    "prior_inside": 0.33,
    "trust_pca": 0.6,
    "trust_tsne": 0.9,
    "same_class": 0.3,
    "same_class_chance": 0.1,
}
REGION = {
    "radius": 1.0,
    "sharpness": 0.5,
    "diversity": 0.9,
    "swd": 100.0,
    "nearest": 0.1,
    "round_trip": 0.2,
    "accuracy": None,
    "apart": None,
}
SPECIAL: dict[str, dict[str, float | None]] = {
    "data": {"radius": None, "sharpness": 1.0, "diversity": 1.0, "swd": 30.0, "accuracy": 0.7},
    "posterior": {},
    "decile_1": {"sharpness": 0.9, "nearest": 0.15},
    "decile_10": {"sharpness": 0.3, "nearest": 0.05},
    "classes": {"accuracy": 0.8},
    "gap": {"apart": 3.0},
    "prior": {"sharpness": 0.8, "swd": 250.0, "round_trip": 0.9},
    "shell_0.01": {"swd": 400.0},
    "shell_0.5": {"swd": 260.0, "round_trip": 0.8},
    "far": {"radius": 3.0, "swd": 900.0},
}
NAMES = {key: key for key in SPECIAL if key != "data"}


def figures(models: list[str], *, without: tuple[str, ...] = ()) -> pd.DataFrame:
    found: list[Rows] = []
    for i, model in enumerate(models):
        every = {"encodings": ENCODINGS} | {key: REGION | x for key, x in SPECIAL.items()}
        found.append(rows(model, {"dimension_pixels": 0.25}, source="z0"))
        for source, measured in every.items():
            known = {
                key: None if key in without or value is None else value + i / 100
                for key, value in measured.items()
            }
            if source not in without:
                found.append(rows(model, known, source=source))
    return frame(*found)


def facts(models: list[str], **changed: Any) -> dict[str, Any]:
    about_map = {
        "images": 1600,
        "mapped": 1600,
        "neighbours": 10,
        "stochastic": True,
        "read_best": {model: ["background_hue", 0.986] for model in models},
    }
    regions = {"names": NAMES, "samples": 256, "real": 256}
    dimensions = {"leading": dict.fromkeys(models, 0), "best": {}, "latent_dim": 8, "unit": "nats"}
    return {
        "dataset": "toys",
        "latent_dim": 8,
        "map": about_map | changed,
        "regions": regions,
        "dimensions": dimensions,
        "directions": {"groups": 0},
    }


def rendered(folder: Path, given: pd.DataFrame, conditions: dict[str, Any]) -> str:
    write_csv(folder / "latent_explore" / "measures.csv", given)
    write_json(folder / "latent_explore" / "facts.json", conditions)
    return page(folder)


def test_snapshot(tmp_path: Path) -> None:
    """Where a sentence is meant to change, delete the file, run this, and look at the new one."""
    text = rendered(tmp_path, figures(["fc", "conv"]), facts(["fc", "conv"]))
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(text, encoding="utf-8")
    assert text == SNAPSHOT.read_text(encoding="utf-8")


@pytest.mark.parametrize("models", [["conv"], ["fc", "conv"]])
@pytest.mark.parametrize(
    "without",
    [
        (),
        ("kl", "marginal_kl_lower"),  # an autoencoder
        ("same_class", "same_class_chance", "accuracy", "apart"),  # one class
        ("trust_tsne", "trust_pca"),
        ("swd",),
        ("sharpness", "diversity", "round_trip"),
    ],
)
def test_what_is_not_known_is_not_said(
    tmp_path: Path, models: list[str], without: tuple[str, ...]
) -> None:
    autoencoder, nothing_read = "kl" in without, dict.fromkeys(models)
    changed = {"stochastic": not autoencoder} | ({"read_best": nothing_read} if without else {})
    text = rendered(tmp_path, figures(models, without=without), facts(models, **changed))
    assert not re.search(r"\b(nan|None|inf|Undefined)\b|\{\{|\(\)", text)
    assert ("own class" in text) == ("same_class" not in without)
    assert ("background hue 0.99 (Conv)" in text) == (not without)
    assert ("In random directions" in text) == ("swd" not in without)
    assert ("FC" in text) == ("fc" in models)


def test_without_classes_and_with_a_single_decile_there_is_no_word_of_them(tmp_path: Path) -> None:
    gone = ("classes", "gap", "decile_10")
    conditions = facts(["fc"])
    conditions["regions"]["names"] = {key: key for key in NAMES if key not in gone}
    text = rendered(tmp_path, figures(["fc"], without=gone), conditions)
    assert "Class means" not in text
    assert "From the rarest" not in text


def test_the_shell_nearest_the_median_is_told_of() -> None:
    part = regions_part(figures(["fc", "conv"]), facts(["fc", "conv"])["regions"])
    assert part["shell_percent"] == 50.0
    assert part["shell"]["swd"] == {"fc": 260.0, "conv": 260.01}
    assert part["times"] == {"fc": 2.5, "conv": pytest.approx(250.01 / 100.01)}
    assert part["deciles"] == [1, 10]
    assert part["trend"]["sharpness"] == {"fc": "0.90, 0.30", "conv": "0.91, 0.31"}
