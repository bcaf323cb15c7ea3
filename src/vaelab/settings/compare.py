"""`compare`: what is measured and shown of the models side by side."""

from typing import Annotated

from pydantic import Field

from vaelab.settings.fields import Float, Section, Seed


class CompareSettings(Section):
    elbo_samples: Annotated[int, Field(ge=1, le=10_000)]  # draws of z for each test image
    iw_samples: Annotated[int, Field(ge=1, le=10_000)]
    iw_images: Annotated[int, Field(ge=1, le=1_000_000)]  # for which they are drawn
    generated: Annotated[int, Field(ge=64, le=100_000)]  # images judged, of each sampler
    temperature: Annotated[Float, Field(gt=0, le=10)]
    mixture_components: Annotated[int, Field(ge=1, le=1000)]
    flow_steps: Annotated[int, Field(ge=1, le=10_000_000)]
    inception_weights: str | None
    images: Annotated[int, Field(ge=2, le=24)]  # columns of the reconstruction grid
    samples: Annotated[int, Field(ge=4, le=256)]
    seed: Seed
