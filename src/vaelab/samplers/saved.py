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
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor

from vaelab.nets.saved import first_seed
from vaelab.runtime.errors import UserError
from vaelab.runtime.files import write_whole
from vaelab.samplers.flow import Flow, FlowRecipe, VelocityNet, Whitening
from vaelab.samplers.gaussians import ClassGaussians, Mixture, Prior, Sampler
from vaelab.settings import DatasetSettings
from vaelab.vae.model import VAE

KINDS = {"mixture": Mixture, "class": ClassGaussians, "flow": Flow}  # by the files' names


def file_of(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


def save(samplers: Mapping[str, Sampler], folder: Path) -> None:
    """samplers: name, such as mixture -> sampler; folder: samplers/D/ARCHITECTURE/seed_N."""
    for name, sampler in samplers.items():
        if tensors := _tensors(sampler):
            whole = {key: value.cpu().contiguous() for key, value in tensors.items()}
            write_whole(file_of(folder, name), to_bytes(whole))


def load(folder: Path, name: str, latent_dim: int | None = None) -> Sampler:
    """What `save` wrote under that name, on the CPU. latent_dim: of the model, where it is known.

    Raises UserError where the file is missing, damaged or for another latent_dim.
    """
    file = file_of(folder, name)
    remedy = f"`dvc repro compare@{folder.absolute().parents[1].name}` makes it"
    if not file.is_file():
        raise UserError(f"there is no {file}; {remedy}")
    try:
        sampler = _sampler(load_file(file))
        if type(sampler) is not KINDS[name]:
            raise UserError(f"{file} holds no {name}, but another sampler; remove it, and {remedy}")
        found = sampler.sample(1, torch.Generator()).shape[1]
    except (OSError, SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        in_words = isinstance(error, OSError | SafetensorError)
        reason = " ".join(str(error).split()) if in_words else "its tensors are no sampler's"
        raise UserError(f"{file} is damaged ({reason}); remove it, and {remedy}") from None
    if latent_dim not in (None, found):
        raise UserError(f"{file} has {found} dimensions, the model {latent_dim}; {remedy} anew")
    return sampler


def first_mixture(settings: DatasetSettings, vae: VAE) -> Mixture:
    """The one fitted to the encodings of `vae`, the first seed's of its architecture."""
    name = vae.config.architecture
    seed = first_seed(settings.model_dir(name)).name
    mixture = load(settings.samplers_dir / name / seed, "mixture", vae.latent_dim)
    assert isinstance(mixture, Mixture)
    return mixture


def _tensors(sampler: Sampler) -> dict[str, Tensor]:
    """Nothing of the prior, which needs no file."""
    if isinstance(sampler, Prior):
        return {}
    if isinstance(sampler, Mixture):  # or ClassGaussians
        return dict(vars(sampler))
    if isinstance(sampler, Flow):
        net = {f"net.{key}": value for key, value in sampler.net.state_dict().items()}
        spaces = {f"whitening.{key}": part for key, part in sampler.whitening._asdict().items()}
        return net | spaces | {"ode_steps": torch.tensor(sampler.ode_steps)}
    raise TypeError(f"how a {type(sampler).__name__} is kept is not known")


def _sampler(tensors: dict[str, Tensor]) -> Sampler:
    if "ode_steps" not in tensors:
        return (ClassGaussians if "labels" in tensors else Mixture)(**tensors)
    net = {key.removeprefix("net."): tensors[key] for key in tensors if key.startswith("net.")}
    width, dimension = net["inward.weight"].shape
    blocks = len({key.split(".")[1] for key in net if key.startswith("blocks.")})
    recipe = FlowRecipe(width=width, blocks=blocks, ode_steps=int(tensors["ode_steps"]))
    with torch.device("meta"):  # no weights are drawn that are then replaced
        velocity = VelocityNet(dimension, recipe)
    velocity.load_state_dict(net, assign=True)
    whitening = Whitening(*(tensors[f"whitening.{field}"] for field in Whitening._fields))
    return Flow(velocity.eval().requires_grad_(False), whitening, recipe.ode_steps)
