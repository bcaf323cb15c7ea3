"""The report of `latent_explore`: chapters on one page, what weighs most in each on top."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vaelab.report.common import Chapter, bullets


def latent_report(dataset: str, latent_dim: int, chapters: Sequence[Chapter]) -> str:
    """Markdown, to stand beside the folder of figures.

    A chapter's first finding stands at the top of the page, with a link; the others in the chapter.
    """
    leading = bullets(
        f"[{chapter.heading}](#{_anchor(chapter.heading)}). {chapter.findings[0]}"
        for chapter in chapters
        if chapter.findings
    )
    body = "\n\n".join(chapter.markdown() for chapter in chapters)
    return f"""# The latent space: `{dataset}`, {latent_dim} latent dimensions

Where the encodings of test images lie, what is decoded from there and from elsewhere, and what
single dimensions and directions do, for the fully connected VAE (FC) and the convolutional one
(Conv).

{leading}

z is a code of d = {latent_dim} numbers, q(z|x) what the encoder makes of an image x, a Gaussian
with the mean mu, and q(z) the mixture of these over the test split, the aggregated posterior; the
prior is N(0, I). Information is in nats. Distances between images are root mean squares over their
pixels, which run from 0 to 1 (RMSE); SWD is the sliced Wasserstein distance of patches. How all is
measured is in docs/method.md.

{body}
"""


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
