"""Seconds until the validation ELBO that the usual loop has after ten epochs.

    python benchmarks/quality.py cifar10 [--epochs 10] [--seeds 1] [--device auto]

Reads data/DATASET. The usual loop (usual.py: Adam at 0.001, constant, float32) trains first; then
ours, for one epoch, two, three and so on, each with its own schedule, until it is as good: with the
recipe of params.yaml, and with SMALL batches. Seconds are of training steps alone, in both. Of
several seeds the means count.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from usual import untrained, usual_epoch, usual_loader
from vaelab.data.arrays import ImageArrays
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.settings import ARCHITECTURES, ObjectiveSettings, TrainSettings, load_settings
from vaelab.training.loop import train
from vaelab.training.validation import validate
from vaelab.vae.device import select_device
from vaelab.vae.model import VAE

# More steps in an epoch. Sought for Conv on CIFAR-10.
SMALL = {"batch_size": 40, "learning_rate": 0.002}


def usual(
    vae: VAE, seed: int, images: ImageArrays, epochs: int, device: torch.device
) -> tuple[float, float]:
    """The validation ELBO, and seconds."""
    vae.to(device)
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    loader = usual_loader(images)
    start = time.perf_counter()
    for _ in range(epochs):
        usual_epoch(vae, loader, adam, device)
    seconds = time.perf_counter() - start
    return validate(vae.eval(), images.val.images, samples=1, seed=seed).elbo, seconds


def ours(
    vae: VAE,
    seed: int,
    images: ImageArrays,
    objective: ObjectiveSettings,
    recipe: TrainSettings,
    device: torch.device,
) -> tuple[float, float]:
    """The validation ELBO, and seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(Path(scratch))
        trained = train(
            vae, images, objective, recipe, seed, device, checkpoint, lambda epoch: None
        )
    return trained.metrics["val_elbo"], trained.seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.getLogger("vaelab").setLevel(logging.WARNING)
    settings = load_settings().of(options.dataset)
    images = ImageArrays.open(settings.data_dir)
    device = select_device(options.device)

    def means(
        architecture: str, row: str, train_one: Callable[[VAE, int], tuple[float, float]]
    ) -> tuple[float, float]:
        """The validation ELBO and seconds, over the seeds."""
        runs = [
            train_one(untrained(architecture, settings, images, seed), seed)
            for seed in range(options.seeds)
        ]
        elbo, seconds = (statistics.mean(figures) for figures in zip(*runs, strict=True))
        write(f"{ARCHITECTURES[architecture]}, {row}: {elbo:.1f} nats in {seconds:.1f} s")
        return elbo, seconds

    recipes = {"as in params.yaml": {}, f"batches of {SMALL['batch_size']}": SMALL}
    for architecture, label in ARCHITECTURES.items():
        loop = partial(usual, images=images, epochs=options.epochs, device=device)
        target, usual_seconds = means(architecture, "usual loop", loop)
        for row, changes in recipes.items():
            for epochs in range(1, options.epochs + 1):
                length = {"epochs": epochs, "min_steps": 0}
                recipe = settings.train.model_copy(update=length | changes)
                loop = partial(
                    ours, images=images, objective=settings.objective, recipe=recipe, device=device
                )
                elbo, seconds = means(architecture, f"{row}, epochs: {epochs}", loop)
                if elbo >= target:
                    write(f"{label}, {row}: {usual_seconds / seconds:.1f} times sooner")
                    break


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
