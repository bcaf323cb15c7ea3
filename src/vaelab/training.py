"""One training loop for both architectures.

    python src/stages/train_conv.py shapes

Every random number of an epoch comes from generators seeded by (seed, epoch), and the learning rate
and the weight of the KL term are functions of the step, so that a run stopped after any epoch goes
on from its checkpoint to the same weights: bit for bit on a CPU.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from vaelab.checkpoints import Checkpoint
from vaelab.data.arrays import ImageArrays
from vaelab.device import select_precision
from vaelab.errors import UserError
from vaelab.evaluation import bound
from vaelab.models import VAE
from vaelab.objective import charged_rate, elbo_terms
from vaelab.settings import ObjectiveSettings, TrainSettings

WARM_UP = 0.05  # of all steps, in the cosine schedule
MAX_GRADIENT_NORM = 200.0  # nats/image; as Child 2021 (VDVAE): a spike of logvar ends many a run
METRICS = "metrics.json"
HISTORY = "history.csv"
CHECK_EVERY = 50  # steps between two looks at whether the loss is finite

log = logging.getLogger("vaelab")

Row = dict[str, float]


@dataclass(frozen=True)
class Epoch:
    """One line of the history, and what a clock said of it."""

    number: int  # from 1
    row: Row  # the columns of history.csv
    images_per_second: float
    finished_ms: int  # since 1970


@dataclass(frozen=True)
class Trained:
    vae: VAE
    history: list[Row]
    seconds: float  # in training steps, over all the processes that took part
    images_per_second: float

    @property
    def metrics(self) -> dict[str, float]:
        """The last epoch's figures on the validation split, and the price paid for them."""
        last = self.history[-1]
        figures = ("elbo", "reconstruction", "kl", "mse", "psnr")
        return {figure: last[f"val_{figure}"] for figure in figures} | {
            "parameters": self.vae.parameter_count(),
            "seconds": round(self.seconds, 1),
            "images_per_second": round(self.images_per_second, 1),
        }

    def save(self, model_dir: Path) -> None:
        """Weights and config; metrics.json; history.csv with a row for each epoch."""
        self.vae.save(model_dir)
        write_metrics(self.metrics, model_dir / METRICS)
        write_history(pd.DataFrame(self.history), model_dir / HISTORY)


def save_means(trained: Sequence[Trained], metrics_file: Path, history_file: Path) -> None:
    """What `Trained.save` writes for each seed, averaged over the seeds."""
    metrics = pd.DataFrame([each.metrics for each in trained]).mean()
    histories = pd.concat([pd.DataFrame(each.history) for each in trained])
    history = histories.groupby("epoch", as_index=False).mean()
    for file in (metrics_file, history_file):
        file.parent.mkdir(parents=True, exist_ok=True)
    parameters = trained[0].metrics["parameters"]
    write_metrics({**metrics, "parameters": parameters, "seeds": len(trained)}, metrics_file)
    write_history(history, history_file)


def write_history(history: pd.DataFrame, file: Path) -> None:
    """A CSV, in which an empty cell stands for what is not finite."""
    history.replace([math.inf, -math.inf], math.nan).to_csv(file, index=False)


def write_metrics(metrics: Mapping[str, float], file: Path) -> None:
    """JSON, in which null stands for what is not finite, as a point posterior's KL."""
    finite = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
    file.write_text(json.dumps(finite, indent=2) + "\n")


