"""The report of `latent_explore`: its tables, and what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from vaelab.figures.common import NAMES
from vaelab.reports.common import SAME, compare_figures, format_number, markdown_table, wrap
from vaelab.settings import ARCHITECTURES

Figures = Mapping[str, Mapping[str, Any]]  # region -> figure -> value
Metrics = Mapping[str, Figures]  # fc, conv, data -> …

DECIMALS = {"radius": 2, "sharpness": 2, "diversity": 2, "nearest": 3}
COLLAPSED = 0.01  # nats
FILLED = 5.0  # nats: beyond, encodings lie where q(z) is over a hundred times as dense as the prior


def latent_report(
    dataset: str,
    latent_dim: int,
    samples: int,
    reference: int,
    names: Mapping[str, str],
    metrics: Metrics,
) -> str:
    """Markdown, to stand beside the folder of figures.

    samples: of each region; reference: how many test images they are compared with; names: of the
    regions by key; metrics: of each model its regions, `encodings` and, where known, `readout`.
    """
    readout = ""
    if "readout" in metrics["fc"]:
        readout = f"""
## What a linear map reads from the encodings

R² on the test split of a ridge regression from mu to each factor that the images were drawn from,
fitted on the validation split: 1 is perfect, 0 no better than the mean. The shape is one-hot;
angles and hues are taken by their sine and cosine, a rotation at its shape's own period.

{_readout_table(metrics)}
"""
    return f"""# The latent space: `{dataset}`, {latent_dim} latent dimensions

{samples} points of each region, decoded by each model. All regions start from the same draws of
N(0, I), scaled, or moved to where a model's own encodings of the test split lie: *encoded test
images* are draws of q(z|x) of {samples} of them, *around one* of a single one; *class means* have
their class's own spread of mu; *between* is half-way along the great circle from mu to the draw.

{_table(names, metrics)}

- **radius**: mean norm of z in units of √d, d = {latent_dim}; N(0, I) lies at about 1.
- **sharpness**: mean absolute Laplacian of the images; **diversity**: mean distance between two of
  them. Both relative to {reference:,} real test images, which have 1; a sharpness above 1 is
  texture that real images do not have.
- **nearest**: mean distance to the nearest training image. All distances are root mean squares over
  pixels, which run from 0 to 1. A blurred image lies near many others, so a small distance is no
  sign of copying, and a larger one than real test images have is a sign of leaving the data.

## What the figures say

{_reading(names, metrics, latent_dim)}

## Samples

The same latents for both models.

![Samples of the prior](latent_explore/prior_samples.png)

A row for each region; the first row holds the test images whose encodings are drawn from in the
second, and the first of them is the one looked around in the third.

![Samples by region](latent_explore/regions.png)

## The most informative dimensions

One coordinate of one encoding is set to each value in turn. At the left the dimension's number and
its KL, mean over the test split; of an autoencoder, which has none, the variance of its means.

![Traversals](latent_explore/traversals.png)

## A plane through three encodings

![A plane through three test images](latent_explore/plane.png)

## The encodings of the test split

The means of q(z|x) along their two principal components, in units of z; the large dots are the
means of classes.

