"""The architectures, by the name under which `model` of params.yaml has their settings.

    vae = nets.build(nets.configure("conv", settings.model, shape=(3, 32, 32)))

A module of this folder is an architecture: `configure(model, shape)` makes its VAEConfig of the
settings, `build(config)` its VAE. To add one, write such a module, give it settings in
settings/model.py and params.yaml, and a stage script that trains it.
"""

from __future__ import annotations

from importlib import import_module

from vaelab.settings import ARCHITECTURES, ModelSettings
from vaelab.vae.model import VAE, VAEConfig


def configure(architecture: str, model: ModelSettings, shape: tuple[int, int, int]) -> VAEConfig:
    """shape: (C, H, W) of an image, H = W."""
    config: VAEConfig = import_module(f"vaelab.nets.{architecture}").configure(model, shape)
    return config


def build(config: VAEConfig) -> VAE:
    """Untrained. Raises ValueError where there is no such architecture."""
    if config.architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {config.architecture!r}")
    vae: VAE = import_module(f"vaelab.nets.{config.architecture}").build(config)
    return vae
