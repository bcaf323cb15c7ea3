"""The chapter on regions says what its figures say and no more; its pictures are legible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vaelab.plotting.style import WIDTH
from vaelab.report.regions import regions_chapter
from vaelab.studies.latent.draw_regions import draw_measures, draw_prior_samples, draw_regions

Row = dict[str, Any]

NAMES = {
    "posterior": "Encoded test images",
    "image": "Around one encoded image",
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
        "image": {"swd": None},
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
    assert outwards == (
        "Decoded from uniform directions, images are within 1.5 times decoded encodings by SWD, "
        "nearest training image and round trip at 1.40 √d (FC) and at 1.40 √d (Conv), of the radii "
        "tried, and not at 3.00 √d. These measures see patches, pixels and codes, not scenes: "
        "[look](latent_explore/regions.png)."
    )
    assert len(outwards.split()) <= 50
    assert "(of test images; texture and variety of real images: 1). FC: " in prior
    assert (
        "FC: more fine texture (0.80 against 0.50), about as varied (0.90 against 0.90), farther "
        "in SWD (150 against 100), about as near to the training images (0.100 against 0.100) and "
        "missed by less on the round trip (0.100 against 0.200)."
    ) in prior
    assert (
        "texture falls (0.90, 0.30), the distance to the nearest training image falls (0.150, "
        "0.050) and the round trip's miss stays about the same (0.200, 0.201)."
    ) in density
    assert "3.00 of a class's standard deviations apart" in classes
    assert "classified with less confidence (0.40 against 0.60)" in classes
    assert "takes 80% of the class samples for their class (real test images: 70%)" in classes


def uniform(model: str, values: dict[str, dict[str, float]]) -> list[Row]:
    return [{**each, **values.get(each["region"], {})} for each in rows() if each["model"] == model]


def test_words_turn_with_the_radii() -> None:
    near = {"swd": 100.0, "nearest": 0.1, "round_trip": 0.2}
    everywhere = dict.fromkeys(("shell_0.01", "shell_0.99", "far"), near)
    far = {"swd": 400.0}
    nowhere = dict.fromkeys(("shell_0.01", "shell_0.99", "far"), far)
    first = chapter([*uniform("fc", everywhere), *uniform("conv", nowhere)])[0][0]
    assert "round trip at every radius (FC) and at no radius (Conv), of the radii tried." in first
    first = chapter([*uniform("fc", {"far": near}), *uniform("conv", {})])[0][0]
    assert "at 1.40 and 3.00 √d (FC) and at 1.40 √d (Conv), of the radii tried. These" in first


def test_uniform_directions_that_never_decode_as_encodings_do() -> None:
    bad = {"round_trip": 0.9, "swd": 160.0}
    regions = dict.fromkeys(("shell_0.01", "shell_0.99", "far"), bad)
    first = chapter([*uniform("fc", regions), *uniform("conv", regions)])[0][0]
    assert first == (
        "Uniform directions decode worse than encodings (some measure over 1.5 times theirs) at "
        "every radius tried. [Look](latent_explore/regions.png)."
    )
    regions["shell_0.99"] = {**bad, "radius": 1.02}
    worse = {**regions, "shell_0.99": {"round_trip": 0.95, "radius": 1.01}}
    first = chapter([*uniform("fc", regions), *uniform("conv", worse)])[0][0]
    assert first == (
        "Uniform directions decode worse than encodings (some measure over 1.5 times theirs) at "
        "every radius tried, the encodings' own (1.02 √d FC, 1.01 √d Conv) among them: where a "
        "code lies matters by direction, not by distance alone. There Conv's round trip (the share "
        "of z that is missed) is 0.95, of encodings 0.20. [Look](latent_explore/regions.png)."
    )
    regions["shell_0.99"] = {"nearest": 0.8, "radius": 1.02}
    first = chapter([*uniform("fc", regions), *uniform("conv", worse)])[0][0]
    assert "FC's distance to the nearest training image is 0.80, of encodings 0.10." in first


def test_a_sentence_for_each_region() -> None:
    _, body = chapter(rows())
    for name in NAMES.values():
        assert f"- **{name}**. FC: " in body
    assert (
        "**Prior**. FC: less fine texture (0.80), less varied (0.90), about as near to the "
        "training images (0.100), classified with about the same confidence (0.60), SWD 150 (1.5 "
        "times), round trip 0.100 (0.5 times). Conv: "
    ) in body
    assert "**Encoded test images**. FC: less fine texture (0.50), less varied (0.90)" in body
    assert "about the same confidence (0.60), SWD 100, round trip 0.200. Conv: " in body
    assert (
        "Beside the real test images (FC: nearest 0.100, confidence 0.60; Conv: nearest 0.100, "
        "confidence 0.60), “about” being within 5%; SWD and round trip in multiples of what "
        "encoded test images have (FC: SWD 100, round trip 0.200; Conv: SWD 100, round trip "
        "0.200); texture and variety of real images: 1."
    ) in body
    around = body.split("**Around one encoded image**. ")[1].split("- **")[0]
    assert "SWD" not in around
    assert "| Around one encoded image | 1.00 | 0.50 | 0.90 | – | 0.100 |" in body
    markdown = regions_chapter(rows(), dict.fromkeys(NAMES, "some draws"), 256, 256).body
    assert "<details>\n<summary>Every region in words</summary>\n\nBeside" in markdown
    assert markdown.endswith("\n\n</details>")


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
    assert "by nearest training image at 0.50 and 1.40 √d (fc)" in text
    for word in ("**swd**", "| swd", "sharpness", "apart", "nan", "none", "∞", "()"):
        assert word not in text, word


def test_no_radius_and_one_decile() -> None:
    given = [each for each in rows() if each["region"] not in ("shell_0.99", "decile_1")]
    findings, _ = chapter(given)
    assert len(findings) == 3
    assert "Uniform directions decode worse than encodings" in findings[0]


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
    given = np.array([each["swd"] for each in rows() if each["model"] == "fc"][1:], float)
    assert np.isnan(given).any()
    np.testing.assert_array_equal([fc.get_xdata(), conv.get_xdata()], [given, given])
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
