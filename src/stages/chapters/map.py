"""The whole map: the encodings in two dimensions, and the aggregated posterior beside the prior."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chapters import Told
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.aggregate import encoding_statistics
from vaelab.plotting.style import NAMES, save
from vaelab.report.map import COLLAPSED, map_chapter
from vaelab.runtime.outputs import write_csv
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import draw_map as figures
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.map import (
    EncodingMap,
    brightness_on_map,
    map_encodings,
    mapped_rows,
    mean_brightness,
    neighbourhoods,
    plane_through,
    principal_components,
    spread_out,
)
from vaelab.studies.latent.prior_fit import PriorFit
from vaelab.studies.latent.readout import read_factors
from vaelab.vae.inference import decode
from vaelab.vae.objective import kl_to_standard_normal

PLANE_SIDE = 9
HEADLINE = [
    "norm",
    "variance",
    "kl",
    "marginal_kl_lower",
    "radius_distance",
    "correlation_mean",
    "trust_pca",
    "trust_tsne",
    "same_class",
]


def tell(
    models: dict[str, Encoded], images: ImageArrays, settings: LatentExploreSettings, folder: Path
) -> Told:
    count, latent_dim = next(iter(models.values())).test.mu.shape
    rows = mapped_rows(count, settings.mapped, settings.seed)

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(settings.seed)

    maps = {
        model: map_encodings(encoded.test.mu, rows, settings.seed)
        for model, encoded in models.items()
    }
    fits = {model: PriorFit.of(each.test.sample(generator())) for model, each in models.items()}
    prior = PriorFit.of(torch.randn(count, latent_dim, generator=generator())).figures()
    measured = {
        model: measure(encoded, images, maps[model], fits[model], rows)
        for model, encoded in models.items()
    }
    draw_maps(maps, images, rows, folder)
    draw_fits(models, fits, folder)
    draw_plane(models, images, rows, folder)
    write_csv(
        folder / "marginals.csv",
        [
            {"model": model, **row}
            for model, fit in fits.items()
            for row in fit.rows(models[model].held)
        ],
    )
    logged = {
        model: {
            "encodings": {
                key: value for key, value in each.items() if not isinstance(value, Mapping)
            }
        }
        for model, each in measured.items()
    }
    headline = {
        model: {"encodings": {key: each[key] for key in HEADLINE}}
        for model, each in measured.items()
    }
    return Told(map_chapter(latent_dim, count, len(rows), measured, prior), headline, logged)


def measure(
    encoded: Encoded, images: ImageArrays, found: EncodingMap, fit: PriorFit, rows: Tensor
) -> dict[str, Any]:
    """rows: numbers of the test images on the map."""
    kl = kl_to_standard_normal(*encoded.test).mean(0)
    labels = torch.tensor(images.test.labels)[rows]
    along = principal_components(encoded.test.mu).coordinates
    names = images.meta.factor_names
    factors = torch.tensor(images.test.factors) if names else None
    return {
        **encoding_statistics(encoded.test, kl)._asdict(),
        **fit.figures(),
        **neighbourhoods(encoded.test.mu[rows], found, labels),
        "explained": float(found.explained.sum()),
        "brightness": brightness_on_map(along, images.test.images),
        "factors": {} if factors is None else read_factors(names, along, factors, along, factors),
        "collapsed": int((kl < COLLAPSED).sum()) if encoded.vae.stochastic else None,
    }


def draw_maps(
    maps: Mapping[str, EncodingMap], images: ImageArrays, rows: Tensor, folder: Path
) -> None:
    labels = images.test.labels[rows.numpy()]
    classes = images.meta.class_names
    brightness = mean_brightness(images.test.images[rows.numpy()])
    save(
        figures.draw_encodings(
            {model: each.pca.numpy() for model, each in maps.items()},
            {model: each.explained.tolist() for model, each in maps.items()},
            {
                model: None if each.tsne is None else each.tsne.numpy()
                for model, each in maps.items()
            },
            labels,
            classes,
            brightness.numpy(),
        ),
        folder / "encodings.png",
    )
    palette = figures.Palette(labels, classes)
    for model, each in maps.items():
        shown, centres = spread_out(each.best, figures.THUMBNAIL_SHARE)
        pictures = images.test.images[rows[shown].numpy()]
        title = f"{NAMES[model]}, {each.method}"
        drawn = figures.draw_thumbnails(title, pictures, centres.numpy(), labels[shown], palette)
        save(drawn, folder / f"thumbnails_{model}.png")


def draw_fits(models: Mapping[str, Encoded], fits: Mapping[str, PriorFit], folder: Path) -> None:
    unit = next(iter(models.values())).unit
    latent_dim = next(iter(models.values())).vae.latent_dim
    radii = {model: fit.radius.numpy() for model, fit in fits.items()}
    save(figures.draw_radii(radii, latent_dim), folder / "radius.png")
    save(
        figures.draw_marginals(
            {model: fit.z.numpy() for model, fit in fits.items()},
            {model: encoded.held.numpy() for model, encoded in models.items()},
            unit,
            {model: fit.sd.numpy() for model, fit in fits.items()},
            {model: fit.kurtosis.numpy() for model, fit in fits.items()},
        ),
        folder / "marginals.png",
    )
    if latent_dim > 1:
        correlations = {}
        for model, encoded in models.items():
            order = encoded.most_informative(latent_dim)
            correlations[model] = fits[model].correlation[order][:, order].numpy()
        save(figures.draw_correlations(correlations), folder / "correlation.png")


def draw_plane(
    models: Mapping[str, Encoded], images: ImageArrays, rows: Tensor, folder: Path
) -> None:
    """Through the first three images on the map."""
    three = rows[torch.arange(3) % len(rows)]
    planes = {model: plane_through(encoded.test.mu[three]) for model, encoded in models.items()}
    save(
        figures.draw_plane(
            images.test.images[three.numpy()],
            {
                model: decode(models[model].vae, plane.grid(PLANE_SIDE))
                for model, plane in planes.items()
            },
            {model: plane.coordinates.numpy() for model, plane in planes.items()},
            {model: plane.square(PLANE_SIDE) for model, plane in planes.items()},
        ),
        folder / "plane.png",
    )
