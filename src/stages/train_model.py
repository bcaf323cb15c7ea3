"""What train_fc and train_conv share: everything but the builder of the nets."""

from collections.abc import Callable

import torch

from vaelab import tracking
from vaelab.checkpoints import checkpoint_of
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_device, select_precision
from vaelab.models import VAE, VAEConfig
from vaelab.settings import Architecture, load_settings
from vaelab.training import Epoch, train


def train_model(
    dataset: str, architecture: Architecture, build: Callable[[VAEConfig], VAE]
) -> None:
    settings = load_settings().of(dataset)
    device = select_device(settings.train.device)
    images = ImageArrays.open(settings.data_dir)
    config = VAEConfig.of(architecture, settings.model, images.shape)
    decisive = {
        "data": images.meta.digest,
        "config": config.model_dump(),
        "objective": settings.objective.model_dump(),
        "train": settings.train.model_dump(),
        "device": device.type,
        "precision": str(select_precision(settings.train.precision, device)),
    }
    with checkpoint_of(decisive, f"{dataset}/{architecture}") as checkpoint:
        with tracking.run(
            f"train_{architecture}",
            settings,
            images.meta,
            name=f"{architecture}-z{config.latent_dim}",
            model=architecture,
            resume=checkpoint.run_id,
        ) as run:
            checkpoint.run_id = run.id

            def log_epoch(epoch: Epoch) -> None:
                speed = {"images_per_second": epoch.images_per_second}
                run.log_epoch(epoch.number, epoch.row | speed, epoch.finished_ms)

            torch.manual_seed(settings.train.seed)
            trained = train(
                build(config),
                images,
                settings.objective,
                settings.train,
                device,
                checkpoint,
                log_epoch,
            )
            model_dir = settings.model_dir(architecture)
            history_file = settings.report_dir / architecture / "history.csv"
            trained.save(model_dir, settings.metrics_dir / f"{architecture}.json", history_file)
            run.write_id(model_dir)
            run.log_metrics(trained.metrics)
            run.log_artifact(history_file)
        checkpoint.discard()
