"""`latent_explore`: which regions, dimensions and directions are looked at."""

from typing import Annotated

from pydantic import AfterValidator, Field

from vaelab.settings.fields import Float, Section, Seed, meant, rising


def _told_apart(values: list[float]) -> list[float]:
    if len({f"{value:g}" for value in values}) < len(values):  # as the outputs name them
        raise ValueError("numbers that differ within their first six digits")
    return values


def _named_once(directions: int | list[str]) -> int | list[str]:
    if not isinstance(directions, int) and len(set(directions)) < len(directions):
        raise ValueError("names that differ")
    return directions


Multiples = Annotated[
    list[Annotated[Float, Field(gt=0, le=100)]],
    Field(min_length=1, max_length=6),
    AfterValidator(_told_apart),
]


class LatentExploreSettings(Section):
    samples: Annotated[int, Field(ge=8, le=1024)]  # for each region
    shells: Annotated[
        list[Annotated[Float, Field(gt=0, lt=1)]],
        Field(min_length=1, max_length=6),
        AfterValidator(_told_apart),
    ]  # quantiles of the encodings' radius
    temperatures: Multiples
    deciles: Annotated[
        list[Annotated[int, Field(ge=1, le=10)]],
        Field(min_length=1, max_length=10),
        AfterValidator(rising),
    ]  # of the encodings by their density; 1 is the rarest tenth
    far: Annotated[Float, Field(gt=0, le=100)]  # a radius, in units of sqrt(latent_dim)
    traversals: Annotated[int, Field(ge=1, le=16)]
    directions: Annotated[
        Annotated[int, Field(ge=1, le=12)]
        | Annotated[list[str], Field(min_length=1, max_length=12)],
        meant("a number from 1 to 12, or a list of 1 to 12 names of classes or attributes"),
        AfterValidator(_named_once),
    ]
    mapped: Annotated[int, Field(ge=50, le=5_000)]  # test images on the map
    seed: Seed
