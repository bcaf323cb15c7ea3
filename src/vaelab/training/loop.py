"""One training loop for every architecture.

    python src/stages/train_conv.py shapes

Every random number of an epoch comes from generators seeded by (seed, epoch), and the learning rate
and the weight of the KL term are functions of the step, so that a run stopped after any epoch goes
on from its checkpoint to the same weights: bit for bit on a CPU.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vaelab.data.arrays import ImageArrays, UInt8Array
from vaelab.runtime.checkpoints import Checkpoint
from vaelab.runtime.errors import UserError, lacks_memory
from vaelab.runtime.progress import bar
from vaelab.settings import ObjectiveSettings, TrainSettings
from vaelab.training import ranks
from vaelab.training.optimisers import (
    beta_at,
    build_optimisers,
    learning_rate_at,
    set_learning_rate,
)
from vaelab.training.validation import Validation, validate
from vaelab.vae.device import select_precision
from vaelab.vae.inference import batches, device_of
from vaelab.vae.model import VAE
from vaelab.vae.objective import charged_rate, elbo_terms
from vaelab.vae.pixels import to_floats

MAX_GRADIENT_NORM = 200.0  # nats/image; as Child 2021 (VDVAE): a spike of logvar ends many a run
CHECK_EVERY = 50  # steps between two looks at whether the loss has diverged
SENSELESS = 10.0  # times the nats of an untrained or a raw image: what diverges and stays finite
HISTORY = "history.csv"

log = logging.getLogger("vaelab")

Row = dict[str, float]
Pixels = UInt8Array | Tensor  # uint8 (N, C, H, W)


@dataclass(frozen=True)
class Epoch:
    """One line of the history, and the wall-clock time that it took."""

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
        """The last epoch's figures on the validation split."""
        return {key: value for key, value in self.history[-1].items() if key.startswith("val_")}

    def save(self, folder: Path) -> None:
        """Weights and config; history.csv with a row for each epoch."""
        self.vae.save(folder)
        write_history([self.history], folder / HISTORY)


def write_history(histories: Sequence[Sequence[Row]], file: Path) -> None:
    """A row for each epoch, mean over the runs; an empty cell stands for what is not finite."""
    rows = pd.concat([pd.DataFrame(history) for history in histories])
    means = rows.groupby("epoch", as_index=False).mean() if len(histories) > 1 else rows
    file.parent.mkdir(parents=True, exist_ok=True)
    means.replace([math.inf, -math.inf], math.nan).to_csv(file, index=False)


def epochs_of(count: int, settings: TrainSettings) -> int:
    """`epochs`, or as many more as `min_steps` takes. count: of training images."""
    steps_per_epoch = math.ceil(count / settings.batch_size)
    return max(settings.epochs, math.ceil(settings.min_steps / steps_per_epoch))


