"""The pyramid and the distance against scipy's, and answers known beforehand."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import convolve
from scipy.stats import wasserstein_distance
from torch import Tensor

from vaelab.metrics import wasserstein as module
from vaelab.metrics.wasserstein import PatchReference, SlicedWasserstein, expand, laplacian_pyramid


def images_like_photographs(count: int, side: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Random images whose amplitude falls with frequency, as it does in photographs."""
    noise = torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(seed))
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None])
    spectrum = torch.fft.rfft2(noise) / (frequency + 1 / side)
    images = torch.fft.irfft2(spectrum, s=(side, side))
    return (0.5 + 0.15 * images / images.std()).clamp(0, 1)


@pytest.fixture(scope="module")
def reference() -> PatchReference:
    return PatchReference(images_like_photographs(64, 32), seed=0)


@pytest.fixture(scope="module")
def floor(reference: PatchReference) -> SlicedWasserstein:
    return reference.distance(images_like_photographs(64, 32, seed=1))


@pytest.mark.parametrize(
    ("side", "sides"),
    [(16, [16]), (30, [30]), (31, [31, 16]), (100, [100, 50, 25]), (124, [124, 62, 31, 16])],
)
def test_pyramid_collapses_to_the_images(side: int, sides: list[int]) -> None:
    images = torch.rand(2, 3, side, side)
    *fine, collapsed = laplacian_pyramid(images)
    assert [level.shape[2] for level in [*fine, collapsed]] == sides
    for level in reversed(fine):
        collapsed = level + expand(collapsed, *level.shape[2:])
    torch.testing.assert_close(collapsed, images, atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("side", [31, 36])
def test_pyramid_against_scipy(side: int) -> None:
    images = torch.rand(2, 1, side, side)
    weights = np.array([1, 4, 6, 4, 1]) / 16
    kernel = np.outer(weights, weights)[None, None]
    small = convolve(images.numpy(), kernel, mode="mirror")[:, :, ::2, ::2]
    spread = np.zeros(images.shape)
    spread[:, :, ::2, ::2] = small
    difference = images.numpy() - convolve(spread, 4 * kernel, mode="mirror")
    for level, expected in zip(laplacian_pyramid(images), (difference, small), strict=True):
        np.testing.assert_allclose(level, expected, atol=1e-6)


def naive_patches(level: NDArray[np.float64], corners: Tensor) -> NDArray[np.float64]:
    patches = [
        image[:, y : y + 7, x : x + 7].ravel()
        for image, places in zip(level, corners.tolist(), strict=True)
        for y, x in places
    ]
    return np.array(patches)


def test_distance_against_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATCHES", 5)
    monkeypatch.setattr(module, "PROJECTIONS", 6)
    real, other = images_like_photographs(20, 32), 0.8 * images_like_photographs(20, 32, seed=1)
    reference = PatchReference(real, seed=3)
    levels = []
    for pair, corners, directions in zip(
        zip(laplacian_pyramid(real), laplacian_pyramid(other), strict=True),
        reference.corners,
        reference.directions,
        strict=True,
    ):
        a, b = (level.double().numpy() for level in pair)
        deviation = np.repeat(a.std((0, 2, 3)), 49)
        unit = directions.numpy() * deviation
        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-5)
        along = [unit @ (naive_patches(level, corners) / deviation).T for level in (a, b)]
        distances = [wasserstein_distance(*pair) for pair in zip(*along, strict=True)]
        levels.append(1000 * np.mean(distances))
    result = reference.distance(other)
    assert result.sides == (32, 16)
    np.testing.assert_allclose(result.levels, levels, rtol=1e-4)
    assert result.mean == pytest.approx(np.mean(levels), rel=1e-4)


def test_scaled_gaussian() -> None:
    """W1 of N(0, s²) and N(0, t²) is |s - t| sqrt(2 / pi), here with s = 1 in each direction."""
    generator = torch.Generator().manual_seed(0)
    real = 0.5 + 0.1 * torch.randn(400, 1, 16, 16, generator=generator)
    wider = 0.5 + 0.13 * torch.randn(400, 1, 16, 16, generator=generator)
    result = PatchReference(real, seed=0).distance(wider)
    assert result.mean == pytest.approx(1000 * 0.3 * math.sqrt(2 / math.pi), rel=0.03)


def test_same_images_have_no_distance(reference: PatchReference) -> None:
    assert reference.distance(images_like_photographs(64, 32)) == SlicedWasserstein(
        (32, 16), (0.0, 0.0), 0.0
    )


def test_seed_decides(reference: PatchReference, floor: SlicedWasserstein) -> None:
    real, other = images_like_photographs(64, 32), images_like_photographs(64, 32, seed=1)
    assert PatchReference(real, seed=0).distance(other) == floor
    assert PatchReference(real, seed=1).distance(other) != floor


def test_chunks_make_no_difference(
    floor: SlicedWasserstein, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", 23 * 3 * 32 * 32)  # chunks of 23, 23 and 18 images
    reference = PatchReference(images_like_photographs(64, 32), seed=0)
    result = reference.distance(images_like_photographs(64, 32, seed=1))
    np.testing.assert_allclose(result.levels, floor.levels, rtol=1e-4)


def test_flat_images_have_finite_distances() -> None:
    reference = PatchReference(torch.full((8, 1, 16, 16), 0.5), seed=0)
    assert math.isfinite(reference.distance(torch.rand(8, 1, 16, 16)).mean)


def test_sets_of_two_sizes_are_refused(reference: PatchReference) -> None:
    with pytest.raises(ValueError, match="63"):
        reference.distance(images_like_photographs(63, 32))
