"""What single dimensions of latent space do to images, and which classes they set apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.metrics.probes import probe_rows
from vaelab.metrics.variation import distance
from vaelab.vae.inference import decode
from vaelab.vae.model import VAE, Posterior

STEPS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # of a traversal, in standard deviations
REACH = 2.0  # standard deviations either side of the mean between which changes are measured
VISIBLE = 0.1  # of the range of a pixel: a change beyond it counts
MEASURED = 64  # encodings that changes are averaged over
CONSTANT = 1e-6  # standard deviation up to which encodings differ by rounding alone
CLASSIFIED = 10_000  # training images that the classifiers are fitted on, at most


# --- what they do to images ----------------------------------------------------------------------


class Scale(NamedTuple):
    """Of each dimension of the aggregated posterior, q(z) = E_x q(z|x); each (latent_dim,)."""

    mean: Tensor
    sd: Tensor

    def values(self, dimension: int, steps: Tensor) -> Tensor:
        """steps: (V,), in standard deviations from the mean. Returns (V,), in units of z."""
        return self.mean[dimension] + steps * self.sd[dimension]


def aggregate_scale(posterior: Posterior) -> Scale:
    """The variance is that of the means plus the mean of the variances (law of total variance).

    A dimension of q(z) need be no N(0, 1), so a step of one z is not equally far in all dimensions,
    nor in two models; a standard deviation is.
    """
    mu, variance = posterior.mu.double(), posterior.logvar.double().exp()
    sd = (mu.var(0, correction=0) + variance.mean(0)).sqrt()
    return Scale(mu.mean(0).float(), sd.float())


def traverse(z: Tensor, dimension: int, values: Tensor) -> Tensor:
    """z with one of its coordinates set to each value in turn.

    z: (latent_dim,); values: (V,). Returns (V, latent_dim).
    """
    result = z.repeat(len(values), 1)
    result[:, dimension] = values
    return result


def traversals(vae: VAE, z: Tensor, dimensions: Tensor, scale: Scale) -> NDArray[Any]:
    """Images along each dimension, at STEPS, from one point.

    z: (latent_dim,); dimensions: (k,). Returns float32 (k, len(STEPS), C, H, W) in [0, 1].
    """
    steps = torch.tensor(STEPS)
    lines = [traverse(z, i, scale.values(i, steps)) for i in dimensions.tolist()]
    images = decode(vae, torch.cat(lines))
    return images.reshape(len(lines), len(steps), *images.shape[1:])


class Change(NamedTuple):
    """Between two images, mean over pairs of them."""

    pixels: float  # share that differ by more than VISIBLE in some channel
    rmse: float  # root mean square difference per pixel and channel, in the range of a pixel


def change(before: Tensor, after: Tensor) -> Change:
    """before, after: (N, C, H, W) in [0, 1], pairs of images."""
    moved = ((after - before).abs() > VISIBLE).any(dim=1)
    return Change(float(moved.double().mean()), float(distance(after, before).double().mean()))


def dimension_change(vae: VAE, z: Tensor, dimension: int, scale: Scale) -> Change:
    """What going from -REACH to REACH standard deviations does, all other coordinates kept.

    z: (N, latent_dim), the encodings of N images.
    """
    ends = []
    for value in scale.values(dimension, torch.tensor([-REACH, REACH])):
        moved = z.clone()
        moved[:, dimension] = value
        ends.append(torch.from_numpy(decode(vae, moved)))
    return change(*ends)


def change_between(images: NDArray[np.uint8]) -> Change | None:
    """Of each image and the next, the last one's being the first; None of a single image.

    images: uint8 (N, C, H, W).
    """
    pixels = torch.from_numpy(images).float() / 255.0
    return change(pixels, pixels.roll(-1, dims=0)) if len(pixels) > 1 else None


def first_of(*preferences: Iterable[int], count: int) -> list[int]:
    """The first `count` different numbers of all the lists, one list after the other."""
    return list(dict.fromkeys(chain(*preferences)))[:count]


def holding(held: Tensor, part: float) -> int:
    """How many dimensions, those that hold most, hold `part` of all. held: (latent_dim,)."""
    cumulative = held.double().sort(descending=True).values.cumsum(0)
    return int((cumulative < part * cumulative[-1]).sum()) + 1


# --- which classes they set apart ----------------------------------------------------------------


def class_separation(mu: Tensor, labels: Tensor, classes: int) -> Tensor:
    """How far each class lies from all others in each dimension: Cohen's d.

    The difference of the class's mean and the mean of all other images, over the pooled standard
    deviation of the two groups (Cohen 1988, section 2.2). In a Gaussian pair of groups an image of
    the class lies beyond one of the others with probability Phi(d / sqrt 2): 0.76 at d = 1.

    mu: (N, latent_dim); labels: (N,), below `classes`. Returns (latent_dim, classes), float64; NaN
    for a class with fewer than two images in it or outside it, and for a dimension that is
    constant.
    """
    x = mu.double() - mu.double().mean(0)
    member = torch.nn.functional.one_hot(labels, classes).double()
    inside = member.sum(0)
    outside = len(x) - inside
    sums, squares = x.T @ member, x.square().T @ member
    other_sums = x.sum(0)[:, None] - sums
    other_squares = x.square().sum(0)[:, None] - squares
    means, other_means = sums / inside, other_sums / outside
    scatter = squares - inside * means.square() + other_squares - outside * other_means.square()
    pooled = (scatter.clamp(min=0.0) / (len(x) - 2)).sqrt()
    known = (inside >= 2) & (outside >= 2) & (pooled > CONSTANT)
    return torch.where(known, (means - other_means) / pooled, math.nan)


def best_by_class(
    train_mu: Tensor,
    train_labels: Tensor,
    test_mu: Tensor,
    test_labels: Tensor,
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """For each class the dimension with the largest |d| over the training images.

    mu: (N, latent_dim); labels: (N,), numbers of `names`. `separation` is its d over the test
    images, with the standard error that it has where there is no difference, so it is not the
    largest of many by chance. The classes most set apart in training come first; those whose d is
    not known in either split are left out, and so is the second of two, whose d is minus the
    first's.
    """
    fitted = class_separation(train_mu, train_labels, len(names))
    scored = class_separation(test_mu, test_labels, len(names))
    counts = torch.bincount(test_labels, minlength=len(names)).double()
    errors = (1.0 / counts + 1.0 / (len(test_labels) - counts)).sqrt()
    strength, best = fitted.abs().nan_to_num(-1.0).max(0)
    rows = [
        {
            "class": names[label],
            "label": label,
            "dimension": int(best[label]),
            "separation": float(scored[best[label], label]),
            "error": float(errors[label]),
        }
        for label in strength.argsort(descending=True, stable=True).tolist()
        if strength[label] >= 0 and not scored[best[label], label].isnan()
    ]
    return rows[:1] if len(names) == 2 else rows


class ClassReadout(NamedTuple):
    """Accuracies on test images, as fractions, of the same classifier."""

    dimension: int  # the single one whose classifier is best on the training images
    one: float  # of that dimension alone
    every: float  # of all dimensions together
    chance: float  # of always naming the commonest class of the training images


def read_classes(
    train_mu: Tensor, train_labels: Tensor, test_mu: Tensor, test_labels: Tensor, seed: int
) -> ClassReadout | None:
    """How well classes are told by one dimension, and by all: linear discriminant analysis.

    mu: (N, latent_dim); labels: (N,). seed: of which CLASSIFIED training images are taken. None
    where the training labels group nothing (all alike, or no two), or no dimension varies within a
    class, for which there is no such classifier.
    """
    rows = probe_rows(len(train_mu), CLASSIFIED, seed)
    x, y = train_mu[rows].double().numpy(), train_labels[rows].numpy()
    test_x, test_y = test_mu.double().numpy(), test_labels.numpy()
    present, counts = np.unique(y, return_counts=True)
    centred = np.concatenate([x[y == label] - x[y == label].mean(0) for label in present])
    varying = np.flatnonzero(centred.std(0) > CONSTANT)
    if not 1 < len(present) < len(y) or not len(varying):
        return None
    fits = [_discriminant(x[:, [i]], y).score(x[:, [i]], y) for i in varying]
    best = int(varying[np.argmax(fits)])
    return ClassReadout(
        best,
        float(_discriminant(x[:, [best]], y).score(test_x[:, [best]], test_y)),
        float(_discriminant(x[:, varying], y).score(test_x[:, varying], test_y)),
        float((test_y == present[counts.argmax()]).mean()),
    )


def _discriminant(x: NDArray[np.float64], y: NDArray[np.int64]) -> Any:
    """x: (N, d); y: (N,), classes. Returns the fitted classifier of scikit-learn."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    with warnings.catch_warnings():  # of fewer images than dimensions, and of many classes
        warnings.filterwarnings("ignore", "Variables are collinear")
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        return LinearDiscriminantAnalysis().fit(x, y)
