"""Experiments side by side: a Markdown table for each data set, from the metrics of `compare`.

    python experiments/results.py cifar10 bernoulli gaussian discretized_logistic

The names are those of DVC experiments (`dvc exp show`), or any other revision; with several seeds
the figures are means over them.
"""

import argparse
import sys
from collections.abc import Mapping
from typing import Any

import dvc.api
from dvc.exceptions import DvcException

from vaelab.plotting.style import NAMES, SOURCE_NAMES
from vaelab.report.common import format_number, markdown_table

COLUMNS = {
    "elbo": ("ELBO, nats/image", 1),
    "iw_bound": ("IW bound", 1),
    "bits_per_dim": ("bits/dim", 3),
    "kl": ("rate, nats", 1),
    "active_units": ("active units", 0),
    "psnr": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "probe_linear": ("linear probe", 3),
}
MODELS = ("fc", "conv", "pca")
Metrics = Mapping[str, Mapping[str, float | None]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("experiments", nargs="+", help="names of experiments, or revisions")
    options = parser.parse_args()
    try:
        found = {
            name: dvc.api.metrics_show(f"metrics/{options.dataset}/compare.json", rev=name)
            for name in options.experiments
        }
    except DvcException as error:
        raise SystemExit(f"{error}; `dvc exp show` lists the experiments") from None
    sys.stdout.write(f"{measures(found)}\n\n{distances(found)}\n")


def measures(found: Mapping[str, Metrics]) -> str:
    """A row for each experiment and model; PCA, which is the same in all, once."""
    shown = [(name, model) for name in found for model in MODELS[:2]]
    shown.append((next(iter(found)), "pca"))
    rows = [
        ["" if model == "pca" else name, NAMES[model]]
        + [
            format_number(_rounded(found[name][model], key), digits)
            for key, (_, digits) in COLUMNS.items()
        ]
        for name, model in shown
    ]
    return markdown_table(rows, ["", "", *(title for title, _ in COLUMNS.values())])


def distances(found: Mapping[str, Metrics]) -> str:
    """Sliced Wasserstein distance by source of the images."""
    rows: list[list[str]] = []
    for name, metrics in found.items():
        swd = metrics["swd"]
        rows += [
            ["" if model == "pca" else name, NAMES[model]]
            + [format_number(swd.get(f"{model}_{source}"), 0) for source in SOURCE_NAMES]
            for model in MODELS[: 2 if rows else 3]
        ]
    floor = next(iter(found.values()))["swd"]["floor"]
    table = markdown_table(rows, ["", "", *SOURCE_NAMES.values()])
    return f"{table}\n\nReal test images: {format_number(floor, 0)}."


def _rounded(row: Mapping[str, Any], key: str) -> float | None:
    value = row[key]
    return None if value is None else float(value)


if __name__ == "__main__":
    main()