def train(
    vae: VAE,
    images: ImageArrays,
    objective: ObjectiveSettings,
    settings: TrainSettings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None,
    on_epoch: Callable[[Epoch], None],
) -> Trained:
    """Train `vae` on the train split, looking at the validation split after each epoch.

    seed: of the images' order and of the posterior's noise. checkpoint: the first rank's.
    on_epoch is called when an epoch's checkpoint is safe, and again for every finished epoch where
    a stopped run goes on.
    Raises UserError where the loss is no number or `senseless`; the last checkpoint is kept.
    """
    vae.to(device)
    optimisers = build_optimisers(vae, settings)
    train_pixels, val_pixels = (  # uint8 (N, C, H, W); on a CPU they stay on disk
        split.images if device.type == "cpu" else torch.tensor(split.images, device=device)
        for split in (images.train, images.val)
    )
    limit = senseless(vae, next(batches(val_pixels, device)))
    count = len(train_pixels)
    epochs = epochs_of(count, settings)
    finished = _restore(checkpoint, vae, optimisers)
    step = ranks.parallel(Step(vae, objective, settings), device)
    for epoch in finished:
        on_epoch(epoch)

    for number in range(len(finished), epochs):
        started = time.perf_counter()
        vae.train()
        row = _train_epoch(step, train_pixels, optimisers, seed, number, epochs, limit)
        seconds = time.perf_counter() - started
        vae.eval()
        val = ranks.from_first(lambda: validate(vae, val_pixels, samples=1, seed=seed))
        row |= _columns(val)
        if not _cost(val.distortion, val.rate, row["beta"] if vae.stochastic else 0.0) < limit:
            raise _diverged(number, "on the validation split", settings)
        finished.append(Epoch(number + 1, row, count / seconds, int(time.time() * 1000)))
        if checkpoint:
            checkpoint.save(
                {
                    "vae": vae.state_dict(),
                    "optimisers": [optimiser.state_dict() for optimiser in optimisers],
                    "epochs": [vars(each) for each in finished],
                    "threads": torch.get_num_threads(),
                }
            )
        on_epoch(finished[-1])
        found = (
            f"ELBO {val.elbo:.1f} (train {row['train_elbo']:.1f}) nats  rate {val.rate:.1f}"
            if vae.stochastic
            else f"distortion {val.distortion:.1f} nats"
        )
        log.info(
            f"epoch {number + 1}/{epochs}  {found}  PSNR {val.psnr:.2f} dB  "
            f"{count / seconds:.0f} images/s"
        )

    seconds = sum(count / epoch.images_per_second for epoch in finished)
    history = [epoch.row for epoch in finished]
    return Trained(vae, history, seconds, count * len(finished) / seconds)


class Step(nn.Module):
    """From a rank's rows of a batch to the whole batch's loss, which has to be a module's forward
    for PyTorch to average the gradients.
    """

    def __init__(self, vae: VAE, objective: ObjectiveSettings, settings: TrainSettings) -> None:
        super().__init__()
        self.vae, self.objective, self.settings = vae, objective, settings
        self.device = device_of(vae)
        self.precision = select_precision(settings.precision, self.device)

    def forward(self, images: Tensor, eps: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """images: (B, C, H, W) in [0, 1]; eps: (B, latent_dim); both the whole batch's.

        Returns the loss, and the sums of distortion and rate over this rank's images, (2,).
        """
        rows, weight = ranks.own_rows(len(images))
        lower = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=lower):
            terms = elbo_terms(self.vae, images[rows], eps=eps[rows])
        loss = ranks.total(weight * terms.distortion.sum() / len(images))
        if self.vae.stochastic:
            mean_kl = ranks.total(weight * terms.kl_per_dimension.sum(0) / len(images))
            loss = loss + beta * charged_rate(mean_kl, self.objective.free_bits)
        sums = torch.stack([terms.distortion.sum(), terms.rate.sum()]).detach()
        return loss, weight * sums if weight else torch.zeros_like(sums)


def _restore(
    checkpoint: Checkpoint | None, vae: VAE, optimisers: list[torch.optim.Optimizer]
) -> list[Epoch]:
    """The epochs that a stopped run finished, its weights and moments back in place.

    And its number of threads, in whose order sums were rounded: the machine may be busier now.
    None, and everything as it was, where the checkpoint does not fit.
    """
    state = ranks.from_first(checkpoint.load if checkpoint else dict)
    if not state:
        return []
    parts: list[nn.Module | torch.optim.Optimizer] = [vae, *optimisers]
    before = copy.deepcopy([part.state_dict() for part in parts])
    try:
        for part, saved in zip(parts, [state["vae"], *state["optimisers"]], strict=True):
            part.load_state_dict(saved)
        epochs = [Epoch(**saved) for saved in state["epochs"]]
        torch.set_num_threads(state["threads"])
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if lacks_memory(error):
            raise
        for part, own in zip(parts, before, strict=True):
            part.load_state_dict(own)
        if checkpoint:
            checkpoint.set_aside("does not fit the model")
        return []
    log.info("goes on after epoch %d", len(epochs))
    return epochs


