"""Named regions: what is decoded from each, and where the model stops making sense."""

from pathlib import Path

from chapters import Told
from vaelab.data.arrays import ImageArrays
from vaelab.plotting.style import save
from vaelab.report.regions import regions_chapter
from vaelab.runtime.outputs import write_csv
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import draw_regions as figures
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.regions import explore_regions


def tell(
    models: dict[str, Encoded], images: ImageArrays, settings: LatentExploreSettings, folder: Path
) -> Told:
    found = explore_regions(models, images, settings)
    write_csv(folder / "regions.csv", found.rows)
    regions = found.regions["fc"]
    names = [region.name for region in regions]
    save(figures.draw_regions(names, found.samples, found.shown), folder / "regions.png")
    save(figures.draw_measures(found.rows), folder / "region_measures.png")
    prior = [region.key for region in regions].index("prior")
    of_prior = {model: every[prior] for model, every in found.samples.items()}
    save(figures.draw_prior_samples(of_prior), folder / "prior_samples.png")
    definitions = {region.key: region.definition for region in regions}
    chapter = regions_chapter(found.rows, definitions, settings.samples, len(found.shown))
    return Told(chapter, found.headline(), found.metrics())
