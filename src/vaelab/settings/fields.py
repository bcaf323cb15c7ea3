"""What the sections of params.yaml are made of: strict, frozen models, and the kinds of values."""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from vaelab.runtime.errors import masked

Number = TypeVar("Number", int, float)


def meant(allowed: str) -> WrapValidator:
    """Whatever is wrong with a value, `allowed` is what the message says may stand there."""

    def check(value: object, validate: ValidatorFunctionWrapHandler) -> object:
        try:
            return validate(value)
        except ValidationError:
            raise ValueError(allowed) from None

    return WrapValidator(check)


def _float_from_text(value: object) -> object:
    """YAML 1.1, which PyYAML reads, takes 1e-3 for text; DVC, on YAML 1.2, for a number."""
    exponent = r"[-+]?(\d+\.?\d*|\.\d+)e[-+]?\d+"
    if isinstance(value, str) and re.fullmatch(exponent, value, re.IGNORECASE):
        return float(value)
    return value


def rising(numbers: list[Number]) -> list[Number]:
    if any(before >= after for before, after in pairwise(numbers)):
        raise ValueError("different numbers in rising order")
    return numbers


def without_secrets(address: str) -> str:
    """What params.yaml says gets into dvc.lock, meta.json and MLflow."""
    bare = re.sub(r"^(https?://):?@", r"\1", re.sub(r"\$\{\w+\}", "", address))
    if masked(bare) != bare or not re.match(
        r"https?://(\[[^]@]*\]|[^:@/?#]*)(:\d*)?([/?#]|$)", bare
    ):
        raise ValueError(
            "an address without a password or a key, which belongs into ~/.netrc or, with ${NAME} "
            "in its place here, into the environment variable NAME"
        )
    return address


Float = Annotated[float, BeforeValidator(_float_from_text), Field(allow_inf_nan=False)]
Fraction = Annotated[Float, Field(gt=0, lt=1)]
ValueRange = Annotated[
    list[Float],
    Field(min_length=2, max_length=2),
    AfterValidator(rising),
    meant("two numbers, the smaller first, such as [0, 4095]"),
]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
ImageNumber = Annotated[int, Field(ge=0, lt=2**31)]
ImageSize = Annotated[int, Field(ge=16, le=512, multiple_of=4)]
Device = Annotated[
    str,
    Field(pattern=r"^(auto|cpu|cuda(:([0-9]|[1-9][0-9]))?|mps)$"),
    meant("auto, cpu, cuda, cuda:N or mps"),
]
Url = Annotated[
    str,
    Field(pattern=r"^https?://[^\s\x00-\x1f\x7f]+$"),
    meant("an address that begins with http:// or https://"),
    AfterValidator(without_secrets),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), meant("64 of the digits 0-9 and a-f")]
PicturesPath = Annotated[str, Field(pattern=r"\S"), meant("the path of a folder or an archive")]
PicturePath = Annotated[str, Field(pattern=r"\S")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values: Any) -> Any:
        """A mistyped name goes before all else: it is also the reason why another is missing."""
        for name in values if isinstance(values, Mapping) else ():
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise ValueError(f"{name}: no such setting; allowed here: {known}")
        return values
