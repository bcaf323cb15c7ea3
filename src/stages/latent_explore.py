"""Look around in the models' latent spaces: the whole map, regions, dimensions, directions.

python src/stages/latent_explore.py cifar10
"""

from stage import check, run_stage

if __name__ == "__main__":
    check(__doc__)

from vaelab.data.arrays import ImageArrays
from vaelab.metrics.frame import flat, frame, mean
from vaelab.nets.saved import load_first
from vaelab.runtime import tracking
from vaelab.runtime.outputs import write_csv, write_json
from vaelab.runtime.progress import steps
from vaelab.samplers.saved import first_mixture
from vaelab.settings import load_settings
from vaelab.studies.latent import dimensions, directions, map, regions
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.device import select_device

PARTS = {"map": map, "regions": regions, "dimensions": dimensions, "directions": directions}
SECONDS = {"encode": 3, "map": 23, "regions": 65, "dimensions": 27, "directions": 9}
HEADLINE = {  # of each model, for `dvc exp show`: source and measure
    "prior_inside": ("encodings", "prior_inside"),
    "prior_round_trip": ("prior", "round_trip"),
    "same_class": ("encodings", "same_class"),
}


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    vaes = load_first(settings.models_dir, select_device(settings.train.device))
    latent_dim = next(iter(vaes.values())).latent_dim
    folder = settings.report_dir / "latent_explore"

    name = f"latent_explore-z{latent_dim}"
    with (
        tracking.run("latent_explore", settings, images.meta, name=name) as run,
        steps(f"latent_explore@{dataset}", SECONDS) as step,
    ):
        step("encode")
        models = {
            model: Encoded.of(vae, images, first_mixture(settings, vae))
            for model, vae in vaes.items()
        }
        found = {}
        for part, module in PARTS.items():
            step(part)
            found[part] = module.explore(models, images, settings.latent_explore, folder)

        figures = frame(*(each.figures for each in found.values()))
        facts = {part: each.facts for part, each in found.items()}
        write_csv(folder / "measures.csv", figures)
        write_json(folder / "facts.json", {"dataset": dataset, "latent_dim": latent_dim, **facts})
        headline = {
            model: {
                key: mean(figures, model, measure, source)
                for key, (source, measure) in HEADLINE.items()
            }
            for model in models
        }
        write_json(settings.metrics_dir / "latent_explore.json", headline)
        run.log_metrics(flat(headline))
        run.log_artifact(folder, folder.name)


if __name__ == "__main__":
    run_stage(main, __doc__)
