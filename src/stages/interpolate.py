"""Go from one image to another through latent space, by several ways, with both models.

python src/stages/interpolate.py cifar10
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stage import run_stage
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.nearest import nearest
from vaelab.nets.saved import load_first
from vaelab.plotting.style import save
from vaelab.report.interpolate import MEASURES, interpolate_report
from vaelab.runtime import tracking
from vaelab.runtime.outputs import write_csv, write_json, write_text
from vaelab.samplers.gaussians import fit_mixture
from vaelab.settings import InterpolateSettings, load_settings
from vaelab.studies.interpolate import draw as figures
from vaelab.studies.interpolate import paths
from vaelab.studies.interpolate.smoothness import (
    PathMeasures,
    differences,
    headline,
    measure_paths,
    table,
)
from vaelab.vae.device import select_device
from vaelab.vae.inference import decode, device_of, encode
from vaelab.vae.model import VAE
from vaelab.vae.pixels import to_floats

CORNER_SIDE = 7  # images of a side of the grid between four

Drawn = dict[str, dict[str, NDArray[Any]]]  # kind -> model -> what is drawn of it


@dataclass(frozen=True)
class Walked:
    """What one model makes of the pairs and of the four corners. Images are in [0, 1]."""

    shown: dict[str, NDArray[Any]]  # kind -> (pairs shown, S, C, H, W)
    measured: dict[str, PathMeasures]  # kind -> of the pairs measured
    energy: tuple[float, float]  # mean of the geodesics' paths before and after the descent
    grid: NDArray[Any]  # (CORNER_SIDE², C, H, W)


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    chosen = settings.interpolate
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    vaes = load_first(settings.models_dir, device)
    latent_dim = vaes["fc"].latent_dim

    pairs = paths.shown_pairs(images, chosen)
    corners = paths.corner_pictures(images, chosen)
    labels = torch.tensor(images.test.labels)
    drawn = paths.draw_pairs(labels, chosen.measured, chosen.seed)
    shown = np.stack([[picture.image for picture in pair] for pair in pairs])
    measured = images.test.images[drawn.numpy()]

    name = f"interpolate-z{latent_dim}"
    with tracking.run("interpolate", settings, images.meta, name=name) as run:
        fade = measure_paths(paths.cross_fades(measured, chosen.steps), to_floats(measured))
        walked: dict[str, Walked] = {
            model: walk(vae, images, shown, measured, corners, chosen)
            for model, vae in vaes.items()
        }
        measures = {("pixels", "linear"): fade} | {
            (model, kind): found
            for model, every in walked.items()
            for kind, found in every.measured.items()
        }
        groups = [
            *(found.middle for found in measures.values()),
            to_floats(measured).flatten(0, 1),
        ]
        *near, near_ends = nearest(groups, images.train.images, device)
        for found, own in zip(measures.values(), near, strict=True):
            found.figures["nearest"] = own.distance
        by_row = {row: found.figures for row, found in measures.items()}
        rows = table(by_row, labels[drawn], [*MEASURES])
        apart = differences(by_row, labels[drawn], [*MEASURES])
        metrics = headline(rows)
        write_json(settings.metrics_dir / "interpolate.json", metrics)
        run.log_metrics(
            {f"{row}.{key}": value for row, each in metrics.items() for key, value in each.items()}
        )

        folder = settings.report_dir / "interpolate"
        write_csv(folder / "measures.csv", rows)
        draw(walked, pairs, corners, chosen.steps, folder)
        energies = {model: every.energy for model, every in walked.items()}
        at_ends = float(near_ends.distance.mean())
        text = interpolate_report(dataset, latent_dim, len(pairs), rows, apart, energies, at_ends)
        report = settings.report_dir / "interpolate.md"
        write_text(report, text)
        run.log_artifact(report)
        run.log_artifact(folder, folder.name)


def walk(
    vae: VAE,
    images: ImageArrays,
    shown: NDArray[np.uint8],
    measured: NDArray[np.uint8],
    corners: Sequence[paths.Picture],
    settings: InterpolateSettings,
) -> Walked:
    """shown, measured: uint8 (P, 2, C, H, W), the ends of the pairs."""
    device, steps, count = device_of(vae), settings.steps, len(shown)
    mixture = fit_mixture(encode(vae, images.train.images), seed=settings.seed)
    density = paths.Density.of(mixture, device)
    ends = np.concatenate([shown, measured])
    a, b = encode(vae, ends.reshape(-1, *images.shape)).mu.unflatten(0, (-1, 2)).unbind(1)
    linear, slerp = paths.path(a, b, steps, "linear"), paths.path(a, b, steps, "slerp")
    relaxed = paths.geodesics(
        vae.decode_mean, density.log_prob, linear.to(device), settings.relaxation
    )
    ways = {"linear": linear, "slerp": slerp, "geodesic": relaxed.z}

    found = {}
    for kind, z in ways.items():
        found[kind] = measure_paths(paths.decoded(vae, z[count:]), to_floats(measured))
        level = paths.departure_from_level(density.log_prob(z[count:].to(device)))
        found[kind].figures["density"] = level[:, steps // 2].cpu() / vae.latent_dim
    codes = encode(vae, np.stack([picture.image for picture in corners])).mu
    return Walked(
        {kind: torch.cat([*paths.decoded(vae, z[:count])]).numpy() for kind, z in ways.items()},
        found,
        (float(relaxed.before[count:].mean()), float(relaxed.after[count:].mean())),
        decode(vae, paths.blend(codes, CORNER_SIDE)),
    )


def draw(
    walked: dict[str, Walked],
    pairs: Sequence[Sequence[paths.Picture]],
    corners: Sequence[paths.Picture],
    steps: int,
    folder: Path,
) -> None:
    """The figures, and the animation of the spherical paths."""
    ends = np.stack([[picture.image for picture in pair] for pair in pairs])
    fades = torch.cat([*paths.cross_fades(ends, steps)]).numpy()
    shown: Drawn = {
        kind: {model: every.shown[kind] for model, every in walked.items()}
        for kind in paths.PATH_KINDS
    }
    for i, (a, b) in enumerate(pairs):
        own = {kind: {model: x[i] for model, x in models.items()} for kind, models in shown.items()}
        captions = (f"{a.name} ({a.place})", f"{b.name} ({b.place})")
        figure = figures.draw_pair(captions, fades[i], own)
        save(figure, folder / f"pair_{i + 1}.png")
    blended = {model: every.grid for model, every in walked.items()}
    originals = np.stack([picture.image for picture in corners])
    lines = [(picture.name, picture.place) for picture in corners]
    save(figures.draw_corners(originals, lines, blended), folder / "corners.png")
    sizes: Drawn = {
        kind: {
            model: every.measured[kind].relative_steps().numpy() for model, every in walked.items()
        }
        for kind in paths.PATH_KINDS
    }
    save(figures.draw_steps(sizes), folder / "steps.png")
    animated = {"pixels": fades, **shown["slerp"]}
    figures.save_animation(folder / "animation.gif", ends, animated)


if __name__ == "__main__":
    run_stage(main, __doc__)
