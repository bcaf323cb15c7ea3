"""The report of `interpolate`: its tables, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vaelab.report.common import (
    ABSENT,
    SAME,
    bullets,
    format_number,
    markdown_table,
    wrap,
)
from vaelab.studies.interpolate.draw import KIND_NAMES, ROW_NAMES
from vaelab.studies.interpolate.smoothness import CLEAR, Difference, Path, Row

Rows = Sequence[Mapping[str, Any]]  # of a model, a kind of path and a group of pairs: mean and sd
Differences = Mapping[tuple[str, Row, Row], Difference]  # measure, row, other row -> the difference


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
CROSS_FADE = ("pixels", "linear")


def interpolate_report(
    dataset: str,
    latent_dim: int,
    shown: int,
    rows: Rows,
    differences: Differences,
    energies: Mapping[str, tuple[float, float]],
    near_ends: float,
) -> str:
    """Markdown, to stand beside the folder of figures.

    shown: pairs that have a figure; rows, differences: of `latent.smoothness`; energies: model ->
    mean of the data-following paths' before and after their descent; near_ends: mean distance of
    the pairs' own images to their nearest training image.
    """
    table = _Table(rows, differences)
    found = [
        *_against_the_fade(table, near_ends),
        *_straightness(table),
        *_along_the_data(table, energies),
        *_fc_beside_conv(table),
        *_within_beside_across(table),
    ]
    short = [_near_the_fade(table), _contrast_kept(table), _models_differ(table)]
    head = wrap(
        "Two test images, A and B, are encoded to the means of q(z|x), and each model decodes "
        "points at equal steps of t on the way from one encoding to the other. The figures are of "
        f"{_count(table.count(), 'pair')}{table.composition()}; the baseline is the cross-fade, "
        "which mixes the pixels of the two originals and needs no model."
    )
    return f"""# Interpolation: `{dataset}`, {_count(latent_dim, "latent dimension")}

{head}

{KINDS}

## In short

{bullets(filter(None, short)) or "Nothing: the images do not differ."}

{RULE}

## From A to B

{_pairs(shown)}

The spherical paths, there and back:

![The spherical paths, animated](interpolate/animation.gif)

## Between four images

Encodings blended bilinearly; in the corners are the reconstructions of the originals above.

![Blends of four images](interpolate/corners.png)

## Step by step

A step of 1 is that of an even cross-fade between the path's own end images; the mean of a path's
steps is its length over the distance between its end images (below: its detour).

![Step sizes along the paths](interpolate/steps.png)

## Measures

{_measures(table, near_ends)}

<details>
<summary>All comparisons</summary>

{bullets(filter(None, found)) or "None: the images do not differ."}

</details>
"""


KINDS = """- A **linear** path is a straight line.
- A **spherical** one (`slerp` in measures.csv and the metrics) follows a great circle, the norm
  going linearly from one end's to the other's.
- A **data-following** one (`geodesic`) has relaxed, from the linear one, to where the decoded image
  changes least, while places denser or rarer in encodings than its ends cost more."""

RULE = wrap(
    f"Two figures are said to differ only where they are more than {SAME:.0%} of the larger apart "
    f"and their mean difference over the pairs is more than {CLEAR:g} of its standard errors from "
    "0. (Of detours, what they have above 1 is compared, and "
    f"{SLIGHT:g} is no difference.) The error is that of the choice of pairs; what another "
    "training run would change is not in it."
)


class _Table:
    def __init__(self, rows: Rows, differences: Differences) -> None:
        self._rows = {(row["model"], row["kind"], row["pairs"]): row for row in rows}
        self._differences = differences

    def paths(self) -> list[Path]:
        """Model and kind, the cross-fade first."""
        return list(dict.fromkeys((model, kind) for model, kind, _ in self._rows))

    def groups(self) -> list[str]:
        return [group for group in GROUP_NAMES if (*CROSS_FADE, group) in self._rows]

    def get(self, measure: str, model: str, kind: str = "linear", group: str = "all") -> Any:
        return self._rows[model, kind, group][measure]

    def known(self, measure: str) -> dict[Path, float]:
        """Of the models' paths that have the figure."""
        values = {path: self.get(measure, *path) for path in self.paths() if path != CROSS_FADE}
        return {path: value for path, value in values.items() if value is not None}

    def compare(self, measure: str, row: Row, other: Row) -> int | None:
        """1: the first is more than the other, -1: less, 0: they do not differ by the page's rule.

        None where that is not known.
        """
        difference = self._differences.get((measure, row, other))
        if difference is None:
            return None
        one, two = (self.get(measure, *each) - (measure == "detour") for each in (row, other))
        slight = max(SLIGHT * (measure == "detour"), SAME * max(abs(one), abs(two)))
        apart = abs(one - two) > slight and difference.is_clear
        return (1 if one > two else -1) if apart else 0

    def count(self, group: str = "all") -> int:
        return int(self._rows[*CROSS_FADE, group]["count"])

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


