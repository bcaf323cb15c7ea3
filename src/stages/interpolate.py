"""Go from one image to another through latent space, by several kinds of path, with every model.

python src/stages/interpolate.py cifar10
"""

from stage import check, run_stage

if __name__ == "__main__":
    check(__doc__)

import numpy as np
import torch

from vaelab.data.arrays import ImageArrays
from vaelab.metrics.frame import flat, mean
from vaelab.metrics.nearest import NearestSearch
from vaelab.nets.saved import load_first
from vaelab.plotting.style import NAMES
from vaelab.runtime import tracking
from vaelab.runtime.outputs import write_csv, write_json
from vaelab.runtime.progress import steps
from vaelab.samplers.saved import first_mixture
from vaelab.settings import load_settings
from vaelab.studies.interpolate.draw import save_figures
from vaelab.studies.interpolate.measure import differences, measure_paths, summary, walk
from vaelab.studies.interpolate.paths import cross_fades
from vaelab.studies.interpolate.pictures import corner_pictures, draw_pairs, shown_pairs
from vaelab.vae.device import select_device

COMPARED = ("linear", "slerp")  # kinds of path, in the metrics file


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    chosen = settings.interpolate
    images = ImageArrays.open(settings.data_dir)
    device = select_device(settings.train.device)
    vaes = load_first(settings.models_dir, device)
    latent_dim = next(iter(vaes.values())).latent_dim
    pairs, corners = shown_pairs(images, chosen), corner_pictures(images, chosen)
    labels = torch.tensor(images.test.labels)
    drawn = draw_pairs(labels, chosen.measured, chosen.seed)
    measured = images.test.images[drawn.numpy()]
    shown = np.stack([[picture.image for picture in pair] for pair in pairs])
    four = np.stack([picture.image for picture in corners])

    folder = settings.report_dir / "interpolate"
    shares = {f"paths of {NAMES[model]}": 10.0 for model in vaes} | {"nearest images": 1, "draw": 1}
    run_name = f"interpolate-z{latent_dim}"
    with (
        tracking.run("interpolate", settings, images.meta, name=run_name) as run,
        steps("interpolate", shares) as step,
    ):
        fade = measure_paths(cross_fades(measured, chosen.steps), measured)
        walked, paths = {}, {("pixels", "linear"): fade}
        for model, vae in vaes.items():
            step(f"paths of {NAMES[model]}")
            mixture = first_mixture(settings, vae)
            walked[model] = walk(vae, mixture, shown, measured, four, chosen)
            paths |= {(model, kind): path for kind, path in walked[model].measured.items()}

        step("nearest images")
        search = NearestSearch(images.train.images, device)
        for path in paths.values():
            path.figures["nearest"] = search.find(path.middle).distance
        ends = measured.reshape(-1, *images.shape)
        near_originals = float(search.find(ends).distance.mean())

        by_pair = {row: path.figures for row, path in paths.items()}
        figures = summary(by_pair, labels[drawn])
        contrast = {
            model: {f"{k}_contrast": mean(figures, model, "middle_contrast", k) for k in COMPARED}
            for model in vaes
        }
        write_json(settings.metrics_dir / "interpolate.json", contrast)
        run.log_metrics(flat(contrast))
        write_csv(folder / "measures.csv", figures)
        write_csv(folder / "differences.csv", differences(by_pair))
        facts = {"latent_dim": latent_dim, "shown": len(pairs), "near_originals": near_originals}
        write_json(folder / "facts.json", facts)

        step("draw")
        save_figures(folder, pairs, corners, walked)
        run.log_artifact(folder, folder.name)


if __name__ == "__main__":
    run_stage(main, __doc__)
