"""A person's own pictures: a folder, a zip or a tar, or the URL of an archive.

Layouts, each also inside one or more wrapping folders:

    train/CLASS/*.jpg  test/CLASS/*.jpg     the split that is there; val/ counts as train/
    CLASS/*.jpg                             a test split is drawn by seed
    *.jpg                                   the same, without classes

Beside any of them attributes.csv, a row for each picture and a column for each attribute:

    file,smiling,glasses
    CLASS/1.jpg,1,0
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from vaelab.data.arrays import Int64Array, Split, UInt8Array
from vaelab.data.files import BROKEN, Files, check_whole, open_files, reason
from vaelab.data.pictures import read_pictures
from vaelab.runtime import repository
from vaelab.runtime.errors import UserError, printable
from vaelab.settings import ImageFolderRecipe
from vaelab.sources.fetch import downloads_dir, expanded, fetch, verified
from vaelab.sources.source import Part, Source, held_out, shuffled

log = logging.getLogger("vaelab")

SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
FEWEST = 20
ATTRIBUTES = "attributes.csv"
MOST_TABLE = 2**26  # bytes of it
ATTRIBUTE_VALUES = {"1": 1, "0": 0, "-1": 0}  # -1 is CelebA's 0

TRAIN = {"train", "training", "val", "valid", "validation"}
TEST = {"test", "testing"}

Parts = tuple[str, ...]


def open_image_folder(recipe: ImageFolderRecipe) -> Source:
    """Raises UserError where there is nothing to read, or too little."""
    path, archives = _locate(recipe)
    try:
        files = open_files(path)
    except UserError as error:
        anew = "; delete it, and it is fetched anew" if recipe.url else ""
        raise UserError(f"{error}{anew}") from None
    pictures = {name: parts for name in files.names if (parts := _picture_parts(name))}
    ignored = {PurePosixPath(name).suffix.lower() for name in files.names} - SUFFIXES - {""}
    if len(pictures) < FEWEST:
        others = printable(", ".join(sorted(ignored)[:8]))
        also = f" (other files there: {others})" if ignored else ""
        raise UserError(
            f"{path} holds {len(pictures)} pictures{also} and at least {FEWEST} are needed; "
            "add some, or correct the path; "
            f"read are {' '.join(sorted(SUFFIXES))}"
        )
    train, test, drawn = _split(_without_wrapper(pictures), recipe)
    class_names = sorted(set(train.values()) | set(test.values()))
    attribute_names, attributes = _attributes(path, files, {*train, *test})

    def part(classes: dict[str, str]) -> Part:
        names = sorted(classes)
        labels = np.array([class_names.index(classes[name]) for name in names], np.int64)

        def read(indices: Int64Array) -> Split:
            wanted = [names[index] for index in indices]
            size, channels = recipe.image_size, recipe.channels
            images, kept = read_pictures(
                files, wanted, size=size, channels=channels, value_range=recipe.value_range
            )
            known = np.stack([attributes[wanted[i]] for i in kept]) if attribute_names else None
            return Split(images, labels[indices[kept]], attributes=known)

        return Part(len(names), read)

    return Source(
        part(train),
        part(test),
        class_names,
        archives=archives,
        attribute_names=attribute_names,
        test_is_drawn=drawn,
    )


def _locate(recipe: ImageFolderRecipe) -> tuple[Path, dict[str, str]]:
    """Where the pictures lie, and the checksum of the archive, where they lie in one."""
    checksum = f"sha256:{recipe.sha256}" if recipe.sha256 else None
    if recipe.url is not None:
        name = recipe.url.partition("?")[0].rpartition("/")[2].strip(".") or "archive"
        address = hashlib.sha256(recipe.url.encode()).hexdigest()[:8]
        path = downloads_dir() / "image_folder" / address / name
        return path, {
            printable(name): fetch(recipe.url, path, checksum=checksum, check=check_whole)
        }
    assert recipe.path is not None
    path = repository.root() / expanded(recipe.path)
    if path.is_dir():
        if checksum:
            raise UserError(f"{path} is a folder; sha256 is for an archive: leave it out")
        return path, {}
    if not path.is_file():
        what = "is neither a folder nor a file" if path.exists() else "does not exist"
        raise UserError(f"{path} {what}; correct `path` in params.yaml")
    return path, {printable(path.name): verified(path, checksum)}


def _visible(name: str) -> Parts:
    """A file's folders and its name; nothing for what is hidden."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return () if hidden else parts


