"""Figures as one long frame: a row for each model, seed, source of images and measure.

    figures = frame(rows("conv", {"psnr": 23.8}, seed=0), rows("fc", {"psnr": 23.1}, seed=0))
    mean(figures, "conv", "psnr"), spread(figures, "conv", "psnr").sd
    difference(figures, "conv", "fc", "psnr").exceeds_chance

`source` is what the figure is of where a model has several: a sampler, a region, a kind of path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import IO, Any, NamedTuple

import pandas as pd

COLUMNS = ["model", "seed", "source", "measure", "value"]
LEVEL = 0.05  # a difference whose p-value is below is called one; the only rule for "differs"

Rows = list[dict[str, Any]]


def rows(
    model: str, figures: Mapping[str, float | None], *, seed: int | None = None, source: str = ""
) -> Rows:
    """A row for each figure. None and what is not finite is a figure that does not apply."""
    return [
        dict(zip(COLUMNS, (model, seed, source, measure, value), strict=True))
        for measure, value in figures.items()
    ]


def frame(*parts: Rows) -> pd.DataFrame:
    figures = pd.DataFrame([row for part in parts for row in part], columns=COLUMNS)
    return figures.astype({"seed": "Int64", "value": "float64"})


def read_frame(file: Path | IO[str]) -> pd.DataFrame:
    """What runtime.outputs.write_csv wrote of a frame."""
    figures = pd.read_csv(file, keep_default_na=False, na_values={"seed": [""], "value": [""]})
    return figures.astype({"seed": "Int64", "value": "float64"})


class Spread(NamedTuple):
    mean: float
    sd: float | None  # over the seeds, with n - 1; None of one


class Difference(NamedTuple):
    """Of two means over the same seeds, or the same pairs of images."""

    mean: float
    sd: float  # of the differences, one by one, with n - 1
    p_value: float  # of the paired t-test, two-sided (Student 1908)

    @property
    def exceeds_chance(self) -> bool:
        return self.p_value < LEVEL


def values(figures: pd.DataFrame, model: str, measure: str, source: str = "") -> list[float]:
    """A figure for each seed; empty where it does not apply."""
    chosen = figures[
        (figures["model"] == model)
        & (figures["measure"] == measure)
        & (figures["source"] == source)
    ]
    known = chosen["value"].tolist()
    return [] if any(math.isnan(value) for value in known) else known


def spread(figures: pd.DataFrame, model: str, measure: str, source: str = "") -> Spread | None:
    """None where the figure does not apply."""
    known = values(figures, model, measure, source)
    if not known:
        return None
    same = len(set(known)) == 1  # a mean of equal figures is that figure, to the last digit
    return Spread(known[0] if same else fmean(known), stdev(known) if len(known) > 1 else None)


def mean(figures: pd.DataFrame, model: str, measure: str, source: str = "") -> float | None:
    """Over the seeds; None where the figure does not apply."""
    found = spread(figures, model, measure, source)
    return found.mean if found else None


def difference(
    figures: pd.DataFrame, first: str, second: str, measure: str, source: str = ""
) -> Difference | None:
    """Of two models' figures from the same seeds, first - second; None of fewer than two seeds."""
    return paired_difference(
        values(figures, first, measure, source), values(figures, second, measure, source)
    )


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference | None:
    """first - second, one by one; pairs with NaN are left out. None of fewer than two.

    Differences that are all alike have no chance in them: p is then 0, and 1 where all are zero.
    """
    from scipy.stats import ttest_rel

    pairs = [(a, b) for a, b in zip(first, second, strict=True) if not math.isnan(a - b)]
    if len(pairs) < 2:
        return None
    apart = [a - b for a, b in pairs]
    centre, sd = fmean(apart), stdev(apart)
    if sd == 0.0:
        return Difference(centre, sd, float(centre == 0.0))
    return Difference(centre, sd, float(ttest_rel(*zip(*pairs, strict=True)).pvalue))


def models_of(figures: pd.DataFrame) -> list[str]:
    """In the order in which they stand in the frame."""
    return list(dict.fromkeys(figures["model"]))


def flat(headline: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    """The figures of a metrics file under 'model.measure', for MLflow."""
    return {
        f"{model}.{key}": value for model, its in headline.items() for key, value in its.items()
    }
