"""Training beside the usual loop: speed, and where a step's time goes.

    python benchmarks/training.py [--images 4096] [--rounds 5] [--device auto]

Noise images of 3 x 32 x 32, latent 128, batch 128. The usual loop (usual.py) is torchvision's
tensors and flips in a DataLoader, float32, Adam, and `loss.item()` at each step, with the same
net. All take turns within a round, so that a machine that slows down slows all of them. Medians
over the rounds.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from usual import untrained, usual_epoch, usual_loader
from vaelab.data.arrays import ImageArrays, Split, SplitName, save
from vaelab.metrics.cost import macs
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.settings import ARCHITECTURES, Settings, load_settings
from vaelab.training.loop import Step, train
from vaelab.training.optimisers import build_optimisers, set_learning_rate
from vaelab.vae.device import select_device, select_precision
from vaelab.vae.model import VAE

STEPS = 20  # that one timing of a step's parts is of
PRODUCT = 2048  # side of the square matrices whose product gives the machine's rate


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


def matrix_rate(device: torch.device, precision: torch.dtype) -> float:
    """Of a product, in operations a second."""
    a = torch.randn(PRODUCT, PRODUCT, device=device).to(precision)
    started = clock(device)
    for _ in range(3):
        a @ a
    return 3 * 2 * PRODUCT**3 / (clock(device) - started)


def clock(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def step_parts(vae: VAE, settings: Settings, device: torch.device) -> tuple[float, float]:
    """Seconds of a step's forward and backward passes, and of its optimisers."""
    vae.to(device)
    optimisers = build_optimisers(vae, settings.train)
    set_learning_rate(optimisers, 1e-4)
    step = Step(vae, settings.objective, settings.train)
    batch = torch.rand(settings.train.batch_size, *vae.config.shape, device=device)
    eps = torch.randn(len(batch), vae.latent_dim, device=device)
    net, rest = 0.0, 0.0
    for i in range(STEPS + 2):
        start = clock(device)
        loss, _ = step(batch, eps, 1.0)
        vae.zero_grad(set_to_none=True)
        loss.backward()
        middle = clock(device)
        for optimiser in optimisers:
            optimiser.step()
        if i >= 2:  # the first ones prepare memory and kernels
            net, rest = net + middle - start, rest + clock(device) - middle
    return net / STEPS, rest / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    logging.getLogger("vaelab").setLevel(logging.WARNING)
    settings = load_settings(Path(__file__).parents[1] / "params.yaml")
    device = select_device(options.device)
    chosen = select_precision("auto", device)

    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        images = noise(Path(scratch) / "noise", options.images)
        loader = usual_loader(images)
        for number in range(options.rounds):
            rate = matrix_rate(device, chosen)
            for name, label in ARCHITECTURES.items():
                vae = untrained(name, settings, images)
                net, rest = step_parts(vae, settings, device)
                operations = 3 * 2 * macs(vae) * settings.train.batch_size
                found[f"{label}: optimiser's share of a step, %"].append(100 * rest / (net + rest))
                found[f"{label}: forward and backward, % of the matrix rate"].append(
                    100 * operations / net / rate
                )
                speeds: dict[torch.dtype, float] = {}
                for precision in (torch.float32, torch.bfloat16):
                    folder = Path(scratch) / f"{number}-{name}-{precision}"
                    folder.mkdir()
                    net_precision = str(precision).removeprefix("torch.")
                    once = {"epochs": 1, "min_steps": 0, "precision": net_precision}
                    recipe = settings.train.model_copy(update=once)
                    vae = untrained(name, settings, images)
                    trained = train(
                        vae, images, settings.objective, recipe, 0, device,
                        Checkpoint(folder), lambda epoch: None,
                    )  # fmt: skip
                    speeds[precision] = trained.images_per_second
                usual = untrained(name, settings, images).to(device)
                adam = torch.optim.Adam(usual.parameters(), lr=1e-3)
                start = clock(device)
                usual_epoch(usual, loader, adam, device)
                usual_speed = options.images / (clock(device) - start)
                found[f"{label}: images/s"].append(speeds[chosen])
                found[f"{label}: images/s of the usual loop"].append(usual_speed)
                found[f"{label}: whole loop, times the usual loop"].append(
                    speeds[chosen] / usual_speed
                )
                found[f"{label}: bfloat16, times float32"].append(
                    speeds[torch.bfloat16] / speeds[torch.float32]
                )

    sys.stdout.write(
        f"{device}, {torch.get_num_threads()} threads, {options.rounds} rounds, matrix product "
        f"{rate / 1e9:.0f} GFLOP/s in {chosen}\n"
    )
    for row, values in found.items():
        sys.stdout.write(
            f"{row:52}{statistics.median(values):10.2f}  ({min(values):.2f} to {max(values):.2f})\n"
        )
    if device.type == "cpu":
        sys.stdout.write("the same on a GPU: not measured, there is none\n")


if __name__ == "__main__":
    main()
