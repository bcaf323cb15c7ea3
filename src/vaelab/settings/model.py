"""`model`: the VAE and its nets. A field of type `NetSettings` names an architecture."""

from __future__ import annotations

from inspect import isclass
from itertools import cycle
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from vaelab.settings.fields import Float, Section, meant

LikelihoodName = Literal["bernoulli", "continuous_bernoulli", "gaussian", "discretized_logistic"]
PosteriorName = Literal["gaussian", "point"]


class NetSettings(Section):
    label: ClassVar[str]  # how tables and figures name the architecture


class FCSettings(NetSettings):
    label: ClassVar[str] = "FC"

    width: Annotated[
        Literal["match_conv"] | Annotated[int, Field(ge=1, le=16_384)],
        meant("match_conv, or a whole number from 1 to 16384"),
    ]  # match_conv: what gives FC as many parameters as Conv
    blocks: Annotated[int, Field(ge=0, le=16)]  # residual blocks in each net


class ConvSettings(NetSettings):
    label: ClassVar[str] = "Conv"

    width: Annotated[int, Field(ge=1, le=1024)]  # channels after the first halving
    blocks: Annotated[int, Field(ge=0, le=16)]  # residual blocks at each feature map


class ModelSettings(Section):
    latent_dim: Annotated[int, Field(ge=1, le=8192)]
    likelihood: LikelihoodName
    sigma: Annotated[
        Literal["learned"] | Annotated[Float, Field(gt=0, le=100)],
        meant("learned, or a number above 0 and up to 100"),
    ]  # of `gaussian`
    posterior: PosteriorName
    fc: FCSettings
    conv: ConvSettings

    @model_validator(mode="after")
    def _sigma_of_gaussian(self) -> ModelSettings:
        if self.sigma != "learned" and self.likelihood != "gaussian":
            raise ValueError(f"sigma can be fixed for gaussian only, not for {self.likelihood}")
        return self


ARCHITECTURES: dict[str, str] = {  # name -> label, in the order of tables and figures
    name: field.annotation.label
    for name, field in ModelSettings.model_fields.items()
    if isclass(field.annotation) and issubclass(field.annotation, NetSettings)
}
PALETTE = ("#d9812b", "#2a6fbb", "#2e8b57", "#8a5fb0", "#c0504d", "#6b8e23")
ARCHITECTURE_COLOURS = dict(zip(ARCHITECTURES, cycle(PALETTE), strict=False))
