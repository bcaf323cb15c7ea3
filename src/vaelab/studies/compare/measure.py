"""What `compare` measures of each model on the test split, and the tables of it.

    train, test = encode(vae, images.train.images), encode(vae, images.test.images)
    measure(vae, images, train, test, settings.compare).figures["psnr"]

How generated images are judged is in `generated`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.arrays import ImageArrays, ImageRows
from vaelab.metrics.aggregate import active_units, aggregated_posterior
from vaelab.metrics.bounds import bits_per_dim, bounds
from vaelab.metrics.cost import macs
from vaelab.metrics.fidelity import fidelity, pixel_entropy
from vaelab.metrics.frame import mean, models_of, spread
from vaelab.metrics.measures import MEASURES, SOURCES, best_bold
from vaelab.metrics.pca import PCA
from vaelab.metrics.probes import (
    chance_accuracy,
    probe,
)
from vaelab.plotting.style import NAMES
from vaelab.runtime.outputs import markdown_table, write_csv, write_text
from vaelab.samplers.gaussians import Sampler
from vaelab.settings import CompareSettings, DatasetSettings
from vaelab.vae.inference import device_of, per_image
from vaelab.vae.model import VAE, Posterior
from vaelab.vae.objective import elbo_terms, kl_to_standard_normal

CPU = torch.device("cpu")
DRAWS = ("elbo_samples", "iw_samples", "iw_images", "temperature", "mixture_components")
HEADLINE = ("elbo", "kl", "psnr")  # of metrics/D/compare.json, before the SWD
CURVES = ("elbo", "kl", "reconstruction", "psnr")  # in the order in which they are drawn


@dataclass(frozen=True)
class Measured:
    """A VAE on the test split of N images."""

    figures: dict[str, float]  # of MEASURES, those that apply
    mu: Tensor  # (N, latent_dim)
    mse: Tensor  # (N,), of each image's reconstruction
    kl_per_dimension: Tensor  # (latent_dim,), mean over the images, nats
    ceiling: float | None  # nats: log N, where the mutual information is as high as N images show


@dataclass(frozen=True)
class Compared:
    """One trained model, and what was made with it."""

    vae: VAE
    seed: int
    measured: Measured
    samplers: Mapping[str, Sampler]
    generated: Mapping[str, ImageRows]  # source -> (n, C, H, W)
    history: pd.DataFrame  # of its training

    @property
    def model(self) -> str:
        return self.vae.config.architecture


def measure(
    vae: VAE, images: ImageArrays, train: Posterior, test: Posterior, settings: CompareSettings
) -> Measured:
    """train, test: what its encoder makes of the two splits."""
    figures, ceiling = _bound(vae, images, test, settings)
    decoded = fidelity(vae.decode_mean, test.mu, images.test.images, device_of(vae))
    figures |= decoded.figures() | _probes(train.mu, test.mu, images, settings.seed)
    figures |= {"parameters": vae.parameter_count(), "macs": macs(vae)}
    kl = kl_to_standard_normal(*test).double().mean(0)
    return Measured(figures, test.mu, decoded.mse, kl, ceiling)


def _bound(
    vae: VAE, images: ImageArrays, posterior: Posterior, settings: CompareSettings
) -> tuple[dict[str, float], float | None]:
    """A point posterior has none: of its terms, only the distortion is a number."""
    test, seed = images.test.images, settings.seed
    if not vae.stochastic:
        found = per_image(lambda x: [elbo_terms(vae, x).distortion], test, device_of(vae))
        return {"reconstruction": found.mean().item()}, None
    draws = settings.model_dump(include={"elbo_samples", "iw_samples", "iw_images"})
    bound = bounds(vae, test, **draws, seed=seed)
    aggregated = aggregated_posterior(posterior, seed=seed)
    figures = bound._asdict() | aggregated._asdict()
    ceiling = figures.pop("ceiling")
    figures["active_units"] = active_units(posterior.mu)
    if vae.likelihood.proper:
        figures["bits_per_dim"] = bits_per_dim(bound.iw_bound, images.shape)
    return figures, ceiling if aggregated.saturated else None


def measure_pca(pca: PCA, train: Tensor, images: ImageArrays, seed: int) -> dict[str, float]:
    """The linear floor: no density and no posterior. train: the train split's codes, (N, K)."""
    test = pca.encode(images.test.images)
    return {
        **fidelity(pca.decode, test, images.test.images, CPU).figures(),
        **_probes(train, test, images, seed),
        "parameters": pca.parameter_count(),
        "macs": pca.macs(),
    }


def measure_mean_image(images: ImageArrays) -> dict[str, float]:
    """The trivial floor: the train split's mean, in float64 until it is known."""
    average = torch.from_numpy(images.train.images.mean(0, dtype=np.float64) / 255.0).float()
    z, test = torch.zeros(len(images.test), 0), images.test.images
    found = fidelity(lambda z: average.expand(len(z), *average.shape), z, test, CPU)
    return found.figures() | {"parameters": average.numel(), "macs": 0}


