"""Walks along a direction of latent space, and arithmetic with it.

What is decoded is encoded again and judged by its score, by the model's own encoder and, along its
own direction, by another model's: the first says that a walk ends where it should in this model's
eyes, the second does not take the model's word for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.arrays import UInt8Array
from vaelab.data.factors import in_words
from vaelab.metrics.variation import distance
from vaelab.plotting.strips import draw_strips
from vaelab.plotting.style import NAMES, WIDTH, new_figure, save, show_sheet, to_rgb
from vaelab.vae.inference import Decoded, batch_size, decode, encode_means
from vaelab.vae.model import VAE

STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)  # of a walk, in units of the direction
START, ONE = 2, [1, 3]  # of STEPS: 0, and one step back and one on
WALKED = 64  # test images without it, and as many with it, that a walk is measured on
TRIALS = 128  # that arithmetic is measured on
AVERAGED = 32  # images of each side whose mean stands for a and for b, at most
SHOWN = 2  # walks from images without it, and from images with it
CHUNK = 16  # images whose walks are decoded at once, at most
STILL = 1e-6  # RMSE per pixel; a change no larger is rounding
LEFT, NAME = 1.1, 13  # inches and characters for the names at the left


class Group(NamedTuple):
    """What a direction is of: the images that have an attribute, or are of a class."""

    name: str
    rest: str  # what the other images are called
    train: NDArray[np.bool_]  # (N,): which training images are in it
    val: NDArray[np.bool_]
    test: NDArray[np.bool_]


class Direction(NamedTuple):
    """float64."""

    origin: Tensor  # (latent_dim,): mean of mu over the training images outside the group
    vector: Tensor  # (latent_dim,): from there to the mean over those inside

    def score(self, z: Tensor) -> Tensor:
        """0 at the mean outside the group, 1 at the mean inside. z: (..., latent_dim) -> (...)"""
        squared = self.vector.square().sum()
        return (z.double() - self.origin) @ self.vector / squared.where(squared > 0, 1.0)

    def along(self, z: Tensor) -> Tensor:
        """z moved by each of STEPS. z: (N, latent_dim). Returns (N, len(STEPS), latent_dim)."""
        return z.unsqueeze(1) + torch.tensor(STEPS).unsqueeze(1) * self.vector.to(z.dtype)


class Judge(NamedTuple):
    vae: VAE
    direction: Direction  # its own, of the group in question

    def score(self, images: Tensor) -> Tensor:
        """images: (N, C, H, W) in [0, 1]. Returns (N,)."""
        return self.direction.score(encode_means(self.vae, images))


class Draw(NamedTuple):
    """Numbers of test images, the same for all models."""

    without: Tensor  # (≤ WALKED,), to walk from
    inside: Tensor  # (≤ WALKED,)
    a: Tensor  # (TRIALS, averaged), in the group; empty where there are too few images
    b: Tensor  # (TRIALS, averaged), outside
    c: Tensor  # (TRIALS,), outside and never in its row of b


class Walked(NamedTuple):
    """What is shown of a direction."""

    labels: list[str]  # of R originals
    originals: UInt8Array  # (R, C, H, W), those outside the group first
    walks: dict[str, UInt8Array]  # model -> (R, len(STEPS), C, H, W)
    name: str
    terms: UInt8Array  # (3, C, H, W), a, b and c of the first trial; (0, …) of none
    results: dict[str, NDArray[Any]]  # model -> (3, C, H, W): c, single, mean


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


def walk(mu: Tensor, drawn: Draw, judges: Sequence[Judge]) -> dict[str, float | None]:
    """From encodings along the first judge's direction, by STEPS.

    walk_share, of the move asked for how much the scores show, is their slope over the steps by
    least squares, through each image's own score at step 0, that of its reconstruction. Change and
    shift, the share of its square that is one colour all over the image, are means of one step on
    and one back. mu: (N, latent_dim), of the test split; judges: the model itself, and another.
    """
    vae, direction = judges[0]
    parts = []
    for start in torch.cat([drawn.without, drawn.inside]).split(_at_once(vae)):
        images = torch.from_numpy(decode(vae, direction.along(mu[start]).flatten(0, 1)))
        rows = images.unflatten(0, (len(start), len(STEPS)))
        change = distance(rows, rows[:, [START]]).double()
        shift = (rows - rows[:, [START]]).mean((-2, -1)).square().mean(-1).double()
        seen = [judge.score(images).reshape(change.shape) for judge in judges]
        parts.append(torch.stack([change, shift, *seen]))
    change, shift, *scores = torch.cat(parts, dim=1)  # each (images, steps)
    squared = change.square().mean(0)[ONE]
    shifts = shift.mean(0)[ONE] / squared
    figures = {
        "walk_change": float(change.mean(0)[ONE].mean()),
        "walk_shift": float(shifts.mean()) if (squared > STILL**2).all() else None,
    }
    steps = torch.tensor(STEPS).double()
    for key, each in zip(("walk_share", "walk_share_other"), scores, strict=False):
        figures[key] = float((each - each[:, [START]]).mean(0) @ steps / steps.square().sum())
    return figures


def calculate(
    mu: Tensor, drawn: Draw, judges: Sequence[Judge]
) -> tuple[dict[str, float], NDArray[Any]]:
    """a - b + c, a in the group, b and c outside, with single images and with means for a and b.

    Radford et al. 2016, arXiv 1511.06434, section 6.3.2, found means of several steadier. A hit is
    an image that a judge places nearer to the group's mean: a score above 0.5. Arguments as of
    `walk`. Also returns the first trial's images: c, single and mean, (3, C, H, W).
    """
    c = mu[drawn.c]
    latents = {
        "c": c,
        "single": mu[drawn.a[:, 0]] - mu[drawn.b[:, 0]] + c,
        "mean": mu[drawn.a].mean(1) - mu[drawn.b].mean(1) + c,
    }
    vae, found, first = judges[0].vae, [], None
    for z in torch.stack([*latents.values()], 1).split(_at_once(vae)):
        images = torch.from_numpy(decode(vae, z.flatten(0, 1))).unflatten(0, z.shape[:2])
        first = images[0].numpy() if first is None else first
        hits = [judge.score(images.flatten(0, 1)).reshape(z.shape[:2]) > 0.5 for judge in judges]
        found.append(torch.stack([distance(images, images[:, :1]), *hits]).double())
    changes, *every = torch.cat(found, 1).mean(1)  # each (c, single, mean)
    figures: dict[str, float] = {}
    for i, kind in enumerate(latents):
        keys = (f"hit_{kind}", f"hit_{kind}_other")
        figures |= {key: float(hits[i]) for key, hits in zip(keys, every, strict=False)}
        if kind != "c":
            figures[f"hit_change_{kind}"] = float(changes[i])
    assert first is not None
    return figures, first


def _at_once(vae: VAE) -> int:
    """Images whose walks are decoded at once."""
    return max(1, min(CHUNK, batch_size(vae.shape) // len(STEPS)))


def follow(
    group: Group,
    mu: Mapping[str, Tensor],
    judges: Mapping[str, Sequence[Judge]],
    images: UInt8Array,
    seed: int,
) -> tuple[dict[str, dict[str, float | None]], Walked]:
    """Walks and arithmetic of one group, by each model: model -> measure -> figure.

    mu: model -> (N, latent_dim) and images: (N, C, H, W), of the test split; judges: model -> the
    model itself and at most one other. Without a test image in the group, or two outside, there is
    no arithmetic.
    """
    drawn = draw(group, seed)
    shown = torch.cat([drawn.without[:SHOWN], drawn.inside[:SHOWN]])
    figures, strips, results = {}, {}, {}
    for model, panel in judges.items():
        vae, direction = panel[0]
        figures[model] = walk(mu[model], drawn, panel)
        decoded = Decoded.by(vae, direction.along(mu[model][shown]).flatten(0, 1))[:]
        strips[model] = decoded.reshape(len(shown), len(STEPS), *images.shape[1:])
        if len(drawn.c):
            hits, results[model] = calculate(mu[model], drawn, panel)
            real = direction.score(mu[model][torch.from_numpy(group.test)]) > 0.5
            figures[model] |= {**hits, "hit_real": float(real.double().mean())}
    labels = [group.name if group.test[i] else group.rest for i in shown]
    none = len(drawn.c) == 0
    terms = drawn.c if none else torch.stack([drawn.a[0, 0], drawn.b[0, 0], drawn.c[0]])
    return figures, Walked(
        labels, images[shown.numpy()], strips, group.name, images[terms.numpy()], results
    )


def draw_walks(walked: Sequence[Walked], folder: Path) -> None:
    """directions.png and, where there is any, arithmetic.png."""
    strips = {m: np.concatenate([each.walks[m] for each in walked]) for m in walked[0].walks}
    labels = [_wrapped(label) for each in walked for label in each.labels]
    originals = np.concatenate([each.originals for each in walked])
    unit = "steps along the direction"
    figure = draw_strips(strips, dict.fromkeys(strips, labels), STEPS, unit, originals)
    save(figure, folder / "directions.png")
    if calculated := [each for each in walked if each.results]:
        save(draw_arithmetic(calculated), folder / "arithmetic.png")


def draw_arithmetic(walked: Sequence[Walked]) -> Figure:
    """a - b + c of the first trial, a row for each direction."""
    rows = [images for each in walked for images in (each.terms, *each.results.values())]
    sheet = np.concatenate([to_rgb(images).transpose(0, 3, 1, 2) for images in rows])
    made = [f"{NAMES[m]}:\n{what}" for m in walked[0].results for what in ("c", "single", "means")]
    columns = ["a:\nwith", "b:\nwithout", "c:\nwithout", *made]
    figure = new_figure(0.5 + (WIDTH - LEFT) / len(columns) * len(walked))
    axes = figure.subplots()
    names = [_wrapped(each.name) for each in walked]
    show_sheet(axes, sheet, len(columns), names, column_labels=columns)
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=8)
    return figure


def _wrapped(name: str) -> str:
    return fill(in_words(name), NAME)
