"""What the commands do: a model and pictures in, one file out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vaelab.cli.output import complain, write
from vaelab.cli.sheet import Row, as_gif, as_png, draw_sheet, is_sheet
from vaelab.data.pictures import read_picture
from vaelab.nets.saved import load_vae
from vaelab.report.common import format_number
from vaelab.runtime.errors import UserError
from vaelab.samplers.gaussians import Prior
from vaelab.sources.image_folder import SUFFIXES
from vaelab.studies.interpolate.paths import PathKind, path
from vaelab.studies.latent.dimensions import traverse as traversal
from vaelab.training.validation import psnr
from vaelab.vae.device import select_device
from vaelab.vae.inference import decode
from vaelab.vae.inference import encode as encode_images
from vaelab.vae.model import VAE
from vaelab.vae.objective import kl_to_standard_normal

ACROSS = 8  # pictures beside one another
KINDS: dict[str, PathKind] = {"linear": "linear", "spherical": "slerp"}
WAY = 13  # images of a way beside one another: eleven steps and both pictures
STEPS = 3  # of a dimension's values, below 0 and above


def sample(
    *, model: Path | None, device: str, out: Path, count: int, temperature: float, seed: int
) -> str:
    folder, vae = _open(model, device)
    generator = torch.Generator().manual_seed(seed)
    images = decode(vae, Prior(vae.latent_dim, temperature).sample(count, generator))
    columns = int(np.ceil(np.sqrt(count)))
    rows = [Row(images[start : start + columns]) for start in range(0, count, columns)]
    write(out, as_png(draw_sheet(rows)))
    taught = "" if vae.stochastic else ", an autoencoder, whose codes need not lie where these do"
    return f"{out}: {count} samples of the prior at temperature {temperature:g} by {folder}{taught}"


def reconstruct(*, model: Path | None, device: str, out: Path, files: Sequence[Path]) -> str:
    folder, vae = _open(model, device)
    files, originals = _read_all(files, vae, out)
    decoded = decode(vae, encode_images(vae, originals).mu)
    errors = np.square(decoded.astype(np.float64) - originals / 255.0).mean((1, 2, 3))
    names = [file.name for file in files]
    quality = [f"{format_number(psnr(error), 1)} dB" for error in errors.tolist()]
    rows = []
    for start in range(0, len(files), ACROSS):
        shown = slice(start, start + ACROSS)
        rows += [
            Row(originals[shown], names[shown], "original"),
            Row(decoded[shown], quality[shown], "reconstruction"),
        ]
    write(out, as_png(draw_sheet(rows)))
    return f"{out}: {_counted(files)} and the reconstructions by {folder}"


def interpolate(
    *, model: Path | None, device: str, out: Path, a: Path, b: Path, steps: int, kind: str
) -> str:
    folder, vae = _open(model, device)
    originals = _read([a, b], vae, out)
    mu_a, mu_b = encode_images(vae, originals).mu
    way = decode(vae, path(mu_a, mu_b, steps, KINDS[kind]))
    start, end = originals[:1] / 255.0, originals[1:] / 255.0
    t = [f"t = {value:.2f}" for value in np.linspace(0.0, 1.0, steps)]
    if out.suffix.lower() == ".gif":
        frames = [
            draw_sheet([Row(np.concatenate([start, each[None], end]), [a.name, caption, b.name])])
            for each, caption in zip(way, t, strict=True)
        ]
        content = as_gif(frames)
    else:
        images, captions = np.concatenate([start, way, end]), [a.name, *t, b.name]
        parts = [slice(first, first + WAY) for first in range(0, len(images), WAY)]
        content = as_png(draw_sheet([Row(images[part], captions[part]) for part in parts]))
    write(out, content)
    return f"{out}: {steps} steps of a {kind} path from {a.name} to {b.name} by {folder}"


def encode(*, model: Path | None, device: str, out: Path, files: Sequence[Path]) -> str:
    folder, vae = _open(model, device)
    files, originals = _read_all(files, vae, out)
    posterior = encode_images(vae, originals)
    columns = {"mu": posterior.mu} | ({"logvar": posterior.logvar} if vae.stochastic else {})
    values = torch.cat([*columns.values()], 1).numpy().astype(str)  # the fewest digits that do
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", *(f"{name}_{i}" for name in columns for i in range(vae.latent_dim))])
    table.writerows([str(file), *row] for file, row in zip(files, values.tolist(), strict=True))
    write(out, text.getvalue().encode(errors="surrogateescape"))
    return f"{out}: codes of {_counted(files)} by {folder}, {vae.latent_dim} dimensions"


def traverse(
    *,
    model: Path | None,
    device: str,
    out: Path,
    file: Path,
    count: int,
    chosen: Sequence[int] | None,
    extent: float,
) -> str:
    folder, vae = _open(model, device)
    original = _read([file], vae, out)
    posterior = encode_images(vae, original)
    mu = posterior.mu[0]
    held = kl_to_standard_normal(*posterior)[0] if vae.stochastic else mu.abs()
    order = torch.argsort(held, descending=True, stable=True)
    dimensions = order[:count].tolist() if chosen is None else chosen
    if max(dimensions) >= vae.latent_dim:
        raise UserError(
            f"no dimension {max(dimensions)} in {folder}; allowed: 0 to {vae.latent_dim - 1}"
        )
    values = extent * torch.arange(-STEPS, STEPS + 1) / STEPS
    captions = [f"{value:.3g}".replace("-", "−") for value in values.tolist()]
    pair = np.concatenate([original / 255.0, decode(vae, posterior.mu)])
    rows = [Row(pair, [file.name, "reconstruction"])]
    for dimension in dimensions:
        own = float(mu[dimension])
        label = f"z{dimension}: μ {format_number(own)}"
        if abs(own) > extent:
            label += f" ({'left' if own < 0 else 'right'} of the row)"
        if vae.stochastic:
            label += f", {format_number(float(held[dimension]), 1)} nats"
        images = decode(vae, traversal(mu, dimension, values))
        rows.append(Row(images, captions, label, framed=int((values - own).abs().argmin())))
        captions = []
    write(out, as_png(draw_sheet(rows)))
    return f"{out}: {len(dimensions)} of {vae.latent_dim} dimensions of {file.name} by {folder}"


COMMANDS: dict[str, Callable[..., str]] = {
    each.__name__: each for each in (sample, reconstruct, interpolate, encode, traverse)
}


def _open(model: Path | None, device: str) -> tuple[Path, VAE]:
    """The folder, and its model or its first seed's.

    model: an architecture's folder or a seed's; None for the only models/*/conv there is.
    """
    folder = _only_model() if model is None else model
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}; --model names one such as models/shapes/conv"
        )
    if inside := _with_seeds(folder, "*"):
        raise UserError(f"{folder} has its models in folders; name one: {_listed(inside)}")
    return folder, load_vae(folder, select_device(device))


def _only_model() -> Path:
    found = _with_seeds(Path(), "models/*/conv")
    if not found:
        raise UserError("there is no models/*/conv in this folder; name a model with --model")
    if len(found) > 1:
        raise UserError(f"there are several models; name one with --model: {_listed(found)}")
    return found[0]


