"""Recipes: where a data set's images come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vaelab.settings.fields import (
    Fraction,
    ImageSize,
    PicturesPath,
    Section,
    Seed,
    Sha256,
    Url,
    ValueRange,
)


class SourceRecipe(Section):
    """What every recipe may have: this data set's own values of other sections' settings, which
    load.py checks with the values that they stand for.
    """

    model: dict[str, Any] = Field(default={})
    objective: dict[str, Any] = Field(default={})
    train: dict[str, Any] = Field(default={})


OVERRIDES = tuple(SourceRecipe.model_fields)


class ShapesRecipe(SourceRecipe):
    """Drawn by the program from known factors; needs no network."""

    source: Literal["shapes"]
    image_size: ImageSize = 32
    count: Annotated[int, Field(ge=20, le=10_000_000)] = 24_000  # all splits together
    val_fraction: Fraction = 0.1  # of what is not test
    test_fraction: Fraction = 0.1
    seed: Seed = 0


class TorchvisionRecipe(SourceRecipe):
    """One of torchvision's sets, with its official test split."""

    source: Literal["cifar10", "cifar100", "svhn", "mnist", "fashion_mnist", "celeba"]
    image_size: ImageSize | None = None  # None: as published (CelebA: 64)
    limit: Annotated[int, Field(ge=10)] | None = None  # at most this many, train with val, and test
    val_fraction: Fraction = 0.1
    seed: Seed = 0


class ImageFolderRecipe(SourceRecipe):
    """The person's own pictures: a folder, a zip, a tar, or the URL of an archive."""

    source: Literal["image_folder"]
    image_size: ImageSize
    path: PicturesPath | None = None
    url: Url | None = None
    sha256: Sha256 | None = None  # of the archive
    channels: Literal[1, 3] = 3
    value_range: ValueRange | None = None  # black and white in 16-bit grey and float files
    limit: Annotated[int, Field(ge=10)] | None = None
    val_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1  # used where there is no test/ inside
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_place(self) -> ImageFolderRecipe:
        if (self.path is None) == (self.url is None):
            raise ValueError("needs exactly one of path and url")
        return self


Recipe = Annotated[
    ShapesRecipe | TorchvisionRecipe | ImageFolderRecipe, Field(discriminator="source")
]