def train(
    vae: VAE,
    images: ImageArrays,
    objective: ObjectiveSettings,
    settings: TrainSettings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint,
    on_epoch: Callable[[Epoch], None],
) -> Trained:
    """Train `vae` on the train split, looking at the validation split after each epoch.

    seed: of the images' order and of the posterior's noise.
    on_epoch is called when an epoch's checkpoint is safe, and again for every finished epoch where
    a stopped run goes on.
    Raises UserError where a figure stops being finite; the last checkpoint is kept.
    """
    vae.to(device)
    precision = select_precision(settings.precision, device)
    optimisers = build_optimisers(vae, settings)
    train_pixels = torch.from_numpy(np.array(images.train.images)).to(device)  # uint8 (N, C, H, W)
    val_pixels = torch.from_numpy(np.array(images.val.images)).to(device)
    count = len(train_pixels)
    steps_per_epoch = math.ceil(count / settings.batch_size)

    epochs: list[Epoch] = []
    if state := checkpoint.load():
        vae.load_state_dict(state["vae"])
        for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        for epoch in epochs:
            on_epoch(epoch)
        log.info("going on after epoch %d of %d", len(epochs), settings.epochs)

    for number in range(len(epochs), settings.epochs):
        order, noise = _generators(seed, number, device)
        progress = tqdm(
            total=count,
            desc=f"epoch {number + 1}/{settings.epochs}",
            unit="img",
            leave=False,
            disable=not sys.stderr.isatty(),
        )
        totals = torch.zeros(2, dtype=torch.float64)  # reconstruction, KL
        pending: list[Tensor] = []  # on the device, so that no step waits for it
        started = time.perf_counter()
        vae.train()
        permutation = torch.randperm(count, generator=order)
        for i, index in enumerate(permutation.split(settings.batch_size)):
            step = number * steps_per_epoch + i
            learning_rate = learning_rate_at(step, settings.epochs * steps_per_epoch, settings)
            beta = beta_at(step / steps_per_epoch, settings.epochs, objective)
            for optimiser in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = learning_rate

            batch = train_pixels[index.to(device)].float() / 255.0  # (B, C, H, W)
            if settings.flip:
                mirrored = torch.rand(len(batch), generator=order) < 0.5
                mirrored = mirrored.to(device).view(-1, 1, 1, 1)
                batch = torch.where(mirrored, batch.flip(3), batch)
            with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                terms = elbo_terms(vae, batch, noise)
            loss = terms.reconstruction.mean()
            if vae.stochastic:
                loss = loss + beta * charged_rate(terms.kl_per_dimension, objective.free_bits)
            vae.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), MAX_GRADIENT_NORM)
            for optimiser in optimisers:
                optimiser.step()

            pending.append(torch.stack([terms.reconstruction.sum(), terms.kl.sum()]).detach())
            if len(pending) == CHECK_EVERY or i == steps_per_epoch - 1:
                window = torch.stack(pending).sum(0).cpu().double()
                if not (window[0].isfinite() and (window[1].isfinite() or not vae.stochastic)):
                    where = f"between steps {i - len(pending) + 2} and {i + 1}"
                    raise _diverged(number, where, settings)
                totals += window
                pending.clear()
                progress.set_postfix_str(f"loss {loss.item():.1f}", refresh=False)
            progress.update(len(index))
        progress.close()
        seconds = time.perf_counter() - started

        reconstruction, kl = (totals / count).tolist()
        vae.eval()
        val = bound(vae, val_pixels, samples=1, seed=seed)
        figures = (val.reconstruction, val.mse, *([val.kl] if vae.stochastic else []))
        if not all(map(math.isfinite, figures)):
            raise _diverged(number, "on the validation split", settings)
        row = {
            "epoch": number + 1,
            "train_elbo": -(reconstruction + kl),
            "train_reconstruction": reconstruction,
            "train_kl": kl,
            "val_elbo": val.elbo,
            "val_reconstruction": val.reconstruction,
            "val_kl": val.kl,
            "val_mse": val.mse,
            "val_psnr": val.psnr,
            "beta": beta,
            "learning_rate": learning_rate,
        }
        finished = Epoch(number + 1, row, count / seconds, int(time.time() * 1000))
        epochs.append(finished)
        checkpoint.save(
            {
                "vae": vae.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in optimisers],
                "epochs": [vars(each) for each in epochs],
            }
        )
        on_epoch(finished)
        log.info("%s", describe(finished, settings.epochs))

    seconds = sum(count / epoch.images_per_second for epoch in epochs)
    return Trained(
        vae=vae,
        history=[epoch.row for epoch in epochs],
        seconds=seconds,
        images_per_second=count * len(epochs) / seconds,
    )


def build_optimisers(vae: VAE, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """`adam` for all parameters, or `muon` for the matrices of the linear layers and Adam beside.

    Muon makes every singular value of a step equal, so that directions in which the pixels vary
    little are learned as fast as the others: Jordan et al. 2024, with steps scaled to the size of
    Adam's (Liu et al. 2025, arXiv 2502.16982, equation 4), so that one learning rate serves both.
    """
    rate = settings.learning_rate
    if settings.optimiser == "adam":
        return [torch.optim.Adam(vae.parameters(), lr=rate)]
    matrices = [parameter for parameter in vae.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in vae.parameters() if parameter.ndim != 2]
    muon = torch.optim.Muon(matrices, lr=rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.Adam(others, lr=rate)]


def learning_rate_at(step: int, steps: int, settings: TrainSettings) -> float:
    """`cosine`: up linearly over the first WARM_UP of the steps, then down to 0 along a cosine."""
    if settings.schedule == "constant":
        return settings.learning_rate
    warm_up = WARM_UP * steps
    if step < warm_up:
        return settings.learning_rate * (step + 1) / (warm_up + 1)
    done = (step - warm_up) / (steps - warm_up)
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * done))


def beta_at(epoch: float, epochs: int, objective: ObjectiveSettings) -> float:
    """The KL term's weight: linear from 0 over kl_warmup_epochs, then beta; epoch may be broken.

    With kl_cycles of 2 or more it starts from 0 again so often, evenly over the epochs (Fu et al.
    2019, arXiv 1903.10145).
    """
    since_start = epoch % (epochs / objective.kl_cycles)
    if since_start >= objective.kl_warmup_epochs:
        return objective.beta
    return objective.beta * since_start / objective.kl_warmup_epochs


def describe(epoch: Epoch, epochs: int) -> str:
    """An epoch in one line."""
    row = epoch.row
    return (
        f"epoch {epoch.number}/{epochs}  train -ELBO {-row['train_elbo']:.1f}  "
        f"val -ELBO {-row['val_elbo']:.1f} = reconstruction {row['val_reconstruction']:.1f} "
        f"+ KL {row['val_kl']:.1f} nats/image  PSNR {row['val_psnr']:.2f} dB  "
        f"{epoch.images_per_second:.0f} images/s"
    )


def _generators(
    seed: int, epoch: int, device: torch.device
) -> tuple[torch.Generator, torch.Generator]:
    """For the order of the images (on the CPU) and the noise of the posterior (on the device)."""
    order, noise = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64).tolist()
    return (
        torch.Generator().manual_seed(order % 2**63),
        torch.Generator(device).manual_seed(noise % 2**63),
    )


def _diverged(epoch: int, where: str, settings: TrainSettings) -> UserError:
    kept = f"; the checkpoint of epoch {epoch} is kept for these settings" if epoch else ""
    return UserError(
        f"the loss became NaN or infinite in epoch {epoch + 1}, {where}; try a smaller "
        f"train.learning_rate (it is {settings.learning_rate:g}), objective.kl_warmup_epochs, or "
        f"train.precision: float32, which start anew{kept}"
    )
