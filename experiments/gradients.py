"""Gradients through noise: three estimators of one gradient, and how much each varies.

    estimates = gradient_estimates(f, posterior, noise)
    measure(vae, images)["score"]["ratio_of_mu"]

What theory.py asks for the third question of docs/theory.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from vaelab.plotting.style import new_figure
from vaelab.settings import PALETTE
from vaelab.vae.inference import device_of
from vaelab.vae.model import VAE, Posterior
from vaelab.vae.objective import kl_to_standard_normal

SEED = 0
DRAWS = 2000  # of the noise, for each image whose gradients are estimated


class Gradients(NamedTuple):
    """Estimates of the gradient of E_q[f(z)], one from each of K draws; each (K, latent_dim)."""

    mu: Tensor
    logvar: Tensor


ESTIMATORS = {
    "pathwise": "reparameterised",
    "score": "score function",
    "baseline": "score function with a baseline",
}
SCORE_FUNCTIONS = ("score", "baseline")


def gradient_estimates(
    f: Callable[[Tensor], Tensor], posterior: Posterior, noise: Tensor
) -> dict[str, Gradients]:
    """Of E_q[f(z)], q = N(mu, exp(logvar)), by each of ESTIMATORS from the same draws.

    f: (K, latent_dim) -> (K,), row by row; posterior: mu and logvar of one image, each
    (latent_dim,); noise: (K, latent_dim), standard normal, K > 1.

    `pathwise` differentiates f(mu + sigma * noise) (Kingma & Welling 2014, section 2.4; Rezende et
    al. 2014). `score` is f(z) times the gradient of log q(z) (Williams 1992), for which f need not
    be differentiable; `baseline` takes the mean of the other draws' f from f first, which leaves
    the estimate unbiased (Kool et al. 2019).
    """
    mu, logvar = (row.expand_as(noise).clone().requires_grad_() for row in posterior)
    values = f(mu + (0.5 * logvar).exp() * noise)
    pathwise = Gradients(*torch.autograd.grad(values.sum(), (mu, logvar)))

    values = values.detach().double().unsqueeze(1)
    others = (values.sum() - values) / (len(values) - 1)
    scores = noise.double() * (-0.5 * posterior.logvar).exp(), 0.5 * (noise.double().square() - 1)
    return {
        "pathwise": Gradients(*(each.double() for each in pathwise)),
        "score": Gradients(*(values * score for score in scores)),
        "baseline": Gradients(*((values - others) * score for score in scores)),
    }


def standardised_difference(a: Tensor, b: Tensor) -> Tensor:
    """Difference of two estimators' means over its standard error; about N(0, 1) if they agree.

    a, b: (K, d), from the same draws, pair by pair. Returns (d,).
    """
    difference = a - b
    return difference.mean(0) / (difference.std(0) / math.sqrt(len(difference)))


def measure(vae: VAE, images: Tensor) -> dict[str, Any]:
    """How the estimators of the reconstruction term's gradient vary, and whether they agree.

    images: (N, C, H, W) in [0, 1]. Variances are of one draw, mean over the images.
    """
    device = device_of(vae)
    images = images.to(device)
    with torch.no_grad():
        encoded = vae.encode(images)
    kl = kl_to_standard_normal(*encoded).mean(0)
    generator = torch.Generator().manual_seed(SEED)
    variances: dict[str, list[Tensor]] = {key: [] for key in ESTIMATORS}
    gradients, apart = [], []
    for image, mu, logvar in zip(images, *encoded, strict=True):

        def distortion(z: Tensor, image: Tensor = image) -> Tensor:
            raw = vae.decode(z)
            return -vae.likelihood.log_prob(image.expand_as(raw), raw)

        noise = torch.randn(DRAWS, vae.latent_dim, generator=generator).to(device)
        estimates = gradient_estimates(distortion, Posterior(mu, logvar), noise)
        both = {key: torch.cat(found, 1).cpu() for key, found in estimates.items()}
        for key, found in both.items():
            variances[key].append(found.var(0).view(2, -1))
        gradients.append(both["pathwise"].mean(0))
        apart += [standardised_difference(both[key], both["pathwise"]) for key in SCORE_FUNCTIONS]
    differences = torch.cat(apart)
    gradient = torch.stack(gradients)  # (N, 2 * latent_dim)
    size = float(gradient.square().sum(1).mean().sqrt())
    result: dict[str, Any] = {
        "kl_per_dimension": kl.tolist(),
        "gradient_norm": size,
        "push_of_distortion": float(gradient[:, vae.latent_dim :].sum(1).mean()),  # on logvar
        "pull_of_kl": float(
            0.5 * (1.0 - encoded.logvar.exp()).sum(1).mean()
        ),  # as far, if beta = 1
        "difference_rms": float(differences.square().mean().sqrt()),  # 1 where they agree
        "difference_within_1.96": float((differences.abs() < 1.96).double().mean()),  # 0.95
    }
    mean_variances = {key: torch.stack(rows).mean(0) for key, rows in variances.items()}
    for key, variance in mean_variances.items():  # (2, latent_dim), of mu and of logvar
        result[key] = {
            "variance_of_mu": variance[0].tolist(),
            "variance_of_logvar": variance[1].tolist(),
            "relative_error": float(variance.sum().sqrt()) / size,  # of a single draw
        }
    for key in SCORE_FUNCTIONS:
        pathwise, variance = mean_variances["pathwise"], mean_variances[key]
        ratios = variance / pathwise
        result[key] |= {
            "ratio_of_mu": float(variance[0].sum() / pathwise[0].sum()),
            "ratio_of_logvar": float(variance[1].sum() / pathwise[1].sum()),
            "smallest_ratio": float(ratios.min()),
            "largest_ratio": float(ratios.max()),
        }
    return result


def draw(measured: Mapping[str, Mapping[str, Any]]) -> Figure:
    """measured: when -> what measure_gradients returns."""
    figure = new_figure(3.1)
    panels = figure.subplots(1, 2 * len(measured), sharey=True)
    colours = dict(zip(ESTIMATORS, (PALETTE[1], PALETTE[4], "#d9a12b"), strict=True))
    cases = [(when, of) for when in measured for of in ("mu", "logvar")]
    for axes, (when, of) in zip(panels, cases, strict=True):
        found = measured[when]
        order = np.argsort(found["kl_per_dimension"])[::-1]
        for key, name in ESTIMATORS.items():
            variance = np.array(found[key][f"variance_of_{of}"])[order]
            axes.plot(range(1, len(order) + 1), variance, ".-", color=colours[key], label=name)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_title({"mu": f"{when}: μ", "logvar": f"{when}: log σ²"}[of], fontsize=9)
        axes.set_xticks([1, len(order) // 2, len(order)])
        axes.grid(axis="y", alpha=0.3)
    panels[0].set_ylabel("variance of one draw's estimate")
    figure.supxlabel("latent dimension, by its KL", fontsize=9)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
