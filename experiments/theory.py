"""The four questions of docs/theory.md, measured: the KL term, the noise, and what each is for.

    python experiments/theory.py DATASET [--out docs]

Reads data/DATASET, which `dvc repro download@DATASET` makes. Trains the convolutional net of
params.yaml with LATENT_DIM latents and `bernoulli` four times, from the same seed and on the same
images in the same order: with beta = 0, 1 and 4, and as a deterministic autoencoder. Writes
OUT/theory.json and OUT/images/theory_*.png. Distances between images are RMSE per pixel.

A second call trains nothing: the checkpoints in .vaelab/checkpoints/DATASET/theory stay.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse
from torch import Tensor

import gradients
from vaelab import nets
from vaelab.data.arrays import ImageArrays
from vaelab.metrics.aggregate import aggregated_posterior, encoding_statistics
from vaelab.metrics.nearest import NearestSearch
from vaelab.metrics.variation import distance, sharpness
from vaelab.metrics.wasserstein import PatchReference
from vaelab.plotting.style import COLOURS, new_figure, save, show_beside, show_sheet
from vaelab.runtime.checkpoints import checkpoint_of
from vaelab.runtime.errors import UserError
from vaelab.runtime.outputs import write_json
from vaelab.samplers.flow import Whitening, whitening_of
from vaelab.settings import PALETTE, DatasetSettings, PosteriorName, load_settings
from vaelab.studies.interpolate.measure import path_figures
from vaelab.studies.interpolate.paths import path
from vaelab.training.loop import train
from vaelab.training.run import decisive
from vaelab.training.validation import validate
from vaelab.vae.device import select_device
from vaelab.vae.inference import decode, device_of, encode, encode_means
from vaelab.vae.model import VAE, Posterior, VAEConfig
from vaelab.vae.objective import kl_to_standard_normal
from vaelab.vae.pixels import to_floats

LATENT_DIM = 16  # more than the 7 factors of the shapes need
SEED = 0  # of everything after training
JUDGED = 800  # images of each set whose distance from real ones is measured
STEPS = 11  # images of a path, both ends included
NUDGES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # in standard deviations of the encodings
GRADIENT_IMAGES = 8
COLUMNS = 8  # of each half of the sheet of samples
SHOWN_PATHS = 2
ACTIVE = 0.1  # nats of mean KL above which a latent dimension counts as used


class Variant(NamedTuple):
    name: str
    posterior: PosteriorName
    beta: float
    colour: str


VARIANTS = {
    "beta_0": Variant("β = 0", "gaussian", 0.0, PALETTE[4]),
    "beta_1": Variant("β = 1", "gaussian", 1.0, PALETTE[1]),
    "beta_4": Variant("β = 4", "gaussian", 4.0, PALETTE[2]),
    "point": Variant("Autoencoder", "point", 0.0, PALETTE[3]),
}

log = logging.getLogger("vaelab")


# --- the four models -----------------------------------------------------------------------------


def configure(variant: Variant, settings: DatasetSettings, images: ImageArrays) -> VAEConfig:
    changed = {
        "latent_dim": LATENT_DIM,
        "likelihood": "bernoulli",
        "sigma": "learned",
        "posterior": variant.posterior,
    }
    return nets.configure("conv", settings.model.model_copy(update=changed), images.shape)


def untrained(config: VAEConfig, seed: int) -> VAE:
    torch.manual_seed(seed)
    return nets.build(config)


def train_variant(key: str, settings: DatasetSettings, images: ImageArrays) -> VAE:
    """In evaluation mode, its parameters frozen."""
    variant = VARIANTS[key]
    config = configure(variant, settings, images)
    changed = {"beta": variant.beta, "free_bits": 0.0, "kl_warmup_epochs": 0.0}
    objective = settings.objective.model_copy(update=changed)
    seed = settings.train.seeds[0]
    settings = settings.model_copy(update={"objective": objective})
    device = select_device(settings.train.device)
    log.info("%s", variant.name)
    known_by = decisive(config, images, settings, seed, device)
    with checkpoint_of(known_by, f"{settings.dataset}/theory/{key}") as checkpoint:
        vae = untrained(config, seed)
        train(vae, images, objective, settings.train, seed, device, checkpoint, lambda epoch: None)
    return vae.eval().requires_grad_(False)


# --- where the encodings lie ---------------------------------------------------------------------


def measure_encodings(posterior: Posterior) -> dict[str, float | None]:
    """posterior: of N images. What a point posterior has no figure for is None."""
    kl = kl_to_standard_normal(*posterior)
    statistics = encoding_statistics(posterior, kl.mean(0))
    spread = whitening_of(posterior).spread.square().sum(1).sqrt()
    found: dict[str, float | None] = {
        "radius": statistics.norm,  # 1 for the prior
        "sd_smallest": float(spread.min()),
        "sd_largest": float(spread.max()),
        "mean_largest": float(posterior.mu.mean(0).abs().max()),
        "posterior_sd_median": float((0.5 * posterior.logvar).exp().median()),
    }
    if bool(posterior.logvar.isinf().any()):
        return found | {"kl": None, "mutual_information": None, "marginal_kl_upper": None}
    aggregated = aggregated_posterior(posterior, seed=SEED)
    return found | {
        "kl": statistics.kl,
        "used_dimensions": int((kl.mean(0) > ACTIVE).sum()),
        "mutual_information": aggregated.mutual_information,
        "mutual_information_ceiling": aggregated.ceiling,
        "images_per_code": math.exp(aggregated.ceiling - aggregated.mutual_information),
        "marginal_kl_lower": statistics.marginal_kl_lower,
        "marginal_kl_upper": aggregated.marginal_kl_upper,
    }


# --- what the decoder makes of other places ------------------------------------------------------


def decoded(vae: VAE, z: Tensor) -> Tensor:
    """z: (..., latent_dim). Returns (..., C, H, W) in [0, 1], on the CPU."""
    images = torch.from_numpy(decode(vae, z.reshape(-1, z.shape[-1])))
    return images.reshape(*z.shape[:-1], *images.shape[1:])


def round_trip(vae: VAE, images: Tensor) -> Tensor:
    """decode(encode(images)), for images in [0, 1] that are no data: (N, C, H, W) -> the same."""
    return decoded(vae, encode_means(vae, images))


def miss(vae: VAE, images: Tensor) -> float:
    """Mean distance between images and their round trips. images: (N, C, H, W) in [0, 1]."""
    return float(distance(images, round_trip(vae, images)).mean())


def judge(images: Tensor, reference: PatchReference, train: NearestSearch) -> dict[str, float]:
    """images: (JUDGED, C, H, W) in [0, 1]."""
    return {
        "swd": reference.distance(images).mean,
        "nearest": float(train.find(images).distance.mean()),
        "sharpness": float(sharpness(images).mean()),
    }


def nudged(vae: VAE, z: Tensor, encodings: Whitening, noise: Tensor) -> Tensor:
    """Images of z, nudged along `noise` by 0 and by each of NUDGES.

    z, noise: (..., latent_dim); noise is standard normal, and nudges are as wide as the encodings
    lie, in every direction. Returns (1 + len(NUDGES), ..., C, H, W).
    """
    nudge = noise @ encodings.spread.T
    return torch.stack([decoded(vae, z + size * nudge) for size in (0.0, *NUDGES)])


def measure_nudges(vae: VAE, z: Tensor, encodings: Whitening) -> dict[str, list[float]]:
    """By how far a nudge moves the image, and how far the image then is from its round trip.

    z: (n, latent_dim), encodings.
    """
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(SEED + 1))
    images = nudged(vae, z, encodings, noise)
    return {
        "change": distance(images, images[0]).mean(1).tolist(),
        "round_trip": [miss(vae, each) for each in images],
    }


def measure_paths(images: Tensor, reference: PatchReference) -> dict[str, float]:
    """images: (JUDGED, STEPS, C, H, W), paths of images."""
    figures = path_figures(images)
    middle, end = images[:, STEPS // 2], images[:, -1]
    return {
        "step": float(distance(images[:, 1:], images[:, :-1]).double().mean()),
        **{key: float(figures[key].double().nanmean()) for key in ("step_variation", "detour")},
        "middle_swd": reference.distance(middle).mean,
        "end_swd": reference.distance(end).mean,
        "middle_sharpness": float(sharpness(middle).mean() / sharpness(end).mean()),
    }


def walk(
    vaes: Mapping[str, VAE], codes: Mapping[str, Tensor], tests: Tensor, reference: PatchReference
) -> tuple[dict[str, dict[str, float]], dict[str, Tensor]]:
    """From each of JUDGED test images to another: the figures, and the SHOWN_PATHS first paths.

    codes: variant -> encodings of the tests, (2 * JUDGED, latent_dim).
    """
    fade = path(tests[:JUDGED].flatten(1), tests[JUDGED:].flatten(1), STEPS, "linear")
    fade = fade.unflatten(2, tests.shape[1:])
    figures, shown = {"cross_fade": measure_paths(fade, reference)}, {"Cross-fade": fade}
    for key, vae in vaes.items():
        images = decoded(vae, path(codes[key][:JUDGED], codes[key][JUDGED:], STEPS, "linear"))
        figures[key] = measure_paths(images, reference)
        figures[key]["middle_round_trip"] = miss(vae, images[:, STEPS // 2])
        figures[key]["end_round_trip"] = miss(vae, images[:, -1])
        shown[VARIANTS[key].name] = images[:SHOWN_PATHS]
    return figures, shown


# --- figures -------------------------------------------------------------------------------------


def draw_samples(tests: Tensor, samples: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """tests: (N, C, H, W); samples: sampler -> variant -> (N, C, H, W), from the same noise."""
    figure = new_figure(2.6)
    labels = ["Test images", *(VARIANTS[key].name for key in next(iter(samples.values())))]
    sheets = {
        title: torch.cat([x[:COLUMNS] for x in (tests, *rows.values())]).numpy()
        for title, rows in samples.items()
    }
    show_beside(figure, sheets, COLUMNS, labels)
    return figure


def draw_encodings(posteriors: Mapping[str, Posterior], shown: int = 1500) -> Figure:
    """In the two dimensions in which each model's encodings lie widest, at a scale of its own."""
    figure = new_figure(2.35)
    for axes, (key, posterior) in zip(
        figure.subplots(1, len(VARIANTS)), posteriors.items(), strict=True
    ):
        colour = VARIANTS[key].colour
        widest = posterior.mu.var(0).topk(2).indices
        mu = posterior.mu[:shown, widest]
        sd = (0.5 * posterior.logvar[:shown, widest]).exp()
        axes.scatter(*mu.T, s=2, color=colour, alpha=0.35, linewidths=0)
        for (x, y), (width, height) in zip(mu[:25].tolist(), (4 * sd[:25]).tolist(), strict=True):
            axes.add_patch(Ellipse((x, y), width, height, fill=False, color=colour, linewidth=0.8))
        for radius, style in ((1, "-"), (2, "--")):
            axes.add_patch(
                Circle((0, 0), radius, fill=False, color=COLOURS["data"], linestyle=style)
            )
        half = 1.05 * float(mu.abs().max().clamp(min=2.5))
        axes.set(xlim=(-half, half), ylim=(-half, half), aspect="equal", title=VARIANTS[key].name)
        axes.set_xlabel(f"$z_{{{widest[0]}}}$")
        axes.set_ylabel(f"$z_{{{widest[1]}}}$", labelpad=0)
    return figure