def _near_the_fade(table: _Table) -> str:
    departures = table.known("departure")
    nearly = {path: value for path, value in departures.items() if value <= NEARLY}
    others = {path: value for path, value in departures.items() if value > NEARLY}
    if not departures:
        return ""
    if not nearly:
        return (
            "No path is nearly a cross-fade of two reconstructions: in the middle they "
            f"are on average {_range('departure', others)} of the distance between their ends away "
            "from it."
        )
    rest = f", the others {_range('departure', others)}" if others else ""
    return (
        f"{_paths(nearly, departures)} are nearly cross-fades of two reconstructions: in the "
        f"middle they are on average {_range('departure', nearly)} of the distance between their "
        f"ends away from it{rest}."
    )


def _contrast_kept(table: _Table) -> str:
    contrasts = table.known("contrast")
    kept = {path: value for path, value in contrasts.items() if abs(value - 1.0) <= SAME}
    others = {path: value for path, value in contrasts.items() if path not in kept}
    if not contrasts:
        return ""
    fade = table.get("contrast", *CROSS_FADE)
    beside = f"cross-fade of the originals {_number('contrast', fade)}"
    if not kept:
        return (
            f"No path keeps the contrast of its ends in the middle within {SAME:.0%}: they have "
            f"{_range('contrast', others)} of it ({beside})."
        )
    rest = f"; the others have {_range('contrast', others)} of it" if others else ""
    return (
        f"{_paths(kept, contrasts)} keep the contrast of their ends in the middle within "
        f"{SAME:.0%} ({_range('contrast', kept)}; {beside}){rest}."
    )


PLAIN = {  # a measure of paths of a kind, for who has not read the definitions
    "evenness": "how much the steps of {} paths vary, as a share of their mean",
    "sharpness": "the sharpness of the middle of {} paths, as a share of their ends'",
    "contrast": "the contrast of the middle of {} paths, as a share of their ends'",
    "departure": "how far the middle of {} paths is from the cross-fade of their ends",
    "nearest": "how far the middle of {} paths is from the nearest training image",
}


def _models_differ(table: _Table) -> str:
    """In how many figures, and in which by the largest share; nothing where no path moves."""
    if not table.known("departure"):
        return ""
    compared, shares = 0, {}
    for measure, plain in PLAIN.items():
        for kind, name in KIND_NAMES.items():
            found = table.compare(measure, ("fc", kind, "all"), ("conv", kind, "all"))
            compared += found is not None
            if found:
                values = [table.get(measure, model, kind) for model in MODELS]
                text = f"{plain.format(name)} ({_each_model(measure, values)})"
                shares[text] = abs(values[0] - values[1]) / max(values)
    if not compared:
        return ""
    if not shares:
        return f"FC and Conv differ in none of {_count(compared, 'figure')} of their paths."
    most = max(shares, key=lambda text: shares[text])
    return (
        f"FC and Conv differ in {len(shares)} of {_count(compared, 'figure')} of their paths; by "
        f"the largest share in {most}."
    )


def _each_model(measure: str, values: Sequence[float]) -> str:
    named = zip(MODELS, values, strict=True)
    return ", ".join(f"{ROW_NAMES[model]} {_number(measure, value)}" for model, value in named)


def _against_the_fade(table: _Table, near_ends: float) -> list[str]:
    """What the middles are beside that of the cross-fade."""
    return [
        _beside_fade(table, "contrast", "Contrast of the middle over that of its ends"),
        _beside_fade(table, "sharpness", "Sharpness of the middle over that of its ends"),
        _nearest(table, near_ends),
    ]


def _nearest(table: _Table, near_ends: float) -> str:
    """Without a verdict: what is blurred or averaged lies nearer, and the fades are both."""
    fade, every = table.get("nearest", *CROSS_FADE), table.listings("nearest")
    if fade is None or not every:
        return ""
    originals = _number("nearest", near_ends)
    return (
        f"Distance of the middle to the nearest training image: originals {originals}; cross-fade "
        f"{_number('nearest', fade)}; {every}. To be nearer is no merit by itself: averages and "
        "blurred images lie near many."
    )


def _beside_fade(table: _Table, measure: str, what: str) -> str:
    """All paths' figures, and which are above the cross-fade's."""
    fade = table.get(measure, *CROSS_FADE)
    every = table.listings(measure)
    if fade is None or not every:
        return ""
    text = f"{what}: cross-fade {_number(measure, fade)}; {every}."
    found = {
        path: table.compare(measure, (*path, "all"), (*CROSS_FADE, "all"))
        for path in table.known(measure)
    }
    if None in found.values():
        return text
    winners = [_name(*path) for path, way in found.items() if way == 1]
    which = _and(winners) if winners else "none"
    return f"{text} Above the cross-fade: {which}."


