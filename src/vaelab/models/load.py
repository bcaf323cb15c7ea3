"""From a folder that `VAE.save` wrote back to a VAE."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from vaelab.errors import UserError
from vaelab.models import CONFIG, VAE, WEIGHTS, VAEConfig
from vaelab.models.conv import build_conv
from vaelab.models.fc import build_fc

BUILDERS = {"fc": build_fc, "conv": build_conv}


def load_vae(folder: Path, device: torch.device) -> VAE:
    """In evaluation mode, its parameters frozen.

    Raises UserError where the folder does not hold a model of this version.
    """
    try:
        config = VAEConfig.model_validate_json((folder / CONFIG).read_text())
        vae = BUILDERS[config.architecture](config)
        vae.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValidationError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{folder} holds no readable model ({reason}); "
            f"`dvc repro train_{folder.name}@{folder.parent.name}` makes it"
        ) from None
    return vae.to(device).eval().requires_grad_(False)
