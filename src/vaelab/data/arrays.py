"""How a data set lies on disk: one uint8 array a split, labels, what else is known, meta.json.

data/D/
  meta.json                           Meta, below
  train.npy  val.npy  test.npy        uint8 (N, C, H, W)
  train_labels.npy  …                 int64 (N,)
  train_factors.npy  …                float32 (N, number of factors); only where they are known
  train_attributes.npy  …             uint8 (N, number of attributes); only where they are known
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from vaelab.runtime.errors import UserError

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")

SUFFIXES = {"images": "", "labels": "_labels", "factors": "_factors", "attributes": "_attributes"}

ROWS = 64  # moved at once

UInt8Array = NDArray[np.uint8]
Int64Array = NDArray[np.int64]
Float32Array = NDArray[np.float32]


class ImageRows(Protocol):
    """uint8 (N, C, H, W): an array, a tensor, or what gives the same for the rows asked of it."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Any: ...


@dataclass(frozen=True)
class Picked:
    """Some images of an array that may be memory-mapped, read when they are looked at."""

    images: UInt8Array  # (M, C, H, W)
    rows: Int64Array  # (N,), their numbers

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), *self.images.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | Int64Array) -> UInt8Array:
        return self.images[self.rows[rows]]


@dataclass(frozen=True)
class Split:
    """images: uint8 (N, C, H, W); labels: int64 (N,).

    Where they are known, factors: float32 (N, F); attributes: uint8 (N, A), each 0 or 1.
    """

    images: UInt8Array
    labels: Int64Array
    factors: Float32Array | None = None
    attributes: UInt8Array | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Split:
        factors = None if self.factors is None else self.factors[index]
        attributes = None if self.attributes is None else self.attributes[index]
        return Split(self.images[index], self.labels[index], factors, attributes)

    def joined(self, other: Split) -> Split:
        """All of both; `other` has the same fields."""
        both = {
            field: np.concatenate([array, getattr(other, field)])
            for field in SUFFIXES
            if (array := getattr(self, field)) is not None
        }
        return Split(**both)

    def without(self, rows: Int64Array) -> Split:
        """All but some rows; the images stay in their memory, so `self` is not to be used again."""
        kept = np.delete(np.arange(len(self)), rows)
        factors = None if self.factors is None else self.factors[kept]
        attributes = None if self.attributes is None else self.attributes[kept]
        return Split(closed_up(self.images, kept), self.labels[kept], factors, attributes)


def closed_up(images: UInt8Array, kept: Int64Array) -> UInt8Array:
    """`images[kept]`, kept rising, in the memory of `images`, which is written over."""
    for start in range(0, len(kept) if len(kept) < len(images) else 0, ROWS):
        some = kept[start : start + ROWS]
        images[start : start + len(some)] = images[some]
    return images[: len(kept)]


class Meta(BaseModel):
    """What stands in meta.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: dict[str, Any]  # the recipe, and the archives' checksums
    shape: tuple[int, int, int]  # (C, H, W)
    counts: dict[SplitName, int]
    class_names: list[str]  # one name where the images have no classes
    factor_names: list[str]  # empty where they are not known
    attribute_names: list[str] = []  # the same
    split_seed: int
    digest: str  # sha256 over the arrays' bytes, splits in order


@dataclass(frozen=True)
class ImageArrays:
    """A data set, memory-mapped."""

    meta: Meta
    train: Split
    val: Split
    test: Split

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)"""
        return self.meta.shape

    @classmethod
    def open(cls, folder: Path) -> ImageArrays:
        """Raises UserError where the folder is not what `save` writes."""
        try:
            meta = Meta.model_validate_json((folder / "meta.json").read_text())
            splits = {name: _open_split(folder, name, meta) for name in SPLITS}
        except (OSError, EOFError, ValueError, ValidationError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"{folder} holds no readable data set ({reason}); "
                f"`dvc repro download@{folder.name}` makes it"
            ) from None
        return cls(meta, **splits)


def _open_split(folder: Path, name: SplitName, meta: Meta) -> Split:
    known = {"factors": meta.factor_names, "attributes": meta.attribute_names}
    arrays = {
        field: np.load(folder / f"{name}{suffix}.npy", mmap_mode="r")
        for field, suffix in SUFFIXES.items()
        if known.get(field, True)
    }
    if any(len(array) != meta.counts[name] for array in arrays.values()):
        raise ValueError(f"{name} has not the {meta.counts[name]} images that meta.json names")
    return Split(**arrays)


def save(
    folder: Path,
    splits: dict[SplitName, Split],
    *,
    name: str,
    source: dict[str, Any],
    class_names: list[str],
    factor_names: list[str],
    split_seed: int,
    attribute_names: Sequence[str] = (),
) -> Meta:
    """Write a data set; meta.json last, so that a folder without it is not taken for whole."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    for split_name in SPLITS:
        for field, suffix in SUFFIXES.items():
            array = getattr(splits[split_name], field)
            if array is not None:
                array = np.ascontiguousarray(array)
                np.save(folder / f"{split_name}{suffix}.npy", array)
                digest.update(f"{split_name}{suffix} {array.dtype} {array.shape}".encode())
                digest.update(array.data)
    channels, height, width = splits["train"].images.shape[1:]
    meta = Meta(
        name=name,
        source=source,
        shape=(channels, height, width),
        counts={split_name: len(splits[split_name]) for split_name in SPLITS},
        class_names=class_names,
        factor_names=factor_names,
        attribute_names=list(attribute_names),
        split_seed=split_seed,
        digest=digest.hexdigest(),
    )
    (folder / "meta.json").write_text(json.dumps(meta.model_dump(), indent=2) + "\n")
    return meta
