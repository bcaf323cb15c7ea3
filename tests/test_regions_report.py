"""The chapter on regions says what its figures say and no more; its pictures are legible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaelab.figures.common import WIDTH
from vaelab.figures.regions import draw_measures, draw_prior_samples, draw_regions
from vaelab.reports.regions import regions_chapter

Row = dict[str, Any]

NAMES = {
    "posterior": "Encoded test images",
    "decile_1": "Density decile 1 (rarest)",
    "decile_10": "Density decile 10 (densest)",
    "classes": "Classes",
    "gap": "Gap between classes",
    "prior": "Prior",
    "shell_0.01": "Shell at 1%",
    "shell_0.99": "Shell at 99%",
    "far": "Radius 3 √d",
}


def row(model: str, region: str, **figures: float | None) -> Row:
    name = NAMES.get(region, "Real test images")
    usual: Row = {
        **{"radius": 1.0, "sharpness": 0.5, "diversity": 0.9, "swd": 100.0, "nearest": 0.1},
        **{"confidence": 0.6, "accuracy": None, "round_trip": 0.2, "apart": None},
    }
    return {"model": model, "region": region, "name": name, **usual, **figures}


def rows() -> list[Row]:
    special: dict[str, dict[str, float | None]] = {
        "data": {"radius": None, "sharpness": 1.0, "diversity": 1.0, "swd": 30.0, "accuracy": 0.7},
        "decile_1": {"sharpness": 0.9, "nearest": 0.15, "round_trip": 0.2},
        "decile_10": {"sharpness": 0.3, "nearest": 0.05, "round_trip": 0.201},
        "classes": {"accuracy": 0.8},
        "gap": {"apart": 3.0, "confidence": 0.4},
        "prior": {"sharpness": 0.8, "swd": 150.0, "round_trip": 0.1},
        "shell_0.01": {"radius": 0.5, "swd": 400.0},
        "shell_0.99": {"radius": 1.4, "swd": 149.0, "nearest": 0.149},
        "far": {"radius": 3.0, "swd": 900.0, "nearest": 0.4, "round_trip": 0.9},
    }
    return [
        row(model, region, **special.get(region, {}))
        for model in ("fc", "conv")
        for region in ("data", *NAMES)
    ]


def chapter(given: list[Row], real: int = 256) -> tuple[list[str], str]:
    found = regions_chapter(given, dict.fromkeys(NAMES, "some draws"), 256, real)
    return found.findings, " ".join(found.body.split())


def test_findings() -> None:
    outwards, prior, density, classes = chapter(rows())[0]
    assert (
        "within 1.5 times what decoded encodings have, by SWD, the distance to the nearest "
        "training image and the round trip, with FC at 1.40 √d (of 0.50, 1.40 and 3.00 √d tried) "
        "and with Conv at 1.40 √d (of"
    ) in outwards
    ends = "at 3.00 √d: SWD 900, nearest 0.400, round trip 0.900; of encodings: SWD 100, nearest 0."
    assert outwards.count(ends) == 2
    assert (
        "FC: sharper (0.80 against 0.50), about as varied (0.90 against 0.90), farther in SWD (150 "
        "against 100), about as near to the training images (0.100 against 0.100) and missed by "
        "less on the round trip (0.100 against 0.200)."
    ) in prior
    assert (
        "sharpness falls (0.90, 0.30), the distance to the nearest training image falls (0.150, "
        "0.050) and the round trip's miss stays about the same (0.200, 0.201)."
    ) in density
    assert "3.00 of a class's standard deviations apart" in classes
    assert "classified with less confidence (0.40 against 0.60)" in classes
    assert "takes 80% of the class samples for their class (real test images: 70%)" in classes


def test_a_sentence_for_each_region() -> None:
    _, body = chapter(rows())
    for name in NAMES.values():
        assert f"- **{name}**. FC: " in body
    assert (
        "**Prior**. FC: blurrier (0.80), less varied (0.90), about as near to the training images "
        "(0.100), classified with about the same confidence (0.60), SWD 150 (1.5 times), round "
        "trip 0.100 (0.5 times). Conv: "
    ) in body
    assert "**Encoded test images**. FC: blurrier (0.50), less varied (0.90)" in body
    assert "SWD 100 (3.3 times), round trip 0.200 (1.0 times)" in body


def test_tables_and_definitions() -> None:
    _, body = chapter(rows())
    assert "| Real test images | – | 1.00 | 1.00 | 30 | 0.100 | 0.200 | 0.60 | 0.70 |" in body
    assert body.count("| Gap between classes | 1.00 | 0.50 |") == 2
    assert "- **Prior**: some draws." in body


def test_without_classes() -> None:
    given = [each for each in rows() if each["region"] not in ("classes", "gap")]
    for each in given:
        each["confidence"] = each["accuracy"] = None
    findings, body = chapter(given)
    assert len(findings) == 3
    assert "confidence" not in body
    assert "| Region | radius | sharpness | diversity | SWD | nearest | round trip |" in body


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf")])
def test_figures_that_are_not_known(nothing: float | None) -> None:
    """As of a single test image, or of images that do not vary."""
    given = rows()
    for each in given:
        unknown = ("swd", "diversity", "sharpness", "round_trip", "apart")
        each.update(dict.fromkeys(unknown, nothing))
    findings, body = chapter(given, real=1)
    text = " ".join([*findings, body]).lower()
    assert "by the distance to the nearest training image, with fc at 0.50 and 1.40 √d" in text
    for word in ("**swd**", "| swd", "sharpness", "apart", "nan", "none", "∞", "()"):
        assert word not in text.replace("none of these", ""), word


def test_no_radius_and_one_decile() -> None:
    given = [each for each in rows() if each["region"] not in ("shell_0.99", "decile_1")]
    findings, _ = chapter(given)
    assert len(findings) == 3
    assert "with FC at no radius (of 0.50 and 3.00 √d tried)" in findings[0]


# --- figures -------------------------------------------------------------------------------------


def assert_labels_inside(figure: Figure) -> None:
    figure.draw_without_rendering()
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert width == WIDTH
    assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0


def test_measures_are_drawn_where_they_are() -> None:
    figure = draw_measures(rows())
    assert_labels_inside(figure)
    assert len(figure.axes) == 6
    swd = figure.axes[2]
    assert swd.get_title(loc="left").startswith("SWD")
    real, fc, _, conv = swd.lines
    assert np.asarray(real.get_xdata()).tolist() == [30.0, 30.0]
    given = [each["swd"] for each in rows() if each["model"] == "fc"][1:]
    assert np.array_equal([fc.get_xdata(), conv.get_xdata()], [given, given])
    assert not np.intersect1d(fc.get_ydata(), conv.get_ydata()).size


def test_measures_that_nothing_has_are_not_drawn() -> None:
    given = [{**each, "confidence": None} for each in rows()]
    given[3]["swd"] = None
    figure = draw_measures(given)
    assert_labels_inside(figure)
    assert sum(axes.get_visible() for axes in figure.axes) == 5


@pytest.mark.parametrize(("channels", "real"), [(3, 12), (1, 1)])
def test_samples_by_region(channels: int, real: int) -> None:
    def images(count: int, value: float) -> NDArray[np.float32]:
        return np.full((count, channels, 16, 16), value, np.float32)

    shown = np.full((real, channels, 16, 16), 255, np.uint8)
    groups = [images(10, 0.0), images(10, 1.0)]
    figure = draw_regions(["one", "two"], {"fc": groups, "conv": groups}, shown)
    assert_labels_inside(figure)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["Real test images", "one", "two"]
    sheet = figure.axes[1].images[0].get_array()
    assert sheet is not None
    assert sheet.shape == (3 * 18 - 2, 8 * 18 - 2, 3)
    assert [int(sheet[row, 5, 0]) for row in (5, 23, 41)] == [255, 0, 255]
    assert_labels_inside(draw_prior_samples({"fc": groups[0], "conv": groups[0]}))
