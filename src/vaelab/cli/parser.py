"""The command line's grammar and its help. What it reads are the arguments of `commands`."""

from __future__ import annotations

import argparse
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from vaelab.cli.output import printable

FITTED = (
    "Pictures of any size, mode and orientation are taken, and fitted as those of a data set are: "
    "turned upright, cropped to the square in their middle and resized to the model's images."
)


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="vaelab",
        description="Put a trained model to work on pictures of your own.",
        epilog="`vaelab COMMAND --help` lists a command's options.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    sample = commands.add_parser(
        "sample",
        help="images decoded from draws of the prior",
        description="Draw codes from the prior, N(0, T² I), and decode them: a grid of images. "
        "Pictures' codes need not fill the prior; for samplers that follow them see the report of "
        "compare.",
    )
    sample.add_argument(
        "--count",
        type=_whole(1, 1024),
        default=64,
        metavar="N",
        help="1 to 1024 (default: %(default)s)",
    )
    sample.add_argument(
        "--temperature",
        type=_above_zero,
        default=1.0,
        metavar="T",
        help="the draws' standard deviation: below 1 they lie nearer to the prior's centre "
        "(default: %(default)s)",
    )
    sample.add_argument(
        "--seed",
        type=_whole(0, 2**63 - 1),
        default=0,
        metavar="N",
        help="equal seeds give equal samples (default: %(default)s)",
    )
    _add_common(sample, "samples", ".png")

    reconstruct = commands.add_parser(
        "reconstruct",
        help="pictures, and what comes back through the model",
        description="Draw each picture as the model is given it and, below, the decoded mean of "
        f"its code with the PSNR in dB; higher is closer. {FITTED}",
    )
    _add_files(reconstruct)
    _add_common(reconstruct, "reconstruction", ".png")

    interpolate = commands.add_parser(
        "interpolate",
        help="the way from one picture to another through latent space",
        description="Decode the codes on the way from picture A to picture B: a row of images or, "
        f"as a GIF, an animation there and back. {FITTED}",
    )
    interpolate.add_argument("a", type=_path, metavar="A", help="a picture")
    interpolate.add_argument("b", type=_path, metavar="B", help="another")
    interpolate.add_argument(
        "--steps",
        type=_whole(2, 101),
        default=11,
        metavar="N",
        help="images on the way, its ends included, 2 to 101; more make a smoother animation "
        "(default: %(default)s)",
    )
    interpolate.add_argument(
        "--kind",
        choices=("linear", "spherical"),
        default="linear",
        help="linear: straight; spherical: along a great circle (slerp) (default: %(default)s)",
    )
    _add_common(interpolate, "interpolation", ".png", ".gif")

    encode = commands.add_parser(
        "encode",
        help="pictures' codes, as a table",
        description="Write a table with a row for each picture: file, mu_0, mu_1, … (the code's "
        "mean) and logvar_0, logvar_1, … (the log of its variance; an autoencoder has none), "
        f"rounded no further than float32 is. {FITTED}",
    )
    _add_files(encode)
    _add_common(encode, "codes", ".csv")

    traverse = commands.add_parser(
        "traverse",
        help="a picture's code, changed one dimension at a time",
        description="Set one dimension of a picture's code after another to values from -EXTENT to "
        "EXTENT and decode: a row for each dimension, which are counted from 0. The image nearest "
        "to the picture's own value is framed. Values are in units of the prior's standard "
        f"deviation; the reports go by those of a data set's codes. {FITTED}",
    )
    traverse.add_argument("file", type=_path, metavar="FILE", help="a picture")
    which = traverse.add_mutually_exclusive_group()
    which.add_argument(
        "--dimensions",
        dest="count",
        type=_whole(1, 1024),
        default=8,
        metavar="N",
        help="how many, at most all: those with the most KL to the prior for this picture (of an "
        "autoencoder, those farthest from 0) (default: %(default)s)",
    )
    which.add_argument(
        "--dimension",
        dest="chosen",
        type=_whole(0, 2**31),
        nargs="+",
        metavar="D",
        help="these, in this order",
    )
    traverse.add_argument(
        "--extent",
        type=_above_zero,
        default=3.0,
        metavar="EXTENT",
        help="how far from 0, in the prior's standard deviations (default: %(default)s)",
    )
    _add_common(traverse, "traversal", ".png")
    return parser


class _Parser(argparse.ArgumentParser):
    """One that complains in a single line."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options, allow_abbrev=False)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files",
        nargs="+",
        type=_path,
        metavar="FILE",
        help="a picture; or a folder, for the pictures in it, without those in its sub-folders "
        "and those that cannot be read",
    )


def _add_common(command: argparse.ArgumentParser, name: str, *suffixes: str) -> None:
    """name: of the file that is written, if no other is given, with the first of the suffixes."""
    command.add_argument(
        "--model",
        type=_path,
        metavar="FOLDER",
        help="such as models/shapes/conv, of which the first seed is taken, or "
        "models/shapes/conv/seed_1 (default: the only models/*/conv here, if there is one only)",
    )
    command.add_argument(
        "--device",
        type=_device,
        default="auto",
        help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)",
    )
    command.add_argument(
        "--out",
        type=_ending_in(suffixes),
        default=f"{name}{suffixes[0]}",
        metavar="FILE",
        help=f"a {' or a '.join(suffixes)} to write, or to write anew where it is there; folders "
        "are made (default: %(default)s)",
    )


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return Path(os.path.expanduser(text))


def _ending_in(suffixes: tuple[str, ...]) -> Callable[[str], Path]:
    def parse(text: str) -> Path:
        path = _path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{text!r} does not end in {' or '.join(suffixes)}")
        return path

    return parse


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,19}", text) and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")

    return parse


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,2})?|mps", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not auto, cpu, cuda, cuda:N or mps")
    return text
