"""From a folder that a training stage wrote back to VAEs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from vaelab.errors import UserError, lacks_memory
from vaelab.models import CONFIG, VAE, WEIGHTS, VAEConfig, seed_dir, seeds_in
from vaelab.models.conv import build_conv
from vaelab.models.fc import build_fc

BUILDERS = {"fc": build_fc, "conv": build_conv}


def load_vaes(folder: Path, device: torch.device) -> dict[int, VAE]:
    """models/D/fc or models/D/conv: seed -> VAE, the first seed first.

    In evaluation mode, their parameters frozen. Raises UserError where the folder does not hold
    models of this version.
    """
    return {seed: _load(seed_dir(folder, seed), device) for seed in _seeds(folder)}


def load_vae(folder: Path, device: torch.device) -> VAE:
    """The first seed's, as `load_vaes`; or the one of a seed's own folder."""
    own = (folder / CONFIG).is_file()
    return _load(folder if own else seed_dir(folder, _seeds(folder)[0]), device)


def _seeds(folder: Path) -> list[int]:
    with _readable(folder):
        return seeds_in(folder)


def _load(folder: Path, device: torch.device) -> VAE:
    with _readable(folder):
        config = VAEConfig.model_validate_json((folder / CONFIG).read_bytes())
        vae = BUILDERS[config.architecture](config)
        vae.load_state_dict(load_file(folder / WEIGHTS))
    return vae.to(device).eval().requires_grad_(False)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if lacks_memory(error):
            raise
        reason, remedy = _reason(error), _remedy(folder)
        raise UserError(f"{folder} holds no readable model ({reason}); {remedy}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        what = ": ".join([*map(str, first["loc"]), first["msg"]])
        return f"{CONFIG} is not what this version writes: {what}"
    if isinstance(error, OSError | SafetensorError):
        return " ".join(str(error).split())
    return f"{CONFIG} and {WEIGHTS} do not fit together"


def _remedy(folder: Path) -> str:
    """The command that makes the model, where a stage's output is in such a place."""
    place = Path(os.path.abspath(folder)).as_posix()
    output = re.search(r"/models/([^/]+)/(fc|conv)(/seed_\d+)?$", place)
    if output:
        return f"`dvc repro train_{output[2]}@{output[1]}` makes it"
    return "name a folder such as models/shapes/conv"
