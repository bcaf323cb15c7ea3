"""The public sets that torchvision reads, from archives that `fetch` brings.

torchvision's classes name the archives and their checksums, and read them. An archive lies where
its class would have put it, so that the class finds it whole and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from PIL import Image
from torchvision import datasets

from vaelab.data.arrays import Int64Array, Split, UInt8Array
from vaelab.data.files import zip_files
from vaelab.data.pictures import Channels, read_pictures, to_array
from vaelab.settings import TorchvisionRecipe
from vaelab.sources.fetch import Archive, downloads_dir, fetch_all
from vaelab.sources.source import Part, Source

CELEBA_SIZE = 64  # where the recipe names none: as published, the pictures are 178×218
CELEBA_CROP = 148  # of 178×218 pixels: the face, without much of what is around it
CELEBA_ATTRIBUTE = "Smiling"

Published = tuple[str, str, str]  # address, MD5, path below the set's folder of downloads


class Opened(NamedTuple):
    part: Part
    class_names: list[str]
    attribute_names: list[str]


class Set(NamedTuple):
    """How one of torchvision's classes is fetched and read."""

    dataset: Any
    archives: Callable[[Any], list[Published]]
    open: Callable[[Any, Path, bool, int | None], Opened]  # class, folder, is train?, image_size


def open_torchvision_set(recipe: TorchvisionRecipe) -> Source:
    """Raises UserError where an archive cannot be fetched."""
    chosen = SETS[recipe.source]
    root = downloads_dir() / recipe.source
    archives = [
        Archive(url, root / path, f"md5:{md5}")
        for url, md5, path in chosen.archives(chosen.dataset)
    ]
    names = [archive.target.name for archive in archives]
    checksums = dict(zip(names, fetch_all(archives), strict=True))
    with FileLock(root / ".unpacking.lock"):
        train, test = (
            chosen.open(chosen.dataset, root, is_train, recipe.image_size)
            for is_train in (True, False)
        )
    return Source(
        train.part,
        test.part,
        train.class_names,
        archives=checksums,
        attribute_names=train.attribute_names,
    )


def _of_arrays(images: Any, labels: Any, size: int | None, class_names: list[str]) -> Opened:
    """images: uint8 (N, C, H, W); labels: (N,)."""
    labels = np.asarray(labels, np.int64)

    def read(indices: Int64Array) -> Split:
        some = np.ascontiguousarray(images[indices])
        return Split(
            some if size in (None, some.shape[2]) else _resized(some, size), labels[indices]
        )

    return Opened(Part(len(images), read), class_names, [])


def _resized(images: UInt8Array, size: int) -> UInt8Array:
    """(N, C, H, W) -> (N, C, size, size)"""
    channels: Channels = 1 if images.shape[1] == 1 else 3
    pictures = (Image.fromarray(each.transpose(1, 2, 0).squeeze()) for each in images)
    return np.stack([to_array(picture, size, channels) for picture in pictures])


def _cifar(dataset: Any, root: Path, train: bool, size: int | None) -> Opened:
    opened = dataset(root, train=train, download=True)
    return _of_arrays(opened.data.transpose(0, 3, 1, 2), opened.targets, size, opened.classes)


def _mnist(dataset: Any, root: Path, train: bool, size: int | None) -> Opened:
    for unpacked in (root / dataset.__name__ / "raw").glob("*-ubyte"):
        unpacked.unlink()  # the class would take a file that was unpacked in part for whole
    opened = dataset(root, train=train, download=True)
    return _of_arrays(opened.data.numpy()[:, None], opened.targets, size, opened.classes)


def _svhn(dataset: Any, root: Path, train: bool, size: int | None) -> Opened:
    opened = dataset(root, split="train" if train else "test")
    return _of_arrays(opened.data, opened.labels, size, [str(digit) for digit in range(10)])


class _ZippedCelebA(datasets.CelebA):
    """The splits and the attributes; the 202,599 pictures stay in their archive."""

    def _check_integrity(self) -> bool:
        return True  # `fetch` has verified every file; there is no unpacked folder to look for


def _celeba(dataset: Any, root: Path, train: bool, size: int | None) -> Opened:
    opened = dataset(root, split="train" if train else "test", target_type="attr")
    attributes = opened.attr.numpy().astype(np.uint8)
    attribute_names = opened.attr_names[: attributes.shape[1]]  # the file's header ends in a space
    labels = attributes[:, attribute_names.index(CELEBA_ATTRIBUTE)].astype(np.int64)
    names = np.array([f"img_align_celeba/{name}" for name in opened.filename])
    files = zip_files(root / dataset.base_folder / "img_align_celeba.zip")

    def read(indices: Int64Array) -> Split:
        images, kept = read_pictures(
            files, names[indices].tolist(), size=size or CELEBA_SIZE, channels=3, crop=CELEBA_CROP
        )
        found = indices[kept]
        return Split(images, labels[found], attributes=attributes[found])

    label = CELEBA_ATTRIBUTE.lower()
    return Opened(Part(len(names), read), [f"not {label}", label], attribute_names)


def _cifar_archives(dataset: Any) -> list[Published]:
    return [(dataset.url, dataset.tgz_md5, dataset.filename)]


def _mnist_archives(dataset: Any) -> list[Published]:
    folder = f"{dataset.__name__}/raw"
    return [(dataset.mirrors[0] + file, md5, f"{folder}/{file}") for file, md5 in dataset.resources]


def _svhn_archives(dataset: Any) -> list[Published]:
    files = (dataset.split_list[split] for split in ("train", "test"))
    return [(url, md5, file) for url, file, md5 in files]


def _celeba_archives(dataset: Any) -> list[Published]:
    drive, folder = "https://drive.google.com/uc?id=", dataset.base_folder
    return [(drive + key, md5, f"{folder}/{file}") for key, md5, file in dataset.file_list]


SETS = {
    "cifar10": Set(datasets.CIFAR10, _cifar_archives, _cifar),
    "cifar100": Set(datasets.CIFAR100, _cifar_archives, _cifar),
    "svhn": Set(datasets.SVHN, _svhn_archives, _svhn),
    "mnist": Set(datasets.MNIST, _mnist_archives, _mnist),
    "fashion_mnist": Set(datasets.FashionMNIST, _mnist_archives, _mnist),
    "celeba": Set(_ZippedCelebA, _celeba_archives, _celeba),
}
