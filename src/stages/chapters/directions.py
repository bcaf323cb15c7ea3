"""Attributes and classes as directions: walks along them, and arithmetic with them."""

from pathlib import Path

from chapters import Told
from vaelab.data.arrays import ImageArrays
from vaelab.plotting.style import save
from vaelab.report.directions import directions_chapter
from vaelab.runtime.outputs import write_csv
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import draw_directions as figures
from vaelab.studies.latent.directions import STEPS, Directions, explore
from vaelab.studies.latent.encoded import Encoded

HEADLINE = ("auc", "share", "share_other", "mean_hit")


def tell(
    models: dict[str, Encoded], images: ImageArrays, settings: LatentExploreSettings, folder: Path
) -> Told:
    found = explore(models, images, settings)
    if found is None:
        unknown = {model: {"directions": dict.fromkeys(HEADLINE)} for model in models}
        return Told(directions_chapter([], [], {}), unknown, unknown)
    rows = found.rows()
    write_csv(folder / "directions.csv", rows)
    names = [each.group.name for each in found.chosen]
    walked = any(row["beats_chance"] for row in rows if row["direction"] in names)
    if len(found.groups) > 2:
        every = [group.name for group in found.groups]
        bold = names if walked and len(names) < len(every) else []
        ranked = any(row["beats_chance"] for row in rows)
        save(figures.draw_auc(every, found.auc, bold, ranked), folder / "directions_auc.png")
    if walked:
        draw(found, names, folder)
    metrics = {model: {"directions": each} for model, each in found.metrics().items()}
    return Told(directions_chapter(rows, names, found.cosines), metrics, metrics)


def draw(found: Directions, names: list[str], folder: Path) -> None:
    chosen = found.chosen
    labels = [
        [each.group.name if inside else each.group.rest for inside in each.inside]
        for each in chosen
    ]
    measured = {model: [each.measured[model] for each in chosen] for model in found.auc}
    walks = {model: [each.walks for each in every] for model, every in measured.items()}
    scores = {model: [each.walk[:2] for each in every] for model, every in measured.items()}
    save(
        figures.draw_walks([each.shown for each in chosen], labels, walks, STEPS),
        folder / "directions.png",
    )
    save(figures.draw_scores(names, scores, STEPS), folder / "direction_scores.png")
    terms = {each.group.name: each.terms for each in chosen if each.terms}
    if terms:
        results = {
            model: [each.results for each in every if each.results is not None]
            for model, every in measured.items()
        }
        drawn = figures.draw_arithmetic([*terms], [*terms.values()], results)
        save(drawn, folder / "arithmetic.png")
