"""What train_fc and train_conv share: everything but the nets."""

from collections.abc import Callable
from contextlib import ExitStack

import torch

from vaelab import tracking
from vaelab.checkpoints import checkpoint_of
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_device, select_precision
from vaelab.models import VAE, VAEConfig, seed_dir
from vaelab.settings import Architecture, ModelSettings, load_settings
from vaelab.training import Epoch, save_means, train


def train_model(
    dataset: str,
    architecture: Architecture,
    configure: Callable[[ModelSettings, tuple[int, int, int]], VAEConfig],
    build: Callable[[VAEConfig], VAE],
) -> None:
    settings = load_settings().of(dataset)
    device = select_device(settings.train.device)
    images = ImageArrays.open(settings.data_dir)
    config = configure(settings.model, images.shape)
    trained, checkpoints = [], []
    with ExitStack() as stack:
        for seed in settings.train.seeds:
            decisive = {
                "data": images.meta.digest,
                "config": config.model_dump(),
                "objective": settings.objective.model_dump(),
                "train": settings.train.model_dump(exclude={"seeds"}),
                "seed": seed,
                "device": device.type,
                "precision": str(select_precision(settings.train.precision, device)),
            }
            checkpoint = stack.enter_context(
                checkpoint_of(decisive, f"{dataset}/{architecture}/seed_{seed}")
            )
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

                def log_epoch(epoch: Epoch, run: tracking.Run = run) -> None:
                    curves = epoch.row | {"images_per_second": epoch.images_per_second}
                    del curves["epoch"]  # the curves' own axis
                    run.log_epoch(epoch.number, curves, epoch.finished_ms)

                torch.manual_seed(seed)
                result = train(
                    build(config),
                    images,
                    settings.objective,
                    settings.train,
                    seed,
                    device,
                    checkpoint,
                    log_epoch,
                )
                model_dir = seed_dir(settings.model_dir(architecture), seed)
                result.save(model_dir)
                run.write_id(model_dir)
                run.log_metrics(result.metrics)
                run.log_artifact(model_dir / "history.csv")
            trained.append(result)
            checkpoints.append(checkpoint)
        save_means(
            trained,
            settings.metrics_dir / f"{architecture}.json",
            settings.report_dir / architecture / "history.csv",
        )
        for checkpoint in checkpoints:
            checkpoint.discard()
