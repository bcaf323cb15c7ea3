"""The page on interpolation, on made-up figures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaelab.report.interpolate import page
from vaelab.runtime.outputs import write_csv, write_json
from vaelab.studies.interpolate.measure import differences, summary
from vaelab.studies.interpolate.paths import PATH_KINDS

SNAPSHOT = Path(__file__).parent / "snapshots" / "interpolate.md"
FADE = {
    "detour": 1.0, "step_variation": 0.0, "middle_sharpness": 0.76, "middle_contrast": 0.73,
    "departure": 0.0, "nearest": 0.13, "ends": 0.0,
}  # fmt: skip
PATHS = {
    "detour": 1.02, "step_variation": 0.1, "middle_sharpness": 0.75, "middle_contrast": 0.78,
    "departure": 0.17, "nearest": 0.12, "ends": 0.06, "density": -0.001,
}  # fmt: skip
ONE_EACH = torch.tensor([[0, 0], [0, 1], [1, 1], [1, 0]])
SCATTER = torch.tensor([-0.03, 0.01, 0.03, -0.01])  # of the pairs: alike on all paths

Changes = dict[tuple[str, str], dict[str, float]]


def written(
    folder: Path,
    changes: Changes,
    models: tuple[str, ...] = ("fc", "conv"),
    labels: Tensor = ONE_EACH,
) -> str:
    """The page of figures that are those above but for the changes, on one line."""
    means = {("pixels", "linear"): FADE | changes.get(("pixels", "linear"), {})}
    means |= {(m, k): PATHS | changes.get((m, k), {}) for m in models for k in PATH_KINDS}
    figures = {
        row: {measure: value + SCATTER[: len(labels)] * value for measure, value in each.items()}
        for row, each in means.items()
    }
    into = folder / "toys" / "interpolate"
    write_csv(into / "measures.csv", summary(figures, labels))
    write_csv(into / "differences.csv", differences(figures))
    write_json(into / "facts.json", {"latent_dim": 16, "shown": 2, "near_originals": 0.14})
    return page(folder / "toys")


def words(text: str) -> str:
    return " ".join(text.split())


def every(models: tuple[str, ...] = ("fc", "conv"), **figures: float) -> Changes:
    return {(model, kind): figures for model in models for kind in PATH_KINDS}


def test_the_page(tmp_path: Path) -> None:
    changes: Changes = {
        ("fc", "slerp"): {"middle_contrast": 0.99, "departure": 0.24},
        ("conv", "slerp"): {"middle_contrast": 0.95, "departure": 0.3, "step_variation": 0.2},
        ("fc", "geodesic"): {"departure": 0.13},
        ("conv", "geodesic"): {"departure": 0.12},
    }
    assert written(tmp_path, changes) == SNAPSHOT.read_text("utf-8")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (every(departure=0.05), "All paths come close"),
        (every(departure=0.2), "No path comes close"),
        (
            {("fc", "geodesic"): {"departure": 0.09}},
            "Some paths come close to a cross-fade**: FC, ",
        ),
        (every(middle_contrast=0.6), "No path keeps as much contrast as the cross-fade"),
        ({("fc", "slerp"): {"middle_contrast": 0.9}}, "No kind of path has the most contrast"),
        (
            {(model, "geodesic"): {"departure": 0.3} for model in ("fc", "conv")},
            "Data-following paths keep further from a cross-fade",
        ),
        ({}, "FC and Conv differ in none of 15 figures of their paths**."),
    ],
)
def test_what_was_found(changes: Changes, sentence: str, tmp_path: Path) -> None:
    assert sentence in words(written(tmp_path, changes))


@pytest.mark.parametrize(
    ("models", "compared"), [(("conv",), 0), (("fc", "conv"), 1), (("fc", "conv", "toy"), 3)]
)
def test_each_two_models_are_compared(
    models: tuple[str, ...], compared: int, tmp_path: Path
) -> None:
    text = written(tmp_path, {}, models)
    assert text.count("of 15 figures") == compared
    assert text.count("\n| ") == 2 + 1 + 3 * len(models)


def test_figures_that_are_not_known(tmp_path: Path) -> None:
    """Of images that do not differ, and of a single class."""
    unknown = every(**dict.fromkeys(("detour", "departure", "middle_contrast"), float("nan")))
    text = written(tmp_path, unknown | {("pixels", "linear"): unknown["fc", "linear"]})
    assert "there is nothing to compare" in text
    assert "nan" not in text
    one_class = written(tmp_path, {}, labels=torch.zeros(4, 2, dtype=torch.long))
    assert "4 pairs of test images." in words(one_class)