def _probes(train: Tensor, test: Tensor, images: ImageArrays, seed: int) -> dict[str, float]:
    """Of codes for telling the classes apart; nothing where there are no two classes."""
    train_labels, test_labels = (torch.tensor(s.labels) for s in (images.train, images.test))
    found = probe(train, train_labels, test, test_labels, seed)
    return {"probe_linear": found.linear, "probe_knn": found.knn} if found else {}


def choose(count: int, wanted: int, seed: int) -> NDArray[np.int64]:
    """`wanted` of `count` images, all where there are no more: their numbers, rising."""
    chosen = np.random.default_rng(seed).choice(count, min(wanted, count), replace=False)
    return np.sort(chosen)


# --- what is written -----------------------------------------------------------------------------


def headline(figures: pd.DataFrame, architectures: Sequence[str]) -> dict[str, Any]:
    """metrics/D/compare.json: the few figures that are compared between experiments."""
    found: dict[str, Any] = {
        model: {key: mean(figures, model, key) for key in HEADLINE}
        | {"swd": mean(figures, model, "swd", "mixture")}
        for model in architectures
    }
    return found | {"pca": {"psnr": mean(figures, "pca", "psnr")}}


def curves(every: Sequence[Compared]) -> pd.DataFrame:
    """The validation split after each epoch, as .dvc/plots/curves.json draws it: a row for each
    measure, model, seed and epoch. What is not finite, as a point posterior's rate, is left out.
    """
    parts = [
        pd.DataFrame(
            {
                "model": NAMES[each.model],
                "seed": each.seed,
                "epoch": each.history["epoch"],
                "measure": MEASURES[key].heading,
                "value": each.history[f"val_{key}"],
            }
        )
        for key in CURVES
        for each in every
    ]
    rows = pd.concat(parts)
    return rows[np.isfinite(rows["value"])]


def write_tables(figures: pd.DataFrame, folder: Path) -> None:
    """table.csv, mean and sd over the seeds in a column for each model; table.md, to read."""
    models, order = models_of(figures), list(MEASURES)  # swd_32, of one scale, is told with swd
    pairs = dict.fromkeys(zip(figures["measure"], figures["source"], strict=True))
    wide, lines = [], []
    for key, source in sorted(
        pairs, key=lambda pair: order.index(pair[0] if pair[0] in MEASURES else "swd")
    ):
        cells = {model: spread(figures, model, key, source) for model in models}
        row: dict[str, Any] = {"measure": key, "source": source}
        for model, found in cells.items():
            row |= {model: found and found.mean, f"{model}_sd": found and found.sd}
        wide.append(row)
        if key in MEASURES:
            name = MEASURES[key].heading + (f": {SOURCES[source]}" if source else "")
            lines.append([name, *best_bold(key, cells.values())])
    write_csv(folder / "table.csv", wide)
    headings = [SOURCES["floor"] if model == "data" else NAMES[model] for model in models]
    write_text(folder / "table.md", markdown_table(lines, ["", *headings]))


def facts(
    settings: DatasetSettings, images: ImageArrays, every: Sequence[Compared]
) -> dict[str, Any]:
    """Under what the figures were measured."""
    vae, history = every[0].vae, every[0].history  # all share their settings
    config, options = vae.config, settings.compare
    histories: dict[str, list[pd.DataFrame]] = {}
    for each in every:
        histories.setdefault(each.model, []).append(each.history)
    labels = [torch.tensor(split.labels) for split in (images.train, images.test)]
    ceilings = [each.measured.ceiling for each in every if each.measured.ceiling]
    entropy = pixel_entropy(images.test.images) if config.likelihood == "bernoulli" else None
    return {
        "dataset": settings.dataset,
        "shape": images.shape,
        "images": {"train": len(images.train), "test": len(images.test)},
        **config.model_dump(include={"latent_dim", "likelihood", "sigma", "posterior"}),
        "proper": vae.likelihood.proper,
        "beta": float(history["beta"].iloc[-1]),
        "epochs": len(history),
        "steps": len(history) * math.ceil(len(images.train) / settings.train.batch_size),
        "seeds": sorted({each.seed for each in every}),
        **options.model_dump(include=set(DRAWS)),
        "pixel_entropy": entropy,
        "saturation": max(ceilings, default=None),
        "chance": chance_accuracy(*labels),
        "validation": {model: _progress(found) for model, found in histories.items()},
    }


def _progress(histories: Sequence[pd.DataFrame]) -> dict[str, float]:
    """The validation ELBO after the first epoch, the last but one and the last, and the best of all
    with the number of its epoch, mean over seeds.

    Of a point posterior, which has none, less the distortion.
    """
    every = pd.concat(histories).groupby("epoch").mean()
    score = every["val_elbo"]
    if not np.isfinite(score.to_numpy()).all():
        score = -every["val_reconstruction"]
    last = len(score) - 1
    places = {"first": 0, "before_last": max(last - 1, 0), "last": last}
    course = {name: float(score.iloc[place]) for name, place in places.items()}
    return course | {"best": float(score.max()), "best_epoch": 1 + int(score.to_numpy().argmax())}
