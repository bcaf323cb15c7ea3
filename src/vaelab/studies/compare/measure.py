"""What `compare` measures of each model on the test split. One function a metric.

    evaluate(vae, images, Posteriors.of(vae, images), price, settings.compare).row["psnr"]
    evaluate_pca(pca, pca.encode(images.train.images), images, seconds, seed=0)["psnr"]

It stands apart from `evaluation`, on which the trained weights depend: a new figure in the
comparison trains nothing again. How generated images are judged is in `generation`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vaelab.data.arrays import ImageArrays, Split, UInt8Array
from vaelab.metrics.aggregate import aggregated_posterior
from vaelab.metrics.bounds import bits_per_dim, bounds
from vaelab.metrics.pca import PCA
from vaelab.metrics.probes import TEST_IMAGES, TRAIN_IMAGES, Probe, probe, probe_rows
from vaelab.settings import CompareSettings
from vaelab.training.validation import mean_of, psnr, validate
from vaelab.vae.inference import BATCH, batches, device_of, encode
from vaelab.vae.model import VAE, Posterior
from vaelab.vae.objective import kl_to_standard_normal

Row = dict[str, float | None]  # a line of the table; None where a figure does not apply

MEASURES = (
    *("elbo", "iw_bound", "bits_per_dim", "reconstruction", "kl"),
    *("mutual_information", "marginal_kl_lower", "marginal_kl_upper", "active_units"),
    *("mse", "psnr", "ssim"),
    *("probe_linear", "probe_knn"),
    *("parameters", "macs"),
)
ACTIVE = 0.01  # variance over the images of a unit's posterior mean; Burda et al. 2016, section 5.2


@dataclass(frozen=True)
class Posteriors:
    """What a VAE's encoder makes of the train split and of the test split."""

    train: Posterior
    test: Posterior

    @classmethod
    def of(cls, vae: VAE, images: ImageArrays) -> Posteriors:
        return cls(encode(vae, images.train.images), encode(vae, images.test.images))


@dataclass(frozen=True)
class Evaluation:
    """A VAE on the test split."""

    row: Row  # MEASURES
    kl_per_dimension: Tensor  # (latent_dim,), mean over the images, nats
    ceiling: float | None  # nats: log N, where the mutual information is as high as N images show


def evaluate(
    vae: VAE,
    images: ImageArrays,
    posteriors: Posteriors,
    settings: CompareSettings,
) -> Evaluation:
    """A point posterior has no bound: of its terms, only the distortion is a number."""
    test = images.test.images
    kl = kl_to_standard_normal(*posteriors.test).double().mean(0)
    figures: Row = {}
    ceiling = None
    if vae.stochastic:
        found = bounds(
            vae,
            test,
            elbo_samples=settings.elbo_samples,
            iw_samples=settings.iw_samples,
            seed=settings.seed,
        )
        aggregated = aggregated_posterior(posteriors.test, seed=settings.seed)
        figures = {
            **found._asdict(),
            "mutual_information": aggregated.mutual_information,
            "marginal_kl_lower": aggregated.marginal_kl_lower,
            "marginal_kl_upper": aggregated.marginal_kl_upper,
        }
        ceiling = aggregated.ceiling if aggregated.saturated else None
        if vae.likelihood.proper:
            figures["bits_per_dim"] = bits_per_dim(found.iw_bound, images.shape)
    else:
        figures["reconstruction"] = validate(vae, test, samples=1, seed=0).distortion
    row = _row(
        **figures,
        **_fidelity(vae.decode_mean, posteriors.test.mu, test, device_of(vae)),
        **_usefulness(posteriors.train.mu, posteriors.test.mu, images, settings.seed),
        active_units=active_units(posteriors.test.mu) if vae.stochastic else None,
        parameters=vae.parameter_count(),
        macs=macs(vae),
    )
    return Evaluation(row, kl, ceiling)


def evaluate_pca(pca: PCA, train: Tensor, images: ImageArrays, seed: int) -> Row:
    """The linear floor. PCA has no density and no posterior: no bound, none of its terms.

    train: the train split's codes, (N, K).
    """
    test = pca.encode(images.test.images)
    return _row(
        **_fidelity(pca.decode, test, images.test.images, torch.device("cpu")),
        **_usefulness(train, test, images, seed),
        parameters=pca.parameter_count(),
        macs=pca.macs(),
    )


