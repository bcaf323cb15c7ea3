"""`interpolate`: between which images, and by how many steps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaelab.settings.fields import ImageNumber, PicturePath, Section, Seed


def _of_two_images(pairs: int | list[list[int | str]]) -> int | list[list[int | str]]:
    if not isinstance(pairs, int) and any(first == second for first, second in pairs):
        raise ValueError("pairs of two different images")
    return pairs


class InterpolateSettings(Section):
    pairs: Annotated[
        Annotated[int, Field(ge=1, le=12)]
        | Annotated[
            list[Annotated[list[ImageNumber | PicturePath], Field(min_length=2, max_length=2)]],
            Field(min_length=1, max_length=12),
        ],
        AfterValidator(_of_two_images),
    ]  # shown: how many, or [[test image or file, test image or file], …]
    corners: (
        Literal["drawn"]
        | Annotated[list[ImageNumber | PicturePath], Field(min_length=4, max_length=4)]
    )  # of the grid between four images
    measured: Annotated[int, Field(ge=2, le=10_000)]  # pairs that the figures are of
    relaxation: Annotated[int, Field(ge=1, le=10_000)]  # steps of the data-following paths' descent
    steps: Annotated[int, Field(ge=3, le=15)]  # images of a path, both ends included
    seed: Seed
