"""Why the two nets are as they are: variants of each, trained alike on the same images.

    python benchmarks/architectures.py DATASET [--images 16000] [--epochs 5] [--rates 0.002 0.004]

Reads data/DATASET, which `dvc repro download@DATASET` makes, and trains on the first images of a
seeded order. Prints validation figures; test images are not touched.
"""

import argparse
import dataclasses
import math
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vaelab.checkpoints import Checkpoint
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_device
from vaelab.models import VAE, VAEConfig
from vaelab.models.conv import Halve, build_conv
from vaelab.models.fc import build_fc
from vaelab.settings import Architecture, load_settings
from vaelab.training import train


def plain_fc(config: VAEConfig) -> VAE:
    """Linear layers with a SiLU between any two: the textbook's."""

    def mlp(widths: list[int]) -> nn.Sequential:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.SiLU(), nn.Linear(before, after)]
        return nn.Sequential(*layers[1:])

    pixels, hidden = math.prod(config.shape), config.net["hidden"]
    encoder = nn.Sequential(nn.Flatten(), mlp([pixels, *hidden, 2 * config.latent_dim]))
    decoder = nn.Sequential(
        mlp([config.latent_dim, *hidden[::-1], pixels]), nn.Unflatten(1, config.shape)
    )
    return VAE(config, encoder, decoder)


def conv_with_bent_bottleneck(config: VAEConfig) -> VAE:
    """A SiLU also between the smallest feature map and the latents, on both sides."""
    vae = build_conv(config)
    assert isinstance(vae.encoder, nn.Sequential)
    assert isinstance(vae.decoder, nn.Sequential)
    vae.encoder = nn.Sequential(*vae.encoder[:-2], nn.SiLU(), *vae.encoder[-2:])
    vae.decoder = nn.Sequential(*vae.decoder[:2], nn.SiLU(), *vae.decoder[2:])
    return vae


def conv_with_group_norm(config: VAEConfig) -> VAE:
    """GroupNorm of 8 groups before every SiLU."""
    vae = build_conv(config)

    def normalised(layers: nn.Sequential, channels: list[int]) -> nn.Sequential:
        result: list[nn.Module] = []
        for layer in layers:
            if isinstance(layer, nn.SiLU):
                result.append(nn.GroupNorm(8, channels.pop(0)))
            result.append(layer)
        return nn.Sequential(*result)

    assert isinstance(vae.encoder, nn.Sequential)
    assert isinstance(vae.decoder, nn.Sequential)
    widths = [layer.conv.out_channels for layer in vae.encoder if isinstance(layer, Halve)]
    vae.encoder = normalised(vae.encoder, widths[:-1])
    vae.decoder = normalised(vae.decoder, widths[-2::-1])
    return vae


VARIANTS: dict[str, tuple[Architecture, Callable[[VAEConfig], VAE], dict[str, object]]] = {
    "fc": ("fc", build_fc, {}),
    "fc, hidden [512]": ("fc", build_fc, {"hidden": [512]}),
    "fc, plain [512, 512]": ("fc", plain_fc, {"hidden": [512, 512]}),
    "fc, plain [160, 160]": ("fc", plain_fc, {"hidden": [160, 160]}),
    "conv": ("conv", build_conv, {}),
    "conv, bent bottleneck": ("conv", conv_with_bent_bottleneck, {}),
    "conv, GroupNorm": ("conv", conv_with_group_norm, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[0.002, 0.004])
    options = parser.parse_args()
    settings = load_settings()
    device = select_device(settings.train.device)
    whole = ImageArrays.open(Path("data") / options.dataset)
    order = np.random.default_rng(0).permutation(len(whole.train))[: options.images]
    images = dataclasses.replace(whole, train=whole.train[np.sort(order)])

    row = "{:24}{:>9}{:>12}{:>9}{:>9}{:>8}{:>11}\n"
    sys.stdout.write(row.format("variant", "rate", "parameters", "-ELBO", "KL", "PSNR", "images/s"))
    for name, (architecture, build, net) in VARIANTS.items():
        config = VAEConfig.of(architecture, settings.model, images.shape)
        config = config.model_copy(update={"net": config.net | net})
        for rate in options.rates:
            torch.manual_seed(settings.train.seed)
            recipe = {"epochs": options.epochs, "learning_rate": rate}
            with tempfile.TemporaryDirectory() as scratch:
                trained = train(
                    build(config),
                    images,
                    settings.objective,
                    settings.train.model_copy(update=recipe),
                    device,
                    Checkpoint(Path(scratch)),
                    lambda epoch: None,
                )
            figures = trained.metrics
            sys.stdout.write(
                row.format(
                    name,
                    f"{rate:g}",
                    f"{figures['parameters']:,}",
                    f"{-figures['elbo']:.1f}",
                    f"{figures['kl']:.1f}",
                    f"{figures['psnr']:.2f}",
                    f"{figures['images_per_second']:.0f}",
                )
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
