"""Measure every model, PCA and the mean image on the test split, and the images they generate.

python src/stages/compare.py cifar10
"""

from stage import check, run_stage

if __name__ == "__main__":
    check(__doc__)

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from vaelab.data.arrays import ImageArrays, ImageRows
from vaelab.metrics.frame import flat, frame, rows
from vaelab.metrics.inception import check_weights
from vaelab.metrics.pca import fit_pca
from vaelab.nets.saved import load_all
from vaelab.plotting.style import NAMES
from vaelab.runtime import tracking
from vaelab.runtime.outputs import write_csv, write_json
from vaelab.runtime.progress import steps
from vaelab.samplers import saved
from vaelab.settings import DatasetSettings, load_settings
from vaelab.studies.compare import generated as gen
from vaelab.studies.compare import measure as ms
from vaelab.studies.compare.draw import draw
from vaelab.vae.device import select_device
from vaelab.vae.inference import device_of, encode
from vaelab.vae.model import VAE, seed_dir

SHARES = {"bounds and probes": 8.0, "samplers": 20.0, "generated images": 2.0}  # of each model
AFTER = {"PCA and the mean image": 7.0, "distances to real images": 9.0, "figures": 6.0}


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    options = settings.compare
    weights = Path(options.inception_weights).expanduser() if options.inception_weights else None
    if weights:
        check_weights(weights)
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    models = load_all(settings.models_dir, device)
    vae = next(iter(next(iter(models.values())).values()))
    plan = {
        f"{NAMES[model]}, seed {seed}: {part}": share
        for model, seeds in models.items()
        for seed in seeds
        for part, share in SHARES.items()
    }
    with (
        tracking.run("compare", settings, images.meta, name=f"compare-z{vae.latent_dim}") as run,
        steps("compare", plan | AFTER) as step,
    ):
        real = gen.RealImages.of(images, options)
        compared = {
            model: [compare(vae, seed, images, real, settings, step) for seed, vae in seeds.items()]
            for model, seeds in models.items()
        }
        step("PCA and the mean image")
        pca = fit_pca(images.train.images, vae.latent_dim, seed=options.seed)
        codes = pca.encode(images.train.images)
        every = [each for seeds in compared.values() for each in seeds]
        table = [rows(each.model, each.measured.figures, seed=each.seed) for each in every]
        table.append(rows("pca", ms.measure_pca(pca, codes, images, options.seed)))
        table.append(rows("mean_image", ms.measure_mean_image(images)))

        step("distances to real images")
        groups: dict[gen.Key, Mapping[str, ImageRows]] = {("data", None): {gen.FLOOR: real.other}}
        groups |= {(each.model, each.seed): each.generated for each in every}
        groups["pca", None] = gen.generate_by_pca(pca, codes, real, options.seed)
        judged, inception = gen.judge_all(real, groups, weights, options.seed, device)
        figures = frame(*table, *judged)

        step("figures")
        folder = settings.report_dir / "compare"
        headline = ms.headline(figures, list(models))
        write_json(settings.metrics_dir / "compare.json", headline)
        write_csv(folder / "measures.csv", figures)
        write_csv(settings.report_dir / "curves.csv", ms.curves(every))
        ms.write_tables(figures, folder)
        conditions = {"generated": len(real.other), "inception": inception}
        write_json(folder / "facts.json", ms.facts(settings, images, every) | conditions)
        draw(compared, pca, images, figures, options, folder)
        run.log_metrics(flat(headline))
        run.log_artifact(folder, folder.name)


def compare(
    vae: VAE,
    seed: int,
    images: ImageArrays,
    real: gen.RealImages,
    settings: DatasetSettings,
    step: Callable[[str], None],
) -> ms.Compared:
    """One trained model; its fitted samplers are kept."""
    model, options = vae.config.architecture, settings.compare
    bounds, sampling, generating = (f"{NAMES[model]}, seed {seed}: {part}" for part in SHARES)
    step(bounds)
    train, test = encode(vae, images.train.images), encode(vae, images.test.images)
    measured = ms.measure(vae, images, train, test, options)
    step(sampling)
    samplers = gen.fit_samplers(train, images.train.labels, options, device_of(vae))
    saved.save(samplers, seed_dir(settings.samplers_dir / model, seed))
    step(generating)
    generated = gen.generate(vae, samplers, test, real, options.seed)
    history = pd.read_csv(seed_dir(settings.model_dir(model), seed) / "history.csv")
    return ms.Compared(vae, seed, measured, samplers, generated, history)


if __name__ == "__main__":
    run_stage(main, __doc__)
