"""How the encodings fill the prior: draws of the aggregated posterior q(z) against N(0, I)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MASS = 0.95  # of N(0, I), between the two radii that `prior_inside` counts draws within


def prior_fit(z: Tensor) -> dict[str, float | None]:
    """z: (N, latent_dim), draws. The radius |z| of N(0, I) has the chi distribution.

    `radius_distance` is the 1-Wasserstein distance to it, in units of z, by the quantiles at the
    middles of N equal shares. `radius_sd` is None of one draw.
    """
    from scipy.stats import chi

    radius, prior = z.double().norm(dim=1), chi(z.shape[1])
    quantiles = torch.from_numpy(prior.ppf((np.arange(len(z)) + 0.5) / len(z)))
    low, high = prior.interval(MASS)
    return {
        "radius_mean": float(radius.mean()),
        "radius_sd": float(radius.std()) if len(z) > 1 else None,
        "radius_distance": float((radius.sort().values - quantiles).abs().mean()),
        "prior_inside": float(((radius >= low) & (radius <= high)).double().mean()),
    }
