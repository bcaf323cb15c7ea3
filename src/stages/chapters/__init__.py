"""The chapters of `latent_explore`: each measures, draws, and tells what it found.

A chapter's module has `tell(models, images, settings, folder)`: models are those compared, by
architecture; figures and tables go into the folder, reports/D/latent_explore.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vaelab.report.common import Chapter

Figures = Mapping[str, Mapping[str, Mapping[str, float | None]]]  # model -> group -> figure


@dataclass(frozen=True)
class Told:
    """What a chapter hands over."""

    chapter: Chapter
    headline: Figures  # for the metrics file: the same keys whatever the data set
    logged: Figures  # for MLflow
