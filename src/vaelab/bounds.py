"""Tight bounds on a trained VAE's log evidence: the ELBO and the importance-weighted bound.

    found = bounds(vae, images.test.images, elbo_samples=16, iw_samples=64, seed=0)
    bits_per_dim(found.iw_bound, images.shape)

Apart from `evaluation`, on which the trained weights depend: it costs a decode for every draw.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.data.arrays import UInt8Array
from vaelab.inference import batches, device_of
from vaelab.models import VAE, Posterior
from vaelab.objective import kl_to_standard_normal

DECODES = 1024  # images that are decoded at a time, however many draws are asked for


class Bounds(NamedTuple):
    """Means over the images, nats/image."""

    elbo: float  # higher is better
    reconstruction: float  # the distortion -E[log p(x|z)], lower is better
    kl: float  # the rate KL(q(z|x) || p(z))
    iw_bound: float  # at least the ELBO; the nearer log p(x) the more draws


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log of the mean weight, a lower bound of log p(x) that rises in expectation with k.

    log_weights: (k, B), log p(x|z) + log p(z) - log q(z|x) for k draws of z ~ q(z|x), in nats.
    Returns (B,). Burda, Grosse & Salakhutdinov 2016 (arXiv 1509.00519), equation 8.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


@torch.inference_mode()
def bounds(
    vae: VAE, images: UInt8Array, *, elbo_samples: int, iw_samples: int, seed: int
) -> Bounds:
    """The ELBO from the first `elbo_samples` draws of z, the tighter bound from `iw_samples`.

    images: uint8 (N, C, H, W). The two share one stream of draws, which `seed` decides, and every
    draw is decoded once, DECODES images at a time.

    The ELBO takes the KL in closed form. An importance-weighted bound beside it that takes it from
    the draws would lie above the ELBO in expectation alone, and below it by chance where q is
    nearly exact or images are few. So what is estimated is the gap between them: the log of the
    mean weight less the mean of the log weights of the same draws, which Jensen's inequality keeps
    from being negative for each image. iw_bound is the ELBO plus this gap. Its expectation is that
    of `importance_weighted_bound`, as the mean log weight and the ELBO have the same one.
    """
    device = device_of(vae)
    generator = torch.Generator(device).manual_seed(seed)
    distortions, rates, gaps = [], [], []
    for batch in batches(images, device):
        posterior = vae.encode(batch)
        draws = max(elbo_samples, iw_samples)
        log_likelihood, log_ratio = log_weight_terms(vae, batch, posterior, draws, generator)
        log_weights = (log_likelihood + log_ratio)[:iw_samples]
        distortions.append(-log_likelihood[:elbo_samples].mean(0))
        rates.append(kl_to_standard_normal(*posterior).sum(1).cpu().double())
        gaps.append(importance_weighted_bound(log_weights) - log_weights.mean(0))
    reconstruction, kl, gap = (float(torch.cat(part).mean()) for part in (distortions, rates, gaps))
    elbo = -(reconstruction + kl)
    return Bounds(elbo, reconstruction, kl, elbo + gap)


def log_weight_terms(
    vae: VAE, images: Tensor, posterior: Posterior, draws: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """log p(x|z) and log p(z) - log q(z|x) of z ~ q(z|x), each float64 (draws, B) on the CPU.

    images: (B, C, H, W) in [0, 1]; posterior: theirs.
    """
    at_once = max(1, DECODES // len(images))
    likelihoods, ratios = [], []
    for start in range(0, draws, at_once):
        count = min(at_once, draws - start)
        z = torch.stack([posterior.sample(generator) for _ in range(count)])  # (count, B, d)
        repeated = images.expand(count, *images.shape).flatten(0, 1)
        log_prob = vae.likelihood.log_prob(repeated, vae.decode(z.flatten(0, 1)))
        likelihoods.append(log_prob.unflatten(0, (count, len(images))).cpu().double())
        noise = (z - posterior.mu) / (0.5 * posterior.logvar).exp()
        log_ratio = 0.5 * (noise.square() + posterior.logvar - z.square()).sum(2)
        ratios.append(log_ratio.cpu().double())
    return torch.cat(likelihoods), torch.cat(ratios)


def bits_per_dim(nats: float, shape: tuple[int, int, int]) -> float:
    """-nats / (D log 2), D = C * H * W; lower is better.

    nats: the mean over images of a log probability (or a lower bound of it) of their pixels' 8-bit
    values; of a density it gives no number of bits. shape: (C, H, W).
    """
    return -nats / (math.log(2.0) * math.prod(shape))
