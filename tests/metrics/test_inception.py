"""FID and KID against numpy and scipy, and what is said where they cannot be measured."""

import pickle
import socket
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from torch import Tensor, nn
from toys import normal

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


def test_against_the_definitions() -> None:
    """Subsets of KID as large as the sets are all the same."""
    mixing = normal(12, 12)
    real = normal(30, 12, seed=1) @ mixing
    groups = {"far": 1.5 * normal(30, 12, seed=2) @ mixing + 0.7, "near": normal(30, 12, seed=3)}
    distances = feature_distances(real, groups, subset_size=30, seed=0)
    for name, group in groups.items():
        pair = real.double().numpy(), group.double().numpy()
        assert distances[name]["fid"] == pytest.approx(frechet(*pair), rel=1e-6)
        assert distances[name]["kid"] == pytest.approx(kernel_distance(*pair), rel=1e-4)


def test_seed_decides_and_nothing_else_is_touched() -> None:
    before = torch.get_rng_state()
    first, same, other = (
        feature_distances(normal(90, 12), {"far": normal(60, 12)}, subset_size=20, seed=seed)
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


def test_a_download_that_stalls_or_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In torch-fidelity's place, as urllib reads whatever torch asks it for."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(module, "STALLED", 0.1)
    kept = tmp_path / "hub" / "checkpoints" / module.PUBLISHED
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"cut")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/weights"
        monkeypatch.setattr(
            "torchmetrics.image.fid.NoTrainInceptionV3", lambda **_: urllib.request.urlopen(url)
        )
        assert "could not be had (timed out)" in measure(None).conditions["reason"]
    assert socket.getdefaulttimeout() is None
    assert not kept.exists()


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
    torch.save(Touch(tmp_path / "touched"), tmp_path / "program.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "list.pth").write_bytes(pickle.dumps([1], 2))
    (tmp_path / "cut.pth").write_bytes(b"PK\3\4 cut")
    for weights in tmp_path.glob("*.pth"):
        with pytest.raises(UserError, match="does not hold"):
            measure(weights)
    assert not (tmp_path / "touched").exists()


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


def test_published_weights_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractors = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    assert extractors.URL_INCEPTION_V3.endswith(f"/{module.PUBLISHED}")
    nowhere = f"http://127.0.0.1:9/{module.PUBLISHED}"
    monkeypatch.setattr(extractors, "URL_INCEPTION_V3", nowhere)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert "could not be had" in measure(None).conditions["reason"]
