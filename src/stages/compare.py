"""Measure both models, and PCA beside them, on the test split.

    python src/stages/compare.py cifar10

The table as JSON, CSV and Markdown, and the figures that stand beside it.
"""

import json
import math
import time

import pandas as pd
import torch

from stage import run_stage
from vaelab import tracking
from vaelab.comparison import (
    Row,
    choose,
    evaluate,
    evaluate_pca,
    pca_row,
    pixel_entropy,
    vae_row,
)
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_device
from vaelab.figures.common import save
from vaelab.figures.compare import (
    draw_kl_by_dimension,
    draw_reconstructions,
    draw_samples,
    draw_training_curves,
)
from vaelab.inference import decode, encode
from vaelab.models.load import load_vae
from vaelab.pca import fit_pca
from vaelab.reports.common import write_csv, write_json, write_text
from vaelab.reports.compare import Conditions, compare_report
from vaelab.settings import ARCHITECTURES, load_settings


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    test = images.test.images
    device = select_device(settings.train.device)
    vaes = {model: load_vae(settings.model_dir(model), device) for model in ARCHITECTURES}
    latent_dim = vaes["fc"].latent_dim
    likelihood = vaes["fc"].config.likelihood
    histories = {
        model: pd.read_csv(settings.report_dir / model / "history.csv") for model in ARCHITECTURES
    }
    trained = {
        model: json.loads((settings.metrics_dir / f"{model}.json").read_text())
        for model in ARCHITECTURES
    }
    seed = settings.compare.seed

    with tracking.run("compare", settings, images.meta, name=f"compare-z{latent_dim}") as run:
        evaluations = {
            model: evaluate(vae, test, elbo_samples=settings.compare.elbo_samples, seed=seed)
            for model, vae in vaes.items()
        }
        started = time.perf_counter()
        pca = fit_pca(images.train.images, latent_dim, seed=seed)
        pca_seconds = round(time.perf_counter() - started, 1)
        table: dict[str, Row] = {
            model: vae_row(vae, evaluations[model], trained[model]["seconds"])
            for model, vae in vaes.items()
        }
        floor = evaluate_pca(pca, test)
        table["pca"] = pca_row(pca, floor, pca_seconds)

        some = choose(len(test), settings.compare.images, seed)
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(settings.compare.samples, latent_dim, generator=generator)
        figures = {
            "reconstructions": draw_reconstructions(
                test[some],
                {model: decode(vae, encode(vae, test[some]).mu) for model, vae in vaes.items()}
                | {"pca": pca.reconstruct(test[some])},
                {model: each.bound.psnr for model, each in evaluations.items()}
                | {"pca": floor.psnr},
            ),
            "samples": draw_samples({model: decode(vae, z) for model, vae in vaes.items()}),
            "training_curves": draw_training_curves(histories),
            "kl_by_dimension": draw_kl_by_dimension(
                {model: each.kl_per_dimension.numpy() for model, each in evaluations.items()},
                {model: each.active_units for model, each in evaluations.items()},
            ),
        }
        conditions = Conditions(
            dataset=dataset,
            shape=images.shape,
            test_images=len(test),
            latent_dim=latent_dim,
            pca_components=len(pca.components),
            likelihood=likelihood,
            beta=histories["fc"]["beta"].iloc[-1],
            epochs=len(histories["fc"]),
            elbo_samples=settings.compare.elbo_samples,
            pixel_entropy=pixel_entropy(test) if likelihood == "bernoulli" else None,
        )

        folder = settings.report_dir / "compare"
        for name, figure in figures.items():
            save(figure, folder / f"{name}.png")
        write_csv(folder / "table.csv", [{"model": model, **row} for model, row in table.items()])
        write_json(settings.metrics_dir / "compare.json", table)
        write_text(settings.report_dir / "compare.md", compare_report(conditions, table))
        run.log_metrics(
            {
                f"{model}.{key}": value
                for model, row in table.items()
                for key, value in row.items()
                if value is not None and math.isfinite(value)
            }
        )
        run.log_artifact(settings.report_dir / "compare.md")
        run.log_artifact(folder, "compare")


if __name__ == "__main__":
    run_stage(main, __doc__)
