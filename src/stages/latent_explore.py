"""Look around in both models' latent spaces: regions, traversals, a plane, and the encodings.

python src/stages/latent_explore.py cifar10
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from stage import run_stage
from vaelab import latent, tracking
from vaelab.aggregate import encoding_statistics
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_device
from vaelab.figures import latent as figures
from vaelab.figures.common import save
from vaelab.inference import decode, encode
from vaelab.models import VAE, Posterior
from vaelab.models.load import load_vae
from vaelab.objective import kl_to_standard_normal
from vaelab.readout import factor_targets, linear_readout
from vaelab.reports.common import write_csv, write_json, write_text
from vaelab.reports.latent_explore import latent_report
from vaelab.settings import ARCHITECTURES, LatentExploreSettings, load_settings

REFERENCE = 512  # real test images that samples are compared with
TRAVERSED = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
PLANE_SIDE = 9
HEADLINE = {"data", "prior", "encodings"}  # what becomes columns of `dvc exp show`


@dataclass(frozen=True)
class Explored:
    """One model's latent space. Images are float32 in [0, 1]."""

    posterior: Posterior  # of the test split
    kl: Tensor  # (latent_dim,), mean over the test split, nats
    regions: list[latent.Region]
    samples: list[NDArray[Any]]  # for each region (n, C, H, W)
    dimensions: list[str]  # those traversed, most informative first, and what each holds
    traversals: NDArray[Any]  # (dimensions, values, C, H, W)
    plane: latent.Plane
    grid: NDArray[Any]  # (PLANE_SIDE², C, H, W)
    projection: latent.Projection


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    vaes = {model: load_vae(settings.model_dir(model), device) for model in ARCHITECTURES}
    latent_dim = vaes["fc"].latent_dim
    samples = settings.latent_explore.samples

    generator = torch.Generator().manual_seed(settings.latent_explore.seed)
    noise = torch.randn(samples, latent_dim, generator=generator)
    order = torch.randperm(len(images.test), generator=generator)
    chosen = order[torch.arange(samples) % len(order)]

    name = f"latent_explore-z{latent_dim}"
    with tracking.run("latent_explore", settings, images.meta, name=name) as run:
        explored: dict[str, Explored] = {
            model: explore(vae, images, noise, chosen, settings.latent_explore)
            for model, vae in vaes.items()
        }
        rows = compare_regions(explored, images, order[:REFERENCE], device)
        metrics = summarise(rows, explored)
        if images.meta.factor_names:
            for model, vae in vaes.items():
                metrics[model]["readout"] = read_factors(vae, images, explored[model].posterior)
        headline = {
            model: {key: figures for key, figures in found.items() if key in HEADLINE}
            for model, found in metrics.items()
        }
        write_json(settings.metrics_dir / "latent_explore.json", headline)
        run.log_metrics(
            {
                f"{model}.{region}.{figure}": value
                for model, regions in metrics.items()
                for region, values in regions.items()
                for figure, value in values.items()
            }
        )

        folder = settings.report_dir / "latent_explore"
        write_csv(folder / "regions.csv", rows)
        draw(explored, images, chosen, folder)
        report = settings.report_dir / "latent_explore.md"
        names = {region.key: region.name for region in explored["fc"].regions}
        reference = min(REFERENCE, len(order))
        write_text(report, latent_report(dataset, latent_dim, samples, reference, names, metrics))
        run.log_artifact(report)
        run.log_artifact(folder, folder.name)


def explore(
    vae: VAE, images: ImageArrays, noise: Tensor, chosen: Tensor, settings: LatentExploreSettings
) -> Explored:
    """noise: (n, latent_dim), standard normal; chosen: (n,), numbers of test images."""
    posterior = encode(vae, images.test.images)
    kl = kl_to_standard_normal(*posterior).mean(0)
    regions = latent.regions(noise, posterior, torch.tensor(images.test.labels), chosen, settings)
    held = kl if vae.stochastic else posterior.mu.var(0, correction=0)
    dimensions = held.argsort(descending=True, stable=True)[: settings.traversals].tolist()
    unit = "nats" if vae.stochastic else "variance"
    values = torch.tensor(TRAVERSED)
    lines = [latent.traverse(posterior.mu[chosen[0]], i, values) for i in dimensions]
    plane = latent.plane_through(posterior.mu[chosen[:3]])
    return Explored(
        posterior,
        kl,
        regions,
        [decode(vae, region.z) for region in regions],
        [f"z{i} · {held[i]:.2f} {unit}" for i in dimensions],
        decode(vae, torch.cat(lines)).reshape(len(lines), len(values), *images.shape),
        plane,
        decode(vae, plane.grid(PLANE_SIDE)),
        latent.principal_components(posterior.mu),
    )


