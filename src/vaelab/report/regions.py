"""The chapter on latent space's regions: what each is, what was measured, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from vaelab.plotting.style import NAMES
from vaelab.report.common import (
    SAME,
    Chapter,
    bullets,
    compare_figures,
    format_number,
    markdown_table,
    wrap,
)

Figures = Mapping[str, Mapping[str, Any]]  # region -> measure -> value; real images are `data`

PICTURE = "latent_explore/regions.png"
LEFT = 1.5  # times a figure of encoded test images, beyond which it is said to have been left
TIMES = ("swd", "round_trip")  # told as multiples of what encoded test images have
COLUMNS = {  # measure -> heading and decimals
    "radius": ("radius", 2),
    "sharpness": ("sharpness", 2),
    "diversity": ("diversity", 2),
    "swd": ("SWD", 0),
    "nearest": ("nearest", 3),
    "round_trip": ("round trip", 3),
    "confidence": ("confidence", 2),
    "accuracy": ("right", 2),
}
SENSE = {  # too large a figure of these is a sign of leaving the data
    "swd": "SWD",
    "nearest": "nearest training image",
    "round_trip": "round trip",
}
EVIDENCE = {
    "swd": "SWD",
    "nearest": "distance to the nearest training image",
    "round_trip": "round trip (the share of z that is missed)",
}
RELATIVE = {"sharpness": "texture", "diversity": "variety"}  # to real images, which have 1

READINGS = {  # what a larger, a smaller and an about equal figure mean
    "sharpness": ("more fine texture", "less fine texture", "as much fine texture"),
    "diversity": ("more varied", "less varied", "about as varied"),
    "swd": ("farther in SWD", "nearer in SWD", "about as far in SWD"),
    "nearest": (
        "farther from the training images",
        "nearer to the training images",
        "about as near to the training images",
    ),
    "round_trip": (
        "missed by more on the round trip",
        "missed by less on the round trip",
        "missed by about as much on the round trip",
    ),
    "confidence": (
        "classified with more confidence",
        "classified with less confidence",
        "classified with about the same confidence",
    ),
}


def regions_chapter(
    rows: Sequence[Mapping[str, Any]], definitions: Mapping[str, str], samples: int, real: int
) -> Chapter:
    """rows: as `vaelab.studies.latent.regions.explore_regions` makes them.

    definitions: of each region, by key; samples: of each region; real: images that they are
    compared with.
    """
    names = {row["region"]: row["name"] for row in rows if row["region"] != "data"}
    models: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        models.setdefault(row["model"], {})[row["region"]] = {
            key: value if key in ("model", "region", "name") else _known(value)
            for key, value in row.items()
        }
    findings = [_outwards(models), _prior(models), _density(models), _classes(models)]
    defined = bullets(f"**{name}**: {definitions[key]}." for key, name in names.items())
    tables = "\n\n".join(
        f"**{NAMES[model]}**\n\n{_table(figures)}" for model, figures in models.items()
    )
    body = f"""{_opening(samples, real)}

{defined}

![Samples by region]({PICTURE})

The first row holds real test images, the second what the models decode from draws of their
posteriors, the third draws of the posterior of the first of them.

![Samples of the prior](latent_explore/prior_samples.png)

### Measures

![Measures by region](latent_explore/region_measures.png)

{tables}

All of it: [regions.csv](latent_explore/regions.csv).

{_notes(real, models)}

<details>
<summary>Every region in words</summary>

{_lead(models)}

{bullets(_region(key, name, models) for key, name in names.items())}

