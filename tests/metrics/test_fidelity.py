"""Errors of decoded images, each against one worked out in another way."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from vaelab.metrics.fidelity import fidelity, pixel_entropy, ssim
from vaelab.vae import inference

CPU = torch.device("cpu")


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (23, 3, 16, 16), dtype=np.uint8)


def test_errors_by_hand_in_uneven_batches(
    images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code is a grey value: what it decodes to is flat."""
    codes = torch.rand(23, 1, generator=torch.Generator().manual_seed(0))

    def decode(z: torch.Tensor) -> torch.Tensor:
        return z[:, :, None, None].expand(-1, 3, 16, 16)

    whole = fidelity(decode, codes, images, CPU)
    expected = np.square(images / 255.0 - codes.numpy()[:, :, None, None]).mean((1, 2, 3))
    np.testing.assert_allclose(whole.mse, expected, rtol=1e-5)
    figures = whole.figures()
    assert figures["mse"] == pytest.approx(expected.mean(), rel=1e-5)
    assert figures["psnr"] == pytest.approx(-10.0 * math.log10(expected.mean()), rel=1e-5)
    monkeypatch.setattr(inference, "BATCH", 7)
    parts = fidelity(decode, codes, images, CPU)
    torch.testing.assert_close(parts.mse, whole.mse)
    torch.testing.assert_close(parts.ssim, whole.ssim)


def ssim_by_hand(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """One channel; a window around each pixel."""
    offsets = np.arange(11) - 5
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    mirrored = [np.pad(x, 5, mode="reflect") for x in (a, b)]
    values = []
    for top in range(a.shape[0]):
        for left in range(a.shape[1]):
            p, q = (x[top : top + 11, left : left + 11] for x in mirrored)
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2
            cov = (window * p * q).sum() - mp * mq
            values.append(
                (2 * mp * mq + 1e-4)
                * (2 * cov + 9e-4)
                / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
            )
    return float(np.mean(values))


def test_ssim_by_hand() -> None:
    rng = np.random.default_rng(1)
    a = rng.random((2, 1, 16, 16))
    b = np.clip(a + 0.2 * rng.standard_normal(a.shape), 0, 1)
    result = ssim(torch.from_numpy(b).float(), torch.from_numpy(a).float())
    expected = [ssim_by_hand(b[i, 0], a[i, 0]) for i in range(2)]
    assert result.tolist() == pytest.approx(expected, rel=1e-4)


def test_pixel_entropy_bounds_the_cross_entropy(
    images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    floats = torch.from_numpy(images).double() / 255.0
    best = nn.functional.binary_cross_entropy(floats, floats, reduction="none")
    expected = best.flatten(1).sum(1).mean().item()
    assert pixel_entropy(images) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(inference, "BATCH", 7)
    assert pixel_entropy(images) == pytest.approx(expected, rel=1e-9)
    half = np.full((2, 1, 4, 4), 51, np.uint8)  # 0.2
    by_hand = -16 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert pixel_entropy(half) == pytest.approx(by_hand)
