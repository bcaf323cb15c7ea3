"""How the encodings fill the prior: draws of the aggregated posterior q(z) against N(0, I).

fit = PriorFit.of(posterior.sample(generator))     # one draw for each image
fit.figures()["radius_distance"]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaelab.studies.latent.map import STILL

MASS = 0.95  # of N(0, I), between the two radii that `radius_inside` counts draws within


@dataclass(frozen=True)
class PriorFit:
    """N draws of z. float64; NaN where a dimension that does not vary has no such figure."""

    z: Tensor  # (N, latent_dim)
    radius: Tensor  # (N,): |z|
    mean: Tensor  # (latent_dim,)
    sd: Tensor  # (latent_dim,)
    kurtosis: Tensor  # (latent_dim,), in excess of a Gaussian's
    correlation: Tensor  # (latent_dim, latent_dim)

    @classmethod
    def of(cls, z: Tensor) -> PriorFit:
        """z: (N, latent_dim)."""
        z = z.double()
        mean, sd = z.mean(0), z.std(0, correction=0)
        standardised = (z - mean) / torch.where(sd > STILL, sd, math.nan)
        return cls(
            z,
            z.norm(dim=1),
            mean,
            sd,
            standardised.pow(4).mean(0) - 3.0,
            standardised.T @ standardised / len(z),
        )

    def figures(self) -> dict[str, float | None]:
        """The radius against the chi distribution with latent_dim degrees of freedom, and the rest.

        `radius_distance` is the 1-Wasserstein distance, in units of z, by the quantiles at the
        middles of N equal shares. `sd` and `kurtosis` have the lowest and the highest dimension's,
        correlations are absolute, of two different dimensions. None where there is no such figure.
        """
        from scipy.stats import chi

        prior = chi(self.z.shape[1])
        shares = (np.arange(len(self.z)) + 0.5) / len(self.z)
        quantiles = torch.from_numpy(prior.ppf(shares))
        low, high = prior.interval(MASS)
        inside = (self.radius >= low) & (self.radius <= high)
        kurtosis = self.kurtosis[self.kurtosis.isfinite()]
        pairs = self.correlations()
        return {
            "radius_mean": float(self.radius.mean()),
            "radius_sd": float(self.radius.std(correction=0)) if len(self.radius) > 1 else None,
            "radius_distance": float((self.radius.sort().values - quantiles).abs().mean()),
            "radius_inside": float(inside.double().mean()),
            "sd_low": float(self.sd.min()),
            "sd_high": float(self.sd.max()),
            "kurtosis_low": float(kurtosis.min()) if len(kurtosis) else None,
            "kurtosis_high": float(kurtosis.max()) if len(kurtosis) else None,
            "correlation_mean": float(pairs.mean()) if len(pairs) else None,
            "correlation_high": float(pairs.max()) if len(pairs) else None,
        }

    def rows(self, held: Tensor) -> list[dict[str, Any]]:
        """One for each dimension, the most informative first. held: (latent_dim,).

        `correlation` is the largest absolute one with another dimension.
        """
        others = self.correlation.abs().nan_to_num(0.0).fill_diagonal_(0.0).amax(1)
        return [
            {
                "dimension": i,
                "held": float(held[i]),
                "mean": float(self.mean[i]),
                "sd": float(self.sd[i]),
                "kurtosis": float(self.kurtosis[i]),
                "correlation": float(others[i]),
            }
            for i in held.argsort(descending=True, stable=True).tolist()
        ]

    def correlations(self) -> Tensor:
        """Absolute, of each two different dimensions that vary. Returns (pairs,)."""
        latent_dim = len(self.correlation)
        first, second = torch.triu_indices(latent_dim, latent_dim, offset=1)
        pairs = self.correlation[first, second].abs()
        return pairs[pairs.isfinite()]
