"""Named regions of latent space, and what a model makes of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays, Picked, UInt8Array
from vaelab.metrics.frame import rows as figure_rows
from vaelab.metrics.nearest import NearestSearch
from vaelab.metrics.probes import fit_linear_probe
from vaelab.metrics.round_trip import RoundTrip
from vaelab.metrics.variation import Variation, share, variation
from vaelab.metrics.wasserstein import PatchReference
from vaelab.plotting.style import save
from vaelab.samplers.gaussians import ClassGaussians, fit_class_gaussians
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import Found, regions_draw
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.inference import decode, device_of, encode_means
from vaelab.vae.model import Posterior
from vaelab.vae.pixels import to_floats, to_uint8

RANKED = 10  # draws of q(z) that are ranked, for each sample of a region: a decile's are `samples`
DECILE_NOTES = {1: " (rarest)", 10: " (densest)"}

Figures = dict[str, float | None]


def explore(
    models: Mapping[str, Encoded],
    images: ImageArrays,
    settings: LatentExploreSettings,
    folder: Path,
) -> Found:
    """Draws regions.png, region_measures.png and prior_samples.png.

    Figures have a region's key as source, or `data`, the real images, measured alike:

    - radius: mean |z| in units of sqrt(latent_dim); None of real images;
    - sharpness, diversity: relative to the real images, None where those have none;
    - swd: to the reference half of the real images, of as many samples as that has; of the real
      images themselves it is the floor; None of a single test image, and around one encoded image;
    - nearest: mean distance to the nearest training image, RMSE per pixel;
    - confidence, accuracy: of the linear probe on the encodings of the samples;
    - round_trip: `RoundTrip.miss`; of real images, by how much a draw of q(z|x) misses mu(x): what
      a round trip over the very image would leave;
    - apart: of the gap alone, as Region has it.
    """
    named = {model: regions(encoded, images, settings) for model, encoded in models.items()}
    measured, samples = measure(models, named, images, settings)
    names = {region.key: region.name for region in next(iter(named.values()))}
    chosen, _ = real_images(len(images.test), settings)
    shown = images.test.images[chosen[: regions_draw.ACROSS].numpy()]
    rows = {model: [*every.values()] for model, every in samples.items()}
    save(regions_draw.draw_regions([*names.values()], rows, shown), folder / "regions.png")
    save(regions_draw.draw_measures(measured, names), folder / "region_measures.png")
    prior = {model: every["prior"] for model, every in samples.items()}
    save(regions_draw.draw_prior_samples(prior), folder / "prior_samples.png")
    figures = [
        row
        for model, by_region in measured.items()
        for region, found in by_region.items()
        for row in figure_rows(model, found, source=region)
    ]
    return Found(figures, {"names": names, "samples": settings.samples, "real": len(chosen)})


def measure(
    models: Mapping[str, Encoded],
    named: Mapping[str, list[Region]],
    images: ImageArrays,
    settings: LatentExploreSettings,
) -> tuple[dict[str, dict[str, Figures]], dict[str, dict[str, UInt8Array]]]:
    """One region's images are held at a time.

    Returns model -> `data` and then each region -> the figures that `explore` names; and model ->
    region -> the images that are shown, (n, C, H, W).
    """
    chosen, reference = real_images(len(images.test), settings)
    pixels = to_floats(images.test.images[chosen.numpy()])
    others = Picked(images.test.images, reference.numpy())
    patches = PatchReference(others, seed=settings.seed) if len(others) else None
    training = NearestSearch(images.train.images, device_of(next(iter(models.values())).vae))
    whole = variation(pixels, training)

    def look(group: Tensor, found: Variation, single: bool = False) -> Figures:
        return {
            "sharpness": share(found.sharpness, whole.sharpness),
            "diversity": share(found.diversity, whole.diversity),
            "swd": patches.distance(group[: len(others)]).mean if patches and not single else None,
            "nearest": found.nearest,
        }

    floor, count = look(pixels, whole), len(pixels)
    del pixels
    labels = torch.tensor(images.test.labels)[chosen]
    measured: dict[str, dict[str, Figures]] = {}
    shown: dict[str, dict[str, UInt8Array]] = {}
    for model, encoded in models.items():
        trip, train_labels = RoundTrip.of(encoded.train), torch.tensor(images.train.labels)
        probe = fit_linear_probe(encoded.train.mu, train_labels, settings.seed)
        drawn = named[model][0].z[:count]
        real = read(trip, probe, drawn, encoded.test.mu[chosen], labels)
        measured[model] = {"data": {"radius": None, **floor, **real, "apart": None}}
        shown[model] = {}
        for region in named[model]:
            group = torch.from_numpy(decode(encoded.vae, region.z))
            measured[model][region.key] = {
                "radius": float(region.z.norm(dim=1).mean()) / math.sqrt(encoded.vae.latent_dim),
                **look(group, variation(group, training), region.single),
                **read(trip, probe, region.z, encode_means(encoded.vae, group), region.labels),
                "apart": region.apart,
            }
            most = regions_draw.SHOWN_SAMPLES if region.key == "prior" else regions_draw.ACROSS
            shown[model][region.key] = to_uint8(group[:most].numpy())
    return measured, shown


# --- where points are drawn ----------------------------------------------------------------------


class Region(NamedTuple):
    key: str  # the source of its figures
    name: str  # in pictures
    z: Tensor  # (n, latent_dim)
    labels: Tensor | None = None  # (n,), the classes that the images should show
    apart: float | None = None  # of the gap: class means, in standard deviations within a class
    single: bool = False  # all of one picture, so that no set of images is like them


def real_images(count: int, settings: LatentExploreSettings) -> tuple[Tensor, Tensor]:
    """Numbers of test images, drawn at random, in two disjoint sets; count: of test images.

    Returns those that are encoded and compared with, and those that SWD is measured to, (n,) each:
    settings.samples, or half of the test images if less. Of a single one there is no second set.
    """
    n = min(settings.samples, count // 2)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(settings.seed))
    return order[: max(n, 1)], order[n : 2 * n]


def regions(encoded: Encoded, images: ImageArrays, settings: LatentExploreSettings) -> list[Region]:
    """The named regions that a report samples, settings.samples points of each.

    Row i of every region comes from row i of the same noise, so that two models, and two regions,
    are compared on the same draws; but draws of q(z), which are ranked, have noise of their own.
    """
    n, latent_dim, seed = settings.samples, encoded.vae.latent_dim, settings.seed
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, latent_dim, generator=generator)
    shown, _ = real_images(len(images.test), settings)
    shown = shown[torch.arange(n) % len(shown)]
    labels = torch.tensor(images.test.labels)[shown]

    draws = draw_aggregated(encoded.test, RANKED * n, generator)
    density = encoded.mixture.log_prob(draws)
    radii = draws.double().norm(dim=1)
    far = shell(noise, settings.far * math.sqrt(latent_dim))
    encodings = draw_posteriors(encoded.test, shown, noise)
    around = draw_posteriors(encoded.test, shown[:1], noise)
    return [
        Region("posterior", "Encoded test images", encodings, labels),
        Region("image", "Around one encoded image", around, single=True),
        *(
            Region(f"decile_{k}", f"Density decile {k}{DECILE_NOTES.get(k, '')}", z)
            for k, z in deciles(draws, density, settings.deciles).items()
        ),
        *class_regions(encoded.train, torch.tensor(images.train.labels), noise, seed),
        *(
            Region(f"temperature_{t:g}", f"Temperature {t:g}", t * noise)
            for t in settings.temperatures
        ),
        Region("prior", "Prior", noise),
        *(
            Region(f"shell_{q:g}", f"Shell at {100 * q:g}%", shell(noise, float(radii.quantile(q))))
            for q in settings.shells
        ),
        Region("far", f"Radius {settings.far:g} √d", far),
    ]


def class_regions(train: Posterior, labels: Tensor, noise: Tensor, seed: int) -> list[Region]:
    """Around classes and between them; none where labels group nothing: all alike, or no two."""
    if not 1 < len(labels.unique()) < len(labels):
        return []
    gaussians = fit_class_gaussians(train, labels)
    classes = torch.arange(len(noise)) % len(gaussians.labels)
    within = gaussians.sample_components(classes, torch.Generator().manual_seed(seed))
    pairs = class_pairs(len(noise), len(gaussians.labels))
    gap, apart = between_classes(gaussians, pairs, noise)
    far = float(apart.mean()) if apart.isfinite().all() else None
    return [
        Region("classes", "Classes", within, gaussians.labels[classes]),
        Region("gap", "Gap between classes", gap, apart=far),
    ]


def draw_posteriors(posterior: Posterior, images: Tensor, noise: Tensor) -> Tensor:
    """mu + sigma * noise. images: (n,) or (1,), their numbers; noise: (n, latent_dim)."""
    return posterior.mu[images] + (0.5 * posterior.logvar[images]).exp() * noise


def draw_aggregated(posterior: Posterior, n: int, generator: torch.Generator) -> Tensor:
    """Draws of q(z), from each image in turn, in an order of chance. Returns (n, latent_dim)."""
    order = torch.randperm(len(posterior.mu), generator=generator)
    noise = torch.randn(n, posterior.mu.shape[1], generator=generator)
    return draw_posteriors(posterior, order[torch.arange(n) % len(order)], noise)


def deciles(draws: Tensor, density: Tensor, wanted: Sequence[int]) -> dict[int, Tensor]:
    """Tenths of the draws by their density, 1 the rarest, each in the order of the draws.

    draws: (N, latent_dim), N a multiple of ten; density: (N,). Returns those wanted, each
    (N / 10, latent_dim).
    """
    tenths = density.argsort(stable=True).chunk(10)
    return {k: draws[tenths[k - 1].sort().values] for k in wanted}


def shell(noise: Tensor, radius: float) -> Tensor:
    """Uniform on the sphere. noise: (n, latent_dim), standard normal."""
    return radius * noise / noise.norm(dim=1, keepdim=True)


def class_pairs(n: int, classes: int) -> Tensor:
    """Two different classes for each row, (n, 2): all ordered pairs in turn, before one returns."""
    rows = torch.arange(n)
    step = 1 + rows // classes % (classes - 1)
    return torch.stack([rows % classes, (rows + step) % classes], 1)


def between_classes(
    gaussians: ClassGaussians, pairs: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Half-way between two classes in place, and as wide as they are.

    Row i is of the Gaussian with the middle of the means of the two components pairs[i], (n, 2),
    and the mean of their covariances: along every line it lies between the classes and has their
    spread. The middle of a draw of each would have half of that variance, so that it would lie at
    a smaller radius as well, and no longer be a matter of classes alone.

    Returns z, (n, latent_dim), and how far the two means are apart, in standard deviations of this
    Gaussian along the line between them, (n,).
    """
    z, apart = torch.empty_like(noise), torch.empty(len(noise))
    for pair in pairs.unique(dim=0):
        rows = (pairs == pair).all(1)
        factors = gaussians.factors[pair]
        covariance = (factors @ factors.mT).mean(0)
        first, second = gaussians.means[pair]
        offset = noise[rows].double() @ torch.linalg.cholesky(covariance).T
        z[rows] = (0.5 * (first + second) + offset).float()
        line = first - second
        apart[rows] = (line.square().sum() / (line @ covariance @ line).sqrt()).float()
    return z, apart


# --- measures ------------------------------------------------------------------------------------


def read(trip: RoundTrip, probe: Any, z: Tensor, back: Tensor, labels: Tensor | None) -> Figures:
    """What a model's own encoder makes of images that were decoded from known latents.

    probe: fit_linear_probe's, on encodings; z, back: (n, latent_dim), latents and the encodings'
    means of their images; labels: (n,), the classes that the images should show.
    """
    figures: Figures = dict.fromkeys(("round_trip", "confidence", "accuracy"))
    figures["round_trip"] = trip.miss(z, back)
    if probe is not None:
        probabilities = probe.predict_proba(back.double().numpy())
        figures["confidence"] = float(probabilities.max(1).mean())
        if labels is not None:
            taken = probe.classes_[probabilities.argmax(1)]
            figures["accuracy"] = float((taken == labels.numpy()).mean())
    return figures