def _straightness(table: _Table) -> list[str]:
    detours, departures = table.listings("detour"), table.listings("departure")
    if not detours or not departures:
        return []
    values = table.known("departure")
    nearly = [_name(*path) for path, value in values.items() if value <= NEARLY]
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
            f"Relaxing lowered the data-following paths' energy by {' and '.join(drops)}: the sum "
            "of the decoded image's squared steps, each weighted by how far the density there is "
            "from the ends' level. In the middle, log density of encodings above the ends' level, "
            f"in nats for each dimension: {densities}. What data-following paths have of it and of "
            "evenness is as constructed, the aim of the relaxing."
        )
    for model in MODELS:
        verdicts = _verdicts(table, READINGS, (model, "geodesic"), (model, "linear"))
        if verdicts:
            sentences.append(
                f"Beside {ROW_NAMES[model]} linear paths, the data-following ones {_and(verdicts)}."
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
    row: Path,
    other: Path,
) -> list[str]:
    """What holds of one row of the table beside another; nothing where a figure is not known."""
    verdicts = []
    for measure, (more, less, alike) in readings.items():
        found = table.compare(measure, (*row, "all"), (*other, "all"))
        if found is None:
            return []
        numbers = " against ".join(_number(measure, table.get(measure, *x)) for x in (row, other))
        reading = {1: more, -1: less, 0: alike}[found]
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
    return [f"Beside FC linear paths, Conv linear paths {_and(paths)}; Conv {ends}."]


def _within_beside_across(table: _Table) -> list[str]:
    """Which figures differ, or which by the largest share."""
    differing, shares = [], {}
    for measure in ("contrast", "sharpness", "nearest"):
        for path in table.known(measure):
            within, across = (*path, "within"), (*path, "across")
            found = table.compare(measure, within, across)
            if found is None:
                continue
            values = [table.get(measure, *row) for row in (within, across)]
            numbers = " against ".join(_number(measure, value) for value in values)
            text = f"{measure} of {_name(*path)} ({numbers})"
            shares[text] = abs(values[0] - values[1]) / (max(values) or 1.0)
            if found:
                differing.append(text)
    if not shares:
        return []
    most = max(shares, key=lambda text: shares[text])
    return [
        "Contrast, sharpness and nearest differ between pairs within a class and across classes in "
        + (
            f"{_and(differing)}."
            if differing
            else f"nothing; furthest apart, by {shares[most]:.1%}, is {most}."
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
pixels (0 to 1).

- **detour**: a path's length over the distance between its end images; 1 is straight in pixels.
- **largest step**: over the mean step; 1 where all are equal.
- **evenness**: standard deviation of the steps over their mean; 0 is perfectly even. Relaxing a
  data-following path lowers it.
- **sharpness**: mean absolute Laplacian of the middle image over that of the end images; below 1
  the middle is blurred beside its ends. It does not tell the ghosts of two superimposed images from
  detail of one.
- **contrast**: standard deviation of the middle image's pixels over that of the end images. The
  mean of two unrelated pictures has about 0.71: a low figure shows a cross-fade up.
- **departure**: distance of the middle from the cross-fade of the path's own end images, over the
  distance between these; 0 is a cross-fade. The ends of a model's path are reconstructions; only in
  the first row are they the originals.
- **density**: how far the middle lies above the level of its ends in log density of encodings (a
  Gaussian mixture), in nats for each latent dimension; 0 is as dense as the ends, and what
  data-following paths are constructed for. It is a figure of z, not of the image: a path can reach
  it along directions in which the decoder shows nothing.
- **nearest**: distance of the middle to the nearest training image. Averages and blurred images lie
  nearer to everything: below the originals' figure is no sign of a better image, and a path below
  the cross-fade, which is of originals, may be so by its reconstructions' blur alone."""


def _pairs(shown: int) -> str:
    return "\n\n".join(f"![Pair {i}](interpolate/pair_{i}.png)" for i in range(1, shown + 1))


def _name(model: str, kind: str) -> str:
    return f"{ROW_NAMES[model]} {KIND_NAMES[kind]}"


def _paths(some: Mapping[Path, float], every: Mapping[Path, float]) -> str:
    """'All paths', 'Linear and spherical paths' where they are so of both models, or one by one."""
    if some.keys() == every.keys():
        return "All paths"
    kinds = list(dict.fromkeys(kind for _, kind in some))
    whole = len(some) == len(MODELS) * len(kinds)
    names = [KIND_NAMES[kind] for kind in kinds] if whole else [_name(*path) for path in some]
    text = _and(names)
    return f"{text[0].upper()}{text[1:]} paths"


def _range(measure: str, values: Mapping[Path, float]) -> str:
    """'0.07 to 0.08', or one number where that is all."""
    ends = (_number(measure, end(values.values())) for end in (min, max))
    return " to ".join(dict.fromkeys(ends))


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
