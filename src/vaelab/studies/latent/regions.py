"""Named regions of latent space, and what a model makes of each.

found = explore_regions({"fc": encoded_fc, "conv": encoded_conv}, images, settings)
found.rows, found.samples["fc"], found.regions["fc"][0].definition
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.metrics.aggregate import aggregate_moments
from vaelab.metrics.probes import LinearProbe, fit_linear_probe
from vaelab.metrics.variation import Variation, share, variation
from vaelab.metrics.wasserstein import PatchReference
from vaelab.samplers.gaussians import ClassGaussians, fit_class_gaussians, fit_mixture
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.inference import decode, device_of, encode_means
from vaelab.vae.model import Posterior
from vaelab.vae.pixels import to_floats

HEADLINE = {  # what becomes columns of `dvc exp show`
    "regions": ("posterior", "prior"),
    "measures": ("sharpness", "diversity", "swd", "nearest", "round_trip"),
}
COMPONENTS = 5  # of the mixture that ranks encodings: ten rank them alike, at over twice the time
RANKED = 10  # draws of q(z) that are ranked, for each sample of a region: a decile's are `samples`
DECILE_NOTES = {1: " (rarest)", 10: " (densest)"}

Row = dict[str, Any]


class Region(NamedTuple):
    key: str  # in metrics files
    name: str  # in reports
    definition: str  # half a sentence, the same for every model
    z: Tensor  # (n, latent_dim)
    labels: Tensor | None = None  # (n,), the classes that the images should show
    apart: float | None = None  # of the gap: class means, in standard deviations within a class
    single: bool = False  # all of one picture, so that no set of images is like them


@dataclass(frozen=True)
class RealImages:
    """Numbers of test images, drawn at random, in two disjoint sets of equal size.

    Of a single test image there is no second set.
    """

    shown: Tensor  # (n,): encoded, and what samples are compared with
    reference: Tensor  # (n,): what SWD is measured to

    @classmethod
    def of(cls, count: int, settings: LatentExploreSettings) -> RealImages:
        """count: of test images. n is settings.samples, or half of the test images if less."""
        n = min(settings.samples, count // 2)
        generator = torch.Generator().manual_seed(settings.seed)
        order = torch.randperm(count, generator=generator)
        return cls(order[: max(n, 1)], order[n : 2 * n])


def regions(encoded: Encoded, images: ImageArrays, settings: LatentExploreSettings) -> list[Region]:
    """The named regions that a report samples, settings.samples points of each.

    Row i of every region comes from row i of the same noise, so that two models, and two regions,
    are compared on the same draws; but draws of q(z), which are ranked, have noise of their own.
    """
    n, latent_dim, seed = settings.samples, encoded.vae.latent_dim, settings.seed
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, latent_dim, generator=generator)
    shown = RealImages.of(len(images.test), settings).shown
    shown = shown[torch.arange(n) % len(shown)]
    labels = torch.tensor(images.test.labels)[shown]

    draws = draw_aggregated(encoded.test, RANKED * n, generator)
    density = fit_mixture(encoded.train, seed=seed, components=COMPONENTS).log_prob(draws)
    radii = draws.double().norm(dim=1)
    far = settings.far * math.sqrt(latent_dim)
    return [
        Region(
            "posterior",
            "Encoded test images",
            "draws of q(z|x), one for each of the real images",
            draw_posteriors(encoded.test, shown, noise),
            labels,
        ),
        Region(
            "image",
            "Around one encoded image",
            "draws of q(z|x) of the first of the real images",
            draw_posteriors(encoded.test, shown[:1], noise),
            single=True,
        ),
        *(
            Region(
                f"decile_{k}",
                f"Density decile {k}{DECILE_NOTES.get(k, '')}",
                f"of {RANKED * n:,} draws of q(z), tenth {k} by density from the rarest",
                decile(draws, density, k),
            )
            for k in settings.deciles
        ),
        *_class_regions(encoded.train, torch.tensor(images.train.labels), noise, seed),
        *(
            Region(f"temperature_{t:g}", f"Temperature {t:g}", f"N(0, {t:g}² I)", t * noise)
            for t in settings.temperatures
        ),
        Region("prior", "Prior", "N(0, I), temperature 1", noise),
        *(
            Region(
                f"shell_{q:g}",
                f"Shell at {100 * q:g}%",
                f"uniform directions, at the radius below which {100 * q:g}% of draws of q(z) lie",
                shell(noise, float(radii.quantile(q))),
            )
            for q in settings.shells
        ),
        Region(
            "far",
            f"Radius {settings.far:g} √d",
            f"uniform directions, at {settings.far:g} √d from the origin; N(0, I) lies at about √d",
            shell(noise, far),
        ),
    ]


def _class_regions(train: Posterior, labels: Tensor, noise: Tensor, seed: int) -> list[Region]:
    """Around classes and between them; none where labels group nothing: all alike, or no two."""
    if not 1 < len(labels.unique()) < len(labels):
        return []
    gaussians = fit_class_gaussians(train, labels)
    classes = torch.arange(len(noise)) % len(gaussians.labels)
    within = gaussians.sample_components(classes, torch.Generator().manual_seed(seed))
    pairs = class_pairs(len(noise), len(gaussians.labels))
    gap, apart = between_classes(gaussians, pairs, noise)
    return [
        Region(
            "classes",
            "Classes",
            "for each class in turn a Gaussian with the mean and covariance of its q(z)",
            within,
            gaussians.labels[classes],
        ),
        Region(
            "gap",
            "Gap between classes",
            "for pairs of classes in turn a Gaussian with the middle of their means and the mean "
            "of their covariances",
            gap,
            apart=float(apart.mean()) if apart.isfinite().all() else None,
        ),
    ]


def draw_posteriors(posterior: Posterior, images: Tensor, noise: Tensor) -> Tensor:
    """mu + sigma * noise. images: (n,) or (1,), their numbers; noise: (n, latent_dim)."""
    return posterior.mu[images] + (0.5 * posterior.logvar[images]).exp() * noise


def draw_aggregated(posterior: Posterior, n: int, generator: torch.Generator) -> Tensor:
    """Draws of q(z), from each image in turn, in an order of chance. Returns (n, latent_dim)."""
    order = torch.randperm(len(posterior.mu), generator=generator)
    noise = torch.randn(n, posterior.mu.shape[1], generator=generator)
    return draw_posteriors(posterior, order[torch.arange(n) % len(order)], noise)


def decile(draws: Tensor, density: Tensor, k: int) -> Tensor:
    """The k-th tenth of the draws by their density, 1 the rarest, in the order of the draws.

    draws: (N, latent_dim), N a multiple of ten; density: (N,). Returns (N / 10, latent_dim).
    """
    tenth = len(draws) // 10
    return draws[density.argsort(stable=True)[(k - 1) * tenth : k * tenth].sort().values]


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


@dataclass(frozen=True)
class RoundTrip:
    """How far encode(decode(z)) lands from z: self-consistency.

    A dimension weighs as much as it tells of the image: the share of its variance in q(z) that is
    of mu and not of the posterior's noise. One that holds nothing does not come back, and should
    not: its weight is 0. Of an autoencoder all that vary weigh 1.
    """

    mean: Tensor  # (latent_dim,), of q(z)
    weight: Tensor  # (latent_dim,)

    @classmethod
    def of(cls, posterior: Posterior) -> RoundTrip:
        mean, covariance = aggregate_moments(posterior)
        noise = posterior.logvar.double().exp().mean(0)
        variance = covariance.diagonal()
        return cls(mean, torch.where(variance > 0, 1.0 - noise / variance, 0.0).clamp(min=0.0))

    def miss(self, z: Tensor, back: Tensor) -> float | None:
        """Root mean square of back - z over that of z - mean, both weighted; both (n, latent_dim).

        0: z itself comes back. 1: no better than if every image were encoded at the mean, wherever
        z lies and however wide q(z) is. None where no dimension tells anything.
        """
        missed = ((back.double() - z.double()).square() * self.weight).sum()
        whole = ((z.double() - self.mean).square() * self.weight).sum()
        return float((missed / whole).sqrt()) if whole > 0 else None


@dataclass(frozen=True)
class Reader:
    """What a model's own encoder makes of images that were decoded from known latents."""

    trip: RoundTrip
    probe: LinearProbe | None  # on encodings; None where there is one class

    @classmethod
    def of(cls, train: Posterior, labels: Tensor, seed: int) -> Reader:
        return cls(RoundTrip.of(train), fit_linear_probe(train.mu, labels, seed))

    def read(self, z: Tensor, back: Tensor, labels: Tensor | None) -> Row:
        """z, back: (n, latent_dim), latents and the encodings' means of their images.

        labels: (n,), the classes that the images should show. Returns columns of
        `explore_regions`.
        """
        row: Row = {
            "round_trip": self.trip.miss(z, back),
            "round_trip_rmse": float((back - z).double().square().mean().sqrt()),
            "confidence": None,
            "accuracy": None,
        }
        if self.probe is not None:
            largest = self.probe.predict_proba(back).max(1)
            row["confidence"] = float(largest.values.mean())
            if labels is not None:
                taken = self.probe.classes[largest.indices]
                row["accuracy"] = float((taken == labels).double().mean())
        return row


