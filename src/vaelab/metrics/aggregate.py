"""How the encodings of a whole split share latent space: the aggregated posterior q(z).

    found = aggregated_posterior(encode(vae, images.test.images), seed=0)
    found.mutual_information, found.marginal_kl_upper, found.saturated

How much of the mean KL tells images apart, and how much is only paid for not filling the prior.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.vae.model import Posterior
from vaelab.vae.objective import kl_to_standard_normal

DRAWS = 2048  # z at which q(z) is evaluated, at most one from each posterior
PAIRS = 2**22  # of a draw and a posterior, that are looked at at a time
ACTIVE = 0.01  # variance over the images of an active unit's posterior mean
MARGIN = 1.0  # nats below the ceiling from which on the estimate is of the split, not its source


class AggregatedPosterior(NamedTuple):
    """Of q(z), the mixture of the N posteriors; nats/image."""

    mutual_information: float  # of z and the image, at most the ceiling
    marginal_kl_lower: float  # KL(q(z) || p(z)) is no less: that of q(z)'s Gaussian
    marginal_kl_upper: float  # what the mean KL has beyond the mutual information
    ceiling: float  # log N

    @property
    def saturated(self) -> bool:
        """Too few images for this code: the figures are bounds of the population's."""
        return self.mutual_information > self.ceiling - MARGIN


def aggregated_posterior(posterior: Posterior, *, seed: int) -> AggregatedPosterior:
    """Split the mean KL into mutual information and KL(q(z) || p(z)): the "ELBO surgery" of Hoffman
    & Johnson 2016.

    posterior: mu and logvar of N images, each (N, latent_dim). seed: of the draws of z.

    q(z) = (1/N) sum_i q(z|x_i), all N components summed for each draw, its own among them, and
    I(x; z) = E[log q(z|x) - log q(z)] over an image and a draw of its z: the information of z about
    which of the N images it came from, so at most log N. Of the population that the images are from
    it is a lower bound (Poole et al. 2019, section 2), and marginal_kl_upper an upper one. Where
    the rate is far above log N it saturates: then it is log N, whatever the model.
    """
    mu, logvar = posterior.mu.cpu().double(), posterior.logvar.cpu().double()
    count = len(mu)
    generator = torch.Generator().manual_seed(seed)
    own = torch.randperm(count, generator=generator)[:DRAWS]
    noise = torch.randn(len(own), mu.shape[1], generator=generator).double()
    z = mu[own] + (0.5 * logvar[own]).exp() * noise

    mixture = log_mixture(z, mu, logvar)
    component = -0.5 * (noise.square() + logvar[own]).sum(1)
    kl = kl_to_standard_normal(mu, logvar).mean(0)
    rate = float(kl.sum())
    least = max(encoding_statistics(posterior, kl).marginal_kl_lower, 0.0)
    information = min(float((component - mixture).mean()), math.log(count), rate - least)
    return AggregatedPosterior(information, least, rate - information, math.log(count))


def log_mixture(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log of the mean of N(z; mu, exp(logvar)) over the components, less -d/2 log 2 pi.

    z: (M, d); mu, logvar: (N, d), all float64, in which the squares may be multiplied out: at
    logvar = -10 and d = 128 the terms reach 1e7, and eight digits behind the point are left.
    Returns (M,).
    """
    precision = (-logvar).exp()
    weighted = mu * precision
    constant = (mu * weighted + logvar).sum(1)
    parts = []
    for part in z.split(max(1, PAIRS // len(mu))):
        distances = torch.addmm(constant, part.square(), precision.T)
        distances = distances.addmm_(part, weighted.T, alpha=-2.0)
        parts.append(distances.mul_(-0.5).logsumexp(1) - math.log(len(mu)))
    return torch.cat(parts)


def aggregate_moments(posterior: Posterior) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d) of q(z) = E_x[q(z|x)], exactly, in float64.

    The covariance is that of mu plus the mean of sigma² on its diagonal: the law of total variance.
    """
    mu = posterior.mu.double()
    mean = mu.mean(0)
    centred = mu - mean
    return mean, centred.T @ centred / len(mu) + posterior.logvar.double().exp().mean(0).diag()


class EncodingStatistics(NamedTuple):
    """Of the aggregated posterior."""

    norm: float  # root mean square of |z| in units of sqrt(latent_dim): 1 for N(0, I)
    variance: float  # of z, mean over dimensions: 1 for N(0, I)
    kl: float  # KL(q(z|x) || p(z)), mean over images, nats
    marginal_kl_lower: float  # nats: KL(q(z) || p(z)) if q(z) were Gaussian, and no more than it


def encoding_statistics(posterior: Posterior, kl: Tensor) -> EncodingStatistics:
    """posterior: of N images; kl: (latent_dim,), mean over the images, nats."""
    mean, covariance = aggregate_moments(posterior)
    variances = covariance.diagonal()
    gaussian = 0.5 * (variances.sum() + mean.square().sum() - len(mean) - covariance.logdet())
    return EncodingStatistics(
        norm=float((variances + mean.square()).mean().sqrt()),
        variance=float(variances.mean()),
        kl=float(kl.sum()),
        marginal_kl_lower=float(gaussian),
    )


def active_units(mu: Tensor) -> int:
    """How many latent dimensions' posterior means vary over the images: Var_x(E_q[z]) > ACTIVE.

    mu: (N, latent_dim). Burda et al. 2016 (arXiv 1509.00519), section 5.2.
    """
    return int((mu.double().var(0, correction=0) > ACTIVE).sum())
