"""Whether the defaults train at every image size, and how far the best learning rate moves.

    python benchmarks/sizes.py DATASET [--sizes 16 32 ...] [--steps 300] [--seeds 3]
    python benchmarks/sizes.py DATASET --batch 32 --rates 0.0025 0.005 0.01 0.02 --sizes 32 64 128 …

Reads data/DATASET, resized to each size. A row is a net, an optimiser, a likelihood and a size:
over the seeds, the worst -ELBO of the first and of the last tenth of the steps, and the mean -ELBO
of the validation images. Few images a step, so that a CPU gets through the large ones.
"""

import argparse
import dataclasses
import itertools
import logging
import statistics
import sys
import tempfile
from pathlib import Path
from typing import get_args

import torch
from torch.nn import functional

from vaelab import nets
from vaelab.data.arrays import ImageArrays, Split
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.runtime.errors import UserError
from vaelab.settings import ARCHITECTURES, DatasetSettings, LikelihoodName, load_settings
from vaelab.training.loop import train
from vaelab.vae.device import select_device

TENTHS = 10
BATCHES = {64: 32, 128: 8, 256: 4, 512: 2}  # images a step, up to that size


def resized(images: ImageArrays, size: int, count: int) -> ImageArrays:
    """count: of training images; for validation, a tenth of them and at least 16."""

    def smaller(split: Split, count: int) -> Split:
        pixels = torch.tensor(split.images[:count])
        if size != pixels.shape[-1]:
            pixels = functional.interpolate(pixels, (size, size), mode="bicubic", antialias=True)
        return Split(pixels.numpy(), split.labels[:count])

    return dataclasses.replace(
        images,
        meta=images.meta.model_copy(update={"shape": (images.shape[0], size, size)}),
        train=smaller(images.train, count),
        val=smaller(images.val, max(16, count // 10)),
    )


def course(
    images: ImageArrays, architecture: str, settings: DatasetSettings, seed: int
) -> tuple[float, float, float]:
    """-ELBO of the first and the last tenth of training, and of the validation images."""
    torch.manual_seed(seed)
    vae = nets.build(nets.configure(architecture, settings.model, images.shape))
    device = select_device(settings.train.device)
    with tempfile.TemporaryDirectory() as scratch:
        history = train(
            vae, images, settings.objective, settings.train, seed, device,
            Checkpoint(Path(scratch)), lambda epoch: None,
        ).history  # fmt: skip
    return -history[0]["train_elbo"], -history[-1]["train_elbo"], -history[-1]["val_elbo"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--nets", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--optimisers", nargs="+", default=["muon", "adam"])
    parser.add_argument("--likelihoods", nargs="+", default=list(get_args(LikelihoodName)))
    parser.add_argument("--rates", type=float, nargs="+", default=[])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, help=f"images a step; by size: {BATCHES}")
    options = parser.parse_args()
    logging.getLogger("vaelab").setLevel(logging.ERROR)
    settings = load_settings().of(options.dataset)
    whole = ImageArrays.open(settings.data_dir)

    row = "{:6}{:6}{:22}{:>5}{:>9}{:>13}{:>13}{:>13}\n"
    sys.stdout.write(row.format("net", "by", "likelihood", "px", "rate", "first", "last", "val"))
    for size, architecture, optimiser, likelihood, rate in itertools.product(
        options.sizes,
        options.nets,
        options.optimisers,
        options.likelihoods,
        options.rates or [settings.train.learning_rate],
    ):
        batch = options.batch or next((b for limit, b in BATCHES.items() if size <= limit), 1)
        images = resized(whole, size, batch * options.steps // TENTHS)
        recipe = {"epochs": TENTHS, "min_steps": 0, "batch_size": batch, "learning_rate": rate}
        changed = settings.model_copy(
            update={
                "model": settings.model.model_copy(update={"likelihood": likelihood}),
                "train": settings.train.model_copy(update=recipe | {"optimiser": optimiser}),
            }
        )
        try:
            courses = [course(images, architecture, changed, k) for k in range(options.seeds)]
        except UserError as error:
            figures = [str(error)[:36], "", ""]
        else:
            first, last, val = zip(*courses, strict=True)
            means = (max(first), max(last), statistics.mean(val))
            figures = [f"{value:,.0f}" for value in means]
        name = f"{rate:g}"
        sys.stdout.write(row.format(architecture, optimiser, likelihood, size, name, *figures))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