</details>"""
    return Chapter("Regions", [*filter(None, findings)], body)


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# --- findings ------------------------------------------------------------------------------------


def _finding(topic: str, models: Mapping[str, Figures], say: Callable[[Figures], str]) -> str:
    """'topic. FC: …. Conv: ….', of each model of which there is something to say."""
    said = {model: say(figures) for model, figures in models.items()}
    parts = [f"{NAMES[model]}: {text}." for model, text in said.items() if text]
    return " ".join([f"{topic}.", *parts]) if parts else ""


def _outwards(models: Mapping[str, Figures]) -> str:
    """At what radii uniform directions decode as encodings do, by all measures that are known."""
    measures = [
        key for key in SENSE if all(x["posterior"][key] is not None for x in models.values())
    ]
    within = {
        model: [x for x in _uniform(figures) if _within(x, figures["posterior"], measures)]
        for model, figures in models.items()
    }
    if not any(within.values()):
        return f"{_nowhere(models, measures)} [Look]({PICTURE})."
    where = _listed(
        [f"at {_where(x, models[model])} ({NAMES[model]})" for model, x in within.items()]
    )
    farthest = [_uniform(figures)[-1] for figures in models.values()]
    failed = not any(x in found for x, found in zip(farthest, within.values(), strict=True))
    beyond = f", and not at {_radii(farthest[:1])}" if failed else ""
    return (
        f"Decoded from uniform directions, images are within {LEFT:g} times decoded encodings by "
        f"{_listed([SENSE[key] for key in measures])} {where}, of the radii tried{beyond}. These "
        f"measures see patches, pixels and codes, not scenes: [look]({PICTURE})."
    )


def _where(within: Sequence[Mapping[str, Any]], figures: Figures) -> str:
    if len(within) == len(_uniform(figures)):
        return "every radius"
    return _radii(within) if within else "no radius"


def _nowhere(models: Mapping[str, Figures], measures: Sequence[str]) -> str:
    """Of models that stay within LEFT times at no radius."""
    own = {
        model: x
        for model, figures in models.items()
        for x in _uniform(figures)
        if abs(x["radius"] - figures["posterior"]["radius"]) <= SAME * x["radius"]
    }
    verdict = (
        f"Uniform directions decode worse than encodings (some measure over {LEFT:g} times theirs) "
        "at every radius tried"
    )
    if len(own) < len(models):
        return f"{verdict}."
    radii = ", ".join(f"{_radii([x])} {NAMES[model]}" for model, x in own.items())
    worst = [
        (_ratio(x[key], models[model]["posterior"][key]), model, key)
        for model, x in own.items()
        for key in measures
    ]
    _, model, key = max(worst)
    found, encoded = (
        format_number(x[key], min(COLUMNS[key][1], 2))
        for x in (own[model], models[model]["posterior"])
    )
    return (
        f"{verdict}, the encodings' own ({radii}) among them: where a code lies matters by "
        f"direction, not by distance alone. There {NAMES[model]}'s {EVIDENCE[key]} is {found}, of "
        f"encodings {encoded}."
    )


def _radii(regions: Sequence[Mapping[str, Any]]) -> str:
    return f"{_listed([format_number(found['radius']) for found in regions])} √d"


def _uniform(figures: Figures) -> list[Mapping[str, Any]]:
    """The regions of uniform directions, from the origin outwards."""
    tried = [found for key, found in figures.items() if key == "far" or key.startswith("shell_")]
    return sorted(tried, key=lambda found: found["radius"])


def _within(found: Mapping[str, Any], encoded: Mapping[str, Any], measures: Sequence[str]) -> bool:
    return all(_ratio(found[key], encoded[key]) <= LEFT for key in measures)


def _ratio(value: float | None, encoded: float) -> float:
    """Infinite where the value is not known."""
    if value is None:
        return math.inf
    if not encoded:
        return math.inf if value else 0.0
    return value / encoded


def _prior(models: Mapping[str, Figures]) -> str:
    def say(figures: Figures) -> str:
        prior, encoded = figures["prior"], figures["posterior"]
        return _compare(prior, encoded, [*RELATIVE, *SENSE])

    real = _relative(models, list(RELATIVE))
    topic = f"Samples of the prior, beside decoded encodings (of test images{real})"
    return _finding(topic, models, say)


def _relative(models: Mapping[str, Figures], measures: Sequence[str]) -> str:
    """That real images have 1 in these, of those that are known."""
    real = next(iter(models.values()))["data"]
    known = [RELATIVE[key] for key in measures if real[key] is not None]
    return f"; {_listed(known)} of real images: 1" if known else ""


def _density(models: Mapping[str, Figures]) -> str:
    """Whether the encodings' density tells how the images are."""
    keys = [key for key in next(iter(models.values())) if key.startswith("decile_")]
    if len(keys) < 2:
        return ""

    def say(figures: Figures) -> str:
        parts = []
        for measure, name in (
            ("sharpness", "texture"),
            ("nearest", "the distance to the nearest training image"),
            ("round_trip", "the round trip's miss"),
        ):
            values = [figures[key][measure] for key in keys]
            if None not in values:
                numbers = ", ".join(format_number(x, COLUMNS[measure][1]) for x in values)
                parts.append(f"{name} {_trend(values)} ({numbers})")
        return _listed(parts)

    deciles = ", ".join(key.removeprefix("decile_") for key in keys)
    real = _relative(models, ["sharpness"])
    topic = f"Encodings from the rarest to the densest tenth (tenths {deciles}{real})"
    return _finding(topic, models, say)


def _classes(models: Mapping[str, Figures]) -> str:
    if "gap" not in next(iter(models.values())):
        return ""

    def say(figures: Figures) -> str:
        gap, classes = figures["gap"], figures["classes"]
        text = f"the images are {_compare(gap, classes, [*SENSE, 'confidence'])}"
        if gap["apart"] is not None:
            apart = f"the means are {format_number(gap['apart'])} of a class's standard deviations"
            text = f"{apart} apart, along the line between them; {text}"
        if classes["accuracy"] is not None:
            text += (
                f"; the probe takes {classes['accuracy']:.0%} of the class samples for their class "
                f"(real test images: {figures['data']['accuracy']:.0%})"
            )
        return text

    return _finding("Half-way between two classes, beside samples of the classes", models, say)


def _region(key: str, name: str, models: Mapping[str, Figures]) -> str:
    def say(figures: Figures) -> str:
        found, real, encoded = figures[key], figures["data"], figures["posterior"]
        read = [_read(found, real, measure) for measure in READINGS if measure not in TIMES]
        read += [_times(found, encoded, measure) for measure in TIMES]
        return ", ".join(filter(None, read))

    return _finding(f"**{name}**", models, say)


