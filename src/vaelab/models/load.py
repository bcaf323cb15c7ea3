"""From a folder that a training stage wrote back to VAEs."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from vaelab.errors import UserError
from vaelab.models import CONFIG, VAE, WEIGHTS, VAEConfig, seed_dir, seeds_in
from vaelab.models.conv import build_conv
from vaelab.models.fc import build_fc

BUILDERS = {"fc": build_fc, "conv": build_conv}


def load_vaes(folder: Path, device: torch.device) -> dict[int, VAE]:
    """models/D/fc or models/D/conv: seed -> VAE, the first seed first.

    In evaluation mode, their parameters frozen. Raises UserError where the folder does not hold
    models of this version.
    """
    try:
        return {seed: _load(seed_dir(folder, seed), device) for seed in seeds_in(folder)}
    except (OSError, ValidationError, SafetensorError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{folder} holds no readable model ({reason}); "
            f"`dvc repro train_{folder.name}@{folder.parent.name}` makes it"
        ) from None


def load_vae(folder: Path, device: torch.device) -> VAE:
    """The first seed's, as `load_vaes`."""
    return next(iter(load_vaes(folder, device).values()))


def _load(folder: Path, device: torch.device) -> VAE:
    config = VAEConfig.model_validate_json((folder / CONFIG).read_text())
    vae = BUILDERS[config.architecture](config)
    vae.load_state_dict(load_file(folder / WEIGHTS))
    return vae.to(device).eval().requires_grad_(False)
