"""The factors, measured back from the pixels."""

import colorsys

import numpy as np
import pytest

from vaelab.settings import ShapesRecipe
from vaelab.sources import shapes
from vaelab.sources.prepare import open_source
from vaelab.sources.shapes import FACTORS, POSITION, SHAPES, SIZE, coverage, draw, sample_factors

SQUARE, ELLIPSE, HEART = range(3)


def factors(shape: int, **named: float) -> np.ndarray:
    values = {"x": 0.5, "y": 0.5, "size": 0.4, "rotation": 0.0, "hue": 0.0, "background_hue": 0.5}
    values |= named
    return np.array([[shape, *(values[name] for name in FACTORS[1:])]], np.float32)


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return sample_factors(600, seed=1)


@pytest.fixture(scope="module")
def masks(sample: np.ndarray) -> np.ndarray:
    return coverage(sample, 64)


def moments(masks: np.ndarray) -> tuple[np.ndarray, ...]:
    """Area, centroid x, centroid y, and the second moments xx, yy, xy, in sides of the image."""
    side = masks.shape[-1]
    centres = (np.arange(side) + 0.5) / side
    x, y = centres[None, None, :], centres[None, :, None]
    area = masks.sum((1, 2))
    mean_x, mean_y = (masks * x).sum((1, 2)) / area, (masks * y).sum((1, 2)) / area
    dx, dy = x - mean_x[:, None, None], y - mean_y[:, None, None]
    second = [(masks * product).sum((1, 2)) / area for product in (dx * dx, dy * dy, dx * dy)]
    return area / side**2, mean_x, mean_y, *second


def test_centroid_is_x_and_y_and_area_is_size_squared(sample, masks):
    area, x, y, *_ = moments(masks)
    np.testing.assert_allclose(x, sample[:, 1], atol=0.1 / 64)
    np.testing.assert_allclose(y, sample[:, 2], atol=0.1 / 64)
    np.testing.assert_allclose(area, sample[:, 3] ** 2, rtol=0.02)


def test_rotation_of_an_ellipse_is_the_angle_of_its_long_axis(sample, masks):
    ellipses = sample[:, 0] == ELLIPSE
    *_, xx, yy, xy = moments(masks[ellipses])
    angle = np.arctan2(-2 * xy, xx - yy) / 2  # image rows run downwards
    off = (angle - sample[ellipses, 4] + np.pi / 2) % np.pi - np.pi / 2
    assert abs(off).max() < 0.02


def test_rotation_of_a_square_is_the_fourth_harmonic_of_its_outline(sample, masks):
    squares = sample[:, 0] == SQUARE
    centres = (np.arange(64) + 0.5) / 64
    dx = centres[None, None, :] - sample[squares, 1, None, None]
    dy = sample[squares, 2, None, None] - centres[None, :, None]
    harmonic = (masks[squares] * (dx + 1j * dy) ** 4).sum((1, 2))
    angle = np.angle(-harmonic) / 4  # the corners lie at 45 degrees
    off = (angle - sample[squares, 4] + np.pi / 4) % (np.pi / 2) - np.pi / 4
    assert abs(off).max() < 0.05


def test_a_heart_stands_on_its_tip_and_a_half_turn_puts_it_on_its_head():
    angles = (0.0, np.pi / 2, np.pi)
    upright, quarter, turned = (coverage(factors(HEART, rotation=each), 64)[0] for each in angles)
    rows = np.flatnonzero(upright.sum(1) > 0.5)
    assert upright[rows[0]].sum() > 2 * upright[rows[-1]].sum()
    np.testing.assert_allclose(turned, upright[::-1, ::-1], atol=1e-3)
    np.testing.assert_allclose(upright, upright[:, ::-1], atol=1e-3)
    np.testing.assert_allclose(quarter, np.rot90(upright), atol=1e-3)  # counter-clockwise


def test_hues_are_read_back_from_the_pixels(sample):
    images = draw(sample, 64) / 255
    column = np.floor(sample[:, 1] * 64).astype(int)
    row = np.floor(sample[:, 2] * 64).astype(int)
    inside = images[np.arange(len(images)), :, row, column]
    outside = images[:, :, 0, 0]
    for pixels, wanted in ((inside, sample[:, 5]), (outside, sample[:, 6])):
        hues = np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in pixels])
        off = (hues - wanted + 0.5) % 1 - 0.5
        assert abs(off).max() < 0.01


def test_the_shape_stands_out_at_every_pair_of_hues():
    hue, background = np.meshgrid(np.linspace(0, 1, 13), np.linspace(0, 1, 13))
    some = np.repeat(factors(SQUARE), hue.size, axis=0)
    some[:, 5], some[:, 6] = hue.ravel(), background.ravel()
    images = draw(some, 16).astype(int)
    contrast = abs(images[:, :, 8, 8] - images[:, :, 0, 0]).max(1)
    assert contrast.min() > 100


def test_every_shape_lies_within_the_image(sample):
    extreme = sample_factors(3000, seed=3)
    extreme[:, 3] = SIZE[1]
    extreme[:, 1] = np.where(extreme[:, 1] < 0.5, *POSITION)
    extreme[:, 2] = np.where(extreme[:, 2] < 0.5, *POSITION)
    mask = coverage(extreme, 32)
    np.testing.assert_allclose(mask.sum((1, 2)) / 32**2, SIZE[1] ** 2, rtol=0.02)


def test_factors_are_uniform_and_independent():
    many = sample_factors(20_000, seed=0)
    assert many.dtype == np.float32
    assert np.bincount(many[:, 0].astype(int)).min() > 6400
    unit = many.copy()
    unit[:, 4] /= shapes.SYMMETRY[many[:, 0].astype(int)]
    correlation = np.corrcoef(unit.T)
    assert abs(correlation - np.eye(7)).max() < 0.03
    low, high = unit.min(0), unit.max(0)
    np.testing.assert_allclose(low, [0, 0.32, 0.32, 0.2, 0, 0, 0], atol=1e-3)
    np.testing.assert_allclose(high, [2, 0.68, 0.68, 0.4, 1, 1, 1], atol=1e-3)


def test_the_seed_decides_everything_and_chunks_nothing(monkeypatch):
    some = sample_factors(50, seed=7)
    np.testing.assert_array_equal(some, sample_factors(50, seed=7))
    assert not np.array_equal(some, sample_factors(50, seed=8))
    whole = draw(some, 20)
    monkeypatch.setattr(shapes, "CHUNK_PIXELS", 7 * 20**2)
    np.testing.assert_array_equal(draw(some, 20), whole)


@pytest.mark.parametrize(("count", "size"), [(20, 16), (101, 64)])
def test_any_count_and_size(count, size):
    source = open_source(ShapesRecipe(source="shapes", count=count, image_size=size))
    assert source.train.count + source.test.count == count
    assert source.test.count == round(0.1 * count)
    split = source.test.read(np.arange(source.test.count))
    assert split.images.shape == (source.test.count, 3, size, size)
    assert split.images.dtype == np.uint8
    np.testing.assert_array_equal(split.labels, split.factors[:, 0])
    assert (source.class_names, source.factor_names) == (SHAPES, FACTORS)
