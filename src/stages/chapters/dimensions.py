"""Single dimensions: traversals, and which factors and classes they hold."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from chapters import Told
from vaelab.data.arrays import ImageArrays
from vaelab.plotting.style import save
from vaelab.report.dimensions import SCORES, dimensions_chapter, write_held
from vaelab.runtime.outputs import write_csv
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import dimensions as dims
from vaelab.studies.latent import draw_dimensions as figures
from vaelab.studies.latent.disentanglement import Disentanglement, disentanglement
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.readout import read_factors

SHOWN_IMAGES = 2  # that traversals start from, beside the mean encoding
FROM_IMAGES = 4  # dimensions traversed from each
SHOWN_DIMENSIONS = 16  # of the matrix with factors
SHOWN_CLASSES = 10


def tell(
    models: dict[str, Encoded], images: ImageArrays, settings: LatentExploreSettings, folder: Path
) -> Told:
    generator = torch.Generator().manual_seed(settings.seed)
    chosen = torch.randperm(len(images.test), generator=generator)[: dims.MEASURED]
    shown = chosen[:SHOWN_IMAGES]
    found: dict[str, dict[str, Any]] = {}
    means, starts, labels = {}, {}, {}
    factors: dict[str, Disentanglement] = {}
    for model, encoded in models.items():
        leading = encoded.most_informative(settings.traversals)
        scale = dims.aggregate_scale(encoded.test)
        z = encoded.test.mu[chosen]
        rows = [
            {
                "dimension": i,
                "held": float(encoded.held[i]),
                **dims.dimension_change(encoded.vae, z, i, scale)._asdict(),
            }
            for i in leading.tolist()
        ]
        labels[model] = [
            f"z{row['dimension']} · {_held(row['held'], encoded.unit)}\n"
            f"{row['pixels']:.0%} of pixels"
            for row in rows
        ]
        means[model] = dims.traversals(encoded.vae, scale.mean, leading, scale)
        few = leading[:FROM_IMAGES]
        starts[model] = np.concatenate(
            [dims.traversals(encoded.vae, encoded.test.mu[i], few, scale) for i in shown]
        )
        found[model] = {
            "latent_dim": encoded.vae.latent_dim,
            "unit": encoded.unit,
            "total": float(encoded.held.double().sum()),
            "ninety": dims.holding(encoded.held, 0.9),
            "dimensions": rows,
            "readout": {},
            "scores": None,
            "factors": None,
        }
        names = images.meta.factor_names
        if names:
            val, test = (torch.tensor(split.factors) for split in (images.val, images.test))
            split = encoded.val.mu, val, encoded.test.mu, test
            found[model]["readout"] = read_factors(names, *split)
            told = disentanglement(names, *split, settings.seed)
            if told is not None:
                factors[model] = told
                found[model] |= {"scores": told.figures(), "factors": told.best_dimensions()}
        train_labels, test_labels = (
            torch.tensor(split.labels) for split in (images.train, images.test)
        )
        several = len(images.meta.class_names) > 1
        split = encoded.train.mu, train_labels, encoded.test.mu, test_labels
        found[model]["classes"] = (
            dims.best_by_class(*split, images.meta.class_names) if several else []
        )
        found[model]["accuracy"] = None
        if several:
            accuracy = dims.read_classes(*split, settings.seed)
            found[model]["accuracy"] = accuracy and accuracy._asdict()

    save(figures.draw_traversals(means, labels, dims.STEPS), folder / "traversals.png")
    save(
        figures.draw_traversals(
            starts,
            {model: every[:FROM_IMAGES] * len(shown) for model, every in labels.items()},
            dims.STEPS,
            images.test.images[shown.numpy()],
        ),
        folder / "traversals_images.png",
    )
    if factors:
        draw_factors(models, factors, settings.traversals, folder)
    if any(found[model]["classes"] for model in found):
        draw_classes(
            models, found, torch.tensor(images.test.labels), images.meta.class_names, folder
        )
    write_csv(
        folder / "dimensions.csv",
        [{"model": model, **row} for model in found for row in found[model]["dimensions"]],
    )
    pairs = dims.change_between(images.test.images[chosen.numpy()])
    scores = {
        model: {"scores": each["scores"] or dict.fromkeys(SCORES)} for model, each in found.items()
    }
    return Told(
        dimensions_chapter(found, pairs and pairs._asdict()),
        scores,
        {model: scores[model] | {"readout": each["readout"]} for model, each in found.items()},
    )


def _held(value: float, unit: str) -> str:
    text = write_held(value, unit)
    return text if unit == "nats" else f"{unit} {text}"


def draw_factors(
    models: dict[str, Encoded], factors: dict[str, Disentanglement], traversed: int, folder: Path
) -> None:
    shown = {}
    for model, told in factors.items():
        leading = models[model].most_informative(min(traversed, SHOWN_DIMENSIONS // 2)).tolist()
        best = told.information.argsort(dim=0, descending=True, stable=True)[:2].flatten().tolist()
        shown[model] = dims.first_of(leading, best, count=SHOWN_DIMENSIONS)
    matrices = {model: told.information[shown[model]].T.numpy() for model, told in factors.items()}
    names = next(iter(factors.values())).factors
    informative = min(traversed, SHOWN_DIMENSIONS // 2)
    save(
        figures.draw_factor_matrix(matrices, shown, informative, names),
        folder / "dimensions_factors.png",
    )


def draw_classes(
    models: dict[str, Encoded],
    found: dict[str, dict[str, Any]],
    labels: torch.Tensor,
    names: list[str],
    folder: Path,
) -> None:
    matrices, shown, classes, framed = {}, {}, {}, {}
    for model, encoded in models.items():
        if not found[model]["classes"]:
            continue
        rows = sorted(found[model]["classes"][:SHOWN_CLASSES], key=lambda row: row["label"])
        best = [row["dimension"] for row in rows]
        shown[model] = dims.first_of(best, count=SHOWN_CLASSES)
        separation = dims.class_separation(encoded.test.mu, labels, len(names))
        columns = [row["label"] for row in rows]
        matrices[model] = separation[shown[model]][:, columns].numpy()
        classes[model] = [row["class"] for row in rows]
        framed[model] = [shown[model].index(dimension) for dimension in best]
    save(
        figures.draw_class_matrix(matrices, shown, classes, framed),
        folder / "dimensions_classes.png",
    )
