"""`interpolate`: between which images, and by how many steps."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaelab.settings.fields import ImageNumber, PicturePath, Section, Seed, meant

Pair = Annotated[list[ImageNumber | PicturePath], Field(min_length=2, max_length=2)]


def _of_two_images(pairs: int | list[Pair]) -> int | list[Pair]:
    if not isinstance(pairs, int) and any(first == second for first, second in pairs):
        raise ValueError("pairs of two different images")
    return pairs


class InterpolateSettings(Section):
    pairs: Annotated[
        Annotated[int, Field(ge=1, le=12)]
        | Annotated[list[Pair], Field(min_length=1, max_length=12)],
        meant(
            "a number of pairs from 1 to 12, or a list of 1 to 12 pairs of test image numbers or "
            "files such as [[3, 14], [15, photo.jpg]]"
        ),
        AfterValidator(_of_two_images),
    ]
    corners: Annotated[
        Literal["drawn"]
        | Annotated[list[ImageNumber | PicturePath], Field(min_length=4, max_length=4)],
        meant("drawn, or four test image numbers or files such as [3, 14, 15, a.jpg]"),
    ]
    measured: Annotated[int, Field(ge=2, le=10_000)]  # pairs that the figures are of
    relaxation: Annotated[int, Field(ge=1, le=10_000)]  # steps of the data-following paths' descent
    steps: Annotated[int, Field(ge=3, le=15)]  # images of a path, both ends included
    seed: Seed
