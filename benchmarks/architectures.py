"""Why the nets and their training are as they are: variants, trained on the same images.

    python benchmarks/architectures.py DATASET [--images 16000] [--epochs 5] [--likelihood gaussian]

Reads data/DATASET, which `dvc repro download@DATASET` makes, and trains on the first images of a
seeded order, from the first of params.yaml's seeds. Prints validation figures, among them
how many latent dimensions are `faint`, below a nat of KL; test images are not touched.
"""

import argparse
import dataclasses
import logging
import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from vaelab import nets
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.wasserstein import PatchReference
from vaelab.nets import conv, fc
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.runtime.errors import UserError
from vaelab.samplers.gaussians import Prior
from vaelab.settings import DatasetSettings, LikelihoodName, load_settings
from vaelab.training.loop import Trained, train
from vaelab.vae.device import select_device
from vaelab.vae.inference import decode, encode
from vaelab.vae.likelihoods import FIRST_DEVIATION
from vaelab.vae.model import VAE, VAEConfig
from vaelab.vae.objective import kl_to_standard_normal
from vaelab.vae.pixels import to_floats


def plain_fc(config: VAEConfig) -> VAE:
    """Linear layers with a SiLU between any two, the textbook's: two hidden layers for a block."""

    def mlp(inputs: int, outputs: int) -> nn.Sequential:
        hidden = [config.net["width"]] * (2 * config.net["blocks"])
        layers: list[nn.Module] = []
        for before, after in pairwise([inputs, *hidden, outputs]):
            layers += [nn.SiLU(), nn.Linear(before, after)]
        return nn.Sequential(*layers[1:])

    pixels = math.prod(config.shape)
    encoder = nn.Sequential(nn.Flatten(), mlp(pixels, 2 * config.latent_dim))
    decoder = nn.Sequential(mlp(config.latent_dim, pixels), nn.Unflatten(1, config.shape))
    return VAE(config, encoder, decoder)


@dataclass(frozen=True)
class Variant:
    """What it has other than params.yaml."""

    build: Callable[[VAEConfig], VAE]
    net: dict[str, Any] = field(default_factory=dict)  # of model.fc or model.conv
    train: dict[str, Any] = field(default_factory=dict)
    first_deviation: float = FIRST_DEVIATION  # of a learned scale

    def config(self, settings: DatasetSettings, shape: tuple[int, int, int]) -> VAEConfig:
        name = "conv" if self.build is conv.build else "fc"
        net = getattr(settings.model, name).model_copy(update=self.net)
        return nets.configure(name, settings.model.model_copy(update={name: net}), shape)


FAINT = 1.0  # nats
DRAWN = 2000  # images that the prior is judged by
ADAM = {"optimiser": "adam"}
VARIANTS = {
    "fc": Variant(fc.build),
    "fc, no blocks": Variant(fc.build, net={"blocks": 0}),
    "fc, Adam": Variant(fc.build, train=ADAM),
    "fc, Adam at 0.002": Variant(fc.build, train={**ADAM, "learning_rate": 0.002}),
    "fc, Adam at 0.01": Variant(fc.build, train={**ADAM, "learning_rate": 0.01}),
    "fc, plain, Adam": Variant(plain_fc, net={"width": 512}, train=ADAM),
    "fc, scale from 0.25": Variant(fc.build, first_deviation=0.25),
    "conv": Variant(conv.build),
    "conv, 1 block": Variant(conv.build, net={"blocks": 1}),
    "conv, 2 blocks": Variant(conv.build, net={"blocks": 2}),
    "conv, Adam": Variant(conv.build, train=ADAM),
    "conv, scale from 0.25": Variant(conv.build, first_deviation=0.25),
    "conv, no flips": Variant(conv.build, train={"flip": False}),
}


def trained(
    variant: Variant, images: ImageArrays, settings: DatasetSettings, device: torch.device
) -> Trained:
    seed = settings.train.seeds[0]
    torch.manual_seed(seed)
    vae = variant.build(variant.config(settings, images.shape))
    assert isinstance(vae.likelihood, nn.Module)
    with torch.no_grad():
        for log_scale in vae.likelihood.parameters():
            log_scale.add_(math.log(variant.first_deviation / FIRST_DEVIATION))
    recipe = settings.train.model_copy(update=variant.train)
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = Checkpoint(Path(scratch))
        return train(
            vae, images, settings.objective, recipe, seed, device, checkpoint, lambda epoch: None
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--likelihood", choices=get_args(LikelihoodName), default="gaussian")
    options = parser.parse_args()
    logging.getLogger("vaelab").setLevel(logging.WARNING)
    settings = load_settings().of(options.dataset)
    settings = settings.model_copy(
        update={
            "model": settings.model.model_copy(update={"likelihood": options.likelihood}),
            "train": settings.train.model_copy(update={"epochs": options.epochs, "min_steps": 0}),
        }
    )
    device = select_device(settings.train.device)
    whole = ImageArrays.open(Path("data") / options.dataset)
    order = np.random.default_rng(0).permutation(len(whole.train))[: options.images]
    images = dataclasses.replace(whole, train=whole.train[np.sort(order)])

    reference = PatchReference(to_floats(images.val.images[:DRAWN]), seed=0)
    row = "{:26}{:>11}{:>10}{:>8}{:>8}{:>8}{:>8}{:>10}\n"
    head = ("variant", "parameters", "-ELBO", "KL", "faint", "PSNR", "SWD", "images/s")
    sys.stdout.write(row.format(*head))
    for name, variant in VARIANTS.items():
        has_scale = options.likelihood in ("gaussian", "discretized_logistic")
        if variant.first_deviation != FIRST_DEVIATION and not has_scale:
            continue
        try:
            result = trained(variant, images, settings, device)
        except UserError:  # a loss that is not finite
            sys.stdout.write(f"{name:26} diverged\n")
            sys.stdout.flush()
            continue
        z = Prior(result.vae.latent_dim).sample(
            reference.shape[0], torch.Generator().manual_seed(0)
        )
        kl = kl_to_standard_normal(*encode(result.vae, images.val.images)).mean(0)
        sys.stdout.write(
            row.format(
                name,
                f"{result.vae.parameter_count():,}",
                f"{-result.metrics['val_elbo']:.1f}",
                f"{result.metrics['val_kl']:.1f}",
                int((kl < FAINT).sum()),
                f"{result.metrics['val_psnr']:.2f}",
                f"{reference.distance(torch.from_numpy(decode(result.vae, z))).mean:.0f}",
                f"{result.images_per_second:.0f}",
            )
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
