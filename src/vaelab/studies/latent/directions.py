"""Attributes and classes as directions of latent space: which the encodings hold, and what walks
along them and arithmetic with them show.

The direction of an attribute goes from the mean encoding of the training images without it to the
mean of those with it (Larsen et al. 2016, arXiv 1512.09300, section 4; White 2016, arXiv
1609.04468, section 3.3). A **score** says where an encoding lies along it: 0 at the first mean, 1
at the second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.arrays import ImageArrays
from vaelab.metrics.frame import LEVEL, Rows, rows
from vaelab.runtime.errors import UserError
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import Found
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.walks import Direction, Group, Judge, draw_walks, follow

STILL = 1e-6  # units of z: means no farther apart are apart by rounding


def explore(
    models: Mapping[str, Encoded],
    images: ImageArrays,
    settings: LatentExploreSettings,
    folder: Path,
) -> Found:
    """Measures DIRECTIONS (metrics/measures.py) by group, walks and arithmetic of the chosen ones;
    draws them where some model holds a chosen one, its AUC above `chance_auc`.

    Facts: `groups`, how many there are; `level` of that test; `chosen`, names; `held`, model ->
    names; `judges`, model -> itself and the next model, whose encoder judges its walks as well;
    `closest`, of the chosen that all hold. Raises UserError where the settings name no group.
    """
    found = groups(images)
    if not found:
        return Found([], {"groups": 0})
    inside = np.stack([group.train for group in found], axis=1)
    vectors = {model: directions(each.train.mu, inside) for model, each in models.items()}
    figures: Rows = []
    held: dict[str, list[str]] = {}
    for model, each in models.items():
        tested, held[model] = hold(model, each.test.mu, vectors[model], found)
        figures += tested
    validated = [
        [auc(vector, each.val.mu, group.val) for group, vector in zip(found, every, strict=True)]
        for each, every in zip(models.values(), vectors.values(), strict=True)
    ]
    following = [*models][1:] + [*models][:1]
    panels = {m: [m, other][: len(models)] for m, other in zip(models, following, strict=True)}
    mu = {model: each.test.mu for model, each in models.items()}
    numbers = choose(found, validated, settings.directions)
    walked = []
    for i in numbers:
        judges = {
            model: [Judge(models[judge].vae, vectors[judge][i]) for judge in panel]
            for model, panel in panels.items()
        }
        seen, shown = follow(found[i], mu, judges, images.test.images, settings.seed)
        walked.append(shown)
        for model in models:
            figures += rows(model, seen[model], source=found[i].name)
    chosen = [found[i].name for i in numbers]
    if any(name in every for every in held.values() for name in chosen):
        draw_walks(walked, folder)
    shared = [i for i in numbers if all(found[i].name in every for every in held.values())]
    facts = {
        "groups": len(found),
        "level": LEVEL,
        "chosen": chosen,
        "held": held,
        "judges": panels,
        "closest": closest(
            {found[i].name: {m: vectors[m][i].vector for m in models} for i in shared}
        ),
    }
    return Found(figures, facts)


def hold(
    model: str, mu: Tensor, vectors: Sequence[Direction], groups: Sequence[Group]
) -> tuple[Rows, list[str]]:
    """Each group's AUC on the test split and their mean; and the names of those above chance."""
    figures: Rows = []
    held, values = [], []
    for group, vector in zip(groups, vectors, strict=True):
        value, chance = auc(vector, mu, group.test), chance_auc(group, len(groups))
        length = float(vector.vector.norm())
        found = {"auc": value, "auc_chance": chance, "direction_length": length}
        figures += rows(model, found, source=group.name)
        values.append(value)
        if value > chance:
            held.append(group.name)
    return [*figures, *rows(model, {"auc": pd.Series(values).mean()})], held


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


def auc(direction: Direction, mu: Tensor, inside: NDArray[np.bool_]) -> float:
    """How well the encodings hold a group along its direction: the AUC of their scores.

    That is the probability that an image in the group scores above one outside it (Fawcett 2006,
    "An introduction to ROC analysis"); 0.5 is chance. mu: (N, latent_dim); inside: (N,). NaN where
    there is no such pair.
    """
    from sklearn.metrics import roc_auc_score

    if not 0 < inside.sum() < len(inside):
        return math.nan
    return float(roc_auc_score(inside, direction.score(mu).numpy()))


def chance_auc(group: Group, tried: int) -> float:
    """The AUC above which one of `tried` scores is told from chance, by a test at LEVEL, two-sided.

    The test is Mann & Whitney's (1947) in its normal approximation, with Bonferroni's bound for
    several. 1 where there are so few images that nothing is told from chance; NaN where the test
    split has no pair of an image inside and one outside.
    """
    from scipy.stats import norm

    members = int(group.test.sum())
    others = len(group.test) - members
    if not members or not others:
        return math.nan
    errors = float(norm.isf(LEVEL / 2.0 / tried))
    return min(1.0, 0.5 + errors * math.sqrt((members + others + 1) / (12.0 * members * others)))


def choose(
    groups: Sequence[Group], validated: Sequence[Sequence[float]], wanted: int | list[str]
) -> list[int]:
    """Numbers of the groups to walk along: those named, or so many that are held best.

    validated: of each model, each group's AUC on the validation split, so that what is measured on
    the test split is not of directions picked there; what counts is the mean over models. Raises
    UserError where a name is not that of a group.
    """
    if isinstance(wanted, int):
        means = pd.DataFrame(validated).mean().fillna(0.0)
        return sorted(range(len(groups)), key=lambda i: -means[i])[:wanted]
    number = {group.name: i for i, group in enumerate(groups)}
    for name in wanted:
        if name not in number:
            raise UserError(
                f"latent_explore.directions names {name!r}; allowed: {', '.join(number)}"
            )
    return [number[name] for name in dict.fromkeys(wanted)]


def closest(vectors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any] | None:
    """The two directions nearest to one line: their `names`, and `cosines`, model -> cosine.

    By the sum over models of the absolute cosines. vectors: direction -> model -> (latent_dim,).
    None of fewer than two.
    """
    pairs: dict[tuple[str, str], dict[str, float]] = {
        (first, second): {m: float(torch.cosine_similarity(u, v[m], dim=0)) for m, u in us.items()}
        for (first, us), (second, v) in combinations(vectors.items(), 2)
    }
    if not pairs:
        return None
    names, cosines = max(pairs.items(), key=lambda pair: sum(map(abs, pair[1].values())))
    return {"names": list(names), "cosines": cosines}