def draw_paths(paths: Mapping[str, Tensor]) -> Figure:
    """paths: name -> (P, STEPS, C, H, W), the first SHOWN_PATHS one below the other."""
    figure = new_figure(3.15 * SHOWN_PATHS)
    rows = [images[pair] for pair in range(SHOWN_PATHS) for images in paths.values()]
    show_sheet(figure.subplots(), torch.cat(rows).numpy(), STEPS, list(paths) * SHOWN_PATHS)
    return figure


def draw_nudges(
    measured: Mapping[str, Mapping[str, list[float]]], strips: Mapping[str, Tensor]
) -> Figure:
    """measured: variant -> what measure_nudges returns; strips: variant -> one encoding nudged."""
    titles = {"change": "How far the image moves", "round_trip": "How far its round trip misses it"}
    figure = new_figure(6.2)
    panels = figure.subplot_mosaic([list(titles), ["strips", "strips"]], height_ratios=(1, 1.35))
    for of, title in titles.items():
        axes = panels[of]
        for key, found in measured.items():
            variant = VARIANTS[key]
            axes.plot(NUDGES, found[of][1:], ".-", color=variant.colour, label=variant.name)
        axes.set(xscale="log", title=title, xlabel="nudge s, SD of the encodings", ylim=(0, None))
        axes.set_xticks(NUDGES, [f"{size:g}" for size in NUDGES])
        axes.minorticks_off()
        axes.set_ylabel("RMSE per pixel")
    panels["round_trip"].legend()
    sheet = torch.cat(list(strips.values())).numpy()
    labels = [VARIANTS[key].name for key in strips]
    columns = 1 + len(NUDGES)
    sizes = [f"s = {size:g}" for size in (0.0, *NUDGES)]
    show_sheet(panels["strips"], sheet, columns, labels, column_labels=sizes)
    return figure


