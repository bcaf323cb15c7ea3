"""Pictures of regions: legible, and drawn where the figures are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from toys import assert_fits

from vaelab.metrics.measures import MEASURES
from vaelab.studies.latent.regions_draw import (
    PANELS,
    draw_measures,
    draw_prior_samples,
    draw_regions,
)

NAMES = {"posterior": "Encoded test images", "image": "Around one encoded image", "prior": "Prior"}
Measured = dict[str, dict[str, dict[str, float | None]]]


def measured(models: list[str]) -> Measured:
    found: Measured = {
        model: {
            region: {key: i + 0.1 * j for j, key in enumerate(PANELS)}
            for i, region in enumerate(["data", *NAMES])
        }
        for model in models
    }
    for model in models:
        found[model]["image"]["swd"] = None
    return found


@pytest.mark.parametrize("models", [["fc"], ["fc", "conv"]])
def test_measures_are_drawn_where_they_are(models: list[str]) -> None:
    figure = draw_measures(measured(models), NAMES)
    assert_fits(figure)
    assert len(figure.axes) == len(PANELS)
    swd = figure.axes[PANELS.index("swd")]
    assert swd.get_title(loc="left") == MEASURES["swd"].label
    dots = [line for line in swd.lines if len(np.asarray(line.get_xdata())) == len(NAMES)]
    places = [tuple(np.asarray(line.get_ydata())) for line in dots]
    assert len(set(places)) == len(models)  # equal figures do not hide each other
    for line in dots:
        np.testing.assert_array_equal(line.get_xdata(), [1.2, np.nan, 3.2])


def test_measures_that_nothing_has_are_not_drawn() -> None:
    given = measured(["fc", "conv"])
    for figures in given.values():
        for region in figures.values():
            region["confidence"] = None
    figure = draw_measures(given, NAMES)
    assert_fits(figure)
    assert sum(axes.get_visible() for axes in figure.axes) == len(PANELS) - 1


@pytest.mark.parametrize(("channels", "real"), [(3, 12), (1, 1)])
def test_samples_by_region(channels: int, real: int) -> None:
    def images(count: int, value: float) -> NDArray[np.float32]:
        return np.full((count, channels, 16, 16), value, np.float32)

    shown = np.full((real, channels, 16, 16), 255, np.uint8)
    groups = [images(10, 0.0), images(10, 1.0)]
    figure = draw_regions(["one", "two"], {"fc": groups, "conv": groups}, shown)
    assert_fits(figure)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["Real test images", "one", "two"]
    sheet = figure.axes[1].images[0].get_array()
    assert sheet.shape == (3 * 18 - 2, 8 * 18 - 2, 3)
    assert [int(sheet[row, 5, 0]) for row in (5, 23, 41)] == [255, 0, 255]
    assert_fits(draw_prior_samples({"fc": groups[0], "conv": groups[0]}))
