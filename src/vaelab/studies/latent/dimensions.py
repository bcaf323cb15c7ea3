"""Single dimensions of latent space: what each does to images, which factors and classes it holds.

found = explore(models, images, settings.latent_explore, folder)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.data.factors import in_words
from vaelab.metrics.aggregate import aggregate_moments
from vaelab.metrics.disentanglement import Disentanglement, correlation_ratio, disentanglement
from vaelab.metrics.frame import Rows, rows
from vaelab.metrics.probes import chance_accuracy, probe
from vaelab.metrics.readout import read_factors
from vaelab.metrics.variation import distance
from vaelab.plotting.matrix import show_matrix
from vaelab.plotting.strips import draw_strips
from vaelab.plotting.style import NAMES, new_figure, save
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import Found
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.inference import Decoded, batch_size, decode
from vaelab.vae.model import VAE, Posterior
from vaelab.vae.pixels import to_floats

STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # of a traversal, in standard deviations of q(z)
REACH = 2.0  # standard deviations either side of the mean between which changes are measured
VISIBLE = 0.1  # of the range of a pixel: a change beyond it counts
MEASURED = 64  # encodings that changes are averaged over
SHOWN_IMAGES = 2  # that traversals start from, beside the mean encoding
FROM_IMAGES = 4  # dimensions traversed from each
LEADING, SHOWN = 8, 14  # columns of the matrix with factors: the most informative, and all
LEAST = 10.0  # % of a factor's entropy that has the full colour at least: chance looks pale


def explore(
    models: Mapping[str, Encoded],
    images: ImageArrays,
    settings: LatentExploreSettings,
    folder: Path,
) -> Found:
    """Measures DIMENSIONS (metrics/measures.py): of a model, and by `z7` or the like, or by factor;
    `data` is two different test images. Draws traversals.png, traversals_images.png and, where
    factors are known, dimensions_factors.png.

    Facts: `latent_dim`; `unit` of what a dimension holds; `leading`, model -> the dimensions that
    are traversed, most informative first; `best`, model -> factor -> the two that hold most of it.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    chosen = torch.randperm(len(images.test), generator=generator)[:MEASURED]
    shown, ends = chosen[:SHOWN_IMAGES], torch.tensor([-REACH, REACH])
    figures: Rows = []
    told: dict[str, Disentanglement] = {}
    leading, means, starts = {}, {}, {}
    labels: dict[str, list[str]] = {}
    for model, encoded in models.items():
        vae, mu, scale = encoded.vae, encoded.test.mu, Scale.of(encoded.test)
        leading[model] = encoded.most_informative(settings.traversals).tolist()
        labels[model] = []
        for i in leading[model]:
            held = float(encoded.held[i])
            moved = dimension_change(vae, mu[chosen], i, scale.values(i, ends))
            found = {"dimension_held": held, **moved._asdict()}
            figures += rows(model, found, source=f"z{i}")
            pixels = f"{moved.dimension_pixels:.0%} of pixels"
            labels[model].append(f"z{i} · {held:.2f} {encoded.unit}\n{pixels}")
        means[model] = traversals(vae, scale.mean[None], leading[model], scale)
        starts[model] = traversals(vae, mu[shown], leading[model][:FROM_IMAGES], scale)
        figures += rows(model, read_classes(encoded, images, settings.seed))
        if images.meta.factor_names:
            by_factor, scored = hold_factors(model, encoded, images, settings.seed)
            figures += by_factor
            told |= {model: scored} if scored else {}
    if between := change_between(images.test.images[chosen.numpy()]):
        figures += rows("data", between._asdict())

    unit = "standard deviations of q(z)"
    save(draw_strips(means, labels, STEPS, unit), folder / "traversals.png")
    labels = {model: each[:FROM_IMAGES] * len(shown) for model, each in labels.items()}
    figure = draw_strips(starts, labels, STEPS, unit, images.test.images[shown.numpy()])
    save(figure, folder / "traversals_images.png")
    if told:
        save(draw_factors(told, leading), folder / "dimensions_factors.png")
    any_model = next(iter(models.values()))
    facts = {
        "latent_dim": any_model.vae.latent_dim,
        "unit": any_model.unit,
        "leading": leading,
        "best": {model: scored.best() for model, scored in told.items()},
    }
    return Found(figures, facts)


# --- what they do to images ----------------------------------------------------------------------


class Scale(NamedTuple):
    """Of each dimension of the aggregated posterior, q(z) = E_x q(z|x); each (latent_dim,).

    A dimension of q(z) need be no N(0, 1), so a step of one z is not equally far in all dimensions,
    nor in two models; a standard deviation is.
    """

    mean: Tensor
    sd: Tensor

    @classmethod
    def of(cls, posterior: Posterior) -> Scale:
        mean, covariance = aggregate_moments(posterior)
        return cls(mean.float(), covariance.diagonal().sqrt().float())

    def values(self, dimension: int, steps: Tensor) -> Tensor:
        """steps: (V,), in standard deviations from the mean. Returns (V,), in units of z."""
        return self.mean[dimension] + steps * self.sd[dimension]


def traverse(z: Tensor, dimension: int, values: Tensor) -> Tensor:
    """z with one of its coordinates set to each value in turn.

    z: (latent_dim,); values: (V,). Returns (V, latent_dim).
    """
    result = z.repeat(len(values), 1)
    result[:, dimension] = values
    return result