def compare_regions(
    explored: dict[str, Explored], images: ImageArrays, reference: Tensor, device: torch.device
) -> list[dict[str, Any]]:
    """A row for the real test images numbered in `reference`, then one for each model's regions.

    Sharpness and diversity as they are, and relative to the real images': None where those have
    none.
    """
    pixels = torch.from_numpy(images.test.images[reference.numpy()]).float() / 255.0
    sampled = [torch.from_numpy(every) for found in explored.values() for every in found.samples]
    real, *variations = latent.variation([pixels, *sampled], images.train.images, device)
    places: list[tuple[str, str, str, float | None]] = [("data", "data", "Real test images", None)]
    for model, found in explored.items():
        for key, name, z in found.regions:
            radius = float(z.norm(dim=1).mean()) / z.shape[1] ** 0.5
            places.append((model, key, name, radius))
    return [
        {
            "model": model,
            "region": key,
            "name": name,
            "radius": radius,
            "sharpness": latent.share(found.sharpness, real.sharpness),
            "diversity": latent.share(found.diversity, real.diversity),
            "nearest": found.nearest,
            "laplacian": found.sharpness,
            "pairwise_rmse": found.diversity,
        }
        for (model, key, name, radius), found in zip(places, [real, *variations], strict=True)
    ]


def summarise(
    rows: list[dict[str, Any]], explored: dict[str, Explored]
) -> dict[str, dict[str, dict[str, float | None]]]:
    """model -> region -> figure; a model's `encodings` beside its regions."""
    metrics: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in rows:
        figures = {key: row[key] for key in ("radius", "sharpness", "diversity", "nearest")}
        metrics.setdefault(row["model"], {})[row["region"]] = figures
    for model, found in explored.items():
        statistics = encoding_statistics(found.posterior, found.kl)
        metrics[model]["encodings"] = {**statistics._asdict()}
    return metrics


def read_factors(vae: VAE, images: ImageArrays, test: Posterior) -> dict[str, float | None]:
    """R² of each known factor, read linearly from mu: fitted on val, scored on test."""
    val = encode(vae, images.val.images)
    fitted, scored = (
        factor_targets(images.meta.factor_names, torch.tensor(split.factors))
        for split in (images.val, images.test)
    )
    return {name: linear_readout(val.mu, fitted[name], test.mu, scored[name]) for name in fitted}


def draw(explored: dict[str, Explored], images: ImageArrays, chosen: Tensor, folder: Path) -> None:
    tests = images.test.images[chosen.numpy()]
    regions = explored["fc"].regions
    prior = [region.key for region in regions].index("prior")
    names = [region.name for region in regions]
    samples = {model: found.samples for model, found in explored.items()}
    save(
        figures.draw_prior_samples({model: every[prior] for model, every in samples.items()}),
        folder / "prior_samples.png",
    )
    save(figures.draw_regions(names, samples, tests), folder / "regions.png")
    labels = {model: found.dimensions for model, found in explored.items()}
    traversals = {model: found.traversals for model, found in explored.items()}
    save(figures.draw_traversals(traversals, labels, TRAVERSED), folder / "traversals.png")
    save(
        figures.draw_plane(
            tests[:3],
            {model: found.grid for model, found in explored.items()},
            {model: found.plane.coordinates.numpy() for model, found in explored.items()},
            {model: found.plane.square() for model, found in explored.items()},
        ),
        folder / "plane.png",
    )
    save(
        figures.draw_encodings(
            {model: found.projection.coordinates.numpy() for model, found in explored.items()},
            {model: found.projection.explained.tolist() for model, found in explored.items()},
            images.test.labels,
            images.meta.class_names,
        ),
        folder / "encodings.png",
    )


if __name__ == "__main__":
    run_stage(main, __doc__)
