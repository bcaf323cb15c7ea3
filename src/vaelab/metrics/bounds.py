"""Tight bounds on a trained VAE's log evidence: the ELBO and the importance-weighted bound.

found = bounds(vae, images.test.images, elbo_samples=4, iw_samples=64, iw_images=1000, seed=0)
bits_per_dim(found.iw_bound, images.shape)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.data.arrays import Picked, UInt8Array
from vaelab.vae.inference import batch_size, device_of, evenly, per_image
from vaelab.vae.model import VAE
from vaelab.vae.objective import elbo_terms, kl_to_standard_normal

DECODES = 1024  # images that are decoded at a time, at most, however many draws are asked for


class Bounds(NamedTuple):
    """Means over the images, nats/image."""

    elbo: float  # higher is better
    reconstruction: float  # the distortion -E[log p(x|z)], lower is better
    kl: float  # the rate KL(q(z|x) || p(z))
    iw_bound: float  # at least the ELBO; the nearer log p(x) the more draws
    iw_error: float  # standard error of its distance from the ELBO, over the images looked at


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log of the mean weight, a lower bound of log p(x) that rises in expectation with k.

    log_weights: (k, B), log p(x|z) + log p(z) - log q(z|x) for k draws of z ~ q(z|x), in nats.
    Returns (B,). Burda, Grosse & Salakhutdinov 2016 (arXiv 1509.00519), equation 8.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


@torch.inference_mode()
def bounds(
    vae: VAE,
    images: UInt8Array,
    *,
    elbo_samples: int,
    iw_samples: int,
    iw_images: int,
    seed: int,
) -> Bounds:
    """The ELBO of all images, and by how much the bound of `iw_samples` draws is tighter.

    images: uint8 (N, C, H, W). seed: of the draws.

    The ELBO takes the KL in closed form. What is estimated beside it is the gap of the other bound:
    the log of the mean weight less the mean of the log weights of the same draws, which Jensen's
    inequality keeps from being negative for each image. iw_bound is the ELBO plus this gap; its
    expectation is that of `importance_weighted_bound`, and by no chance does it lie below the ELBO.
    The gap differs little from image to image, so iw_images of them, evenly over the split, do.
    """
    device = device_of(vae)
    generator = torch.Generator(device).manual_seed(seed)

    def terms(batch: Tensor) -> tuple[Tensor, Tensor]:
        log_likelihood, _, rate = log_weight_terms(vae, batch, elbo_samples, generator)
        return -log_likelihood.mean(0), rate

    def gaps(batch: Tensor) -> tuple[Tensor]:
        log_likelihood, log_ratio, _ = log_weight_terms(vae, batch, iw_samples, generator)
        log_weights = log_likelihood + log_ratio
        return (importance_weighted_bound(log_weights) - log_weights.mean(0),)

    reconstruction, kl = per_image(terms, images, device).mean(1).tolist()
    (gap,) = per_image(gaps, Picked(images, evenly(len(images), iw_images)), device)
    elbo = -(reconstruction + kl)
    error = float(gap.std(correction=0)) / math.sqrt(len(gap))
    return Bounds(elbo, reconstruction, kl, elbo + float(gap.mean()), error)


def log_weight_terms(
    vae: VAE, images: Tensor, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x|z) and log p(z) - log q(z|x) of z ~ q(z|x), each (draws, B), and the rate, (B,).

    images: (B, C, H, W) in [0, 1]. Float64, on the CPU.
    """
    decodes = batch_size(images.shape[1:], DECODES)
    at_once = max(1, decodes // len(images))
    posterior = vae.encode(images)
    log_likelihood, log_ratio = torch.empty(2, draws, len(images), dtype=torch.float64)
    for rows in torch.arange(draws).split(at_once):
        terms = elbo_terms(vae, images, generator, draws=len(rows), posterior=posterior)
        log_likelihood[rows], log_ratio[rows] = (
            values.cpu().double() for values in (terms.log_likelihood, terms.log_ratio)
        )
    return log_likelihood, log_ratio, kl_to_standard_normal(*posterior).sum(1).cpu().double()


def bits_per_dim(nats: float, shape: tuple[int, int, int]) -> float:
    """-nats / (D log 2), D = C * H * W; lower is better. shape: (C, H, W).

    nats: of a log probability (or a bound of it) of the pixels' 8-bit values, not of a density.
    """
    return -nats / (math.log(2.0) * math.prod(shape))