def _with_seeds(folder: Path, pattern: str) -> list[Path]:
    return sorted({seed.parent for seed in folder.glob(f"{pattern}/seed_*")})


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def _read_all(files: Sequence[Path], vae: VAE, out: Path) -> tuple[list[Path], NDArray[np.uint8]]:
    """The pictures' files, each folder's in its place, and the pictures, (N, C, H, W).

    One that is unreadable is left out where it is a folder's, with a line that says so. Raises
    UserError where it is named, where none is readable, and where one would be written over.
    """
    found = [each for file in files for each in (_inside(file, out) if file.is_dir() else [file])]
    readable, images, unreadable = [], [], []
    for file in found:
        try:
            images.append(read_picture(file, vae.config.shape))
            readable.append(file)
        except UserError as error:
            if file in files:
                raise
            unreadable.append(error)
    if not readable:
        raise UserError(f"no picture can be read; the first: {unreadable[0]}")
    _spare(found, out)
    for reason in unreadable:
        complain(f"{reason}; left out")
    return readable, np.stack(images)


def _inside(folder: Path, out: Path) -> list[Path]:
    """A folder's pictures, without what an earlier run wrote to `out`.

    Raises UserError where there is none.
    """
    visible = [each for each in folder.iterdir() if each.is_file() and each.name[0] != "."]
    pictures = sorted(each for each in visible if each.suffix.lower() in SUFFIXES)
    if out.exists() and is_sheet(out):
        pictures = [each for each in pictures if not out.samefile(each)]
    if not pictures:
        raise UserError(f"{folder} is a folder without pictures")
    return pictures


def _read(files: Sequence[Path], vae: VAE, out: Path) -> NDArray[np.uint8]:
    """(N, C, H, W). Raises UserError where one is unreadable, or would be written over."""
    images = np.stack([read_picture(file, vae.config.shape) for file in files])
    _spare(files, out)
    return images


def _spare(pictures: Sequence[Path], out: Path) -> None:
    """Raises UserError where one of them would be written over."""
    if out.exists() and any(out.samefile(picture) for picture in pictures):
        raise UserError(f"--out names {out}, one of the pictures; name another file")


def _counted(files: Sequence[Path]) -> str:
    return "1 picture" if len(files) == 1 else f"{len(files):,} pictures"
