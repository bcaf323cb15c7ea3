"""Fitted samplers on disk: one safetensors file each, equal bytes for equal samplers.

    save(samplers, Path("samplers/shapes/conv/seed_0"))
    mixture = load(Path("samplers/shapes/conv/seed_0"), "mixture")

The prior, tempered or not, has nothing fitted and needs no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vaelab.runtime.errors import UserError
from vaelab.samplers.flow import Flow, FlowRecipe, VelocityNet, Whitening
from vaelab.samplers.gaussians import ClassGaussians, Mixture, Sampler

NET, WHITENING = "net.", "whitening."  # what the names of a flow's tensors begin with


def file_of(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def save(samplers: Mapping[str, Sampler], folder: Path) -> None:
    """samplers: by name, such as mixture, class and flow; folder: samplers/D/ARCHITECTURE/seed_N."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sampler in samplers.items():
        if tensors := _tensors(sampler):
            whole = {key: value.cpu().contiguous() for key, value in tensors.items()}
            save_file(whole, file_of(folder, name))


def load(folder: Path, name: str) -> Sampler:
    """What `save` wrote under that name, on the CPU.

    Raises UserError where the file is missing or damaged.
    """
    file = file_of(folder, name)
    remedy = f"`dvc repro compare@{folder.absolute().parents[1].name}` makes it"
    if not file.is_file():
        raise UserError(f"there is no {file}; {remedy}")
    try:
        return _sampler(load_file(file))
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        in_words = isinstance(error, OSError | SafetensorError)
        reason = " ".join(str(error).split()) if in_words else "its tensors are no sampler's"
        raise UserError(f"{file} is damaged ({reason}); remove it, and {remedy}") from None


def _tensors(sampler: Sampler) -> dict[str, Tensor]:
    if isinstance(sampler, Mixture):  # or ClassGaussians
        return dict(vars(sampler))
    if isinstance(sampler, Flow):
        net = {NET + key: value for key, value in sampler.net.state_dict().items()}
        whitening = {WHITENING + key: value for key, value in sampler.whitening._asdict().items()}
        return net | whitening | {"ode_steps": torch.tensor(sampler.ode_steps)}
    return {}


def _sampler(tensors: dict[str, Tensor]) -> Sampler:
    if "ode_steps" not in tensors:
        return (ClassGaussians if "labels" in tensors else Mixture)(**tensors)
    net = {key.removeprefix(NET): tensors[key] for key in tensors if key.startswith(NET)}
    width, dimension = net["inward.weight"].shape
    blocks = len({key.split(".")[1] for key in net if key.startswith("blocks.")})
    recipe = FlowRecipe(width=width, blocks=blocks, ode_steps=int(tensors["ode_steps"]))
    with torch.device("meta"):  # no weights are drawn that are then replaced
        velocity = VelocityNet(dimension, recipe)
    velocity.load_state_dict(net, assign=True)
    whitening = Whitening(*(tensors[WHITENING + field] for field in Whitening._fields))
    return Flow(velocity.eval().requires_grad_(False), whitening, recipe.ode_steps)
