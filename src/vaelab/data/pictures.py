"""Picture files as one uint8 array.

Whoever made them is a stranger: only the formats of docs/datasets.md are ever opened, and pictures
that would take much memory are decoded one at a time or not at all.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vaelab.data import files as stored
from vaelab.data.arrays import Int64Array, UInt8Array, closed_up
from vaelab.data.files import Files, Reader
from vaelab.data.levels import Levels, ValueRange
from vaelab.runtime.errors import UserError
from vaelab.runtime.progress import bar

Channels = Literal[1, 3]

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")

BATCH = 64  # pictures whose files are in memory at once, or fewer,
BATCH_BYTES = 2**27  # where these are large
THREADS = 8
LARGE = 2**23  # pixels, above which pictures are decoded one at a time
MOST_PIXELS = 2**26  # that are decoded at all

# What a broken or unsupported picture raises, from the archive and from Pillow.
UNREADABLE = (*stored.BROKEN, SyntaxError, struct.error, Image.DecompressionBombError)

_one_at_a_time = threading.Lock()
log = logging.getLogger("vaelab")


def read_pictures(
    files: Files,
    names: Sequence[str],
    *,
    size: int,
    channels: Channels,
    crop: int | None = None,
    value_range: ValueRange | None = None,
) -> tuple[UInt8Array, Int64Array]:
    """Decode, upright, fit and stack pictures.

    Returns uint8 (N, channels, size, size) in the order of `names`, and which of them these are,
    int64 (N,). An unreadable picture is left out; warnings name the first few. value_range: what is
    black and white in pictures of more than eight bits; without it, a warning where it is in doubt.
    """
    images = np.empty((len(names), channels, size, size), np.uint8)
    levels = Levels(value_range)
    broken: dict[int, str] = {}

    def decode(index: int, data: bytes) -> None:
        try:
            images[index] = _decoded(data, size, channels, crop, levels)
        except UNREADABLE as error:
            broken[index] = _reason(error)

    with (
        files.reader() as read,
        ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool,
        bar(len(names), "reading pictures", "img") as progress,
        _quiet(),
    ):
        for batch in _batches(files, names, read, broken):
            list(pool.map(decode, batch.keys(), batch.values()))
            progress.update(len(batch))

    stored.say_left_out({names[index]: broken[index] for index in sorted(broken)})
    if broken:
        log.warning("%d of %d pictures left out", len(broken), len(names))
    for doubt in levels.doubts():
        log.warning("%s", doubt)
    kept = np.array([index for index in range(len(names)) if index not in broken], np.int64)
    return closed_up(images, kept), kept


def _batches(
    files: Files, names: Sequence[str], read: Reader, broken: dict[int, str]
) -> Iterator[dict[int, bytes]]:
    """The contents of some files at a time, in the order in which they are quickest to read."""
    place = {name: index for index, name in enumerate(files.names)}
    batch: dict[int, bytes] = {}
    for index in sorted(range(len(names)), key=lambda index: place[names[index]]):
        try:
            batch[index] = read(names[index])
        except UNREADABLE as error:
            broken[index] = _reason(error)
        if len(batch) >= BATCH or sum(map(len, batch.values())) >= BATCH_BYTES:
            yield batch
            batch = {}
    yield batch


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Pillow's remarks, of which a single picture can bring thousands."""
    pillow = logging.getLogger("PIL")
    level = pillow.level
    pillow.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        pillow.setLevel(level)


def read_picture(
    path: str | Path, shape: tuple[int, int, int], levels: Levels | None = None
) -> UInt8Array:
    """One picture file as an image of a data set: of any size and mode, and fitted as all are.

    path: `~` is spelled out; shape: (C, H, W) of the data set's images, H = W; levels: hears of
    what it holds. Returns uint8 (C, H, W). Raises UserError where it is no readable picture.
    """
    channels, size, _ = shape
    try:
        data = stored.read_file(Path(path).expanduser())
        with _quiet():
            return _decoded(data, size, 1 if channels == 1 else 3, None, levels or Levels())
    except UnidentifiedImageError:
        raise UserError(f"{path} is not a picture") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; name one picture") from None
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    unknown = isinstance(error, UnidentifiedImageError)
    return "not a picture" if unknown else stored.reason(error)


def _decoded(
    data: bytes, size: int, channels: Channels, crop: int | None, levels: Levels
) -> UInt8Array:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return to_array(image, size, channels, crop, levels)


def to_array(
    image: Image.Image,
    size: int,
    channels: Channels,
    crop: int | None = None,
    levels: Levels | None = None,
) -> UInt8Array:
    """One picture, upright, centre-cropped to a square and resized without aliasing.

    crop: the side, in pixels of the picture, of a square to cut from its centre first; levels: of
    pictures of more than eight bits. Returns uint8 (channels, size, size). Raises ValueError where
    it has more pixels than are decoded.
    """
    whole = image.width * image.height
    if crop is None:
        image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
    pixels = whole if image.info.get("progressive") else image.width * image.height
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"it has {whole / 1e6:.0f} million pixels; make it smaller")
    muted = any(tile[0] == "libtiff" for tile in getattr(image, "tile", ()))
    with _one_at_a_time if pixels > LARGE or muted else nullcontext(), _muted(muted):
        return _fitted(image, size, channels, crop, levels or Levels())


@contextmanager
def _muted(wanted: bool) -> Iterator[None]:
    """libtiff writes a line on the errors' stream for each row that it cannot read."""
    if not wanted:
        yield
        return
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _fitted(
    image: Image.Image, size: int, channels: Channels, crop: int | None, levels: Levels
) -> UInt8Array:
    levels.note_colour(image)
    ImageOps.exif_transpose(image, in_place=True)
    image = levels.eight_bits(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    if crop is not None:
        left, top = (image.width - crop) // 2, (image.height - crop) // 2
        image = image.crop((left, top, left + crop, top + crop))
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)
