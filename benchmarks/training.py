"""Training speed of both nets, in float32 and bfloat16, as images a second.

    python benchmarks/training.py [--images 4096] [--rounds 3] [--device auto]

One epoch of the real loop on noise images of 3 x 32 x 32, latent 128, batch 128. The variants take
turns within each round, so that a machine that slows down slows all of them; the table has the
median over the rounds and its ratio to the same net in float32.
"""

import argparse
import logging
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from vaelab import nets
from vaelab.data.arrays import ImageArrays, Split, SplitName, save
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.settings import ARCHITECTURES, load_settings
from vaelab.training.loop import train
from vaelab.vae.device import select_device

PRECISIONS = ("float32", "bfloat16")


def noise(folder: Path, count: int) -> ImageArrays:
    rng = np.random.default_rng(0)

    def split(size: int) -> Split:
        images = rng.integers(256, size=(size, 3, 32, 32), dtype=np.uint8)
        return Split(images, np.zeros(size, np.int64))

    splits: dict[SplitName, Split] = {"train": split(count), "val": split(8), "test": split(8)}
    save(
        folder,
        splits,
        name="noise",
        source={},
        class_names=["noise"],
        factor_names=[],
        split_seed=0,
    )
    return ImageArrays.open(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.getLogger("vaelab").setLevel(logging.WARNING)
    settings = load_settings(Path(__file__).parents[1] / "params.yaml")
    device = select_device(options.device)

    once = {"epochs": 1, "min_steps": 0}
    speeds: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        images = noise(Path(scratch) / "noise", options.images)
        for round_number in range(options.rounds):
            for architecture in ARCHITECTURES:
                for precision in PRECISIONS:
                    folder = Path(scratch) / f"{round_number}-{architecture}-{precision}"
                    folder.mkdir()
                    torch.manual_seed(0)
                    config = nets.configure(architecture, settings.model, images.shape)
                    trained = train(
                        nets.build(config),
                        images,
                        settings.objective,
                        settings.train.model_copy(update=once | {"precision": precision}),
                        0,
                        device,
                        Checkpoint(folder),
                        lambda epoch: None,
                    )
                    key = (architecture, precision)
                    speeds.setdefault(key, []).append(trained.images_per_second)

    sys.stdout.write(f"{device}, {torch.get_num_threads()} threads, {options.rounds} rounds\n")
    sys.stdout.write(f"{'net':6}{'precision':10}{'images/s':>10}{'ratio':>8}\n")
    for (architecture, precision), values in speeds.items():
        speed = statistics.median(values)
        ratio = speed / statistics.median(speeds[architecture, "float32"])
        sys.stdout.write(f"{architecture:6}{precision:10}{speed:10.0f}{ratio:8.2f}\n")


if __name__ == "__main__":
    main()
