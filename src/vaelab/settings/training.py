"""`objective` and `train`: what is minimised, and how."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vaelab.settings.fields import Device, Float, Section, Seed, meant, rising


class ObjectiveSettings(Section):
    beta: Annotated[Float, Field(ge=0, le=1_000_000)]
    free_bits: Annotated[Float, Field(ge=0, le=1000)]  # nats for each latent dimension
    kl_warmup_epochs: Annotated[Float, Field(ge=0, le=100_000)]
    kl_cycles: Annotated[int, Field(ge=1, le=1000)]


class TrainSettings(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    min_steps: Annotated[int, Field(ge=0, le=100_000_000)]  # more epochs where these take fewer
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    flip: bool  # mirror every other image at random
    optimiser: Literal["adam", "muon"]
    learning_rate: Annotated[Float, Field(gt=0, le=1)]
    schedule: Literal["constant", "cosine"]
    seeds: Annotated[
        list[Seed], Field(min_length=1, max_length=20), AfterValidator(rising)
    ]  # a model is trained from each
    device: Device
    processes: Annotated[int, Field(ge=1, le=64)]  # that share every batch
    threads: Annotated[
        Literal["auto"] | Annotated[int, Field(ge=1, le=1024)],
        meant("auto, or a whole number from 1 to 1024"),
    ]  # auto: as many as there are idle cores when a stage starts
    precision: Literal["auto", "float32", "bfloat16"]