@dataclass(frozen=True)
class Explored:
    """Several models' regions. Rows: of each model the real test images first, then its regions."""

    regions: dict[str, list[Region]]
    samples: dict[str, list[NDArray[Any]]]  # for each region, float32 (n, C, H, W) in [0, 1]
    shown: UInt8Array  # the real images, (m, C, H, W)
    rows: list[Row]

    def metrics(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """model -> region -> measure; the real images are the region `data`."""
        told = ("model", "region", "name")
        tree: dict[str, dict[str, dict[str, float | None]]] = {}
        for row in self.rows:
            figures = {key: value for key, value in row.items() if key not in told}
            tree.setdefault(row["model"], {})[row["region"]] = figures
        return tree

    def headline(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Of `metrics` those that become columns of `dvc exp show`."""
        return {
            model: {
                region: {measure: found[region][measure] for measure in HEADLINE["measures"]}
                for region in HEADLINE["regions"]
            }
            for model, found in self.metrics().items()
        }


def explore_regions(
    models: Mapping[str, Encoded], images: ImageArrays, settings: LatentExploreSettings
) -> Explored:
    """Sample every region of every model, and measure the samples and the real images alike.

    The columns of a row:

    - radius: mean |z| in units of sqrt(latent_dim); None of real images;
    - sharpness, diversity: relative to the real images, None where those have none; `laplacian` and
      `pairwise_rmse` are the same as they are;
    - swd: to the reference half of the real images, of as many samples as that has; of the real
      images themselves it is the floor; None of a single test image, and around one encoded image;
    - nearest: mean distance to the nearest training image, RMSE per pixel;
    - confidence, accuracy: of the linear probe on the encodings of the samples;
    - round_trip: `RoundTrip.miss`; round_trip_rmse: root mean square of the same miss over all
      dimensions alike, in units of z. Of real images, by how much a draw of q(z|x) misses mu(x):
      what a round trip over the very image would leave;
    - apart: of the gap alone, as Region has it.
    """
    real = RealImages.of(len(images.test), settings)
    shown = images.test.images[real.shown.numpy()]
    labels = torch.tensor(images.test.labels)[real.shown]
    named = {model: regions(encoded, images, settings) for model, encoded in models.items()}
    samples = {
        model: [decode(encoded.vae, region.z) for region in named[model]]
        for model, encoded in models.items()
    }

    pixels = to_floats(shown)
    sampled = {model: [torch.from_numpy(each) for each in samples[model]] for model in models}
    device = device_of(next(iter(models.values())).vae)
    whole, *rest = variation(
        [pixels, *(group for model in models for group in sampled[model])],
        images.train.images,
        device,
    )
    variations = iter(rest)
    n = len(real.reference)
    reference = to_floats(images.test.images[real.reference.numpy()])
    patches = PatchReference(reference, seed=settings.seed) if n else None

    def look(group: Tensor, found: Variation, single: bool = False) -> Row:
        return {
            "sharpness": share(found.sharpness, whole.sharpness),
            "diversity": share(found.diversity, whole.diversity),
            "swd": patches.distance(group[:n]).mean if patches and not single else None,
            "nearest": found.nearest,
            "laplacian": found.sharpness,
            "pairwise_rmse": found.diversity,
        }

    floor = look(pixels, whole)
    rows = []
    for model, encoded in models.items():
        reader = Reader.of(encoded.train, torch.tensor(images.train.labels), settings.seed)
        z, mu = named[model][0].z[: len(shown)], encoded.test.mu[real.shown]
        place: Row = {"model": model, "region": "data", "name": "Real test images", "radius": None}
        rows.append({**place, **floor, **reader.read(z, mu, labels), "apart": None})
        for region, group in zip(named[model], sampled[model], strict=True):
            radius = float(region.z.norm(dim=1).mean()) / math.sqrt(encoded.vae.latent_dim)
            place = {"model": model, "region": region.key, "name": region.name, "radius": radius}
            back = encode_means(encoded.vae, group)
            read = reader.read(region.z, back, region.labels)
            seen = look(group, next(variations), region.single)
            rows.append({**place, **seen, **read, "apart": region.apart})
    return Explored(named, samples, shown, rows)
