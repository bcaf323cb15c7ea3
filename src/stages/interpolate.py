"""Go from one test image to another through latent space, with both models.

python src/stages/interpolate.py cifar10
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from stage import run_stage
from vaelab import latent, tracking
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_device
from vaelab.figures.common import save
from vaelab.figures.interpolate import KIND_NAMES, draw_paths, draw_steps, save_animation
from vaelab.inference import decode, encode
from vaelab.models import VAE
from vaelab.models.load import load_vae
from vaelab.reports.common import write_json, write_text
from vaelab.reports.interpolate import interpolate_report
from vaelab.settings import ARCHITECTURES, load_settings

Paths = dict[str, dict[str, NDArray[Any]]]  # kind -> model -> (P, S, C, H, W)


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    vaes = {model: load_vae(settings.model_dir(model), device) for model in ARCHITECTURES}
    latent_dim = vaes["fc"].latent_dim
    steps = settings.interpolate.steps
    pairs = latent.choose_pairs(torch.tensor(images.test.labels), settings.interpolate).numpy()
    originals = images.test.images[pairs]

    name = f"interpolate-z{latent_dim}"
    with tracking.run("interpolate", settings, images.meta, name=name) as run:
        paths: Paths = {
            kind: {model: decode_paths(vae, originals, steps, kind) for model, vae in vaes.items()}
            for kind in latent.PATH_KINDS
        }
        metrics = measure(paths, originals, steps)
        write_json(settings.metrics_dir / "interpolate.json", metrics)
        run.log_metrics(
            {
                f"{row}.{figure}": value
                for row, values in metrics.items()
                for figure, value in values.items()
            }
        )

        folder = settings.report_dir / "interpolate"
        captions = [
            " → ".join(f"{label(images, i)} (test image {i:,})" for i in pair)
            for pair in pairs.tolist()
        ]
        for kind, models in paths.items():
            title = f"{KIND_NAMES[kind].capitalize()} paths from A to B, by t"
            save(draw_paths(originals, models, captions, title), folder / f"{kind}.png")
        save(draw_steps(step_sizes(paths)), folder / "steps.png")
        save_animation(folder / "animation.gif", originals, paths["slerp"])
        report = settings.report_dir / "interpolate.md"
        write_text(report, interpolate_report(dataset, latent_dim, len(pairs), steps, metrics))
        run.log_artifact(report)
        run.log_artifact(folder, folder.name)


def decode_paths(
    vae: VAE, originals: NDArray[np.uint8], steps: int, kind: latent.PathKind
) -> NDArray[Any]:
    """originals: uint8 (P, 2, C, H, W). Returns float32 (P, steps, C, H, W) in [0, 1]."""
    shape = originals.shape[2:]
    a, b = encode(vae, originals.reshape(-1, *shape)).mu.unflatten(0, (-1, 2)).unbind(1)
    z = latent.path(a, b, steps, kind)
    return decode(vae, z.flatten(0, 1)).reshape(len(z), steps, *shape)


def measure(
    paths: Paths, originals: NDArray[np.uint8], steps: int
) -> dict[str, dict[str, float | None]]:
    """Each model's figures of smoothness, and those that a cross-fade of the pixels has."""
    metrics: dict[str, dict[str, float | None]] = {model: {} for model in ARCHITECTURES}
    for kind, models in paths.items():
        for model, images in models.items():
            figures = latent.mean_smoothness(torch.from_numpy(images))
            metrics[model] |= {f"{kind}_{figure}": value for figure, value in figures.items()}
    a, b = (torch.from_numpy(originals).float() / 255.0).unbind(1)
    step = float(latent.distance(a, b).mean()) / (steps - 1)
    fade = {"linear_step": step}
    if step:
        fade |= {"linear_evenness": 0.0, "linear_detour": 1.0}
    return {**metrics, "pixels": dict.fromkeys(metrics["fc"]) | fade}


def step_sizes(paths: Paths) -> Paths:
    """(P, S - 1) for each."""
    return {
        kind: {
            model: latent.step_sizes(torch.from_numpy(images)).numpy()
            for model, images in models.items()
        }
        for kind, models in paths.items()
    }


def label(images: ImageArrays, index: int) -> str:
    return images.meta.class_names[images.test.labels[index]]


if __name__ == "__main__":
    run_stage(main, __doc__)
