"""What `compare` measures of each model on the test split. One function a metric.

    evaluate(vae, images.test.images, elbo_samples=4, seed=0).ssim
    evaluate_pca(pca, images.test.images).psnr
    macs(vae)

It stands apart from `evaluation`, on which the trained weights depend: a new figure in the
comparison trains nothing again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vaelab.data.arrays import UInt8Array
from vaelab.evaluation import Bound, bound_of, mean_of, passes, psnr
from vaelab.inference import BATCH, device_of
from vaelab.models import VAE
from vaelab.pca import PCA

Row = dict[str, float | None]  # a line of the table; None where a figure does not apply

ACTIVE = 0.01  # variance over the images of a unit's posterior mean; Burda et al. 2016, section 5.2


@dataclass(frozen=True)
class Evaluation:
    """A VAE on a split; means over the images."""

    bound: Bound
    ssim: float  # of the decoded posterior mean, higher is better, at most 1
    active_units: int
    kl_per_dimension: Tensor  # (latent_dim,), nats/image


@dataclass(frozen=True)
class PCAEvaluation:
    """A PCA on a split. It has no density and no posterior, so no bound, KL or active units."""

    mse: float
    psnr: float
    ssim: float


def vae_row(vae: VAE, evaluation: Evaluation, seconds: float) -> Row:
    """seconds: of training."""
    return {
        **vars(evaluation.bound),
        "ssim": evaluation.ssim,
        "active_units": evaluation.active_units,
        "parameters": vae.parameter_count(),
        "macs": macs(vae),
        "seconds": seconds,
    }


def pca_row(pca: PCA, evaluation: PCAEvaluation, seconds: float) -> Row:
    """seconds: of the fit."""
    return {
        "elbo": None,
        "reconstruction": None,
        "kl": None,
        **vars(evaluation),
        "active_units": None,
        "parameters": pca.parameter_count(),
        "macs": pca.macs(),
        "seconds": seconds,
    }


@torch.no_grad()
def evaluate(vae: VAE, images: UInt8Array, *, elbo_samples: int, seed: int) -> Evaluation:
    """images: uint8 (N, C, H, W). elbo_samples: draws of z for each image. seed: of those draws."""
    reconstruction, kl, mse, similarity, mu = [], [], [], [], []
    for batch in passes(vae, images, elbo_samples, seed):
        reconstruction.append(batch.reconstruction)
        kl.append(batch.kl_per_dimension.cpu())
        mse.append(batch.mse)
        similarity.append(ssim(batch.decoded, batch.images))
        mu.append(batch.posterior.mu.cpu())
    kl_per_dimension = torch.cat(kl).double().mean(0)
    return Evaluation(
        bound=bound_of(mean_of(reconstruction), kl_per_dimension.sum().item(), mean_of(mse)),
        ssim=mean_of(similarity),
        active_units=active_units(torch.cat(mu)),
        kl_per_dimension=kl_per_dimension,
    )


def evaluate_pca(pca: PCA, images: UInt8Array) -> PCAEvaluation:
    """images: uint8 (N, C, H, W), not those that `pca` was fitted to."""
    errors, similarity = [], []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        originals = torch.tensor(batch).float() / 255.0
        decoded = torch.from_numpy(pca.reconstruct(batch))
        errors.append((decoded - originals).square().flatten(1).mean(1))
        similarity.append(ssim(decoded, originals))
    mse = mean_of(errors)
    return PCAEvaluation(mse, psnr(mse), mean_of(similarity))


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
