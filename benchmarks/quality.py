"""Seconds until the validation ELBO that the usual loop has after ten epochs.

    python benchmarks/quality.py cifar10 [--epochs 10] [--seeds 1] [--device auto]

Reads data/DATASET. The usual loop (usual.py: Adam at 0.001, constant, float32) trains first; then
ours, for one epoch, two, three and so on, each with its own schedule, until it is as good.
Seconds are of training steps alone, in both.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from usual import untrained, usual_epoch, usual_loader
from vaelab.data.arrays import ImageArrays
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.settings import ARCHITECTURES, DatasetSettings, load_settings
from vaelab.training.loop import train
from vaelab.training.validation import validate
from vaelab.vae.device import select_device
from vaelab.vae.model import VAE


def usual(
    vae: VAE, images: ImageArrays, epochs: int, seed: int, device: torch.device
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
    images: ImageArrays,
    settings: DatasetSettings,
    epochs: int,
    seed: int,
    device: torch.device,
) -> tuple[float, float]:
    """The validation ELBO, and seconds."""
    recipe = settings.train.model_copy(update={"epochs": epochs, "min_steps": 0})
    with tempfile.TemporaryDirectory() as scratch:
        trained = train(
            vae, images, settings.objective, recipe, seed, device,
            Checkpoint(Path(scratch)), lambda epoch: None,
        )  # fmt: skip
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

    for name, label in ARCHITECTURES.items():
        times = []
        for seed in range(options.seeds):
            target, usual_seconds = usual(
                untrained(name, settings, images, seed), images, options.epochs, seed, device
            )
            for epochs in range(1, options.epochs + 1):
                vae = untrained(name, settings, images, seed)
                elbo, seconds = ours(vae, images, settings, epochs, seed, device)
                sys.stdout.write(
                    f"{label}, seed {seed}: usual {target:.1f} nats in {usual_seconds:.1f} s; "
                    f"ours {elbo:.1f} in {seconds:.1f} s ({epochs} epochs)\n"
                )
                sys.stdout.flush()
                if elbo >= target:
                    times.append(usual_seconds / seconds)
                    break
        if times:
            sys.stdout.write(f"{label}: {statistics.median(times):.1f} times sooner\n")


if __name__ == "__main__":
    main()