![Encodings in two dimensions](latent_explore/encodings.png)
{readout}"""


def _table(names: Mapping[str, str], metrics: Metrics) -> str:
    columns = [
        "Region",
        *(f"{NAMES[model]} {figure}" for model in ARCHITECTURES for figure in DECIMALS),
    ]
    real = metrics["data"]["data"]
    rows = [["Real test images", *_cells(real), *_cells(real)]]
    for key, name in names.items():
        rows.append(
            [name, *(cell for model in ARCHITECTURES for cell in _cells(metrics[model][key]))]
        )
    return markdown_table(rows, columns)


def _cells(figures: Mapping[str, Any]) -> list[str]:
    return [format_number(figures[name], decimals) for name, decimals in DECIMALS.items()]


def _readout_table(metrics: Metrics) -> str:
    factors = list(metrics["fc"]["readout"])
    rows = [
        [NAMES[model], *(format_number(metrics[model]["readout"][f]) for f in factors)]
        for model in ARCHITECTURES
    ]
    return markdown_table(rows, ["R²", *(factor.replace("_", " ") for factor in factors)])


def _reading(names: Mapping[str, str], metrics: Metrics, latent_dim: int) -> str:
    paragraphs = []
    for model in ARCHITECTURES:
        figures, real = metrics[model], metrics["data"]["data"]
        sentences = [
            _extremes(names, figures, real),
            _by_radius(names, figures, real),
            _prior(figures),
            _encodings(figures, latent_dim),
        ]
        paragraphs.append(wrap(" ".join([f"**{NAMES[model]}.**", *filter(None, sentences)])))
    return "\n\n".join(paragraphs)


def _extremes(names: Mapping[str, str], figures: Figures, real: Mapping[str, Any]) -> str:
    parts = []
    for figure, superlative in (("sharpness", "sharpest"), ("diversity", "most varied")):
        known = [key for key in names if figures[key][figure] is not None]
        if known:
            most = max(known, key=lambda key: figures[key][figure])
            share = format_number(figures[most][figure])
            parts.append(f"{superlative} is *{names[most]}*, with {share} of real images' {figure}")
    nearest = min(names, key=lambda key: figures[key]["nearest"])
    distances = [format_number(x["nearest"], 3) for x in (figures[nearest], real)]
    parts.append(
        f"closest to the training images is *{names[nearest]}*, at {distances[0]} (real test "
        f"images: {distances[1]})"
    )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _by_radius(names: Mapping[str, str], figures: Figures, real: Mapping[str, Any]) -> str:
    keys = sorted((key for key in names if key.startswith("shell_")), key=_radius)
    if len(keys) < 2:
        return ""
    trends = []
    for figure, subject, decimals in (
        ("sharpness", "sharpness", 2),
        ("diversity", "diversity", 2),
        ("nearest", "the distance to the nearest training image", 3),
    ):
        values = [figures[key][figure] for key in keys]
        if None in values:
            continue
        numbers = ", ".join(format_number(value, decimals) for value in values)
        trends.append(f"{subject} {_trend(values)} ({numbers})")
    radii = ", ".join(f"{_radius(key):g}" for key in keys)
    reach = (1.0 + SAME) * real["nearest"]
    beyond = [f"{_radius(key):g} √d" for key in keys if figures[key]["nearest"] > reach]
    verdict = (
        f"At {' and '.join(beyond)} the images are clearly farther from the training images than "
        "real test images are: they have left the data."
        if beyond
        else "At none of them are the images clearly farther from the training images than real "
        "test images are."
    )
    *first, last = trends
    listed = f"{', '.join(first)}, and {last}" if first else last
    return f"Over the shells of {radii} √d {listed}. {verdict}"


def _radius(key: str) -> float:
    return float(key.removeprefix("shell_"))


def _trend(values: Sequence[float]) -> str:
    if max(values) - min(values) <= SAME * max(values):
        return "stays about the same"
    if all(a <= b for a, b in pairwise(values)):
        return "rises"
    if all(a >= b for a, b in pairwise(values)):
        return "falls"
    return "goes no single way"


def _prior(figures: Figures) -> str:
    prior, encoded = figures["prior"], figures["posterior"]
    readings = {
        "sharpness": ("sharper", "blurrier", "about as sharp"),
        "diversity": ("more varied", "less varied", "about as varied"),
    }
    parts = [compare_figures(prior[key], encoded[key], said) for key, said in readings.items()]
    if not any(parts):
        return ""
    verdict = " and ".join(filter(None, parts))
    return f"Samples of the prior are {verdict} than decoded encodings of test images."


def _encodings(figures: Figures, latent_dim: int) -> str:
    norm, variance, kl, gap = (
        figures["encodings"][key] for key in ("norm", "variance", "kl", "marginal_kl")
    )
    if not math.isfinite(kl):
        return (
            f"The encodings are points, of norm {format_number(norm * math.sqrt(latent_dim), 1)} "
            f"(root mean square; N(0, I): √d = {format_number(math.sqrt(latent_dim), 1)}) and "
            f"variance {format_number(variance)} a dimension (N(0, I): 1); nothing held them to it."
        )
    if kl < COLLAPSED:
        return (
            f"The mean KL is {format_number(kl, 3)} nats: the encodings say nothing of the image."
        )
    root = math.sqrt(latent_dim)
    verdict = (
        "the encodings come close to filling N(0, I), and draws of the prior land where the "
        "decoder was trained"
        if gap <= FILLED
        else "the encodings do not fill N(0, I), and draws of the prior often land where encodings "
        "are rare and the decoder was little trained"
    )
    return (
        f"Draws of q(z|x) over the test split have a norm of {format_number(norm * root, 1)} (root "
        f"mean square; N(0, I): √d = {format_number(root, 1)}) and a variance of "
        f"{format_number(variance)} a dimension (N(0, I): 1). Of their mean KL of "
        f"{format_number(kl, 1)} nats, at least {format_number(gap, 1)} nats ({gap / kl:.0%}) are "
        f"the divergence of the aggregated posterior from the prior: {verdict}."
    )
