"""The embedded data set: one coloured shape on a coloured background, from seven known factors.

In the manner of dSprites (Matthey et al. 2017) and 3D Shapes (Burgess & Kim 2018), but with
continuous factors and anti-aliased edges. No two settings of the factors give the same image:
a rotation covers one period of its shape's symmetry and no more.

| factor         | range                                    | meaning                              |
|----------------|------------------------------------------|--------------------------------------|
| shape          | 0, 1, 2                                  | square, ellipse, heart; the label    |
| x, y           | 0.32 to 0.68                             | centroid, in sides from the top left |
| size           | 0.2 to 0.4                               | root of the shape's area, in sides   |
| rotation       | 0 to π/2, π, 2π (square, ellipse, heart) | radians, counter-clockwise           |
| hue            | 0 to 1                                   | of the shape, once round the circle  |
| background_hue | 0 to 1                                   | of the background                    |
"""

from __future__ import annotations

import numpy as np

from vaelab.data.arrays import Float32Array, Int64Array, Split, UInt8Array
from vaelab.data.factors import FACTORS, SHAPES, SYMMETRY
from vaelab.settings import ShapesRecipe
from vaelab.sources.source import Part, Source, held_out

POSITION = (0.32, 0.68)  # with the largest size, every shape lies within the image
SIZE = (0.2, 0.4)

# Saturation and value. The values differ, so the shape shows at every pair of hues.
SHAPE_COLOUR = (0.75, 1.0)
BACKGROUND_COLOUR = (0.6, 0.4)

CHUNK_PIXELS = 2**19  # drawn at once; the working arrays then fit a processor's cache

HEART_AREA = 0.5 + np.pi / 8  # a square on its corner, and two half discs of radius √2/4
HEART_CENTROID = (0.25 + np.pi / 8 * (0.75 + 1 / (3 * np.pi))) / HEART_AREA  # above the tip


def open_shapes(recipe: ShapesRecipe) -> Source:
    factors = sample_factors(recipe.count, recipe.seed)
    test_count = held_out(recipe.count, recipe.test_fraction)

    def part(factors: Float32Array) -> Part:
        def read(indices: Int64Array) -> Split:
            some = factors[indices]
            return Split(draw(some, recipe.image_size), some[:, 0].astype(np.int64), some)

        return Part(len(factors), read)

    return Source(part(factors[test_count:]), part(factors[:test_count]), SHAPES, FACTORS)


def sample_factors(count: int, seed: int) -> Float32Array:
    """Independent and uniform over the ranges above. Returns (count, 7)."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(len(SHAPES), size=count)
    x, y = rng.uniform(*POSITION, size=(2, count))
    size = rng.uniform(*SIZE, size=count)
    rotation = rng.uniform(size=count) * SYMMETRY[shape]
    hue, background_hue = rng.uniform(size=(2, count))
    return np.stack([shape, x, y, size, rotation, hue, background_hue], axis=1, dtype=np.float32)


def draw(factors: Float32Array, image_size: int) -> UInt8Array:
    """factors: (N, 7). Returns (N, 3, image_size, image_size)."""
    images = np.empty((len(factors), 3, image_size, image_size), np.uint8)
    step = max(1, CHUNK_PIXELS // image_size**2)
    for start in range(0, len(factors), step):
        some = factors[start : start + step]
        front = _rgb(some[:, 5], *SHAPE_COLOUR)[:, :, None, None]
        back = _rgb(some[:, 6], *BACKGROUND_COLOUR)[:, :, None, None]
        colour = back + (front - back) * coverage(some, image_size)[:, None]
        images[start : start + step] = 255 * colour + 0.5
    return images


def coverage(factors: Float32Array, image_size: int) -> Float32Array:
    """How much of each pixel the shape covers, in [0, 1].

    factors: (N, 7). Returns (N, image_size, image_size). The edge is a ramp of one pixel across
    the shape's outline.
    """
    centres = (np.arange(image_size, dtype=np.float32) + 0.5) / image_size
    shape, x, y, size, rotation = factors[:, :5, None, None].transpose(1, 0, 2, 3)
    right = (centres[None, None, :] - x) / size
    up = (y - centres[None, :, None]) / size
    cos, sin = np.cos(rotation), np.sin(rotation)
    u, v = cos * right + sin * up, cos * up - sin * right

    distance = np.empty_like(u)  # in sizes; negative inside
    for kind, signed_distance in enumerate((_square, _ellipse, _heart)):
        rows = shape[:, 0, 0] == kind
        distance[rows] = signed_distance(u[rows], v[rows])
    return np.clip(0.5 - distance * size * image_size, 0, 1)


# Signed distances (u right, v up, any shape of array) to outlines of area one around their
# centroid, after Quilez, "2D distance functions".


def _square(u: Float32Array, v: Float32Array) -> Float32Array:
    u, v = abs(u) - 0.5, abs(v) - 0.5
    outside = np.hypot(np.maximum(u, 0), np.maximum(v, 0))
    return outside + np.minimum(np.maximum(u, v), 0)


def _ellipse(u: Float32Array, v: Float32Array) -> Float32Array:
    """To first order in the distance: exact on the outline, where the edge is drawn."""
    a, b = np.float32(np.sqrt(2 / np.pi)), np.float32(np.sqrt(0.5 / np.pi))
    level = np.hypot(u / a, v / b)
    slope = np.hypot(u / a**2, v / b**2)
    return level * (level - 1) / np.maximum(slope, np.float32(1e-6))


def _heart(u: Float32Array, v: Float32Array) -> Float32Array:
    scale = np.float32(np.sqrt(HEART_AREA))
    u, v = abs(u) * scale, v * scale + np.float32(HEART_CENTROID)
    lobe = np.hypot(u - 0.25, v - 0.75) - np.float32(np.sqrt(2) / 4)
    along = np.maximum(u + v, 0) / 2  # the nearest point of the straight side is (along, along)
    side = np.minimum(np.hypot(u, v - 1), np.hypot(u - along, v - along)) * np.sign(u - v)
    return np.where(u + v > 1, lobe, side) / scale


def _rgb(hue: Float32Array, saturation: float, value: float) -> Float32Array:
    """HSV to RGB. hue: (N,) in turns. Returns (N, 3) in [0, 1]."""
    sector = (hue[:, None] * 6 + np.array([5, 3, 1], np.float32)) % 6
    ramp: Float32Array = np.clip(np.minimum(sector, 4 - sector), 0, 1)
    return value - value * saturation * ramp
