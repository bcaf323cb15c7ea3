"""Attributes and classes as directions of latent space: walks along them, and arithmetic.

The direction of an attribute goes from the mean encoding of the training images without it to the
mean of those with it (Larsen et al. 2016, arXiv 1512.09300, section 4; White 2016, arXiv
1609.04468, section 3.3). A **score** says where an encoding lies along it: 0 at the first mean, 1
at the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.arrays import ImageArrays
from vaelab.metrics.variation import distance, share, sharpness
from vaelab.runtime.errors import UserError
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.inference import decode, encode_means
from vaelab.vae.model import VAE

STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # of a walk, in units of the direction
WALKED = 64  # test images without it, and as many with it, that a walk is measured on
TRIALS = 128  # that arithmetic is measured on
AVERAGED = 32  # images of each side whose mean stands for a and for b
SHOWN = 2  # walks from images without it, and from images with it
CHUNK = 16  # images whose walks are decoded at once
TAIL = 0.025  # how often chance alone may go beyond what is called chance
STILL = 1e-6  # units of z, or RMSE per pixel; a move no longer than this is rounding
MEASURES = (  # in a row, of a direction that is walked along
    "share", "share_other",
    "without_start", "without_forth",  # own scores at step 0 and one step on
    "with_start", "with_back",  # and one step back
    "change", "shift", "sharpness",  # means of one step on and one back
    "averaged", "real_hit",
    "start_hit", "start_hit_other", "start_change",
    "single_hit", "single_hit_other", "single_change",
    "mean_hit", "mean_hit_other", "mean_change",
)  # fmt: skip


class Group(NamedTuple):
    """What a direction is of: the images that have an attribute, or are of a class."""

    name: str
    rest: str  # what the other images are called
    train: NDArray[np.bool_]  # (N,): which training images are in it
    val: NDArray[np.bool_]  # the same of the validation split
    test: NDArray[np.bool_]  # and of the test split


class Direction(NamedTuple):
    """float64."""

    origin: Tensor  # (latent_dim,): mean of mu over the training images outside the group
    vector: Tensor  # (latent_dim,): from there to the mean over those inside

    def score(self, z: Tensor) -> Tensor:
        """0 at the mean outside the group, 1 at the mean inside. z: (..., latent_dim) -> (...)"""
        squared = self.vector.square().sum()
        return (z.double() - self.origin) @ self.vector / squared.where(squared > 0, 1.0)

    def along(self, z: Tensor, steps: Tensor) -> Tensor:
        """z moved by each step in turn. z: (N, latent_dim); steps: (S,). -> (N, S, latent_dim)"""
        return z.unsqueeze(1) + steps.unsqueeze(1) * self.vector.to(z.dtype)


class Walk(NamedTuple):
    """Means over the images walked from; lists hold a figure for each of STEPS.

    A decoded image is judged by its score once it is encoded again, by the model's own encoder and
    by the other model's: the first says that the walk ends where it should in this model's eyes,
    the second does not take the model's word for it.
    """

    without: list[float] | None  # own scores, of walks from images outside the group; None: of none
    inside: list[float] | None  # the same of images in the group
    share: float  # of the move asked for, how much the own scores show; 1 is all of it
    share_other: float  # how much the other model's scores show
    change: list[float]  # RMSE per pixel, from step 0's image
    shift: list[float | None]  # share of the squared change that is one colour all over the image
    sharpness: list[float | None]  # as a share of step 0's


class Results(NamedTuple):
    """Of many trials of arithmetic."""

    hit: float  # share that the own encoder places nearer to the group's mean: scores above 0.5
    hit_other: float  # the same by the other model's encoder
    change: float  # RMSE per pixel, from the decoded c


class Arithmetic(NamedTuple):
    """a - b + c: a in the group, b and c outside it."""

    averaged: int  # images that the means stand for
    real: float  # share of the group's real test images that score above 0.5
    start: Results  # c decoded, nothing added
    single: Results  # a, b and c are one image each
    mean: Results  # a and b are means over `averaged` images each


class Draw(NamedTuple):
    """Numbers of test images, the same for both models."""

    without: Tensor  # (≤ WALKED,), to walk from
    inside: Tensor  # (≤ WALKED,)
    a: Tensor  # (TRIALS, averaged), in the group; empty where there are too few images
    b: Tensor  # (TRIALS, averaged), outside
    c: Tensor  # (TRIALS,), outside and never in its row of b


@dataclass(frozen=True)
class Measured:
    """One model along one direction. Images are float32 in [0, 1]."""

    walk: Walk
    arithmetic: Arithmetic | None  # None without a test image in the group, or two outside
    walks: NDArray[Any]  # (R, len(STEPS), C, H, W), from the shown images
    results: NDArray[Any] | None  # (3, C, H, W) of the first trial: c, single, mean

    def row(self) -> dict[str, float | None]:
        """What is known of MEASURES."""
        walk, arithmetic = self.walk, self.arithmetic
        still, forth, back = (STEPS.index(step) for step in (0.0, 1.0, -1.0))
        row = {
            "share": walk.share,
            "share_other": walk.share_other,
            "change": _mean([walk.change[forth], walk.change[back]]),
            "shift": _mean([walk.shift[forth], walk.shift[back]]),
            "sharpness": _mean([walk.sharpness[forth], walk.sharpness[back]]),
        }
        if walk.without:
            row |= {"without_start": walk.without[still], "without_forth": walk.without[forth]}
        if walk.inside:
            row |= {"with_start": walk.inside[still], "with_back": walk.inside[back]}
        if arithmetic:
            row |= {"averaged": arithmetic.averaged, "real_hit": arithmetic.real}
            for name in ("start", "single", "mean"):
                results = getattr(arithmetic, name)._asdict()
                row |= {f"{name}_{key}": value for key, value in results.items()}
        return row


@dataclass(frozen=True)
class Chosen:
    """A direction that is walked along, with what is shown of it: uint8 (n, C, H, W)."""

    group: Group
    shown: NDArray[np.uint8]  # R real test images, those outside the group first
    inside: list[bool]  # which of them are in it
    terms: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]] | None  # a, b; one c
    measured: dict[str, Measured]


@dataclass(frozen=True)
class Directions:
    """Of both models. Lists by direction are in the order of `groups` or of `chosen`."""

    groups: list[Group]
    lengths: dict[str, list[float]]  # of every direction, in units of z
    auc: dict[str, list[float | None]]  # of every direction; see `held`
    chosen: list[Chosen]
    cosines: dict[str, list[list[float | None]]]  # between the chosen; None of one with no length

    def rows(self) -> list[dict[str, Any]]:
        """A row for each direction and model; a figure that was not measured is None.

        `chance`: the AUC that chance alone reaches, as `chance_auc`; `beats_chance`: whether the
        AUC is above it, False where it is not known.
        """
        walked = {each.group.name: each for each in self.chosen}
        rows = []
        for i, group in enumerate(self.groups):
            chance = chance_auc(group.test, len(self.groups))
            for model, auc in self.auc.items():
                value = auc[i]
                beats = value is not None and chance is not None and value > chance
                found = walked[group.name].measured[model] if group.name in walked else None
                rows.append(
                    {
                        "direction": group.name,
                        "rest": group.rest,
                        "model": model,
                        "train_with": int(group.train.sum()),
                        "train_without": int((~group.train).sum()),
                        "test_with": int(group.test.sum()),
                        "test_without": int((~group.test).sum()),
                        "auc": value,
                        "chance": chance,
                        "beats_chance": beats,
                        "length": self.lengths[model][i],
                        **dict.fromkeys(MEASURES),
                        **(found.row() if found else {}),
                    }
                )
        return rows

    def metrics(self) -> dict[str, dict[str, float | None]]:
        """For each model, means over all directions (auc), and over the chosen that beat chance."""
        metrics = {}
        for model in self.auc:
            rows = [row for row in self.rows() if row["model"] == model]
            metrics[model] = {"auc": _mean([row["auc"] for row in rows])} | {
                key: _mean([row[key] for row in rows if row["beats_chance"]])
                for key in ("share", "share_other", "mean_hit")
            }
        return metrics


def groups(images: ImageArrays) -> list[Group]:
    """What there are directions of: attributes, then classes, each against the rest.

    Of two classes the second against the first. Left out is what no training image has, or every
    one, and a class that is an attribute or its opposite.
    """
    meta, splits = images.meta, (images.train, images.val, images.test)
    found = []
    for i, name in enumerate(meta.attribute_names):
        inside = [split.attributes[:, i] == 1 for split in splits if split.attributes is not None]
        found.append(Group(name, f"not {name}", *inside))
    known = [group.train for group in found]
    present = np.unique(images.train.labels).tolist()
    for label in present[-1:] if len(present) == 2 else present:
        name = meta.class_names[label]
        name = f"class {name}" if name in meta.attribute_names else name
        rest = meta.class_names[present[0]] if len(present) == 2 else f"not {name}"
        group = Group(name, rest, *(split.labels == label for split in splits))
        if not any(np.array_equal(group.train, every ^ flip) for every in known for flip in (0, 1)):
            found.append(group)
    return [group for group in found if 0 < group.train.sum() < len(group.train)]


def directions(mu: Tensor, inside: NDArray[np.bool_]) -> list[Direction]:
    """mu: (N, latent_dim); inside: (N, G), of each group some rows and not all. Returns G."""
    members = torch.from_numpy(inside).double()
    codes = mu.double()
    counts = members.sum(0).unsqueeze(1)
    sums = members.T @ codes
    origins = (codes.sum(0) - sums) / (len(codes) - counts)
    vectors = sums / counts - origins
    vectors[vectors.norm(dim=1) <= STILL] = 0.0
    return [Direction(*pair) for pair in zip(origins, vectors, strict=True)]


def held(direction: Direction, mu: Tensor, inside: NDArray[np.bool_]) -> float | None:
    """How well the encodings hold a group along its direction: the AUC of their scores.

    That is the probability that an image in the group scores above one outside it (Fawcett 2006,
    "An introduction to ROC analysis"); 0.5 is chance. mu: (N, latent_dim); inside: (N,). None where
    there is no such pair.
    """
    from sklearn.metrics import roc_auc_score

    if not 0 < inside.sum() < len(inside):
        return None
    return float(roc_auc_score(inside, direction.score(mu).numpy()))


def chance_auc(inside: NDArray[np.bool_], tried: int) -> float | None:
    """What the AUCs of `tried` scores that say nothing all stay below in 97.5 % of cases, or more.

    By the Mann-Whitney statistic's normal approximation where there is no difference (Mann &
    Whitney 1947), and Bonferroni's bound for several. inside: (N,). None as of `held`.
    """
    from scipy.stats import norm

    members = int(inside.sum())
    others = len(inside) - members
    if not members or not others:
        return None
    errors = float(norm.isf(TAIL / tried))
    return 0.5 + errors * math.sqrt((members + others + 1) / (12.0 * members * others))


def choose(
    groups: Sequence[Group], auc: Sequence[Sequence[float | None]], wanted: int | list[str]
) -> list[int]:
    """Which directions to walk along: those named, or so many that are held best.

    auc: of each model, for each group, on the validation split, so that what is measured on the
    test split is not of directions picked there; what counts is the mean over models. Raises
    UserError where a name is not that of a group.
    """
    if isinstance(wanted, int):
        means = [_mean([each[i] for each in auc]) or 0.0 for i in range(len(groups))]
        return sorted(range(len(groups)), key=lambda i: -means[i])[:wanted]
    number = {group.name: i for i, group in enumerate(groups)}
    for name in wanted:
        if name not in number:
            raise UserError(
                f"latent_explore.directions names {name!r}; allowed: {', '.join(number)}"
            )
    return [number[name] for name in dict.fromkeys(wanted)]


def draw(group: Group, seed: int) -> Draw:
    """Each group has its own draw, so that not the same images are shown for all."""
    rng = np.random.default_rng([seed, *group.name.encode()])
    members, others = (np.flatnonzero(which) for which in (group.test, ~group.test))
    without, inside = (torch.from_numpy(rng.permutation(x)[:WALKED]) for x in (others, members))
    averaged = min(AVERAGED, len(members), len(others) - 1)
    trials = TRIALS if averaged > 0 else 0
    sides = [
        np.array([rng.permutation(some)[:count] for _ in range(trials)], np.int64)
        for some, count in ((members, averaged), (others, averaged + 1))
    ]
    a, b = (torch.from_numpy(side.reshape(trials, -1 if trials else 1)) for side in sides)
    return Draw(without, inside, a, b[:, 1:], b[:, 0])


def explore(
    encoded: Mapping[str, Encoded], images: ImageArrays, settings: LatentExploreSettings
) -> Directions | None:
    """Walk along the directions that the settings choose, and calculate with them, in both models.

    encoded: of two models. None where the images have neither attributes nor two classes. Raises
    UserError where the settings name what there is no direction of.
    """
    found = groups(images)
    if not found:
        return None
    inside = np.stack([group.train for group in found], axis=1)
    vectors = {model: directions(each.train.mu, inside) for model, each in encoded.items()}

    def of_all(split: Literal["val", "test"]) -> dict[str, list[float | None]]:
        return {
            model: [
                held(direction, getattr(each, split).mu, getattr(group, split))
                for direction, group in zip(vectors[model], found, strict=True)
            ]
            for model, each in encoded.items()
        }

    auc = of_all("test")
    numbers = choose(found, list(of_all("val").values()), settings.directions)
    chosen = []
    for i in numbers:
        drawn = draw(found[i], settings.seed)
        shown = torch.cat([drawn.without[:SHOWN], drawn.inside[:SHOWN]])
        judges = {model: (each.vae, vectors[model][i]) for model, each in encoded.items()}
        pictures = images.test.images
        chosen.append(
            Chosen(
                found[i],
                pictures[shown.numpy()],
                found[i].test[shown.numpy()].tolist(),
                tuple(pictures[rows.numpy()] for rows in (drawn.a[0], drawn.b[0], drawn.c[:1]))
                if len(drawn.c)
                else None,
                {
                    model: _measure(each, found[i], drawn, shown, model, judges)
                    for model, each in encoded.items()
                },
            )
        )
    return Directions(
        found,
        {model: [float(d.vector.norm()) for d in every] for model, every in vectors.items()},
        auc,
        chosen,
        {model: _cosines([every[i].vector for i in numbers]) for model, every in vectors.items()},
    )


def _measure(
    encoded: Encoded,
    group: Group,
    drawn: Draw,
    shown: Tensor,
    model: str,
    judges: Mapping[str, tuple[VAE, Direction]],
) -> Measured:
    own = judges[model]
    (other,) = (judge for name, judge in judges.items() if name != model)
    vae, direction = own
    mu = encoded.test.mu
    arithmetic, results = None, None
    if len(drawn.c):
        arithmetic, results = calculate(mu, drawn, own, other, group.test)
    path = direction.along(mu[shown], torch.tensor(STEPS))
    walks = decode(vae, path.flatten(0, 1))
    return Measured(
        walk(mu, drawn, own, other),
        arithmetic,
        walks.reshape(len(shown), len(STEPS), *walks.shape[1:]),
        results,
    )


def walk(mu: Tensor, drawn: Draw, own: tuple[VAE, Direction], other: tuple[VAE, Direction]) -> Walk:
    """From encodings along the own direction, by STEPS; mu: (N, latent_dim), of the test split.

    The share is the slope of scores over steps by least squares, through each image's own score at
    step 0, which is that of its reconstruction.
    """
    vae, direction = own
    steps = torch.tensor(STEPS)
    still = STEPS.index(0.0)
    parts = []
    for start in torch.cat([drawn.without, drawn.inside]).split(CHUNK):
        path = direction.along(mu[start], steps).flatten(0, 1)
        images = torch.from_numpy(decode(vae, path))
        scores = [judge.score(encode_means(net, images)) for net, judge in (own, other)]
        rows = images.unflatten(0, (len(start), len(steps)))
        change = distance(rows, rows[:, [still]])
        shift = (rows - rows[:, [still]]).mean((-2, -1)).square().mean(-1)
        sharp = sharpness(images).reshape(change.shape)
        seen = [each.reshape(change.shape) for each in scores]
        parts.append(torch.stack([*seen, *(x.double() for x in (change, shift, sharp))]))
    scores, others, change, shift, sharp = torch.cat(parts, dim=1)  # each (images, steps)
    without, inside = (
        side.mean(0).tolist() if len(side) else None
        for side in scores.tensor_split([len(drawn.without)])
    )
    asked = steps.double()
    found, found_other = (
        float((each - each[:, [still]]).mean(0) @ asked / asked.square().sum())
        for each in (scores, others)
    )
    level = sharp.mean(0)
    shifts = zip(shift.mean(0).tolist(), change.square().mean(0).tolist(), strict=True)
    return Walk(
        without,
        inside,
        found,
        found_other,
        change.mean(0).tolist(),
        [part / whole if whole > STILL**2 else None for part, whole in shifts],
        [share(float(each), float(level[still])) for each in level],
    )


def calculate(
    mu: Tensor,
    drawn: Draw,
    own: tuple[VAE, Direction],
    other: tuple[VAE, Direction],
    inside: NDArray[np.bool_],
) -> tuple[Arithmetic, NDArray[Any]]:
    """a - b + c for each trial drawn, with single images and with means for a and b.

    Radford et al. 2016, arXiv 1511.06434, section 6.3.2, found means of several steadier. mu:
    (N, latent_dim), of the test split; inside: (N,), which of it are in the group. Also returns the
    first trial's images: c, single and mean, (3, C, H, W).
    """
    c = mu[drawn.c]
    latents = [
        c,
        mu[drawn.a[:, 0]] - mu[drawn.b[:, 0]] + c,
        mu[drawn.a].mean(1) - mu[drawn.b].mean(1) + c,
    ]
    pictures: list[Tensor] = []
    parts = []
    for chunk in zip(*(z.split(CHUNK) for z in latents), strict=True):
        decoded = [torch.from_numpy(decode(own[0], z)) for z in chunk]
        pictures = pictures or [images[0] for images in decoded]
        for images in decoded:
            hits = [judge.score(encode_means(vae, images)) > 0.5 for vae, judge in (own, other)]
            change = distance(images, decoded[0])
            parts.append(torch.stack([*(hit.double() for hit in hits), change.double()]))
    start, single, mean = (
        Results(*torch.cat(parts[kind::3], dim=1).mean(1).tolist()) for kind in range(3)
    )
    real = float((own[1].score(mu[torch.from_numpy(inside)]) > 0.5).double().mean())
    return Arithmetic(drawn.a.shape[1], real, start, single, mean), torch.stack(pictures).numpy()


def _cosines(vectors: Sequence[Tensor]) -> list[list[float | None]]:
    def cosine(u: Tensor, v: Tensor) -> float | None:
        product = float(u.norm() * v.norm())
        return float(u @ v) / product if product > 0 else None

    return [[cosine(u, v) for v in vectors] for u in vectors]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
