"""What every training stage does: a model from each seed, its MLflow runs, and what is kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import ExitStack

import pandas as pd
import torch

from vaelab import nets
from vaelab.data.arrays import ImageArrays
from vaelab.runtime import tracking
from vaelab.runtime.checkpoints import Checkpoint, checkpoint_of
from vaelab.runtime.outputs import write_json
from vaelab.settings import DatasetSettings, load_settings
from vaelab.training import pictures, ranks
from vaelab.training.loop import HISTORY, Epoch, Trained, epochs_of, train, write_history
from vaelab.vae.device import select_precision
from vaelab.vae.model import VAE, WEIGHTS, VAEConfig, seed_dir

log = logging.getLogger("vaelab")

IN_GIT = ("val_elbo", "val_kl", "val_psnr")  # of metrics/D/ARCHITECTURE.json
# In MLflow, of every epoch; history.csv has every column.
LOGGED = (*IN_GIT, "val_reconstruction", "train_elbo", "beta", "learning_rate")


def train_architecture(dataset: str, architecture: str) -> None:
    """Train one architecture from each of `train.seeds`, and write models/D/ARCHITECTURE."""
    settings = load_settings().of(dataset)
    if settings.train.processes > 1 and not ranks.launched():
        ranks.launch(settings.train.processes, train_architecture, dataset, architecture)
        return
    with ranks.joined(settings.train.device) as device:
        _train_seeds(settings, architecture, device)


def _train_seeds(settings: DatasetSettings, architecture: str, device: torch.device) -> None:
    """On one rank; the first one writes."""
    images = ImageArrays.open(settings.data_dir)
    config = nets.configure(architecture, settings.model, images.shape)
    for section, own in settings.own_values().items():
        log.info("%s has its own %s in params.yaml: %s", settings.dataset, section, own)
    if not ranks.is_first():
        for seed in settings.train.seeds:
            vae = _untrained(config, seed)
            _train(vae, images, settings, seed, device, None, lambda epoch: None)
        return
    with ExitStack() as stack:
        checkpoints, trained = [], []
        for seed in settings.train.seeds:
            known_by = decisive(config, images, settings, seed, device)
            name = f"{settings.dataset}/{architecture}/seed_{seed}"
            # Other ranks would wait too, and not as long.
            held = checkpoint_of(known_by, name, wait=ranks.size() == 1)
            checkpoints.append(stack.enter_context(held))
            trained.append(_train_seed(config, images, settings, seed, device, checkpoints[-1]))
        means = pd.DataFrame([each.metrics for each in trained]).mean()
        figures = {key: float(means[key]) for key in IN_GIT}
        write_json(settings.metrics_dir / f"{architecture}.json", {architecture: figures})
        history = settings.report_dir / architecture / HISTORY
        write_history([each.history for each in trained], history)
        for checkpoint in checkpoints:
            checkpoint.discard()


def decisive(
    config: VAEConfig,
    images: ImageArrays,
    settings: DatasetSettings,
    seed: int,
    device: torch.device,
) -> dict[str, object]:
    """Everything but the code that decides the weights: what a checkpoint is known by.

    The number of processes too, in whose order sums are rounded.
    """
    return {
        "data": images.meta.digest,
        "config": config.model_dump(),
        "objective": settings.objective.model_dump(),
        "train": settings.train.model_dump(exclude={"seeds", "processes"}),
        "seed": seed,
        "device": device.type,
        "processes": ranks.size(),
        "precision": str(select_precision(settings.train.precision, device)),
    }


def _train_seed(
    config: VAEConfig,
    images: ImageArrays,
    settings: DatasetSettings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint,
) -> Trained:
    architecture = config.architecture
    with tracking.run(
        f"train_{architecture}",
        settings,
        images.meta,
        name=f"{architecture}-z{config.latent_dim}-s{seed}",
        model=architecture,
        seed=seed,
        token=checkpoint.token,
    ) as run:
        began = time.time() * 1000
        pictured = pictures.drawn_after(epochs_of(len(images.train), settings.train))
        vae = _untrained(config, seed)

        def log_pictures(step: int) -> None:
            for name, image in pictures.draw(vae, images).items():
                run.log_image(name, image, step)

        def log_epoch(epoch: Epoch) -> None:
            curves = {key: epoch.row[key] for key in LOGGED}
            curves["images_per_second"] = epoch.images_per_second
            run.log_metrics(curves, epoch.number, epoch.finished_ms)
            if epoch.number in pictured and epoch.finished_ms >= began:  # not a stopped run's
                log_pictures(epoch.number)

        if not run.resumed:
            log_pictures(0)
        result = _train(vae, images, settings, seed, device, checkpoint, log_epoch)
        folder = seed_dir(settings.model_dir(architecture), seed)
        result.save(folder)
        tracking.remember(run, folder / WEIGHTS)
        run.log_metrics({"seconds": result.seconds, "parameters": result.vae.parameter_count()})
        run.log_artifact(folder / HISTORY)
        if settings.tracking.register_models and seed == settings.train.seeds[0]:
            run.register(folder, settings.dataset)
    return result


def _untrained(config: VAEConfig, seed: int) -> VAE:
    torch.manual_seed(seed)
    return nets.build(config)


def _train(
    vae: VAE,
    images: ImageArrays,
    settings: DatasetSettings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None,
    on_epoch: Callable[[Epoch], None],
) -> Trained:
    objective, recipe = settings.objective, settings.train
    return train(vae, images, objective, recipe, seed, device, checkpoint, on_epoch)
