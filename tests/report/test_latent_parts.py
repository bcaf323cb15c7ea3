"""The page's parts on dimensions and directions, of made-up figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import pytest
from markdown_it import MarkdownIt

from vaelab.metrics.frame import Rows, frame, rows
from vaelab.report import latent_parts
from vaelab.report.render import render

WALK = {"walk_share": 0.9, "walk_share_other": 0.8, "walk_change": 0.05, "walk_shift": 0.4}
HITS = {"hit_c": 0.2, "hit_single": 0.6, "hit_mean": 0.7, "hit_mean_other": 0.65, "hit_real": 0.8}


def of_dimensions(
    models: list[str], *, factors: bool = False, classes: bool = False, **changes: Any
) -> dict[str, Any]:
    figures: Rows = rows("data", {"dimension_pixels": 0.857, "dimension_rmse": 0.22})
    best: dict[str, Any] = {}
    for i, model in enumerate(models):
        for source, pixels in (("z3", 0.238), ("z7", 0.304 + 0.1 * i)):
            figures += rows(model, {"dimension_pixels": pixels}, source=source)
        if classes:
            accuracies = {"class_one": 0.17, "class_every": 0.38 + 0.1 * i, "class_chance": 0.1}
            figures += rows(model, accuracies)
        if factors:
            figures += rows(model, {"mig": 0.017 + i, "sap": 0.05, "dci_completeness": None})
            for name, read in (("x", 0.4 + 0.2 * i), ("background_hue", 0.99), ("size", None)):
                figures += rows(model, {"readout": read}, source=name)
            told = {"information": 0.165, "information_chance": 0.012}
            figures += rows(model, told, source="background_hue")
            best[model] = {"background_hue": [5, 9]}
    facts = {"latent_dim": 16, "unit": "nats", "leading": {m: [3, 7] for m in models}}
    return latent_parts.dimensions(frame(figures), facts | {"best": best} | changes)


def of_directions(
    models: list[str],
    *,
    auc: float | None = 0.9,
    held: bool = True,
    measured: dict[str, float] = WALK | HITS,
    cosine: float = 0.8,
    names: Sequence[str] = ("smiling_now", "hat"),
) -> dict[str, Any]:
    figures: Rows = []
    for i, model in enumerate(models):
        for name, less in zip(names, (0.0, 0.1), strict=True):
            value = auc and auc - less + 0.01 * i
            told = {"auc": value, "auc_chance": auc and 0.537}
            figures += rows(model, told | measured, source=name)
        figures += rows(model, {"auc": auc})
    return latent_parts.directions(
        frame(figures),
        {
            "groups": 2,
            "level": 0.05,
            "chosen": names,
            "held": {model: names if held else [] for model in models},
            "judges": {model: [model] for model in models},
            "closest": {"names": names, "cosines": dict.fromkeys(models, cosine)},
        },
    )


def text_of(part: str, context: dict[str, Any]) -> str:
    text = render(f"latent_{part}.md.j2", **{part: context})
    assert not re.search(r"\b(nan|None|inf)\b", text)
    return text


@pytest.mark.parametrize("models", [["fc"], ["fc", "conv", "third"]])
@pytest.mark.parametrize("factors", [False, True])
@pytest.mark.parametrize("classes", [False, True])
def test_dimensions(models: list[str], factors: bool, classes: bool) -> None:
    found = of_dimensions(models, factors=factors, classes=classes)
    text = text_of("dimensions", found)
    assert ("dimensions_factors.png" in text) == factors
    assert ("linear probe" in text) == (classes and factors)  # else it is the finding, or unknown
    assert len(found["scores"]) == (2 if factors else 0)
    assert all(len(row) == len(found["columns"]) for row in found["by_factor"])
    assert "MIG" not in text_of("dimensions", found | {"mig": {}, "scores": [], "chance": None})


def test_numbers_of_dimensions() -> None:
    found = of_dimensions(["fc", "conv"], factors=True, classes=True)
    assert found["read"] == {"fc": 1, "conv": 2}
    assert found["mig"] == {"fc": 0.017, "conv": 1.017}
    assert found["largest"] == {"fc": 0.304, "conv": 0.404}
    assert found["classes"]["class_every"] == {"fc": 0.38, "conv": 0.48}
    assert found["by_factor"][1] == ["background hue", "0.99", "z5: 16%", "0.99", "z5: 16%"]
    assert found["by_factor"][2] == ["size", *["–"] * 4]
    assert found["scores"][0] == ["MIG (higher is better)", "0.017", "**1.017**"]


@pytest.mark.parametrize("models", [["fc"], ["fc", "conv", "third"]])
def test_directions(models: list[str]) -> None:
    found = of_directions(models)
    text = text_of("directions", found)
    assert found["best"] == "smiling_now"
    assert len(found["walks"]) == 2 * len(models)
    assert found["walks"][0][0] == r"smiling\_now"
    assert all(len(row) == len(found["columns"]) for row in found["walks"])
    assert "arithmetic.png" in text
    assert "go together" in text
    assert "go together" not in text_of("directions", of_directions(models, cosine=-0.4))


NAMES = ["$0_$10", "a|b", "<b>", "_x_", "*f* `c`", r"[d](e) \\ &amp; ~g~", "background_hue"]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_person_named_is_shown_as_it_is(name: str) -> None:
    """In Markdown; a factor of ours is put in words."""
    shown = "background hue" if name == "background_hue" else name
    text = text_of("directions", of_directions(["fc"], names=[name, "hat"]))
    html = MarkdownIt().enable("table").render(text)
    assert f"<p><em>{escape(shown)}</em> and <em>hat</em>" in html
    cells = re.findall(r"<td[^>]*>(.*?)</td>", html)
    assert escape(shown) in cells
    assert len(cells) == 2 * len(re.findall("<th[ >]", html))
    assert "$" not in text


def test_what_is_not_measured_has_no_column() -> None:
    alone = {"walk_share": 0.9, "walk_shift": 0.4}
    found = of_directions(["fc"], measured=alone)
    assert found["measured"] == ["auc", "walk_share", "walk_shift"]
    text = text_of("directions", found)
    assert "arithmetic.png" not in text
    assert "other encoder" not in text


def test_directions_that_are_not_told_from_chance() -> None:
    found = of_directions(["fc", "conv"], auc=0.52, held=False)
    text = text_of("directions", found)
    assert "No class or attribute of these images has a direction that is told from" in text
    assert "directions.png" not in text
    assert "|" not in text


def test_nothing_to_walk_along() -> None:
    assert latent_parts.directions(frame(), {"groups": 0}) == {"groups": 0}
    assert "no direction" in text_of("directions", {"groups": 0})
    unknown = of_directions(["fc"], auc=None, held=False)
    assert unknown["best"] is None
    assert "test split" in text_of("directions", unknown)
