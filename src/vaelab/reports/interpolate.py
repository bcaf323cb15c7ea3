"""The report of `interpolate`: its table, and what the table says."""

from __future__ import annotations

from collections.abc import Mapping

from vaelab.figures.common import NAMES
from vaelab.figures.interpolate import KIND_NAMES
from vaelab.reports.common import SAME, compare_figures, format_number, markdown_table, wrap

Metrics = Mapping[str, Mapping[str, float | None]]  # fc, conv, pixels -> linear_step, … -> value

ROW_NAMES = {**NAMES, "pixels": "Cross-fade of the originals"}
DECIMALS = {"step": 4, "evenness": 3, "detour": 3}
READINGS = {  # what a larger, a smaller and an equal figure mean
    "step": ("changes more from step to step", "changes less from step to step", "changes as much"),
    "evenness": ("moves less evenly", "moves more evenly", "moves as evenly"),
    "detour": ("takes a longer way", "takes a shorter way", "takes as long a way"),
}


def interpolate_report(
    dataset: str, latent_dim: int, pairs: int, steps: int, metrics: Metrics
) -> str:
    """Markdown, to stand beside the folder of figures."""
    return f"""# Interpolation: `{dataset}`, {latent_dim} latent dimensions

Two test images, A and B, are encoded to the means of q(z|x), and each model decodes {steps} points
on the way from one encoding to the other, both included. A linear path is a straight line; a
spherical one follows a great circle while the norm goes linearly from one end's to the other's.
The figures are means over {pairs} {"pair" if pairs == 1 else "pairs"}.

{_table(metrics)}

- **step**: mean distance between neighbouring images: the root mean square of the difference of
  their pixels, which run from 0 to 1.
- **evenness**: standard deviation of a path's steps over their mean; 0 is perfectly even.
- **detour**: the path's length over the distance between its end images; 1 is straight in pixel
  space, as a cross-fade is.

{_reading(metrics)}

## From A to B

![Linear paths](interpolate/linear.png)

![Spherical paths](interpolate/slerp.png)

![The spherical paths, animated](interpolate/animation.gif)

## Step by step

![Step sizes along the paths](interpolate/steps.png)
"""


def _table(metrics: Metrics) -> str:
    columns = [f"{name} {figure}" for name in KIND_NAMES.values() for figure in DECIMALS]
    rows = [
        [
            ROW_NAMES[model],
            *(
                format_number(figures[f"{kind}_{figure}"], decimals)
                for kind in KIND_NAMES
                for figure, decimals in DECIMALS.items()
            ),
        ]
        for model, figures in metrics.items()
    ]
    return markdown_table(rows, ["", *columns])


def _reading(metrics: Metrics) -> str:
    fc, conv = metrics["fc"], metrics["conv"]
    verdicts = [
        compare_figures(
            conv[f"linear_{figure}"], fc[f"linear_{figure}"], readings, DECIMALS[figure], figure
        )
        for figure, readings in READINGS.items()
    ]
    sentences = []
    if all(verdicts):
        *first, last = verdicts
        sentences.append(f"Beside FC on linear paths, Conv {', '.join(first)}, and {last}.")
    for model in ("fc", "conv"):
        slerp, linear = (metrics[model][f"{kind}_detour"] for kind in ("slerp", "linear"))
        ways = ("go a longer way", "go a shorter way", "go as long a way")
        verdict = compare_figures(slerp, linear, ways, DECIMALS["detour"], "detour")
        if verdict:
            sentences.append(f"Beside linear ones, {NAMES[model]}'s spherical paths {verdict}.")
    detours = [figures["linear_detour"] for figures in (fc, conv)]
    if all(detour is not None and detour <= 1.0 + SAME for detour in detours):
        sentences.append(
            "With detours this close to 1, the linear paths are little more than cross-fades of "
            "the two reconstructions."
        )
    return wrap(" ".join(sentences))
