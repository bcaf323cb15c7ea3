"""Picture files, in a folder or an archive, as one uint8 array.

Archives are read member by member where they lie; nothing is unpacked.
"""

from __future__ import annotations

import io
import logging
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Literal, NamedTuple, cast

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vaelab.data.arrays import Int64Array, UInt8Array
from vaelab.runtime.errors import UserError
from vaelab.runtime.progress import bar

log = logging.getLogger("vaelab")

Channels = Literal[1, 3]

BATCH = 64  # pictures whose files are in memory at once

# What a broken or unsupported picture raises, from the archive and from Pillow.
UNREADABLE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    NotImplementedError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    Image.DecompressionBombError,
)


Reader = Callable[[str], bytes]


class Files(NamedTuple):
    """Files by name, such as `train/cat/1.jpg`, and what opens a reader of them."""

    names: list[str]  # in the order in which they are quickest to read
    reader: Callable[[], AbstractContextManager[Reader]]


def folder_files(path: Path) -> Files:
    names = []
    seen = set()  # a link may lead back to a folder above it
    for folder, subfolders, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        names += [(Path(folder) / name).relative_to(path).as_posix() for name in files]
    return Files(sorted(names), lambda: nullcontext(lambda name: (path / name).read_bytes()))


def zip_files(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    if any(member.flag_bits & 1 for member in members):
        raise UserError(f"{path} is locked with a password; unlock it first")
    members.sort(key=lambda member: member.header_offset)
    by_name = {member.filename.replace("\\", "/"): member for member in members}

    @contextmanager
    def reader() -> Iterator[Reader]:
        with zipfile.ZipFile(path) as archive:
            yield lambda name: archive.read(by_name[name])

    return Files(list(by_name), reader)


def tar_files(path: Path) -> Files:
    with tarfile.open(path) as archive:
        by_name = {member.name: member for member in archive if member.isreg()}

    @contextmanager
    def reader() -> Iterator[Reader]:
        with tarfile.open(path) as archive:
            yield lambda name: cast("IO[bytes]", archive.extractfile(by_name[name])).read()

    return Files(list(by_name), reader)


def open_files(path: Path) -> Files:
    """The files of a folder, a zip or a tar, told apart by their contents.

    Raises UserError where it is none of these, or a broken archive.
    """
    if path.is_dir():
        return folder_files(path)
    try:
        if zipfile.is_zipfile(path):
            return zip_files(path)
        if tarfile.is_tarfile(path):
            return tar_files(path)
    except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    raise UserError(f"{path} is neither a folder nor a zip nor a tar archive")


def read_pictures(
    files: Files,
    names: Sequence[str],
    *,
    size: int,
    channels: Channels,
    crop: int | None = None,
) -> tuple[UInt8Array, Int64Array]:
    """Decode, upright, fit and stack pictures.

    Returns uint8 (N, channels, size, size) in the order of `names`, and which of them these are,
    int64 (N,). An unreadable picture is left out, with a warning that names it.
    """
    images = np.empty((len(names), channels, size, size), np.uint8)
    place = {name: index for index, name in enumerate(files.names)}
    order = sorted(range(len(names)), key=lambda index: place[names[index]])
    broken: dict[int, str] = {}

    def decode(index: int, data: bytes) -> None:
        try:
            with Image.open(io.BytesIO(data)) as image:
                images[index] = to_array(image, size, channels, crop)
        except UNREADABLE as error:
            broken[index] = _reason(error)

    with (
        files.reader() as read,
        ThreadPoolExecutor() as pool,
        bar(len(names), "reading pictures", "img") as progress,
    ):
        for start in range(0, len(order), BATCH):
            batch = {}
            for index in order[start : start + BATCH]:
                try:
                    batch[index] = read(names[index])
                except UNREADABLE as error:
                    broken[index] = _reason(error)
            list(pool.map(decode, batch.keys(), batch.values()))
            progress.update(BATCH)

    for index in sorted(broken):
        log.warning("%s cannot be read and is left out: %s", names[index], broken[index])
    if broken:
        log.warning("%d of %d pictures left out", len(broken), len(names))
    kept = np.array([index for index in range(len(names)) if index not in broken], np.int64)
    return (images[kept] if broken else images), kept


def read_picture(path: str | Path, shape: tuple[int, int, int]) -> UInt8Array:
    """One picture file as an image of a data set: of any size and mode, and fitted as all are.

    path: `~` is spelled out; shape: (C, H, W) of the data set's images, H = W. Returns uint8
    (C, H, W). Raises UserError where it is no readable picture.
    """
    channels, size, _ = shape
    try:
        with Image.open(Path(path).expanduser()) as image:
            return to_array(image, size, 1 if channels == 1 else 3)
    except UnidentifiedImageError:
        raise UserError(f"{path} is not a picture") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; name one picture") from None
    except (*UNREADABLE, RuntimeError) as error:  # RuntimeError: there is no such home folder
        raise UserError(f"{path} cannot be read: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not a picture"
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    cut = isinstance(error, EOFError) or "truncated" in reason.lower()
    return "the file is cut short" if cut else reason


def to_array(
    image: Image.Image, size: int, channels: Channels, crop: int | None = None
) -> UInt8Array:
    """One picture, upright, centre-cropped to a square and resized without aliasing.

    crop: the side, in pixels of the picture, of a square to cut from its centre first.
    Returns uint8 (channels, size, size).
    """
    if crop is None:
        image.draft(None, (2 * size, 2 * size))  # a large JPEG is decoded at a fraction of its size
    ImageOps.exif_transpose(image, in_place=True)
    image = _eight_bits(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    if crop is not None:
        left, top = (image.width - crop) // 2, (image.height - crop) // 2
        image = image.crop((left, top, left + crop, top + crop))
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey pictures of 16 bits or of floats, which Pillow's own conversion clips at 255."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float32)
    white = 65535 if image.mode.startswith("I") else 1 if values.max() <= 1 else 255
    return Image.fromarray(np.clip(values * (255 / white) + 0.5, 0, 255).astype(np.uint8))
