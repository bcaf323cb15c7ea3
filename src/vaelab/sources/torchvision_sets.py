"""The public sets that torchvision reads, from archives that `fetch` brings.

torchvision's classes name the archives and their checksums, and read them. An archive lies where
its class would have put it, so that the class finds it whole and fetches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock
from PIL import Image
from torchvision import datasets

from vaelab.data.arrays import Int64Array, Split, UInt8Array
from vaelab.data.pictures import Channels, ZipFiles, read_pictures, to_array
from vaelab.settings import TorchvisionRecipe
from vaelab.sources.fetch import downloads_dir, fetch
from vaelab.sources.source import Part, Source

CELEBA_SIZE = 64  # where the recipe names none: as published, the pictures are 178×218
CELEBA_CROP = 148  # of 178×218 pixels: the face, without much of what is around it
CELEBA_ATTRIBUTE = "Smiling"


class _Archive(NamedTuple):
    url: str
    md5: str
    path: str  # below the set's folder of downloads


class _Opened(NamedTuple):
    part: Part
    class_names: list[str]
    attribute_names: Sequence[str] = ()


class _Set(NamedTuple):
    """How one of torchvision's classes is fetched and read."""

    dataset: Any
    archives: Callable[[Any], list[_Archive]]
    part: Callable[[Any, Path, bool, int | None], _Opened]


def open_torchvision_set(recipe: TorchvisionRecipe) -> Source:
    """Raises UserError where an archive cannot be fetched."""
    chosen = SETS[recipe.source]
    root = downloads_dir() / recipe.source
    checksums = {
        Path(path).name: fetch(url, root / path, checksum=f"md5:{md5}")
        for url, md5, path in chosen.archives(chosen.dataset)
    }
    with FileLock(root / ".unpacking.lock"):
        train, test = (
            chosen.part(chosen.dataset, root, is_train, recipe.image_size)
            for is_train in (True, False)
        )
    return Source(
        train.part,
        test.part,
        train.class_names,
        archives=checksums,
        attribute_names=list(train.attribute_names),
    )


def _of_arrays(images: UInt8Array, labels: Int64Array, size: int | None) -> Part:
    """images: (N, C, H, W)."""

    def read(indices: Int64Array) -> Split:
        return Split(_resized(images[indices], size), labels[indices])

    return Part(len(images), read)


def _resized(images: UInt8Array, size: int | None) -> UInt8Array:
    """(N, C, H, W) -> (N, C, size, size)"""
    count, channels, height, width = images.shape
    if size is None or (height, width) == (size, size):
        return images
    kept: Channels = 1 if channels == 1 else 3
    resized = np.empty((count, channels, size, size), np.uint8)
    for index, image in enumerate(images):
        picture = Image.fromarray(image[0] if channels == 1 else image.transpose(1, 2, 0))
        resized[index] = to_array(picture, size, kept)
    return resized


def _cifar_archives(dataset: Any) -> list[_Archive]:
    return [_Archive(dataset.url, dataset.tgz_md5, dataset.filename)]


def _cifar(dataset: Any, root: Path, train: bool, size: int | None) -> _Opened:
    opened = dataset(root, train=train, download=True)
    images = np.ascontiguousarray(opened.data.transpose(0, 3, 1, 2))
    return _Opened(_of_arrays(images, np.array(opened.targets, np.int64), size), opened.classes)


def _mnist_archives(dataset: Any) -> list[_Archive]:
    return [
        _Archive(dataset.mirrors[0] + name, md5, f"{dataset.__name__}/raw/{name}")
        for name, md5 in dataset.resources
    ]


def _mnist(dataset: Any, root: Path, train: bool, size: int | None) -> _Opened:
    for unpacked in (root / dataset.__name__ / "raw").glob("*-ubyte"):
        unpacked.unlink()  # the class would take a file that was unpacked in part for whole
    opened = dataset(root, train=train, download=True)
    images = opened.data.numpy()[:, None]
    labels = opened.targets.numpy().astype(np.int64)
    return _Opened(_of_arrays(images, labels, size), opened.classes)


def _svhn_archives(dataset: Any) -> list[_Archive]:
    return [
        _Archive(url, md5, name)
        for url, name, md5 in (dataset.split_list["train"], dataset.split_list["test"])
    ]


def _svhn(dataset: Any, root: Path, train: bool, size: int | None) -> _Opened:
    opened = dataset(root, split="train" if train else "test")
    images = np.ascontiguousarray(opened.data)
    digits = [str(digit) for digit in range(10)]
    return _Opened(_of_arrays(images, opened.labels, size), digits)


class _ZippedCelebA(datasets.CelebA):
    """The splits and the attributes; the 202,599 pictures stay in their archive."""

    def _check_integrity(self) -> bool:
        return True  # `fetch` has verified every file; there is no unpacked folder to look for


def _celeba_archives(dataset: Any) -> list[_Archive]:
    return [
        _Archive(f"https://drive.google.com/uc?id={key}", md5, f"{dataset.base_folder}/{name}")
        for key, md5, name in dataset.file_list
    ]


def _celeba(dataset: Any, root: Path, train: bool, size: int | None) -> _Opened:
    opened = dataset(root, split="train" if train else "test", target_type="attr")
    attributes = opened.attr.numpy().astype(np.uint8)
    attribute_names = opened.attr_names[: attributes.shape[1]]  # the file's header ends in a space
    labels = attributes[:, attribute_names.index(CELEBA_ATTRIBUTE)].astype(np.int64)
    names = [f"img_align_celeba/{name}" for name in opened.filename]
    files = ZipFiles(root / dataset.base_folder / "img_align_celeba.zip")

    def read(indices: Int64Array) -> Split:
        images, kept = read_pictures(
            files,
            [names[index] for index in indices],
            size=size or CELEBA_SIZE,
            channels=3,
            crop=CELEBA_CROP,
        )
        found = indices[kept]
        return Split(images, labels[found], attributes=attributes[found])

    label = CELEBA_ATTRIBUTE.lower()
    return _Opened(Part(len(names), read), [f"not {label}", label], attribute_names)


SETS = {
    "cifar10": _Set(datasets.CIFAR10, _cifar_archives, _cifar),
    "cifar100": _Set(datasets.CIFAR100, _cifar_archives, _cifar),
    "svhn": _Set(datasets.SVHN, _svhn_archives, _svhn),
    "mnist": _Set(datasets.MNIST, _mnist_archives, _mnist),
    "fashion_mnist": _Set(datasets.FashionMNIST, _mnist_archives, _mnist),
    "celeba": _Set(_ZippedCelebA, _celeba_archives, _celeba),
}
