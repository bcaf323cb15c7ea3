"""The report of `interpolate`: its tables, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vaelab.figures.interpolate import KIND_NAMES, ROW_NAMES
from vaelab.reports.common import (
    ABSENT,
    SAME,
    bullets,
    format_number,
    markdown_table,
    wrap,
)

Rows = Sequence[Mapping[str, Any]]  # of a model, a kind of path and a group of pairs: mean and sd


class Measure(NamedTuple):
    heading: str
    decimals: int


MEASURES = {
    "detour": Measure("detour", 3),
    "largest": Measure("largest step", 2),
    "evenness": Measure("evenness", 3),
    "sharpness": Measure("sharpness", 2),
    "contrast": Measure("contrast", 2),
    "departure": Measure("departure", 2),
    "density": Measure("density", 2),
    "nearest": Measure("nearest", 3),
    "ends": Measure("ends", 3),
}
GROUPED = ("detour", "evenness", "sharpness", "contrast", "departure", "nearest")
GROUP_NAMES = {"within": "within a class", "across": "across classes"}
MODELS = ("fc", "conv")
SLIGHT = 0.01  # of the distance between the ends: detours as close as this are as long
NEARLY = 0.1  # departure up to which a path is called nearly a cross-fade


def interpolate_report(
    dataset: str,
    latent_dim: int,
    shown: int,
    rows: Rows,
    energies: Mapping[str, tuple[float, float]],
    near_ends: float,
) -> str:
    """Markdown, to stand beside the folder of figures.

    shown: pairs that have a figure; rows: of `latent.smoothness.table`; energies: model -> mean of
    the data-following paths' before and after their descent; near_ends: mean distance of the pairs'
    own images to their nearest training image.
    """
    table = _Table(rows)
    found = [
        *_against_the_fade(table, near_ends),
        *_straightness(table),
        *_along_the_data(table, energies),
        *_fc_beside_conv(table),
        *_within_beside_across(table),
    ]
    findings = [finding for finding in found if finding]
    head = wrap(
        "Two test images, A and B, are encoded to the means of q(z|x), and each model decodes "
        "points at equal steps of t on the way from one encoding to the other. The figures are of "
        f"{_count(table.count(), 'pair')}{table.composition()}; the baseline is the cross-fade, "
        "which mixes the pixels of the two originals and needs no model."
    )
    return f"""# Interpolation: `{dataset}`, {_count(latent_dim, "latent dimension")}

{head}

{KINDS}

## What the figures say

{bullets(findings) or "Nothing: the images do not differ."}

## Measures

{_measures(table, near_ends)}

## From A to B

{_pairs(shown)}

The spherical paths, there and back:

![The spherical paths, animated](interpolate/animation.gif)

## Between four images

Encodings blended bilinearly; in the corners are the reconstructions of the originals above.

![Blends of four images](interpolate/corners.png)

## Step by step

A step of 1 is that of an even cross-fade between the path's own end images; the mean of a path's
steps is its detour.