def _read(found: Mapping[str, Any], other: Mapping[str, Any], measure: str) -> str:
    """As `compare_figures`, without the other's figure."""
    if found[measure] is None or other[measure] is None:
        return ""
    reading = compare_figures(found[measure], other[measure], READINGS[measure]).split(" (")[0]
    return f"{reading} ({format_number(found[measure], COLUMNS[measure][1])})"


def _times(found: Mapping[str, Any], other: Mapping[str, Any], measure: str) -> str:
    if found[measure] is None:
        return ""
    told = found is not other and other[measure]
    factor = f" ({found[measure] / other[measure]:.1f} times)" if told else ""
    return f"{_figures(found, [measure])}{factor}"


def _compare(found: Mapping[str, Any], other: Mapping[str, Any], measures: Sequence[str]) -> str:
    return _listed(
        [
            compare_figures(found[key], other[key], READINGS[key], COLUMNS[key][1])
            for key in measures
        ]
    )


def _figures(figures: Mapping[str, Any], measures: Sequence[str]) -> str:
    return ", ".join(
        f"{COLUMNS[key][0]} {format_number(figures[key], COLUMNS[key][1])}" for key in measures
    )


def _listed(texts: Sequence[str]) -> str:
    """'a, b and c' of those that are not empty."""
    told = [text for text in texts if text]
    return " and ".join(filter(None, [", ".join(told[:-1]), *told[-1:]]))


def _trend(values: Sequence[float]) -> str:
    if max(values) - min(values) <= SAME * max(values):
        return "stays about the same"
    if all(a <= b for a, b in pairwise(values)):
        return "rises"
    if all(a >= b for a, b in pairwise(values)):
        return "falls"
    return "goes no single way"


# --- body ----------------------------------------------------------------------------------------


def _opening(samples: int, real: int) -> str:
    compared = f"{real:,} real test images" if real > 1 else "one real test image"
    return wrap(
        f"{samples:,} points of each region, decoded by each model, beside {compared}. All that is "
        "made from noise starts from the same draws of N(0, I). q(z|x) is of test images, q(z) its "
        "mean over the test split; the Gaussians and the density are fitted to the encodings of "
        "the training images. d is the number of latent dimensions."
    )


def _table(figures: Figures) -> str:
    """Of one model; without columns that no region has."""
    keys = _known_measures(figures)
    rows = [
        [found["name"], *(format_number(found[key], COLUMNS[key][1]) for key in keys)]
        for found in figures.values()
    ]
    return markdown_table(rows, ["Region", *(COLUMNS[key][0] for key in keys)])


def _lead(models: Mapping[str, Figures]) -> str:
    """What the sentences on the regions compare with."""

    def of(region: str, measures: Sequence[str]) -> str:
        told = {
            model: _figures(x[region], [key for key in measures if x[region][key] is not None])
            for model, x in models.items()
        }
        return f"({'; '.join(f'{NAMES[model]}: {text}' for model, text in told.items() if text)})"

    return wrap(
        f"Beside the real test images {of('data', ['nearest', 'confidence'])}, "
        f"“about” being within {SAME:.0%}; SWD and round trip in multiples of what encoded test "
        f"images have {of('posterior', TIMES)}{_relative(models, list(RELATIVE))}.".replace(
            " ()", ""
        )
    )


def _known_measures(figures: Figures) -> list[str]:
    return [key for key in COLUMNS if any(found[key] is not None for found in figures.values())]


def _notes(real: int, models: Mapping[str, Figures]) -> str:
    notes = {
        "radius": "mean norm of z in units of √d; N(0, I) lies at about 1.",
        "sharpness": "fine texture: mean absolute Laplacian of the images, relative to the real "
        "test images; above 1 is texture that real images do not have, such as noise.",
        "diversity": "mean distance between two of the images, relative to the real test images.",
        "swd": f"sliced Wasserstein distance of patches to {real:,} other real test images, in "
        "thousandths of their standard deviation; what real images have is its floor. It compares "
        "sets: a region of few kinds of image lies far, however good each image is, and around one "
        "image it would say nothing.",
        "nearest": "mean distance to the nearest training image. All distances are root mean "
        "squares over pixels, which run from 0 to 1. A blurred image lies near many others, so a "
        "small distance is no sign of copying; a larger one than real test images have is a sign "
        "of leaving the data.",
        "round_trip": "how far encode(decode(z)) lands from z, as a share of z's distance from the "
        "mean encoding; dimensions weigh as much as they tell of the image. 0 brings z back, 1 is "
        "no better than one encoding for all images. In the row of real images: by how much draws "
        "of q(z|x) miss the encoding of the very image.",
        "confidence": "the largest class probability that a linear probe, fitted to the encodings "
        "of training images, gives the images when encoded again; mean.",
        "accuracy": "the share of the images that this probe takes for the class they were drawn "
        "for.",
    }
    known = _known_measures(next(iter(models.values())))
    return bullets(f"**{COLUMNS[key][0]}**: {notes[key]}" for key in known)
