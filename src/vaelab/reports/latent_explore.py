"""The report of `latent_explore`: chapters on one page, what weighs most in each on top."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vaelab.reports.common import Chapter, bullets


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
single dimensions and directions do, for FC and Conv. All distances between images are root mean
squares over their pixels, which run from 0 to 1.

{leading}

{body}
"""


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
