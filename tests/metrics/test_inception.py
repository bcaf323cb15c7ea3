"""FID and KID against numpy and scipy, and what is said where they cannot be measured."""

import pickle
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor, nn

from vaelab.metrics import inception as module
from vaelab.metrics.inception import (
    InceptionDistances,
    feature_distances,
    inception_distances,
    inception_features,
)
from vaelab.runtime.errors import UserError

CPU = torch.device("cpu")


def random_images(count: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    shape = (count, channels, 16, 16)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def random_features(count: int, scale: float, shift: float, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(12, 12, generator=torch.Generator().manual_seed(99))
    return scale * torch.randn(count, 12, generator=generator) @ mixing + shift


@pytest.fixture
def features() -> dict[str, Tensor]:
    return {
        "real": random_features(90, 1.0, 0.0, seed=0),
        "near": random_features(60, 1.0, 0.0, seed=1),
        "far": random_features(80, 1.5, 0.7, seed=2),
    }


def frechet(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Heusel et al. 2017, equation 6"""
    root = sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)


def kernel_distance(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Bińkowski et al. 2018, equation 4, with the kernel of section 4"""

    def kernel(x: NDArray[Any], y: NDArray[Any]) -> float:
        return (x @ y / len(x) + 1) ** 3

    within = [
        np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j])
        for s in (a, b)
    ]
    return sum(within) - 2 * np.mean([kernel(x, y) for x in a for y in b])


def test_fid_against_the_closed_form(features: dict[str, Tensor]) -> None:
    real = features.pop("real")
    distances = feature_distances(real, features, subset_size=20, seed=0)
    for name, group in features.items():
        expected = frechet(real.double().numpy(), group.double().numpy())
        assert distances[name]["fid"] == pytest.approx(expected, rel=1e-6)


def test_kid_against_its_definition() -> None:
    """Subsets as large as the sets are all the same."""
    real = random_features(30, 1.0, 0.0, seed=0)
    groups = {"a": random_features(30, 1.5, 0.7, seed=1), "b": random_features(30, 1.0, 0.1, 2)}
    distances = feature_distances(real, groups, subset_size=30, seed=0)
    for name, group in groups.items():
        expected = kernel_distance(real.double().numpy(), group.double().numpy())
        assert distances[name]["kid"] == pytest.approx(expected, rel=1e-4)


def test_far_is_farther(features: dict[str, Tensor]) -> None:
    distances = feature_distances(features["real"], features, subset_size=20, seed=0)
    assert distances["real"]["fid"] == pytest.approx(0.0, abs=1e-5)
    assert distances["far"]["fid"] > 2 * distances["near"]["fid"]
    assert distances["far"]["kid"] > distances["near"]["kid"]


def test_seed_decides_and_nothing_else_is_touched(features: dict[str, Tensor]) -> None:
    before = torch.get_rng_state()
    first, same, other = (
        feature_distances(features["real"], {"far": features["far"]}, subset_size=20, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == same
    assert first["far"]["kid"] != other["far"]["kid"]
    assert torch.equal(torch.get_rng_state(), before)


class ChannelMeans(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        return images.float().mean((2, 3))


@pytest.mark.parametrize("channels", [1, 3])
def test_features_in_batches(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    images = random_images(7, channels)
    means = inception_features(ChannelMeans(), images, CPU)
    expected = np.broadcast_to(images.mean((2, 3)), (7, 3))
    np.testing.assert_allclose(means, expected, rtol=1e-6)


def measure(weights: Path | None) -> InceptionDistances:
    groups = {"grey": random_images(6, channels=1, seed=1), "colour": random_images(5, seed=2)}
    return inception_distances(random_images(8), groups, weights=weights, device=CPU, seed=0)


def test_without_torch_fidelity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchmetrics.image.fid._TORCH_FIDELITY_AVAILABLE", False)
    torch.save({}, tmp_path / "weights.pth")
    for weights in (None, tmp_path / "weights.pth"):
        result = measure(weights)
        assert not result.groups
        assert result.conditions["reason"].startswith("torch-fidelity is not installed")


def test_weights_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.pth.*No such file"):
        measure(tmp_path / "missing.pth")
    with pytest.raises(UserError, match="cannot be read"):
        measure(tmp_path)


class Touch:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_weights_are_no_program(tmp_path: Path) -> None:
    torch.save(Touch(tmp_path / "touched"), tmp_path / "weights.pth")
    with pytest.raises(UserError, match="does not hold"):
        measure(tmp_path / "weights.pth")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "content", [b"", b"<html>quota</html>", pickle.dumps([1], 2), b"PK\3\4 cut"]
)
def test_weights_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(UserError, match="does not hold"):
        measure(tmp_path / "weights.pth")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the real net, drawn at random."""
    extractors = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extractors, "load_state_dict_from_url", lambda *_, **__: {})
        net = extractors.FeatureExtractorInceptionV3
        patch.setattr(net, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        torch.save(net("inception", ["64"]).state_dict(), path)
    return path


def test_with_the_net_of_torch_fidelity(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    monkeypatch.setattr(module, "FEATURES", 64)  # of the first pooling layer: less to compute
    result = measure(weights)
    assert (result.conditions["reference"], result.conditions["subset_size"]) == (8, 5)
    assert result.conditions["weights"].startswith("random.pth (sha256 ")

    net = FeatureExtractorInceptionV3("inception", ["64"], str(weights))
    real, grey = (
        net(torch.from_numpy(images).expand(-1, 3, -1, -1))[0].double().numpy()
        for images in (random_images(8), random_images(6, channels=1, seed=1))
    )
    assert result.groups["grey"]["fid"] == pytest.approx(frechet(real, grey), rel=1e-3)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """An address that accepts a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_published_weights_that_cannot_be_had(
    tmp_path: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractors = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    assert extractors.URL_INCEPTION_V3.endswith(f"/{module.PUBLISHED}")
    monkeypatch.setattr(extractors, "URL_INCEPTION_V3", f"{silent_server}/{module.PUBLISHED}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    start = time.monotonic()
    result = measure(None)
    assert "timed out" in result.conditions["reason"]
    assert time.monotonic() - start < 60.0
    assert socket.getdefaulttimeout() is None
