"""Where latents are drawn from, and how far the images decoded from them lie from real ones.

    real = RealImages.of(images, settings.compare)
    samplers = fit_samplers(train, images.train.labels, settings.compare, device)
    generated = generate(vae, samplers, test, real, seed)
    judge(real, generated, device)["mixture"]["swd"]

What is judged are the decoder's mean images in 8 bits, without the likelihood's pixel noise. They
are decoded when they are looked at, some at a time, so that none of these sets is held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays, ImageRows, Int64Array, Picked, UInt8Array
from vaelab.metrics.frame import Rows, rows
from vaelab.metrics.inception import inception_distances
from vaelab.metrics.nearest import NearestSearch
from vaelab.metrics.pca import PCA
from vaelab.metrics.wasserstein import PatchReference
from vaelab.samplers.flow import FlowRecipe, fit_flow
from vaelab.samplers.gaussians import (
    ClassGaussians,
    Prior,
    Sampler,
    fit_class_gaussians,
    fit_mixture,
)
from vaelab.settings import CompareSettings
from vaelab.vae.inference import Decoded
from vaelab.vae.model import VAE, Posterior

Key = tuple[str, int | None]  # model, seed
Source = TypeVar("Source")
RECONSTRUCTION, FLOOR = "reconstruction", "floor"  # sources of images that are no samplers
OF_A_CLASS = 10  # images
NEAREST = 256  # images of a set, drawn at random (splits lie sorted by class), that are looked up


@dataclass(frozen=True)
class RealImages:
    """Two halves of the test split, of n images each: one to compare with, one to start from.

    The distance of the second half to the first is what as many real images have: the floor.
    """

    reference: Picked
    other: Picked
    other_index: Tensor  # (n,): which test images `other` is
    patches: PatchReference  # of `reference`
    train: UInt8Array

    @classmethod
    def of(cls, images: ImageArrays, settings: CompareSettings) -> RealImages:
        """n is settings.generated, or half of the test split where that is less."""
        count = len(images.test)
        n = min(settings.generated, count // 2)
        generator = torch.Generator().manual_seed(settings.seed)
        order = torch.randperm(count, generator=generator)
        first, second = order[:n].sort().values, order[n : 2 * n].sort().values
        reference, other = (Picked(images.test.images, rows.numpy()) for rows in (first, second))
        patches = PatchReference(reference, seed=settings.seed)
        return cls(reference, other, second, patches, images.train.images)


def fit_samplers(
    train: Posterior, labels: Int64Array, settings: CompareSettings, device: torch.device
) -> dict[str, Sampler]:
    """The prior, the tempered prior, and what is fitted to the encodings of the train split.

    labels: (N,); `class` is there only where two classes are.
    """
    latent_dim = train.mu.shape[1]
    samplers: dict[str, Sampler] = {
        "prior": Prior(latent_dim),
        "tempered": Prior(latent_dim, settings.temperature),
        "mixture": fit_mixture(train, seed=settings.seed, components=settings.mixture_components),
    }
    if len(np.unique(labels)) > 1:
        samplers["class"] = fit_class_gaussians(train, torch.tensor(labels))
    recipe = FlowRecipe(steps=settings.flow_steps)
    samplers["flow"] = fit_flow(train, seed=settings.seed, device=device, recipe=recipe)
    return samplers


def generate(
    vae: VAE, samplers: Mapping[str, Sampler], test: Posterior, real: RealImages, seed: int
) -> dict[str, ImageRows]:
    """The reconstructions of `other`, and as many mean images from each sampler.

    test: of the whole test split.
    """
    latents = {RECONSTRUCTION: test.mu[real.other_index]}
    for name, sampler in samplers.items():
        latents[name] = sampler.sample(len(real.other), torch.Generator().manual_seed(seed))
    return {name: Decoded.by(vae, z) for name, z in latents.items()}


def generate_by_pca(pca: PCA, train: Tensor, real: RealImages, seed: int) -> dict[str, ImageRows]:
    """As `generate`, with a Gaussian fitted to the train split's codes (N, K) for a prior."""
    points = Posterior(train, torch.full_like(train, -math.inf))
    gaussian = fit_class_gaussians(points, torch.zeros(len(train)))  # one class
    z = gaussian.sample(len(real.other), torch.Generator().manual_seed(seed))
    codes = {RECONSTRUCTION: pca.encode(real.other), "prior": z}
    return {name: Decoded(pca.decode, each, pca.shape) for name, each in codes.items()}


def generate_classes(vae: VAE, sampler: Sampler, seed: int) -> UInt8Array:
    """OF_A_CLASS images of one class after another, uint8 (K * OF_A_CLASS, C, H, W)."""
    assert isinstance(sampler, ClassGaussians)
    classes = torch.arange(len(sampler.labels)).repeat_interleave(OF_A_CLASS)
    z = sampler.sample_components(classes, torch.Generator().manual_seed(seed))
    return Decoded.by(vae, z)[:]


def judge(
    real: RealImages, groups: Mapping[Source, ImageRows], device: torch.device
) -> dict[Source, dict[str, float]]:
    """swd, swd_SIDE of each level and nearest, of each group of images, uint8 (n, C, H, W)."""
    some = torch.randperm(len(real.other), generator=torch.Generator().manual_seed(0))[:NEAREST]
    training = NearestSearch(real.train, device)
    judged = {}
    for source, images in groups.items():
        found = training.find(images[some.numpy()])
        distance = real.patches.distance(images)
        levels = zip(distance.sides, distance.levels, strict=True)
        judged[source] = {
            "swd": distance.mean,
            **{f"swd_{side}": level for side, level in levels},
            "nearest": float(found.distance.mean()),
        }
    return judged


def judge_all(
    real: RealImages,
    groups: Mapping[Key, Mapping[str, ImageRows]],
    weights: Path | None,
    seed: int,
    device: torch.device,
) -> tuple[list[Rows], dict[str, Any]]:
    """Every figure of every source, and under what conditions FID and KID were measured or not.

    groups: of each model and seed. weights, seed: as `inception_distances`.
    """
    named = {
        (model, number, source): images
        for (model, number), sources in groups.items()
        for source, images in sources.items()
    }
    words = {" ".join(map(str, name)): images for name, images in named.items()}
    found = inception_distances(real.reference, words, weights=weights, device=device, seed=seed)
    table = [
        rows(
            model,
            figures | found.groups.get(f"{model} {number} {source}", {}),
            seed=number,
            source=source,
        )
        for (model, number, source), figures in judge(real, named, device).items()
    ]
    return table, found.conditions
