"""What every training stage does: a model from each seed, its MLflow runs, and what is kept."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import pandas as pd
import torch

from vaelab import nets
from vaelab.data.arrays import ImageArrays
from vaelab.runtime import tracking
from vaelab.runtime.checkpoints import Checkpoint, checkpoint_of
from vaelab.runtime.outputs import write_json
from vaelab.settings import DatasetSettings, load_settings
from vaelab.training.loop import HISTORY, Epoch, Trained, train, write_history
from vaelab.vae.device import select_device, select_precision
from vaelab.vae.model import WEIGHTS, VAEConfig, seed_dir

log = logging.getLogger("vaelab")

IN_GIT = ("val_elbo", "val_reconstruction", "val_kl", "val_psnr")  # of metrics/D/ARCHITECTURE.json


def train_architecture(dataset: str, architecture: str) -> None:
    """Train one architecture from each of `train.seeds`, and write models/D/ARCHITECTURE."""
    settings = load_settings().of(dataset)
    images = ImageArrays.open(settings.data_dir)
    config = nets.configure(architecture, settings.model, images.shape)
    for section, own in settings.own_values().items():
        log.info("%s has its own %s in params.yaml: %s", dataset, section, own)
    with ExitStack() as stack:
        checkpoints, trained = [], []
        for seed in settings.train.seeds:
            known_by = decisive(config, images, settings, seed)
            held = checkpoint_of(known_by, f"{dataset}/{architecture}/seed_{seed}")
            checkpoints.append(stack.enter_context(held))
            trained.append(_train_seed(config, images, settings, seed, checkpoints[-1]))
        means = pd.DataFrame([each.metrics for each in trained]).mean()
        figures = {key: float(means[key]) for key in IN_GIT}
        write_json(settings.metrics_dir / f"{architecture}.json", figures)
        history = settings.report_dir / architecture / HISTORY
        write_history([each.history for each in trained], history)
        for checkpoint in checkpoints:
            checkpoint.discard()


def decisive(
    config: VAEConfig, images: ImageArrays, settings: DatasetSettings, seed: int
) -> dict[str, object]:
    """Everything but the code that decides the weights: what a checkpoint is known by."""
    device = select_device(settings.train.device)
    return {
        "data": images.meta.digest,
        "config": config.model_dump(),
        "objective": settings.objective.model_dump(),
        "train": settings.train.model_dump(exclude={"seeds"}),
        "seed": seed,
        "device": device.type,
        "precision": str(select_precision(settings.train.precision, device)),
    }


def _train_seed(
    config: VAEConfig,
    images: ImageArrays,
    settings: DatasetSettings,
    seed: int,
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
        resume=checkpoint.run_id,
    ) as run:
        checkpoint.run_id = run.id

        def log_epoch(epoch: Epoch) -> None:
            curves = epoch.row | {"images_per_second": epoch.images_per_second}
            del curves["epoch"]  # the curves' own axis
            run.log_metrics(curves, epoch.number, epoch.finished_ms)

        torch.manual_seed(seed)
        vae = nets.build(config)
        result = train(
            vae,
            images,
            settings.objective,
            settings.train,
            seed,
            select_device(settings.train.device),
            checkpoint,
            log_epoch,
        )
        folder = seed_dir(settings.model_dir(architecture), seed)
        result.save(folder)
        tracking.remember(run, folder / WEIGHTS)
        run.log_metrics({"seconds": result.seconds, "parameters": vae.parameter_count()})
        run.log_artifact(folder / HISTORY)
    return result