def traversals(vae: VAE, z: Tensor, dimensions: Sequence[int], scale: Scale) -> UInt8Array:
    """Images along each dimension, from each point in turn, at STEPS.

    z: (k, latent_dim); dimensions: n. Returns (k * n, len(STEPS), C, H, W).
    """
    steps = torch.tensor(STEPS)
    lines = [traverse(point, i, scale.values(i, steps)) for point in z for i in dimensions]
    images = Decoded.by(vae, torch.cat(lines))[:]
    return images.reshape(len(lines), len(steps), *images.shape[1:])


class Change(NamedTuple):
    """Between two images, mean over pairs of them."""

    dimension_pixels: float  # share that differ by more than VISIBLE in some channel
    dimension_rmse: float  # root mean square per pixel and channel, in the range of a pixel


def change(pairs: Iterable[tuple[Tensor, Tensor]]) -> Change:
    """pairs: of images before and after, batches of (n, C, H, W) in [0, 1]."""
    moved, moves = [], []
    for before, after in pairs:
        moved.append(((after - before).abs() > VISIBLE).any(dim=1).double().mean((1, 2)))
        moves.append(distance(after, before).double())
    return Change(float(torch.cat(moved).mean()), float(torch.cat(moves).mean()))


def dimension_change(vae: VAE, z: Tensor, dimension: int, ends: Tensor) -> Change:
    """What going from one value of a dimension to another does, all other coordinates kept.

    z: (N, latent_dim), the encodings of N images; ends: (2,).
    """
    moved = [z.clone(), z.clone()]
    for each, value in zip(moved, ends, strict=True):
        each[:, dimension] = value
    parts = zip(*(each.split(batch_size(vae.shape)) for each in moved), strict=True)
    return change(
        (torch.from_numpy(decode(vae, low)), torch.from_numpy(decode(vae, high)))
        for low, high in parts
    )


def change_between(images: NDArray[np.uint8]) -> Change | None:
    """Of each image and the next, the last one's being the first; None of a single image.

    images: uint8 (N, C, H, W).
    """
    pixels, size = torch.from_numpy(images), batch_size(images.shape[1:])
    if len(pixels) < 2:
        return None
    pairs = zip(pixels.split(size), pixels.roll(-1, dims=0).split(size), strict=True)
    return change((to_floats(one), to_floats(other)) for one, other in pairs)


# --- what they hold ------------------------------------------------------------------------------


def read_classes(encoded: Encoded, images: ImageArrays, seed: int) -> dict[str, float]:
    """How well classes are told by one dimension, and by all: a linear probe's accuracies.

    The one dimension is that of whose variance over the training images most lies between the
    classes. Empty where the training labels group nothing.
    """
    train, test = (torch.tensor(split.labels) for split in (images.train, images.test))
    mu, test_mu = encoded.train.mu, encoded.test.mu
    best = correlation_ratio(mu, one_hot(train)).argmax()[None]
    one = probe(mu[:, best], train, test_mu[:, best], test, seed)
    every = probe(mu, train, test_mu, test, seed)
    if one is None or every is None:
        return {}
    chance = chance_accuracy(train, test)
    return {"class_one": one.linear, "class_every": every.linear, "class_chance": chance}


def hold_factors(
    model: str, encoded: Encoded, images: ImageArrays, seed: int
) -> tuple[Rows, Disentanglement | None]:
    """Readers are fitted to the validation split and scored on test; no scores of few images."""
    names = images.meta.factor_names
    val, test = (torch.tensor(split.factors) for split in (images.val, images.test))
    both = encoded.val.mu, val, encoded.test.mu, test
    linear = read_factors(names, *both)
    figures = [row for name in names for row in rows(model, {"readout": linear[name]}, source=name)]
    scored = disentanglement(names, *both, seed)
    if scored:
        figures += rows(model, scored.scores)
        for j, (name, best) in enumerate(scored.best().items()):
            held = scored.information[best, j].tolist()
            found = dict(zip(("information", "information_next"), held, strict=False))
            found |= {"information_chance": float(scored.floor[j])}
            figures += rows(model, found | {"forest_r2": float(scored.forest[j])}, source=name)
    return figures, scored


def draw_factors(told: Mapping[str, Disentanglement], leading: Mapping[str, list[int]]) -> Figure:
    """Which dimension holds how much of which factor; each factor's best is bold.

    The most informative dimensions stand left of the line, right of it others that hold most.
    """
    names = [in_words(factor) for factor in next(iter(told.values())).factors]
    figure = new_figure(len(told) * (0.75 + 0.27 * len(names)))
    panels = figure.subplots(len(told), 1, squeeze=False)[:, 0]
    full = max(LEAST, *(100.0 * float(scored.information.max()) for scored in told.values()))
    for axes, (model, scored) in zip(panels, told.items(), strict=True):
        first = leading[model][:LEADING]
        best = [i for each in zip(*scored.best().values(), strict=True) for i in each]
        shown = list(dict.fromkeys([*first, *best]))[:SHOWN]
        shares = 100.0 * scored.information[shown].T.numpy()
        show_matrix(axes, shares, names, [f"z{i}" for i in shown], full)
        if len(first) < len(shown):
            axes.axvline(len(first) - 0.5, color="black", linewidth=1.5)
        axes.set_title(f"{NAMES[model]}: mutual information, % of the factor's entropy", loc="left")
    return figure
