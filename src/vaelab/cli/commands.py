"""The commands, with their options and help: a model and pictures in, one file out.

What is heavy is imported inside the functions, so that help and mistakes need none of it.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from vaelab.runtime.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vaelab.cli.given import Given

ACROSS, WAY = 8, 13  # images beside one another: of several pictures, and on a path with both ends
SOURCES = ("mixture", "class", "flow", "prior")
FILE = click.Path(path_type=Path)


class Row(NamedTuple):
    """Of a sheet; or a frame of an animation."""

    images: NDArray[Any]  # (N, C, H, W), floats in [0, 1] or uint8
    captions: Sequence[str] = ()  # above the images
    label: str = ""  # at the left
    framed: int | None = None  # which image has a frame, beside its pixels


Made = tuple[bytes | list[Row], str]  # a file's bytes or a picture's rows; what it is, in words


def command(default: str, *others: str) -> Callable[[Callable[..., Made]], click.Command]:
    """What all commands share: a model to be opened, and a file to be written.

    default: its name; others: suffixes that it may have instead.
    """
    suffixes = (Path(default).suffix, *others)
    shared = [
        click.Option(["--data"], metavar="NAME", help="In models/, if there are several."),
        click.Option(["--net"], metavar="NAME", help="An architecture, such as fc."),
        click.Option(["--model"], metavar="FOLDER", type=FILE, help="Instead: any model's folder."),
        click.Option(
            ["--out"], metavar="FILE", type=FILE, default=default, help="Written, or replaced."
        ),
    ]
    if ".csv" not in suffixes:
        about = "Enlarge images N times; by default until they are 128 pixels wide."
        shared.append(click.Option(["--scale"], type=click.IntRange(1, 32), help=about))

    def decorate(function: Callable[..., Made]) -> click.Command:
        @wraps(function)
        def run(model: Any, data: Any, net: Any, out: Path, scale: Any = None, **own: Any) -> str:
            if out.suffix.lower() not in suffixes:
                raise click.UsageError(f"--out {out} does not end in {' or '.join(suffixes)}")
            from vaelab.cli.given import open_model
            from vaelab.cli.sheet import encode_rows
            from vaelab.runtime.files import write_whole

            given = open_model(model, data, net, out.expanduser())
            made, words = function(given, **own)
            content = made if isinstance(made, bytes) else encode_rows(made, out.suffix, scale)
            write_whole(given.out, content)
            return f"{given.out}: {words} by {given.folder}"

        made = program.command()(run)
        made.params += shared
        return made

    return decorate


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    no_args_is_help=False,
)
def program() -> None:
    """Put a trained model to work on pictures of your own.

    The model is that of the only data set in models/, and of its last architecture; --data and
    --net name others. Pictures are fitted as those of a data set are: turned upright, cropped to
    the square in their middle and resized. A folder stands for the pictures in it, without its
    sub-folders.
    """


@command("samples.png")
@click.option("--from", "source", type=click.Choice(SOURCES), default="mixture")
@click.option("--count", type=click.IntRange(1, 1024), default=64)
@click.option(
    "--temperature", type=click.FloatRange(0, 100, min_open=True), help="T, of the prior."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0)
def sample(given: Given, source: str, count: int, temperature: float | None, seed: int) -> Made:
    """Images decoded from random codes.

    The codes are drawn from where those of the training images lie: a Gaussian mixture, a Gaussian
    for each class, or a flow, as the stage `compare` fitted them. Or from the prior, N(0, T² I),
    which the codes of pictures need not fill.
    """
    import torch

    from vaelab.samplers.gaussians import Prior

    if source != "prior" and temperature is not None:
        raise click.UsageError("--temperature is the prior's; add --from prior")
    prior = Prior(given.vae.latent_dim, temperature or 1.0)
    sampler = prior if source == "prior" else given.sampler(source)
    images = given.decode(sampler.sample(count, torch.Generator().manual_seed(seed)))
    columns = math.ceil(math.sqrt(count))
    rows = [Row(images[i : i + columns]) for i in range(0, count, columns)]
    return rows, f"{count} samples (--from {source})"


@command("reconstruction.png")
@click.argument("files", nargs=-1, required=True, type=FILE)
def reconstruct(given: Given, files: tuple[Path, ...]) -> Made:
    """Pictures, and what comes back through the model.

    Below each picture, as the model is given it, stands the decoded mean of its code with the
    PSNR in dB: higher is closer.
    """
    from vaelab.vae.pixels import psnr

    found, originals = given.pictures(files)
    decoded = given.decode(given.encode(originals).mu)
    errors = ((decoded - originals / 255.0) ** 2).mean((1, 2, 3)).tolist()
    names, quality = [each.name for each in found], [f"{psnr(error):.1f} dB" for error in errors]
    rows = []
    for start in range(0, len(found), ACROSS):
        part = slice(start, start + ACROSS)
        rows.append(Row(originals[part], names[part], "original"))
        rows.append(Row(decoded[part], quality[part], "reconstruction"))
    return rows, f"{len(found):,} of your pictures and the reconstructions"


@command("interpolation.png", ".gif")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--path", "kind", type=click.Choice(["spherical", "linear"]), default="spherical")
@click.option("--steps", type=click.IntRange(2, 101), default=11, help="Codes on the path.")
def interpolate(given: Given, a: Path, b: Path, kind: str, steps: int) -> Made:
    """The way from picture A to picture B through latent space.

    A row of the decoded codes or, with --out NAME.gif, an animation there and back. The path is
    spherical (slerp: along a great circle, which keeps the codes' length) or linear.
    """
    import numpy as np

    from vaelab.studies.interpolate.paths import path

    _, originals = given.pictures((a, b), folders=False)
    mu_a, mu_b = given.encode(originals).mu
    z = path(mu_a, mu_b, steps, "slerp" if kind == "spherical" else "linear")
    start, end = np.split(originals / 255.0, 2)
    images = np.concatenate([start, given.decode(z), end])
    captions = [a.name, *(f"t = {t:.2f}" for t in np.linspace(0.0, 1.0, steps)), b.name]
    places = [*range(len(images))]
    shown = [places[i : i + WAY] for i in places[::WAY]]
    if given.out.suffix.lower() == ".gif":
        shown = [[0, step, places[-1]] for step in places[1:-1]]
    rows = [Row(images[each], [captions[i] for i in each]) for each in shown]
    return rows, f"{steps} steps of a {kind} path from {a.name} to {b.name}"


@command("codes.csv")
@click.argument("files", nargs=-1, required=True, type=FILE)
def encode(given: Given, files: tuple[Path, ...]) -> Made:
    """Pictures' codes, as a table.

    A row for each picture: file, mu_0, mu_1, … (the code's mean) and logvar_0, logvar_1, … (the
    log of its variance, in a VAE), in as many digits as float32 has.
    """
    import torch

    found, originals = given.pictures(files)
    parts = given.encode(originals)._asdict()
    if not given.vae.stochastic:
        del parts["logvar"]
    values = torch.cat([*parts.values()], 1).numpy().astype(str).tolist()
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["file", *(f"{name}_{i}" for name in parts for i in range(given.vae.latent_dim))]
    )
    table.writerows([str(each), *row] for each, row in zip(found, values, strict=True))
    return text.getvalue().encode(errors="surrogateescape"), f"codes of {len(found):,} pictures"


@command("traversal.png")
@click.argument("file", type=FILE)
@click.option("--dimensions", "count", type=click.IntRange(1, 1024), default=8)
@click.option("--dimension", "chosen", type=click.IntRange(0), multiple=True)
def traverse(given: Given, file: Path, count: int, chosen: tuple[int, ...]) -> Made:
    """A picture's code, changed one dimension at a time.

    A row for each dimension, set to values around the mean of the training images' codes, in
    their standard deviations (sd), and decoded; the image nearest to the picture's own value is
    framed. First come the dimensions with the most KL to the prior for this picture (of an
    autoencoder, those farthest from 0). --dimension names others, each by its number from 0.
    """
    import numpy as np
    import torch

    from vaelab.studies.latent.dimensions import STEPS
    from vaelab.studies.latent.dimensions import traverse as traversal
    from vaelab.vae.objective import kl_to_standard_normal

    _, original = given.pictures((file,), folders=False)
    posterior = given.encode(original)
    mu = posterior.mu[0]
    held = kl_to_standard_normal(*posterior)[0] if given.vae.stochastic else mu.abs()
    dimensions = chosen or held.argsort(descending=True, stable=True)[:count].tolist()
    if max(dimensions) >= len(mu):
        raise UserError(f"no dimension {max(dimensions)} in {given.folder}: 0 to {len(mu) - 1}")
    scale, of = given.scale()
    steps = torch.tensor(STEPS)
    captions = [f"{step:+g} sd".replace("-", "−") if step else "mean" for step in STEPS]
    pair = np.concatenate([original / 255.0, given.decode(posterior.mu)])
    rows = [Row(pair, [file.name, "reconstruction"])]
    for i in dimensions:
        own = (mu[i] - scale.mean[i]) / scale.sd[i]
        label = f"z{i}: {own:+.1f} sd".replace("-", "−")
        label += f", {held[i]:.1f} nats" if given.vae.stochastic else ""
        images = given.decode(traversal(mu, i, scale.values(i, steps)))
        nearest = int((steps - own).abs().argmin())
        rows.append(Row(images, captions, label, nearest))
        captions = []
    return rows, f"{len(dimensions)} dimensions of {file.name}, in sd of {of},"
