"""From a folder that a training stage wrote back to VAEs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file

from vaelab import nets
from vaelab.runtime.errors import UserError, lacks_memory
from vaelab.settings import ARCHITECTURES
from vaelab.vae.model import CONFIG, VAE, WEIGHTS, VAEConfig, seed_dir, seeds_in


def load_all(folder: Path, device: torch.device) -> dict[str, dict[int, VAE]]:
    """models/D: architecture -> seed -> VAE, of every architecture that has been trained.

    In evaluation mode, their parameters frozen. Raises UserError where there is none, where a
    folder does not hold models of this version, and where the architectures' seeds differ.
    """
    found = {
        name: load_seeds(folder / name, device)
        for name in ARCHITECTURES
        if (folder / name).is_dir()
    }
    if not found:
        raise UserError(f"{folder} holds no model; `dvc repro train_fc@{folder.name}` makes one")
    seeds = {name: list(vaes) for name, vaes in found.items()}
    if len({tuple(each) for each in seeds.values()}) > 1:
        listed = ", ".join(f"{name} of seeds {each}" for name, each in seeds.items())
        remedy = " ".join(f"train_{name}@{folder.name}" for name in seeds)
        raise UserError(f"{folder} holds {listed}; `dvc repro -f {remedy}` makes them anew")
    return found


def load_first(folder: Path, device: torch.device) -> dict[str, VAE]:
    """As `load_all`, the first seed's of each architecture."""
    return {name: next(iter(vaes.values())) for name, vaes in load_all(folder, device).items()}


def load_seeds(folder: Path, device: torch.device) -> dict[int, VAE]:
    """models/D/conv or the like: seed -> VAE, the first seed first; otherwise as `load_all`."""
    return {seed: _load(seed_dir(folder, seed), device) for seed in _seeds(folder)}


def load_vae(folder: Path, device: torch.device) -> VAE:
    """The first seed's of models/D/conv or the like; or the one of a seed's own folder."""
    return _load(first_seed(folder), device)


def first_seed(folder: Path) -> Path:
    """The folder of the first seed in models/D/conv or the like; a seed's own is handed back."""
    own = (folder / CONFIG).is_file()
    return folder if own else seed_dir(folder, _seeds(folder)[0])


def _seeds(folder: Path) -> list[int]:
    with _readable(folder):
        return seeds_in(folder)


def _load(folder: Path, device: torch.device) -> VAE:
    with _readable(folder):
        config = VAEConfig.model_validate_json((folder / CONFIG).read_bytes())
        if "version" not in config.model_fields_set:
            raise ValueError
        vae = nets.build(config)
        vae.load_state_dict(load_file(folder / WEIGHTS))
    return vae.to(device).eval().requires_grad_(False)


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        if lacks_memory(error):
            raise
        raise UserError(
            f"{folder} holds no readable model ({_reason(error)}); `dvc repro` makes those of "
            "params.yaml, in folders such as models/shapes/conv"
        ) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        what = ": ".join([*map(str, first["loc"]), first["msg"]])
        return f"{CONFIG} is not what this version writes: {what}"
    if isinstance(error, OSError | SafetensorError):
        return " ".join(str(error).split())
    return f"{CONFIG} and {WEIGHTS} do not fit together"
