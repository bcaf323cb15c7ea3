"""Experiments side by side: Markdown tables of what `compare` measured of each one's models.

    python experiments/results.py cifar10 bernoulli gaussian discretized_logistic

The names are those of DVC experiments (`dvc exp show`), or any other revision; of several seeds a
figure is mean ± standard deviation.
"""

import argparse
import io
import sys
from collections.abc import Mapping

import dvc.api
import pandas as pd
from dvc.exceptions import DvcException

from vaelab.metrics.frame import mean, models_of, read_frame, spread
from vaelab.metrics.measures import MEASURES, SOURCES
from vaelab.report.render import label, markdown_table, show
from vaelab.settings import ARCHITECTURES

SHOWN = ("elbo", "iw_bound", "bits_per_dim", "kl", "active_units", "psnr", "ssim", "probe_linear")
FLOOR = "floor"  # real test images


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("experiments", nargs="+", help="names of experiments, or revisions")
    options = parser.parse_args()
    file = f"reports/{options.dataset}/compare/measures.csv"
    try:
        found = {
            name: read_frame(io.StringIO(dvc.api.read(file, rev=name)))
            for name in options.experiments
        }
    except (DvcException, OSError) as error:
        raise SystemExit(f"{error}; `dvc exp show` lists the experiments") from None
    sys.stdout.write(f"{measures(found)}\n\n{distances(found)}\n")


def shown_rows(found: Mapping[str, pd.DataFrame]) -> list[tuple[str, str]]:
    """Experiment and model: each one's architectures, and PCA, which is the same in all, once."""
    trained = [
        (name, model)
        for name, figures in found.items()
        for model in models_of(figures)
        if model in ARCHITECTURES
    ]
    return [*trained, (next(iter(found)), "pca")]


def measures(found: Mapping[str, pd.DataFrame]) -> str:
    rows = [
        ["" if model == "pca" else name, label(model)]
        + [show(spread(found[name], model, key), key) for key in SHOWN]
        for name, model in shown_rows(found)
    ]
    return markdown_table(rows, ["", "", *(MEASURES[key].heading for key in SHOWN)])


def distances(found: Mapping[str, pd.DataFrame]) -> str:
    """Sliced Wasserstein distance by source of the images."""
    sources = [source for source in SOURCES if source != FLOOR]
    rows = [
        ["" if model == "pca" else name, label(model)]
        + [show(spread(found[name], model, "swd", source), "swd") for source in sources]
        for name, model in shown_rows(found)
    ]
    table = markdown_table(rows, ["", "", *(SOURCES[source] for source in sources)])
    floor = show(mean(next(iter(found.values())), "data", "swd", FLOOR), "swd")
    return f"{MEASURES['swd'].label}\n\n{table}\n\n{SOURCES[FLOOR]}: {floor}."


if __name__ == "__main__":
    main()
