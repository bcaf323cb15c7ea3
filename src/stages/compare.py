"""Measure both models, PCA and the mean image on the test split, and the images they generate.

    python src/stages/compare.py cifar10

The tables as JSON, CSV and Markdown, and the figures that stand beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from stage import run_stage
from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.metrics.inception import check_weights
from vaelab.metrics.nearest import nearest
from vaelab.metrics.pca import PCA, fit_pca
from vaelab.metrics.spread import mean_and_sd
from vaelab.nets.saved import load_all
from vaelab.plotting.style import save
from vaelab.report.compare import Conditions, compare_report
from vaelab.runtime import tracking
from vaelab.runtime.outputs import write_csv, write_json, write_text
from vaelab.samplers.gaussians import ClassGaussians
from vaelab.settings import (
    ARCHITECTURES,
    CompareSettings,
    DatasetSettings,
    load_settings,
)
from vaelab.studies.compare import draw as figures
from vaelab.studies.compare.generated import (
    FLOOR,
    NEAREST,
    RECONSTRUCTION,
    RealImages,
    add_inception,
    fit_samplers,
    generate,
    generate_by_pca,
    judge,
)
from vaelab.studies.compare.measure import (
    Evaluation,
    Posteriors,
    Row,
    choose,
    evaluate,
    evaluate_mean_image,
    evaluate_pca,
    pixel_entropy,
    probe_pixels,
)
from vaelab.vae.device import select_device
from vaelab.vae.inference import decode, device_of
from vaelab.vae.model import VAE, seed_dir
from vaelab.vae.pixels import to_floats, to_uint8

OF_A_CLASS = 10  # images, in the figure of class-conditional samples
BESIDE_NEAREST = 12  # samples, in the figure of their nearest training images
Judged = dict[str, dict[str, list[Row]]]  # model -> source of the images -> a row for each seed


@dataclass(frozen=True)
class Compared:
    """One trained model, measured."""

    vae: VAE
    mu: Tensor  # (N, latent_dim), of the test split
    evaluation: Evaluation
    generated: dict[str, UInt8Array]  # source -> (n, C, H, W)
    judged: dict[str, Row]  # source -> figures
    of_classes: UInt8Array | None  # OF_A_CLASS samples of each class in turn
    history: pd.DataFrame


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    options = settings.compare
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    vaes = load_all(settings.models_dir, device)
    seeds = list(vaes["fc"])
    latent_dim = vaes["fc"][seeds[0]].latent_dim

    if options.inception_weights is not None:
        check_weights(Path(options.inception_weights).expanduser())

    with tracking.run("compare", settings, images.meta, name=f"compare-z{latent_dim}") as run:
        real = RealImages.of(images, options)
        floor = judge(real, {FLOOR: real.other}, device)
        compared = {
            model: [
                compare(vae, seed_dir(settings.model_dir(model), seed), images, real, options)
                for seed, vae in of_model.items()
            ]
            for model, of_model in vaes.items()
        }
        pca = fit_pca(images.train.images, latent_dim, seed=options.seed)
        codes = pca.encode(images.train.images)
        by_pca = generate_by_pca(pca, codes, real, options.seed)
        judged_pca = judge(real, by_pca, device)
        rows: dict[str, list[Row]] = {
            **{
                str(model): [each.evaluation.row for each in every]
                for model, every in compared.items()
            },
            "pca": [evaluate_pca(pca, codes, images, options.seed)],
            "mean_image": [evaluate_mean_image(images)],
        }

        everything = [(floor, {FLOOR: real.other}), (judged_pca, by_pca)]
        everything += [
            (each.judged, each.generated) for every in compared.values() for each in every
        ]
        inception = add_inception(everything, real, options, device)
        judged: Judged = {
            model: {source: [each.judged[source] for each in every] for source in every[0].judged}
            for model, every in compared.items()
        }
        judged["pca"] = {source: [row] for source, row in judged_pca.items()}

        folder = settings.report_dir / "compare"
        metrics = summarise(rows, judged, floor[FLOOR])
        write_json(settings.metrics_dir / "compare.json", metrics)
        write_tables(rows, judged, floor[FLOOR], seeds, folder)
        draw(compared, pca, images, rows, judged, floor[FLOOR], settings, folder)
        conditions = conditions_of(compared, pca, images, real, seeds, settings)
        pixels = probe_pixels(images, options.seed)
        probes = pixels and pixels._asdict()
        report = settings.report_dir / "compare.md"
        write_text(
            report, compare_report(conditions, rows, probes, judged, floor[FLOOR], inception)
        )
        run.log_metrics(
            {
                f"{row}.{key}": value
                for row, found in metrics.items()
                for key, value in found.items()
            }
        )
        run.log_artifact(report)
        run.log_artifact(folder, folder.name)


def compare(
    vae: VAE, folder: Path, images: ImageArrays, real: RealImages, options: CompareSettings
) -> Compared:
    """folder: where training left what it cost, and its history."""
    device = device_of(vae)
    posteriors = Posteriors.of(vae, images)
    samplers = fit_samplers(posteriors.train, images.train.labels, options, device)
    generated = generate(vae, samplers, posteriors.test, real, options.seed)
    of_classes = None
    if isinstance(by_class := samplers.get("class"), ClassGaussians):
        classes = by_class.labels.repeat_interleave(OF_A_CLASS)
        z = by_class.sample_classes(classes, torch.Generator().manual_seed(options.seed))
        of_classes = to_uint8(decode(vae, z))
    return Compared(
        vae,
        posteriors.test.mu,
        evaluate(vae, images, posteriors, options),
        generated,
        judge(real, generated, device),
        of_classes,
        pd.read_csv(folder / "history.csv"),
    )


def conditions_of(
    compared: Mapping[str, list[Compared]],
    pca: PCA,
    images: ImageArrays,
    real: RealImages,
    seeds: list[int],
    settings: DatasetSettings,
) -> Conditions:
    first = compared["fc"][0]
    config, options = first.vae.config, settings.compare
    ceilings = [each.evaluation.ceiling for every in compared.values() for each in every]
    return Conditions(
        dataset=settings.dataset,
        shape=images.shape,
        test_images=len(images.test),
        latent_dim=config.latent_dim,
        pca_components=len(pca.components),
        likelihood=config.likelihood,
        sigma=config.sigma,
        posterior=config.posterior,
        proper=first.vae.likelihood.proper,
        beta=first.history["beta"].iloc[-1],
        epochs=len(first.history),
        seeds=seeds,
        elbo_samples=options.elbo_samples,
        iw_samples=options.iw_samples,
        generated=len(real.other),
        nearest_images=min(NEAREST, len(real.other)),
        temperature=options.temperature,
        mixture_components=options.mixture_components,
        pixel_entropy=(
            pixel_entropy(images.test.images) if config.likelihood == "bernoulli" else None
        ),
        saturation=next((ceiling for ceiling in ceilings if ceiling is not None), None),
    )


def summarise(
    rows: Mapping[str, list[Row]], judged: Judged, floor: Row
) -> dict[str, dict[str, float | None]]:
    """Means over the seeds, for `dvc exp show` and MLflow: model -> figure, and the distances."""

    def means(seeds: list[Row]) -> dict[str, float | None]:
        return {key: spread and spread.mean for key, spread in mean_and_sd(seeds).items()}

    metrics = {model: means(seeds) for model, seeds in rows.items()}
    for key in ("swd", "fid", "kid"):
        if floor[key] is not None:
            metrics[key] = {FLOOR: floor[key]} | {
                f"{model}_{source}": means(seeds)[key]
                for model, sources in judged.items()
                for source, seeds in sources.items()
            }
    return metrics


def write_tables(
    rows: Mapping[str, list[Row]], judged: Judged, floor: Row, seeds: list[int], folder: Path
) -> None:
    """table.csv and generated.csv: a line for each model, source of images and seed."""

    def lines(every: list[Row], **names: str) -> list[dict[str, object]]:
        of_seeds = seeds if names["model"] in ARCHITECTURES else [None]
        return [{**names, "seed": seed, **row} for seed, row in zip(of_seeds, every, strict=True)]

    table = [line for model, every in rows.items() for line in lines(every, model=model)]
    generated = lines([floor], model="data", source=FLOOR)
    for model, sources in judged.items():
        for source, every in sources.items():
            generated += lines(every, model=model, source=source)
    write_csv(folder / "table.csv", table)
    write_csv(folder / "generated.csv", generated)


def draw(
    compared: Mapping[str, list[Compared]],
    pca: PCA,
    images: ImageArrays,
    rows: Mapping[str, list[Row]],
    judged: Judged,
    floor: Row,
    settings: DatasetSettings,
    folder: Path,
) -> None:
    """The first seed's models; the training curves of all."""
    first = {model: every[0] for model, every in compared.items()}
    some = choose(len(images.test), settings.compare.images, settings.compare.seed)
    originals = images.test.images[some]
    decoded: dict[str, NDArray[Any]] = {
        model: decode(each.vae, each.mu[torch.from_numpy(some)]) for model, each in first.items()
    }
    drawn = {
        "reconstructions": figures.draw_reconstructions(
            originals,
            decoded | {"pca": pca.reconstruct(originals)},
            {model: float(rows[model][0]["psnr"] or 0.0) for model in (*decoded, "pca")},
        ),
        "samples": figures.draw_samples(
            {
                model: {
                    source: samples[: settings.compare.samples]
                    for source, samples in each.generated.items()
                    if source != RECONSTRUCTION
                }
                for model, each in first.items()
            }
        ),
        "swd": figures.draw_swd(judged, floor),
        "training_curves": figures.draw_training_curves(
            {model: [each.history for each in every] for model, every in compared.items()}
        ),
    }
    flow = {model: each.generated["flow"][:BESIDE_NEAREST] for model, each in first.items()}
    near = nearest([to_floats(samples) for samples in flow.values()], images.train.images)
    drawn["nearest"] = figures.draw_nearest(
        flow,
        {
            model: images.train.images[found.index.numpy()]
            for model, found in zip(flow, near, strict=True)
        },
    )
    of_classes = {
        model: each.of_classes for model, each in first.items() if each.of_classes is not None
    }
    if of_classes:
        present = np.unique(images.train.labels)
        names = [images.meta.class_names[label] for label in present]
        drawn["classes"] = figures.draw_classes(of_classes, names, OF_A_CLASS)
    if first["fc"].vae.stochastic:
        drawn["kl_by_dimension"] = figures.draw_kl_by_dimension(
            {model: each.evaluation.kl_per_dimension.numpy() for model, each in first.items()},
            {model: int(each.evaluation.row["active_units"] or 0) for model, each in first.items()},
        )
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")


if __name__ == "__main__":
    run_stage(main, __doc__)
