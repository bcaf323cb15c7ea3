"""What a command is given: a trained model, what is stored beside it, pictures, a file to write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaelab.cli.sheet import is_sheet
from vaelab.data.levels import Levels
from vaelab.data.pictures import read_picture
from vaelab.nets.saved import first_seed, load_vae
from vaelab.runtime.errors import UserError, printable
from vaelab.samplers import saved
from vaelab.samplers.gaussians import Mixture, Sampler
from vaelab.settings import ARCHITECTURES
from vaelab.sources.image_folder import SUFFIXES
from vaelab.studies.latent.dimensions import Scale
from vaelab.vae import inference
from vaelab.vae.device import select_device
from vaelab.vae.model import VAE, Posterior


class Given(NamedTuple):
    folder: Path  # the model's as it is named: an architecture's, or a seed's
    vae: VAE
    samplers: Path  # samplers/D/ARCHITECTURE/seed_N beside models/D/ARCHITECTURE/seed_N
    out: Path

    def encode(self, images: NDArray[np.uint8]) -> Posterior:
        return inference.encode(self.vae, images)

    def decode(self, z: Tensor) -> NDArray[Any]:
        return inference.decode(self.vae, z)

    def sampler(self, name: str) -> Sampler:
        try:
            return saved.load(self.samplers, name, self.vae.latent_dim)
        except UserError as error:
            raise UserError(f"{error}; --from prior needs none") from None

    def scale(self) -> tuple[Scale, str]:
        """Mean and sd of q(z), by the stored mixture, or of N(0, I); and of which, in words."""
        if not saved.file_of(self.samplers, "mixture").exists():
            unit = Scale(torch.zeros(self.vae.latent_dim), torch.ones(self.vae.latent_dim))
            return unit, f"N(0, 1) for want of {self.samplers}"
        mixture = saved.load(self.samplers, "mixture", self.vae.latent_dim)
        assert isinstance(mixture, Mixture)
        mean, covariance = mixture.moments()
        return Scale(mean.float(), covariance.diagonal().sqrt().float()), "the training codes"

    def pictures(
        self, files: Sequence[Path], *, folders: bool = True
    ) -> tuple[list[Path], NDArray[np.uint8]]:
        """The pictures' files, each folder's in its place, and the pictures, (N, C, H, W).

        One that is unreadable is left out where it is a folder's, with a line that says so. Raises
        UserError where it is named, none is readable, or one would be written over.
        """
        found, images, unreadable = [], [], []
        levels = Levels()
        for named in files:
            for file in self._inside(named) if folders and named.is_dir() else [named]:
                try:
                    images.append(read_picture(file, self.vae.shape, levels))
                    found.append(file)
                except UserError as error:
                    if file in files:
                        raise
                    unreadable.append(error)
                if self.out.exists() and self.out.samefile(file):
                    raise UserError(f"--out names {file}, one of the pictures; name another file")
        if not images:
            raise UserError(f"no picture can be read; the first: {unreadable[0]}")
        for reason in unreadable:
            click.echo(printable(f"{reason}; left out"), err=True)
        for doubt in levels.doubts():  # what a recipe could do about it is of no use here
            click.echo(printable(doubt.partition("; ")[0]), err=True)
        return found, np.stack(images)

    def _inside(self, folder: Path) -> list[Path]:
        """A folder's pictures, without what an earlier run wrote to `out`."""
        visible = [each for each in folder.iterdir() if each.is_file() and each.name[0] != "."]
        pictures = sorted(each for each in visible if each.suffix.lower() in SUFFIXES)
        if self.out.exists() and is_sheet(self.out):
            pictures = [each for each in pictures if not self.out.samefile(each)]
        if not pictures:
            raise UserError(f"{folder} is a folder without pictures")
        return pictures


def open_model(model: Path | None, data: str | None, net: str | None, out: Path) -> Given:
    """model: an architecture's folder or a seed's; else models/DATA/NET of the working folder."""
    if model and (data or net):
        raise UserError("--model names the folder; leave out --data and --net")
    folder = model.expanduser() if model else _trained(data, net)
    vae = load_vae(folder, select_device("auto"))
    seed = Path(os.path.abspath(first_seed(folder)))
    samplers = seed / "../../../../samplers" / Path(*seed.parts[-3:])
    return Given(folder, vae, Path(os.path.relpath(samplers)), out)


def _trained(data: str | None, net: str | None) -> Path:
    """By default the only data set of models/, and of its architectures the last."""
    found: dict[str, list[str]] = {}  # data set -> architectures
    for name in ARCHITECTURES:
        for place in sorted({seed.parents[1] for seed in Path("models").glob(f"*/{name}/seed_*")}):
            found.setdefault(place.name, []).append(name)
    if not found:
        raise UserError("there is no models/DATA/NET here; --model takes the folder of a model")
    if data is None and len(found) == 1:
        data = next(iter(found))
    if data not in found:
        which = f"no model of {data}" if data else "models of several data sets"
        raise UserError(f"models/ has {which}; --data takes {', '.join(found)}")
    gone = [name for name in ARCHITECTURES if Path("models", data, name).is_dir()][-1:]
    if not net and gone != found[data][-1:]:
        raise UserError(
            f"models/{data}/{gone[0]} holds no model, as while it is trained; --net takes "
            f"{', '.join(found[data])}"
        )
    if net and net not in found[data]:
        raise UserError(f"models/{data} has no {net}; --net takes {', '.join(found[data])}")
    return Path("models", data, net or found[data][-1])
