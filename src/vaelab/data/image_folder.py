"""A person's own pictures: a folder, a zip or a tar, or the URL of an archive.

Layouts, each also inside one or more wrapping folders:

    train/CLASS/*.jpg  test/CLASS/*.jpg     the split that is there; val/ counts as train/
    CLASS/*.jpg                             a test split is drawn by seed
    *.jpg                                   the same, without classes
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from vaelab import repository
from vaelab.data.arrays import Int64Array, Split
from vaelab.data.fetch import downloads_dir, expanded, fetch, verified
from vaelab.data.pictures import Files, open_files, read_pictures
from vaelab.data.source import Part, Source, held_out, shuffled
from vaelab.errors import UserError
from vaelab.settings import ImageFolderRecipe

log = logging.getLogger(__name__)

SUFFIXES = {
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm",
    ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
FEWEST = 20

TRAIN = {"train", "training", "val", "valid", "validation"}
TEST = {"test", "testing"}

Parts = tuple[str, ...]


def open_image_folder(recipe: ImageFolderRecipe) -> Source:
    """Raises UserError where there is nothing to read, or too little."""
    path, archives = _locate(recipe)
    files = open_files(path)
    pictures = {name: parts for name in files.names if (parts := _picture_parts(name))}
    ignored = {PurePosixPath(name).suffix.lower() for name in files.names} - SUFFIXES - {""}
    if len(pictures) < FEWEST:
        also = f" (other files there: {', '.join(sorted(ignored)[:8])})" if ignored else ""
        raise UserError(
            f"{path} holds {len(pictures)} pictures{also} and at least {FEWEST} are needed; "
            "add some, or correct the path; "
            f"read are {' '.join(sorted(SUFFIXES))}"
        )
    train, test = _split(_without_wrapper(pictures), recipe)
    class_names = sorted(set(train.values()) | set(test.values()))

    def part(classes: dict[str, str]) -> Part:
        names = sorted(classes)
        labels = np.array([class_names.index(classes[name]) for name in names], np.int64)
        return Part(len(names), _reader(files, names, labels, recipe))

    return Source(part(train), part(test), class_names, archives=archives)


def _locate(recipe: ImageFolderRecipe) -> tuple[Path, dict[str, str]]:
    """Where the pictures lie, and the checksum of the archive, where they lie in one."""
    checksum = f"sha256:{recipe.sha256}" if recipe.sha256 else None
    if recipe.url is not None:
        name = recipe.url.partition("?")[0].rpartition("/")[2].strip(".") or "archive"
        address = hashlib.sha256(recipe.url.encode()).hexdigest()[:8]
        path = downloads_dir() / "image_folder" / address / name
        return path, {name: fetch(recipe.url, path, checksum=checksum)}
    assert recipe.path is not None
    path = repository.root() / expanded(recipe.path)
    if path.is_dir():
        if checksum:
            raise UserError(f"{path} is a folder; sha256 is for an archive: leave it out")
        return path, {}
    if not path.is_file():
        raise UserError(f"{path} does not exist; correct `path` in params.yaml")
    return path, {path.name: verified(path, checksum)}


def _picture_parts(name: str) -> Parts:
    """A picture's folders and file name; nothing for what is hidden or no picture."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    is_picture = PurePosixPath(name).suffix.lower() in SUFFIXES
    return parts if is_picture and not hidden else ()


def _without_wrapper(pictures: dict[str, Parts]) -> dict[str, Parts]:
    """Leave out the folders that all the pictures share."""
    while True:
        top = {parts[0] if len(parts) > 1 else "" for parts in pictures.values()}
        if len(top) > 1 or top == {""} or top.pop().lower() in TRAIN | TEST:
            return pictures
        pictures = {name: parts[1:] for name, parts in pictures.items()}


def _split(
    pictures: dict[str, Parts], recipe: ImageFolderRecipe
) -> tuple[dict[str, str], dict[str, str]]:
    """The train and the test part, each as name -> class."""
    top = {name: parts[0].lower() for name, parts in pictures.items() if len(parts) > 1}
    given = {name for name, folder in top.items() if folder in TRAIN | TEST}
    if TRAIN & set(top.values()) and TEST & set(top.values()):
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
    )


def _class(parts: Parts) -> str:
    return parts[0] if len(parts) > 1 else "image"


def _reader(
    files: Files, names: Sequence[str], labels: Int64Array, recipe: ImageFolderRecipe
) -> Callable[[Int64Array], Split]:
    def read(indices: Int64Array) -> Split:
        images, kept = read_pictures(
            files,
            [names[index] for index in indices],
            size=recipe.image_size,
            channels=recipe.channels,
        )
        return Split(images, labels[indices[kept]])

    return read