![Step sizes along the paths](interpolate/steps.png)
"""


KINDS = """- A **linear** path is a straight line.
- A **spherical** one follows a great circle, the norm going linearly from one end's to the other's.
- A **data-following** one has relaxed, from the linear one, to where the decoded image changes
  least, while places denser or rarer in encodings than its ends cost more."""


class _Table:
    def __init__(self, rows: Rows) -> None:
        self._rows = {(row["model"], row["kind"], row["pairs"]): row for row in rows}

    def paths(self) -> list[tuple[str, str]]:
        """Model and kind, the cross-fade first."""
        return list(dict.fromkeys((model, kind) for model, kind, _ in self._rows))

    def groups(self) -> list[str]:
        return [group for group in GROUP_NAMES if ("pixels", "linear", group) in self._rows]

    def get(self, measure: str, model: str, kind: str = "linear", group: str = "all") -> Any:
        return self._rows[model, kind, group][measure]

    def count(self, group: str = "all") -> int:
        return int(self._rows["pixels", "linear", group]["count"])

    def composition(self) -> str:
        parts = [f"{self.count(group)} {GROUP_NAMES[group]}" for group in self.groups()]
        return f", {' and '.join(parts)}" if parts else ""

    def cell(self, measure: str, model: str, kind: str, group: str = "all") -> str:
        mean, sd = (self.get(key, model, kind, group) for key in (measure, f"{measure}_sd"))
        if mean is None:
            return ABSENT
        return f"{_number(measure, mean)} ± {_number(measure, sd)}"

    def listing(self, measure: str, model: str) -> str:
        """'FC 1.01 linear, 1.13 spherical, …', of the kinds that have the figure."""
        values = {kind: self.get(measure, model, kind) for kind in KIND_NAMES}
        parts = [
            f"{_number(measure, value)} {KIND_NAMES[kind]}"
            for kind, value in values.items()
            if value is not None
        ]
        return f"{ROW_NAMES[model]} {', '.join(parts)}" if parts else ""

    def listings(self, measure: str) -> str:
        return "; ".join(filter(None, (self.listing(measure, model) for model in MODELS)))


def _against_the_fade(table: _Table, near_ends: float) -> list[str]:
    """What the middles are beside that of the cross-fade."""
    originals = _number("nearest", near_ends)
    return [
        _beside_fade(table, "contrast", "Contrast of the middle over that of its ends", 1),
        _beside_fade(table, "sharpness", "Sharpness of the middle over that of its ends", 1),
        _beside_fade(
            table,
            "nearest",
            f"Distance of the middle to the nearest training image (of the originals: {originals})",
            -1,
        ),
    ]


def _beside_fade(table: _Table, measure: str, what: str, sign: int) -> str:
    """All paths' figures, and which beat the cross-fade's by more than SAME. sign: 1: by more."""
    fade = table.get(measure, "pixels")
    every = table.listings(measure)
    if fade is None or not every:
        return ""
    winners = []
    for model, kind in table.paths():
        value = table.get(measure, model, kind)
        if model == "pixels" or value is None:
            continue
        if sign * (value - fade) > SAME * max(value, fade):
            winners.append(_possessive(model, kind))
    which = _and(winners) if winners else "none"
    return (
        f"{what}: cross-fade {_number(measure, fade)}; {every}. "
        f"{'Above' if sign > 0 else 'Below'} the cross-fade by more than {SAME:.0%}: {which}."
    )


def _straightness(table: _Table) -> list[str]:
    detours, departures = table.listings("detour"), table.listings("departure")
    if not detours or not departures:
        return []
    nearly = [
        _possessive(model, kind)
        for model, kind in table.paths()
        if model != "pixels" and (table.get("departure", model, kind) or 0.0) <= NEARLY
    ]
    verdict = (
        f" Up to {NEARLY:g}, nearly cross-fades of two reconstructions, are: {_and(nearly)}."
        if nearly
        else f" All are above {NEARLY:g}."
    )
    return [
        "The cross-fade is straight and even, and in that nothing can beat it (detour 1, evenness "
        f"0). Detours: {detours}.",
        "The middle's distance from the cross-fade of its path's own end images, as a share of the "
        f"distance between these: {departures}.{verdict}",
    ]


def _along_the_data(table: _Table, energies: Mapping[str, tuple[float, float]]) -> list[str]:
    drops = [
        f"{(before - after) / before:.0%} for {ROW_NAMES[model]}"
        for model, (before, after) in energies.items()
        if 0 < after < before < math.inf
    ]
    densities = table.listings("density")
    sentences = []
    if drops and densities:
        sentences.append(
            f"Relaxing lowered the data-following paths' energy by {' and '.join(drops)}. In the "
            "middle, log density of encodings above the ends' level, in nats for each dimension: "
            f"{densities}."
        )
    for model in MODELS:
        verdicts = _verdicts(table, READINGS, (model, "geodesic"), (model, "linear"))
        if verdicts:
            sentences.append(
                f"Beside linear paths, {ROW_NAMES[model]}'s data-following ones {_and(verdicts)}."
            )
    return sentences


READINGS = {  # what a larger, a smaller and an equal figure mean
    "detour": ("take a longer way", "take a shorter way", "take as long a way"),
    "evenness": ("move less evenly", "move more evenly", "move as evenly"),
    "sharpness": (
        "keep more sharpness in the middle",
        "keep less sharpness in the middle",
        "keep as much sharpness in the middle",
    ),
    "contrast": ("keep more contrast", "keep less contrast", "keep as much contrast"),
}


def _verdicts(
    table: _Table,
    readings: Mapping[str, tuple[str, str, str]],
    row: tuple[str, str],
    other: tuple[str, str],
) -> list[str]:
    """What holds of one row of the table beside another; nothing where a figure is not known.

    Detours are compared by what they have above 1, and alike where that is within SLIGHT.
    """
    verdicts = []
    for measure, (more, less, alike) in readings.items():
        values = [table.get(measure, *each) for each in (row, other)]
        if None in values:
            return []
        one, two = (value - (measure == "detour") for value in values)
        slight = SLIGHT if measure == "detour" else 0.0
        same = abs(one - two) <= max(slight, SAME * max(abs(one), abs(two)))
        reading = alike if same else more if one > two else less
        numbers = " against ".join(_number(measure, value) for value in values)
        verdicts.append(f"{reading} ({MEASURES[measure].heading} {numbers})")
    return verdicts


END_READINGS = (
    "shows the ends less exactly",
    "shows the ends more exactly",
    "shows the ends as exactly",
)


def _fc_beside_conv(table: _Table) -> list[str]:
    conv, fc = ("conv", "linear"), ("fc", "linear")
    verdicts = _verdicts(table, {**READINGS, "ends": END_READINGS}, conv, fc)
    if not verdicts:
        return []
    *paths, ends = verdicts
    return [f"Beside FC's, Conv's linear paths {_and(paths)}; Conv {ends}."]


def _within_beside_across(table: _Table) -> list[str]:
    """Which figures differ by more than SAME, or which differs most."""
    if not table.groups():
        return []
    differences = {}
    for model, kind in table.paths():
        for measure in ("contrast", "sharpness", "nearest"):
            within, across = (table.get(measure, model, kind, each) for each in table.groups())
            if None in (within, across) or model == "pixels":
                continue
            larger = max(within, across)
            share = abs(within - across) / larger if larger > 0 else 0.0
            numbers = f"{_number(measure, within)} against {_number(measure, across)}"
            differences[f"{measure} of {_possessive(model, kind)} ({numbers})"] = share
    if not differences:
        return []
    shown = [text for text, share in differences.items() if share > SAME]
    most = max(differences, key=lambda text: differences[text])
    return [
        "Contrast, sharpness and nearest differ between pairs within a class and across classes by "
        + (
            f"more than {SAME:.0%} in: {_and(shown)}."
            if shown
            else f"at most {differences[most]:.1%}: {most}."
        )
    ]


def _measures(table: _Table, near_ends: float) -> str:
    shown = [measure for measure in MEASURES if measure != "ends"]
    rows = [
        [_row_name(model, kind), *(table.cell(measure, model, kind) for measure in shown)]
        for model, kind in table.paths()
    ]
    parts = [
        "Mean ± standard deviation over the pairs.",
        markdown_table(rows, ["", *(MEASURES[measure].heading for measure in shown)]),
        DEFINITIONS,
    ]
    errors = " and ".join(f"{table.cell('ends', m, 'linear')} for {ROW_NAMES[m]}" for m in MODELS)
    parts.append(
        wrap(
            f"The paths' ends are reconstructions: their distance from the originals is {errors}. "
            f"The originals lie {_number('nearest', near_ends)} from their nearest training "
            "image."
        )
    )
    if table.groups():
        parts.append(f"### {' / '.join(GROUP_NAMES.values()).capitalize()}")
        rows = [
            [_row_name(model, kind), *(_by_group(table, each, model, kind) for each in GROUPED)]
            for model, kind in table.paths()
        ]
        parts.append(markdown_table(rows, ["", *(MEASURES[each].heading for each in GROUPED)]))
    parts.append("All of it, with standard deviations: [measures.csv](interpolate/measures.csv).")
    return "\n\n".join(parts)


DEFINITIONS = """Distances are between images: the root mean square of the difference of their
pixels, which run from 0 to 1.

