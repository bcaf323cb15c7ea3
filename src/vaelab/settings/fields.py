"""What the sections of params.yaml are made of: strict, frozen models, and the kinds of values."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


def _float_from_text(value: object) -> object:
    """YAML 1.1, which PyYAML reads, takes 1e-3 for text; DVC, on YAML 1.2, for a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(_float_from_text), Field(allow_inf_nan=False)]
Fraction = Annotated[Float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
ImageNumber = Annotated[int, Field(ge=0, lt=2**31)]


def _matching(pattern: str, meaning: str) -> AfterValidator:
    """A text of this form; `meaning` is what a message says is allowed."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(meaning)
        return value

    return AfterValidator(check)


def rising(numbers: list[int]) -> list[int]:
    if any(before >= after for before, after in pairwise(numbers)):
        raise ValueError("different numbers in rising order")
    return numbers


Device = Annotated[
    str, _matching(r"auto|cpu|cuda(:([0-9]|[1-9][0-9]))?|mps", "auto, cpu, cuda, cuda:N or mps")
]
Url = Annotated[str, _matching(r"https?://\S+", "an address that begins with http:// or https://")]
PicturesPath = Annotated[str, _matching(r"(?s).*\S.*", "the path of a folder or an archive")]
PicturePath = Annotated[str, _matching(r"(?s).*\S.*", "the path of a picture")]
ImageSize = Annotated[int, Field(ge=16, le=512, multiple_of=4)]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "64 of the digits 0-9 and a-f")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
