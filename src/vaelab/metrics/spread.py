"""How far chance goes: figures over seeds, and whether a difference is more than that.

mean_and_sd([row_of_seed_0, row_of_seed_1])["psnr"]
paired_difference(conv_rows, fc_rows, "psnr").p_value
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

Row = Mapping[str, float | None]
LEVEL = 0.05  # below which a difference is said to exceed what the seeds explain


class Spread(NamedTuple):
    mean: float
    sd: float | None  # over the seeds, with n - 1; None of one seed


class PairedDifference(NamedTuple):
    """Of two models that were trained from the same seeds."""

    mean: float
    sd: float  # of the differences, seed by seed, with n - 1
    p_value: float  # of the paired t-test, two-sided (Student 1908)

    @property
    def exceeds_chance(self) -> bool:
        return self.p_value < LEVEL


def mean_and_sd(rows: Sequence[Row]) -> dict[str, Spread | None]:
    """Of each key over the seeds' rows; None where a row has no figure."""
    return {key: _spread([row[key] for row in rows]) for key in rows[0]}


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    mean = known[0] if len(set(known)) == 1 else fmean(known)  # a count stays a whole number
    return Spread(mean, stdev(known) if len(known) > 1 else None)


def paired_difference(
    first: Sequence[Row], second: Sequence[Row], key: str
) -> PairedDifference | None:
    """first - second, of rows whose places stand for the same seeds.

    None where there are fewer than two seeds, or a row has no figure. Differences that are all
    alike have no chance in them: the p-value is then 0, and 1 where they are all zero.
    """
    pairs = [(a[key], b[key]) for a, b in zip(first, second, strict=True)]
    known = [(a, b) for a, b in pairs if a is not None and b is not None]
    if len(known) < max(2, len(pairs)):
        return None
    from scipy.stats import ttest_rel

    differences = [a - b for a, b in known]
    mean, sd = fmean(differences), stdev(differences)
    if sd == 0.0:
        return PairedDifference(mean, sd, float(mean == 0.0))
    p_value = float(ttest_rel(*zip(*known, strict=True)).pvalue)
    assert not math.isnan(p_value)
    return PairedDifference(mean, sd, p_value)