def _picture_parts(name: str) -> Parts:
    """A picture's folders and file name; nothing for what is hidden or no picture."""
    return _visible(name) if PurePosixPath(name).suffix.lower() in SUFFIXES else ()


def _without_wrapper(pictures: dict[str, Parts]) -> dict[str, Parts]:
    """Leave out the folders that all the pictures share."""
    while True:
        top = {parts[0] if len(parts) > 1 else "" for parts in pictures.values()}
        if len(top) > 1 or top == {""} or top.pop().lower() in TRAIN | TEST:
            return pictures
        pictures = {name: parts[1:] for name, parts in pictures.items()}


def _split(
    pictures: dict[str, Parts], recipe: ImageFolderRecipe
) -> tuple[dict[str, str], dict[str, str], bool]:
    """The train and the test part, each as name -> class; and whether test had to be drawn."""
    top = {name: parts[0].lower() for name, parts in pictures.items() if len(parts) > 1}
    given = {name for name, folder in top.items() if folder in TRAIN | TEST}
    is_given = bool(TRAIN & set(top.values()) and TEST & set(top.values()))
    if is_given:
        if len(given) < len(pictures):
            log.warning("%d pictures outside train/ and test/ ignored", len(pictures) - len(given))
        classes = {name: _class(pictures[name][1:]) for name in given}
        test = {name for name in given if top[name] in TEST}
    else:
        classes = {
            name: _class(parts[1:] if name in given else parts) for name, parts in pictures.items()
        }
        names = sorted(classes)
        drawn = shuffled(len(names), recipe.seed, "test split")
        test = {names[index] for index in drawn[: held_out(len(names), recipe.test_fraction)]}
    return (
        {name: label for name, label in classes.items() if name not in test},
        {name: label for name, label in classes.items() if name in test},
        not is_given,
    )


def _class(parts: Parts) -> str:
    return printable(parts[0]) if len(parts) > 1 else "image"


def _attributes(
    path: Path, files: Files, pictures: set[str]
) -> tuple[list[str], Mapping[str, UInt8Array]]:
    """The names of the A attributes, and picture -> uint8 (A,); nothing without an attributes.csv.

    pictures: those that need a row. Raises UserError where the file is not as it should be.
    """
    found = sorted(name for name in files.names if (_visible(name) or ("",))[-1] == ATTRIBUTES)
    if not found:
        return [], {}
    if len(found) > 1:
        names = printable(" and ".join(found[:3]))
        raise UserError(f"{path} holds {names}; leave one of them")
    where = printable(f"{found[0]} in {path}")
    try:
        with files.reader() as read:
            content = io.BytesIO(read(found[0]))
        if content.getbuffer().nbytes > MOST_TABLE:
            raise UserError(f"{where} has over {MOST_TABLE // 2**20} MB; leave columns out")
        table = pd.read_csv(content, dtype=str, skipinitialspace=True, encoding="utf-8-sig")
    except BROKEN as error:  # also pandas' parser's, and text that is not UTF-8
        raise UserError(f"{where} cannot be read: {reason(error)}") from None
    table.columns = table.columns.str.strip().map(printable)
    if "file" not in table or table.shape[1] < 2:
        raise UserError(f"{where} needs a column `file`, and a column for each attribute")
    known = {PurePosixPath(name): name for name in files.names if _picture_parts(name)}
    folder = PurePosixPath(found[0]).parent
    named = table.pop("file").map(lambda name: known.get(folder / str(name).strip()))
    values = table.apply(lambda column: column.str.strip().map(ATTRIBUTE_VALUES))
    for wrong, what in (
        (named.isna(), "names no picture; `file` is a path from that file's folder"),
        (named.duplicated(), "names a picture that has a row already; leave one of them"),
        (values.isna().any(axis=1), f"needs {table.shape[1]} values beside `file`, each 0 or 1"),
    ):
        if wrong.any():
            raise UserError(f"{where}: row {int(wrong.argmax()) + 1} below the header {what}")
    attributes = dict(zip(named.tolist(), values.to_numpy(np.uint8), strict=True))
    if missing := sorted(pictures - attributes.keys()):
        raise UserError(
            f"{where} has no row for {len(missing)} of {len(pictures)} pictures, the first "
            f"{printable(missing[0])}; add them"
        )
    return table.columns.tolist(), attributes
