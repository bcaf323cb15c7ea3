"""The page of `latent_explore`, from chapters that are made up."""

from vaelab.report.common import PAGE, Chapter
from vaelab.report.latent_explore import latent_report

LONG = " ".join(["figures"] * 30) + "."
CHAPTERS = [
    Chapter("Regions, and more", ["It leads.", LONG], "### Measures\n\ntext"),
    Chapter("Nothing to say", [], "a table"),
]


def test_what_leads_stands_on_top_and_the_rest_in_its_chapter() -> None:
    text = latent_report("toys", 16, CHAPTERS)
    top, chapters = text.split("## Regions, and more", 1)
    assert top.startswith("# The latent space: `toys`, 16 latent dimensions\n")
    assert "- [Regions, and more](#regions-and-more). It leads." in top
    assert "It leads." not in chapters
    assert "- figures figures" in chapters
    assert chapters.index("figures") < chapters.index("### Measures")
    assert "## Nothing to say\n\na table" in chapters
    assert "Nothing to say" not in top


def test_prose_is_wrapped() -> None:
    assert max(map(len, latent_report("toys", 16, CHAPTERS).splitlines())) <= PAGE