- **detour**: a path's length over the distance between its end images; 1 is straight in pixels.
- **largest step**: over the mean step; 1 where all are equal.
- **evenness**: standard deviation of the steps over their mean; 0 is perfectly even.
- **sharpness**: mean absolute Laplacian of the middle image over that of the end images; below 1
  the middle is blurred beside its ends.
- **contrast**: standard deviation of the middle image's pixels over that of the end images. The
  mean of two unrelated pictures has about 0.71: a low figure shows a cross-fade up.
- **departure**: distance of the middle from the cross-fade of the path's own end images, over the
  distance between these; 0 is a cross-fade.
- **density**: how far the middle lies above the level of its ends in log density of encodings (a
  Gaussian mixture), in nats for each latent dimension; 0 is as dense as the ends. It is a figure of
  z, not of the image: a path can reach it along directions in which the decoder shows nothing.
- **nearest**: distance of the middle to the nearest training image."""


def _pairs(shown: int) -> str:
    return "\n\n".join(f"![Pair {i}](interpolate/pair_{i}.png)" for i in range(1, shown + 1))


def _possessive(model: str, kind: str) -> str:
    return f"{ROW_NAMES[model]}'s {KIND_NAMES[kind]}"


def _row_name(model: str, kind: str) -> str:
    return "Cross-fade" if model == "pixels" else f"{ROW_NAMES[model]}, {KIND_NAMES[kind]}"


def _and(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _number(measure: str, value: float | None) -> str:
    decimals = MEASURES[measure].decimals
    return format_number(None if value is None else round(value, decimals) + 0.0, decimals)


def _by_group(table: _Table, measure: str, model: str, kind: str) -> str:
    values = (table.get(measure, model, kind, group) for group in table.groups())
    return " / ".join(_number(measure, value) for value in values)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