def evaluate_mean_image(images: ImageArrays) -> Row:
    """The trivial floor: the train split's mean, whatever the image."""
    mean = images.train.images.mean(0, dtype=np.float64) / 255.0
    constant = torch.from_numpy(mean).float()
    codes = torch.zeros(len(images.test), 0)
    fidelity = _fidelity(
        lambda z: constant.expand(len(z), *constant.shape),
        codes,
        images.test.images,
        torch.device("cpu"),
    )
    return _row(**fidelity, parameters=constant.numel(), macs=0)


def probe_pixels(images: ImageArrays, seed: int) -> Probe | None:
    """The probes on the pixels themselves; None where there are no two classes."""

    def chosen(split: Split, most: int) -> tuple[Tensor, Tensor]:
        rows = probe_rows(len(split), most, seed).numpy()
        pixels = torch.from_numpy(split.images[rows]).flatten(1).float() / 255.0
        return pixels, torch.tensor(split.labels[rows])

    train, test = chosen(images.train, TRAIN_IMAGES), chosen(images.test, TEST_IMAGES)
    return probe(*train, *test, seed)


def _row(**figures: float | None) -> Row:
    return dict.fromkeys(MEASURES) | figures


def _fidelity(
    decode: Callable[[Tensor], Tensor], codes: Tensor, images: UInt8Array, device: torch.device
) -> Row:
    """Of the images decoded from their codes. codes: (N, K); images: uint8 (N, C, H, W)."""
    errors, similarity = [], []
    with torch.no_grad():
        for part, originals in zip(codes.split(BATCH), batches(images, device), strict=True):
            decoded = decode(part.to(device))
            errors.append((decoded - originals).square().flatten(1).mean(1))
            similarity.append(ssim(decoded, originals))
    mse = mean_of(errors)
    return {"mse": mse, "psnr": psnr(mse), "ssim": mean_of(similarity)}


def _usefulness(train: Tensor, test: Tensor, images: ImageArrays, seed: int) -> Row:
    """Of codes for telling the classes apart; nothing where there are no two classes."""
    train_labels, test_labels = (torch.tensor(s.labels) for s in (images.train, images.test))
    found = probe(train, train_labels, test, test_labels, seed)
    return {"probe_linear": found.linear, "probe_knn": found.knn} if found else {}


def ssim(images: Tensor, originals: Tensor) -> Tensor:
    """Structural similarity of each pair: both (B, C, H, W) in [0, 1]. Returns (B,).

    Wang et al. 2004, with their Gaussian window of 11 x 11 pixels and sigma 1.5, around each pixel
    (the image is mirrored at its border) and in each channel, then averaged.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    similarity = structural_similarity_index_measure(
        images, originals, data_range=1.0, reduction="none"
    )
    assert isinstance(similarity, Tensor)
    return similarity.reshape(len(images))


def active_units(mu: Tensor) -> int:
    """How many latent dimensions' posterior means vary over the images.

    mu: (N, latent_dim). Burda et al. 2016 (arXiv 1509.00519), section 5.2: Var_x(E_q[z]) > 0.01.
    """
    return int((mu.double().var(0, correction=0) > ACTIVE).sum())


def macs(vae: VAE) -> int:
    """Multiply-accumulates of encoding one image and decoding one z.

    Those of linear layers and convolutions; half of the operations that torch counts.
    """
    image = torch.zeros(1, *vae.config.shape, device=device_of(vae))
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        vae.decode(vae.encode(image).mu)
    return counter.get_total_flops() // 2


def choose(count: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """`wanted` of `count` images, all where there are no more: their numbers, rising."""
    chosen = np.random.default_rng(seed).choice(count, min(wanted, count), replace=False)
    return np.sort(chosen)


def pixel_entropy(images: UInt8Array) -> float:
    """Mean over images of the summed entropy of Bernoulli(pixel), nats/image.

    images: uint8 (N, C, H, W). No binary cross-entropy with these pixels as targets can be lower.
    """
    counts = np.zeros(256)
    for start in range(0, len(images), BATCH):
        counts += np.bincount(images[start : start + BATCH].ravel(), minlength=256)
    grey = torch.arange(256).double() / 255.0
    entropy = torch.distributions.Bernoulli(grey).entropy()
    return math.fsum((entropy.numpy() * counts).tolist()) / len(images)
