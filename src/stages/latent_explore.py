"""Look around in both models' latent spaces: regions, dimensions, directions, and the whole map.

python src/stages/latent_explore.py cifar10
"""

from collections.abc import Iterable
from typing import Any

import chapters.dimensions
import chapters.directions
import chapters.map
import chapters.regions
from chapters import Figures
from stage import run_stage
from vaelab.data.arrays import ImageArrays
from vaelab.nets.saved import load_first
from vaelab.report.latent_explore import latent_report
from vaelab.runtime import tracking
from vaelab.runtime.outputs import write_json, write_text
from vaelab.settings import load_settings
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.device import select_device


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    vaes = load_first(settings.models_dir, device)
    latent_dim = vaes["fc"].latent_dim

    name = f"latent_explore-z{latent_dim}"
    with tracking.run("latent_explore", settings, images.meta, name=name) as run:
        models = {model: Encoded.of(vae, images) for model, vae in vaes.items()}
        folder = settings.report_dir / "latent_explore"
        told = [
            chapter.tell(models, images, settings.latent_explore, folder)
            for chapter in (
                chapters.map,
                chapters.regions,
                chapters.dimensions,
                chapters.directions,
            )
        ]
        write_json(
            settings.metrics_dir / "latent_explore.json", together(each.headline for each in told)
        )
        run.log_metrics(
            {
                f"{model}.{group}.{figure}": value
                for model, groups in together(each.logged for each in told).items()
                for group, figures in groups.items()
                for figure, value in figures.items()
            }
        )
        report = settings.report_dir / "latent_explore.md"
        write_text(report, latent_report(dataset, latent_dim, [each.chapter for each in told]))
        run.log_artifact(report)
        run.log_artifact(folder, folder.name)


def together(every: Iterable[Figures]) -> dict[str, dict[str, Any]]:
    """Of all chapters: model -> group -> figure."""
    tree: dict[str, dict[str, Any]] = {}
    for figures in every:
        for model, groups in figures.items():
            tree.setdefault(model, {}).update(groups)
    return tree


if __name__ == "__main__":
    run_stage(main, __doc__)
