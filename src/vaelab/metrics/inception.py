"""FID and KID: how far images lie from real ones in the features of a trained Inception net.

    found = inception_distances(test, {"prior": samples}, weights=None, device=device, seed=0)
    found.groups["prior"]["fid"], found.conditions

Fréchet inception distance (Heusel et al. 2017) and kernel inception distance (Bińkowski et al.
2018) by torchmetrics, on features of torch-fidelity's port of the original net: the extra `fid`.
Both depend on the number of images, the weights and the resizing, which `conditions` therefore
name. FID is biased upwards, the more the fewer the images are; KID is not.
"""

from __future__ import annotations

import hashlib
import pickle
import socket
import warnings
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vaelab.data.arrays import ImageRows
from vaelab.runtime.errors import UserError

BATCH = 64
STALLED = 60.0  # seconds without a byte, after which a download is given up
FEATURES = 2048  # of the last pooling layer
FEWEST = 2  # images of a set, for a covariance
SUBSETS = 100  # over which KID is averaged
SUBSET_SIZE = 1000  # images in each, at most
PUBLISHED = "weights-inception-2015-12-05-6726825d.pth"  # what torch-fidelity downloads
UNREADABLE = (RuntimeError, EOFError, pickle.UnpicklingError)  # weights that are none
RESIZING = "bilinear to 299 x 299 as in TensorFlow 1"


class InceptionDistances(NamedTuple):
    groups: dict[str, dict[str, float]]  # name -> fid, kid; empty where they were not measured
    conditions: dict[str, Any]  # reference, subset_size, weights, resizing; or the `reason`


def inception_distances(
    reference: ImageRows,
    groups: Mapping[str, ImageRows],
    *,
    weights: Path | None,
    device: torch.device,
    seed: int,
) -> InceptionDistances:
    """FID and KID of each group to the reference, which passes the net once for all of them.

    reference, groups: uint8 (N, C, H, W); greyscale is repeated to three channels. weights: a file
    of torch-fidelity's Inception net; None is the published one, downloaded to torch's cache where
    it is not there yet. seed: of KID's subsets.

    Not measured where torch-fidelity is not installed, the published weights cannot be had, or a
    set has fewer than FEWEST images.
    Raises UserError where `weights` cannot be read or is not of that net.
    """
    from torchmetrics.image.fid import NoTrainInceptionV3

    def not_measured(reason: str) -> InceptionDistances:
        return InceptionDistances({}, {"reason": reason})

    if min(len(reference), *map(len, groups.values())) < FEWEST:
        return not_measured(f"sets of fewer than {FEWEST} images are too small for either")
    name = PUBLISHED if weights is None else check_weights(weights)
    before = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(STALLED)  # torch-fidelity's download has no limit of its own
        net = NoTrainInceptionV3(
            name="inception-v3-compat",
            features_list=[str(FEATURES)],
            feature_extractor_weights_path=None if weights is None else str(weights),
            antialias=False,  # as in TensorFlow 1
        ).to(device)
    except ModuleNotFoundError:
        return not_measured("torch-fidelity is not installed; `make extras` installs it")
    except (OSError, HTTPException, *UNREADABLE) as error:
        if weights is not None:
            raise _not_inception(weights) from None
        _forget_what_is_not_whole()
        return not_measured(
            f"the Inception net's weights could not be had ({str(error) or type(error).__name__}); "
            "compare.inception_weights takes a local file of them"
        )
    finally:
        socket.setdefaulttimeout(before)
    real = inception_features(net, reference, device)
    features = {key: inception_features(net, images, device) for key, images in groups.items()}
    size = min(SUBSET_SIZE, len(real), *map(len, features.values()))
    return InceptionDistances(
        feature_distances(real, features, subset_size=size, seed=seed),
        {"reference": len(real), "subset_size": size, "weights": name, "resizing": RESIZING},
    )


def _forget_what_is_not_whole() -> None:
    """torch keeps a download that was cut short, and would take it for whole from then on."""
    kept = Path(torch.hub.get_dir()) / "checkpoints" / PUBLISHED
    if kept.is_file():
        digest = hashlib.sha256(kept.read_bytes()).hexdigest()
        if not digest.startswith(kept.stem.rpartition("-")[2]):
            kept.unlink()


def feature_distances(
    reference: Tensor, groups: Mapping[str, Tensor], *, subset_size: int, seed: int
) -> dict[str, dict[str, float]]:
    """FID and KID from features (N, F) on the CPU. subset_size: of KID, at most the least N."""
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    given = nn.Identity()  # stands for the net where its features are known
    given.num_features = reference.shape[1]  # type: ignore[assignment]
    frechet = FrechetInceptionDistance(feature=given, reset_real_features=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Metric `Kernel Inception Distance` will save all")
        kernel = KernelInceptionDistance(
            feature=given, subsets=SUBSETS, subset_size=subset_size, reset_real_features=False
        )
    frechet.update(reference.double(), real=True)
    kernel.update(reference, real=True)
    distances = {}
    for name, features in groups.items():
        frechet.update(features.double(), real=False)
        kernel.update(features, real=False)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            kid, _ = kernel.compute()
        distances[name] = {"fid": frechet.compute().item(), "kid": kid.item()}
        frechet.reset()
        kernel.reset()
    return distances


@torch.no_grad()
def inception_features(net: nn.Module, images: ImageRows, device: torch.device) -> Tensor:
    """uint8 (N, C, H, W) -> (N, FEATURES) on the CPU; C is 3, or 1 and then repeated."""
    features = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(device)
        features.append(net(batch.expand(-1, 3, -1, -1)).cpu())
    return torch.cat(features)


def check_weights(weights: Path) -> str:
    """The name under which a report knows the file.

    torch-fidelity unpickles whatever the file holds; here it is seen to hold tensors alone.
    Raises UserError where it cannot be read, or holds something else.
    """
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        state = torch.load(weights, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = f"the Inception net's weights, cannot be read: {error.strerror}"
        raise UserError(f"{weights}, {reason}") from None
    except UNREADABLE:
        raise _not_inception(weights) from None
    if not isinstance(state, Mapping):
        raise _not_inception(weights)
    return f"{weights.name} (sha256 {digest[:8]}…)"


def _not_inception(weights: Path) -> UserError:
    return UserError(f"{weights} does not hold the weights of torch-fidelity's Inception net")