def _train_epoch(
    step: nn.Module,
    pixels: Pixels,
    optimisers: list[torch.optim.Optimizer],
    seed: int,
    number: int,
    epochs: int,
    limit: float,
) -> Row:
    """One pass over the images, uint8 (N, C, H, W) on the device. number: of the epoch, from 0."""
    inner = getattr(step, "module", step)
    assert isinstance(inner, Step)
    vae, settings, device, count = inner.vae, inner.settings, inner.device, len(pixels)
    steps = math.ceil(count / settings.batch_size)
    order, noise = _generators(seed, number, device)
    totals = torch.zeros(2, dtype=torch.float64)  # distortion, rate
    pending: list[Tensor] = []  # on the device, so that no step waits for it
    looked_at = 0  # images whose figures are no longer pending
    with bar(count, f"epoch {number + 1}/{epochs}", "img") as progress:
        for i, batch in enumerate(_batches(pixels, order, settings, device)):  # (B, C, H, W)
            so_far = number * steps + i
            learning_rate = learning_rate_at(so_far, epochs * steps, settings)
            beta = beta_at(so_far / steps, epochs, inner.objective)
            set_learning_rate(optimisers, learning_rate)

            eps = torch.randn(len(batch), vae.latent_dim, generator=noise, device=device)
            loss, sums = step(batch, eps, beta)
            vae.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(vae.parameters(), MAX_GRADIENT_NORM)
            for optimiser in optimisers:
                optimiser.step()

            pending.append(sums)
            if len(pending) == CHECK_EVERY or i == steps - 1:
                window = ranks.total(torch.stack(pending).sum(0)).cpu().double()
                seen = min((i + 1) * settings.batch_size, count)
                distortion, rate = (window / (seen - looked_at)).tolist()
                if not _cost(distortion, rate, beta if vae.stochastic else 0.0) < limit:
                    where = f"between steps {i - len(pending) + 2} and {i + 1}"
                    raise _diverged(number, where, settings)
                totals += window
                looked_at = seen
                pending.clear()
            progress.update(len(batch))
    distortion, rate = (totals / count).tolist()
    return {
        "epoch": number + 1,
        "train_elbo": -(distortion + rate),
        "train_reconstruction": distortion,
        "train_kl": rate,
        "beta": beta,
        "learning_rate": learning_rate,
    }


@torch.no_grad()
def senseless(vae: VAE, images: Tensor) -> float:
    """Nats/image above which training has diverged, though its figures be finite.

    SENSELESS times what an image costs as raw 8-bit values, or as a decoder's that shows nothing,
    if the likelihood makes that dearer. images: (B, C, H, W) in [0, 1]; vae: before training.
    """
    raw = images[0].numel() * math.log(256)
    untrained = -vae.likelihood.log_prob(images, torch.zeros_like(images)).mean().item()
    return SENSELESS * max(raw, untrained)


def _cost(distortion: float, rate: float, beta: float) -> float:
    """NaN where either is; a rate that costs nothing may be infinite."""
    return distortion + beta * rate if beta else distortion


def _columns(val: Validation) -> Row:
    return {
        "val_elbo": val.elbo,
        "val_reconstruction": val.distortion,
        "val_kl": val.rate,
        "val_mse": val.mse,
        "val_psnr": val.psnr,
    }


def _batches(
    pixels: Pixels, order: torch.Generator, settings: TrainSettings, device: torch.device
) -> Iterator[Tensor]:
    """Float (B, C, H, W) in [0, 1], in an order drawn anew; with `flip`, half of them mirrored."""
    permutation = torch.randperm(len(pixels), generator=order)
    for index in permutation.split(settings.batch_size):
        on_disk = not isinstance(pixels, Tensor)
        batch = to_floats(pixels[index.numpy()] if on_disk else pixels[index.to(device)])
        if settings.flip:
            mirrored = torch.rand(len(batch), generator=order) < 0.5
            batch = torch.where(mirrored.to(batch.device).view(-1, 1, 1, 1), batch.flip(3), batch)
        yield batch


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
        f"training diverged in epoch {epoch + 1}, {where}; a smaller train.learning_rate (it is "
        f"{settings.learning_rate:g}) starts anew{kept}"
    )