# --- all of it -----------------------------------------------------------------------------------


def main(dataset: str, out: Path) -> None:
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    vaes = {key: train_variant(key, settings, images) for key in VARIANTS}

    tested, generator = images.test.images, torch.Generator().manual_seed(SEED)
    chosen = torch.randperm(len(tested), generator=generator)[: 2 * JUDGED]
    pixels = tested[chosen.numpy()]
    tests = to_floats(pixels)
    noise = torch.randn(JUDGED, LATENT_DIM, generator=generator)
    reference, others = PatchReference(tests[:JUDGED], seed=SEED), tests[JUDGED:]
    training = NearestSearch(images.train.images)

    posteriors = {key: encode(vae, images.train.images) for key, vae in vaes.items()}
    fitted = {key: whitening_of(posterior) for key, posterior in posteriors.items()}
    codes = {key: encode(vae, pixels).mu for key, vae in vaes.items()}
    prior = {key: decoded(vae, noise) for key, vae in vaes.items()}
    gaussian = {key: decoded(vae, fitted[key].undo(noise)) for key, vae in vaes.items()}

    again = {key: decoded(vae, codes[key][JUDGED:]) for key, vae in vaes.items()}
    made = {"reconstructions": again, "prior": prior, "fitted_gaussian": gaussian}
    smooth, paths = walk(vaes, codes, tests, reference)
    nudges, strips = {}, {}
    for key, vae in vaes.items():
        nudges[key] = measure_nudges(vae, codes[key][JUDGED:], fitted[key])
        strips[key] = nudged(vae, codes[key][JUDGED], fitted[key], noise[0])

    vae = vaes["beta_1"]
    first = untrained(vae.config, settings.train.seeds[0]).to(device_of(vae)).requires_grad_(False)
    both = {"untrained": first, "trained": vae}
    noisy = {when: gradients.measure(vae, others[:GRADIENT_IMAGES]) for when, vae in both.items()}

    measured = {
        "dataset": dataset,
        "latent_dim": LATENT_DIM,
        "epochs": settings.train.epochs,
        "bound": {
            key: vars(validate(vae, tested, samples=4, seed=SEED)) for key, vae in vaes.items()
        },
        "encodings": {key: measure_encodings(posterior) for key, posterior in posteriors.items()},
        "generated": {
            "real": judge(others, reference, training),
            **{
                source: {key: judge(x, reference, training) for key, x in each.items()}
                for source, each in made.items()
            },
            "prior_round_trip": {key: miss(vae, prior[key]) for key, vae in vaes.items()},
            "fitted_round_trip": {key: miss(vae, gaussian[key]) for key, vae in vaes.items()},
        },
        "paths": smooth,
        "nudges": {"sizes": [0.0, *NUDGES], **nudges},
        "gradients": noisy,
    }
    write_json(out / "theory.json", measured)
    shown = {"z ~ N(0, I)": prior, "z ~ a Gaussian fitted to the encodings": gaussian}
    figures = {
        "samples": draw_samples(others, shown),
        "encodings": draw_encodings(posteriors),
        "paths": draw_paths(paths),
        "nudges": draw_nudges(nudges, strips),
        "gradients": gradients.draw(noisy),
    }
    for name, figure in figures.items():
        save(figure, out / "images" / f"theory_{name}.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="a name under `datasets` in params.yaml")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where the figures go")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    try:
        main(arguments.dataset, arguments.out)
    except UserError as error:
        sys.exit(str(error))
