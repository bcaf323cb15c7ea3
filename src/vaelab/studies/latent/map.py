"""The whole of latent space: the encodings in two dimensions, and how they fill the prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaelab.data.arrays import ImageArrays
from vaelab.metrics.aggregate import encoding_statistics
from vaelab.metrics.frame import rows as figure_rows
from vaelab.metrics.neighbours import neighbourhoods, neighbours_of, varies
from vaelab.metrics.pca import principal_components
from vaelab.metrics.readout import factor_targets, linear_readout
from vaelab.plotting.style import save
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import Found, map_draw
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.map_draw import EncodingMap, Reading
from vaelab.vae.objective import kl_to_standard_normal

PERPLEXITY = 30.0  # of t-SNE, where there are images enough
FEWEST = 16  # images that t-SNE is shown: its perplexity is then 5
MASS = 0.95  # of N(0, I), between the two radii that `prior_inside` counts draws within
STEPS = 500  # of t-SNE; 1,000 points are in place by then
START = 1e-4  # standard deviation of t-SNE's first component when it begins


def explore(
    models: Mapping[str, Encoded],
    images: ImageArrays,
    settings: LatentExploreSettings,
    folder: Path,
) -> Found:
    """Draws encodings.png and radius.png.

    Figures have the source `encodings`; `map_r2` has the name of what is read from the components.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(images.test), generator=generator)
    rows = order[: settings.mapped]  # the same of all models
    labels = torch.tensor(images.test.labels)[rows]
    targets = readable(images)

    figures, maps, radii = [], {}, {}
    for model, encoded in models.items():
        mu, kl = encoded.test.mu, kl_to_standard_normal(*encoded.test).mean(0)
        projection = principal_components(mu)
        z = encoded.test.sample(torch.Generator().manual_seed(settings.seed))
        uv, by_tsne = projection.coordinates[rows], tsne(mu[rows], settings.seed)
        r2 = read_map(projection.coordinates, targets)
        measured = {
            **encoding_statistics(encoded.test, kl)._asdict(),
            **prior_fit(z),
            **neighbourhoods(mu[rows], {"pca": uv, "tsne": by_tsne}, labels),
            "explained": float(projection.explained.sum()),
        }
        figures += figure_rows(model, measured, source="encodings")
        for name, score in r2.items():
            figures += figure_rows(model, {"map_r2": score}, source=name)
        reading = best_read(r2, {name: target[rows] for name, target in targets.items()})
        maps[model] = EncodingMap(uv, projection.explained, by_tsne, reading)
        radii[model] = z.norm(dim=1).numpy()

    drawn = map_draw.draw_encodings(maps, labels.numpy(), images.meta.class_names)
    save(drawn, folder / "encodings.png")
    first = next(iter(models.values())).vae
    save(map_draw.draw_radii(radii, first.latent_dim), folder / "radius.png")
    facts = {
        "images": len(images.test),
        "mapped": len(rows),
        "neighbours": neighbours_of(len(rows)),
        "stochastic": first.stochastic,
        "read_best": {
            model: None if each.reading is None else [each.reading.name, each.reading.r2]
            for model, each in maps.items()
        },
    }
    return Found(figures, facts)


def prior_fit(z: Tensor) -> dict[str, float | None]:
    """z: (N, latent_dim), draws. The radius |z| of N(0, I) has the chi distribution.

    `radius_distance` is the 1-Wasserstein distance to it, in units of z, by the quantiles at the
    middles of N equal shares. `radius_sd` is None of one draw.
    """
    from scipy.stats import chi

    radius, prior = z.double().norm(dim=1), chi(z.shape[1])
    quantiles = torch.from_numpy(prior.ppf((np.arange(len(z)) + 0.5) / len(z)))
    low, high = prior.interval(MASS)
    return {
        "radius_mean": float(radius.mean()),
        "radius_sd": float(radius.std()) if len(z) > 1 else None,
        "radius_distance": float((radius.sort().values - quantiles).abs().mean()),
        "prior_inside": float(((radius >= low) & (radius <= high)).double().mean()),
    }


# --- what the map shows --------------------------------------------------------------------------


def readable(images: ImageArrays) -> dict[str, Tensor]:
    """What is known of the test images. Returns name -> (N, T), as a linear map could read it."""
    split, meta = images.test, images.meta
    brightness = torch.from_numpy(split.images.mean(axis=(1, 2, 3))) / 255.0
    known = {"brightness": brightness.unsqueeze(1)}
    if split.factors is not None:
        known |= factor_targets(meta.factor_names, torch.tensor(split.factors))
    if split.attributes is not None:
        columns = torch.tensor(split.attributes).double().split(1, dim=1)
        known |= dict(zip(meta.attribute_names, columns, strict=True))
    return known


def read_map(coordinates: Tensor, targets: Mapping[str, Tensor]) -> dict[str, float | None]:
    """R² of each target read linearly from all N images' two coordinates, fitted to these alike.

    Two weights overfit little. None where either does not vary.
    """
    if not varies(coordinates):
        return dict.fromkeys(targets)
    return {
        name: linear_readout(coordinates, target, coordinates, target)
        for name, target in targets.items()
    }


def best_read(r2: Mapping[str, float | None], targets: Mapping[str, Tensor]) -> Reading | None:
    """Of numbers and angles, which have one and two columns; kinds are what classes show."""
    known = {name: score for name, score in r2.items() if score is not None}
    known = {name: score for name, score in known.items() if targets[name].shape[1] <= 2}
    if not known:
        return None
    name = max(known, key=lambda name: known[name])
    first, *second = targets[name].unbind(1)
    if not second:
        return Reading(name, known[name], first, circular=False)
    turns = torch.atan2(first, second[0]) / (2.0 * math.pi) % 1.0
    return Reading(name, known[name], turns, circular=True)


def tsne(mu: Tensor, seed: int) -> Tensor | None:
    """t-SNE by Barnes and Hut's approximation (van der Maaten & Hinton 2008; van der Maaten 2014).

    mu: (M, latent_dim). Returns (M, 2), in units of its own; None where there are fewer than FEWEST
    encodings, where they do not vary, and where they have no more than two dimensions anyway. It
    begins at the principal components (Kobak & Berens 2019), so that what chance decides is little.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(mu) < FEWEST or mu.shape[1] <= 2 or not varies(mu):
        return None
    start = principal_components(mu).coordinates
    start = START * start / start[:, 0].std(correction=0)
    few = (len(mu) - 1) / 3  # at most a third of the others, as its author's code asks
    model = TSNE(
        perplexity=min(PERPLEXITY, few), init=start.numpy(), max_iter=STEPS, random_state=seed
    )
    with threadpool_limits(1):  # its threads' sums come in no fixed order
        return torch.from_numpy(model.fit_transform(mu.double().numpy()))
