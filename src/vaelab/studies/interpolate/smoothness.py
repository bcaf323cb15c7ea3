"""How images change along paths, and what becomes of the middle of a path.

Distances are RMSE per pixel, of images in [0, 1]. Where a path does not have a figure, since its
images do not differ, the figure is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vaelab.metrics.variation import STILL, distance, sharpness

Path = tuple[str, str]  # model and kind
Row = tuple[str, str, str]  # model, kind and group of pairs

CLEAR = 2.0  # standard errors from 0 beyond which a difference is more than chance in the pairs
HEADLINE = ("detour", "evenness", "sharpness", "contrast", "nearest")


class Smoothness(NamedTuple):
    """Of paths of images; each (P,)."""

    step: Tensor  # mean distance between neighbours, RMSE per pixel
    largest: Tensor  # largest step / mean step: 1 where all are equal
    evenness: Tensor  # coefficient of variation of the steps: 0 where all are equal
    detour: Tensor  # path length / distance between the end images: 1 where straight


class Middle(NamedTuple):
    """Of the middle image of paths; each (P,)."""

    sharpness: Tensor  # its mean absolute Laplacian / the mean of the two end images'
    contrast: Tensor  # its pixels' standard deviation / the mean of the two end images'
    departure: Tensor  # distance to the end images' cross-fade / distance between them


class Difference(NamedTuple):
    """Of two means over pairs."""

    mean: float
    error: float  # its standard error

    @property
    def is_clear(self) -> bool:
        return abs(self.mean) > CLEAR * self.error


@dataclass(frozen=True)
class PathMeasures:
    """Of P paths, on the CPU."""

    figures: dict[str, Tensor]  # those of Smoothness and Middle, and `ends`: each (P,)
    steps: Tensor  # (P, S - 1): distances between neighbours
    middle: Tensor  # (P, C, H, W): the middle images

    def relative_steps(self) -> Tensor:
        """In units of an even cross-fade's of the same ends: a path's mean is its detour.

        (P', S - 1), of the paths that have a detour.
        """
        relative = self.steps / self.steps.mean(1, keepdim=True) * self.figures["detour"][:, None]
        return relative[relative.isfinite().all(1)]


def step_sizes(images: Tensor) -> Tensor:
    """Distances between neighbours. images: (P, S, C, H, W) in [0, 1]. Returns (P, S - 1)."""
    return distance(images[:, 1:], images[:, :-1])


def smoothness(images: Tensor) -> Smoothness:
    """images: (P, S, C, H, W) in [0, 1], P paths of S images."""
    steps = step_sizes(images)
    mean = steps.mean(1)
    spread = steps.std(1, correction=0)
    straight = distance(images[:, 0], images[:, -1])
    return Smoothness(
        step=mean,
        largest=_over(steps.amax(1), mean),
        evenness=_over(spread.where(spread > STILL, 0.0), mean),
        detour=_over(steps.sum(1), straight),
    )


def middle(images: Tensor) -> Middle:
    """Whether the middle of a path is like its ends, or like their cross-fade.

    The mean of two unrelated pictures has about 1 / sqrt(2) of their contrast.

    images: (P, S, C, H, W) in [0, 1]; the middle one is number S // 2, counted from 0.
    """
    count = images.shape[1]
    number = count // 2
    first, centre, last = images[:, 0], images[:, number], images[:, -1]
    fade = torch.lerp(first, last, number / (count - 1))

    def beside_ends(measure: Tensor) -> Tensor:
        """measure: (3, P), of the first, the middle and the last image."""
        return _over(measure[1], 0.5 * (measure[0] + measure[2]))

    three = [first, centre, last]
    return Middle(
        sharpness=beside_ends(torch.stack([sharpness(each) for each in three])),
        contrast=beside_ends(torch.stack([each.flatten(1).std(1, correction=0) for each in three])),
        departure=_over(distance(centre, fade), distance(first, last)),
    )


def measure_paths(paths: Iterable[Tensor], originals: Tensor) -> PathMeasures:
    """paths: parts of the P paths, in order, each (p, S, C, H, W) in [0, 1].

    originals: (P, 2, C, H, W), what the paths' ends are to show; `ends` is the mean distance of the
    two end images to them.
    """
    figures, steps, middles = [], [], []
    done = 0
    for images in paths:
        wanted = originals[done : done + len(images)]
        done += len(images)
        ends = distance(images[:, [0, -1]], wanted).mean(1)
        figures.append({**smoothness(images)._asdict(), **middle(images)._asdict(), "ends": ends})
        steps.append(step_sizes(images))
        middles.append(images[:, images.shape[1] // 2])
    joined = {name: torch.cat([part[name] for part in figures]) for name in figures[0]}
    return PathMeasures(joined, torch.cat(steps), torch.cat(middles))


def mean_and_sd(values: Tensor) -> tuple[float | None, float | None]:
    """Over the paths that have the figure; None where none has. values: (P,), NaN where absent."""
    known = _known(values)
    return (float(known.mean()), float(known.std(correction=0))) if len(known) else (None, None)


def mean_smoothness(images: Tensor) -> dict[str, float | None]:
    """Each of Smoothness' figures averaged over the paths that have it; None where none has.

    images: (P, S, C, H, W) in [0, 1].
    """
    return {name: mean_and_sd(value)[0] for name, value in smoothness(images)._asdict().items()}


def groups(labels: Tensor) -> dict[str, Tensor]:
    """Which pairs are in `all`, `within` a class and `across` two; the last two if there are both.

    labels: (P, 2), of the pairs' images. Returns masks, (P,).
    """
    every = torch.ones(len(labels), dtype=torch.bool)
    within = labels[:, 0] == labels[:, 1]
    both = {"within": within, "across": ~within}
    return {"all": every} | (both if within.any() and not within.all() else {})


def table(
    figures: Mapping[Path, Mapping[str, Tensor]], labels: Tensor, measures: Sequence[str]
) -> list[dict[str, Any]]:
    """A row for each (model, kind) and group of pairs: mean and sd of each measure over the pairs.

    figures: (model, kind) -> measure -> (P,), NaN where a path has none; a measure that is not of a
    model is left out. labels: (P, 2).
    """
    rows = []
    for (model, kind), found in figures.items():
        for group, mask in groups(labels).items():
            row: dict[str, Any] = {
                "model": model,
                "kind": kind,
                "pairs": group,
                "count": int(mask.sum()),
            }
            for measure in measures:
                values = found[measure][mask] if measure in found else torch.empty(0)
                row[measure], row[f"{measure}_sd"] = mean_and_sd(values)
            rows.append(row)
    return rows


def differences(
    figures: Mapping[Path, Mapping[str, Tensor]], labels: Tensor, measures: Sequence[str]
) -> dict[tuple[str, Row, Row], Difference]:
    """Measure, row and other row of `table` -> the first's less the other's.

    Of two paths, of all pairs, as `paired_difference`; of one path, of its pairs within a class
    and across, as `unpaired_difference`. Left out where fewer than two pairs have the figure.
    """
    split = [mask for group, mask in groups(labels).items() if group != "all"]
    found: dict[tuple[str, Row, Row], Difference | None] = {}
    for measure in measures:
        known = {path: every[measure] for path, every in figures.items() if measure in every}
        for row, other in permutations(known, 2):
            own, others = known[row], known[other]
            found[measure, (*row, "all"), (*other, "all")] = paired_difference(own, others)
        for row, values in known.items():
            if split:
                within, across = (values[mask] for mask in split)
                key = (measure, (*row, "within"), (*row, "across"))
                found[key] = unpaired_difference(within, across)
    return {key: difference for key, difference in found.items() if difference is not None}


def paired_difference(first: Tensor, second: Tensor) -> Difference | None:
    """Mean of first - second over the pairs that have both; None where fewer than two have.

    first, second: (P,), of the same pairs, NaN where absent.
    """
    each = _known(first - second)
    return Difference(float(each.mean()), _error(each)) if len(each) > 1 else None


def unpaired_difference(first: Tensor, second: Tensor) -> Difference | None:
    """Of the means, of different pairs, by Welch's error (1947); None of fewer than two figures.

    first: (P,); second: (P',); NaN where absent.
    """
    one, two = _known(first), _known(second)
    if min(len(one), len(two)) < 2:
        return None
    return Difference(float(one.mean() - two.mean()), math.hypot(_error(one), _error(two)))


def headline(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float | None]]:
    """Of `table`'s rows the few means that a metrics file holds: model -> kind_measure -> mean.

    The same keys for all models, None where one has no such paths; `ends` once for each.
    """
    every = [row for row in rows if row["pairs"] == "all"]
    keys = [
        f"{kind}_{measure}"
        for kind in dict.fromkeys(row["kind"] for row in every)
        for measure in HEADLINE
    ]
    metrics = {row["model"]: {"ends": row["ends"]} | dict.fromkeys(keys) for row in every}
    for row in every:
        metrics[row["model"]] |= {f"{row['kind']}_{key}": row[key] for key in HEADLINE}
    return metrics


def _known(values: Tensor) -> Tensor:
    return values[~values.isnan()].double()


def _error(values: Tensor) -> float:
    """Standard error of the mean. values: (n,), n > 1."""
    return float(values.std()) / math.sqrt(len(values))


def _over(value: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > STILL, value / whole, math.nan)
