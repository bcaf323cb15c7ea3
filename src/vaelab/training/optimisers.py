"""The optimisers, and what changes with the step: the learning rate and the KL term's weight."""

from __future__ import annotations

import torch

from vaelab.settings import ObjectiveSettings, TrainSettings
from vaelab.vae.model import VAE
from vaelab.vae.schedule import warm_cosine


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


def set_learning_rate(optimisers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate


def learning_rate_at(step: int, steps: int, settings: TrainSettings) -> float:
    """`cosine` warms up first; see `warm_cosine`."""
    share = 1.0 if settings.schedule == "constant" else warm_cosine(step, steps)
    return settings.learning_rate * share


def beta_at(epoch: float, epochs: int, objective: ObjectiveSettings) -> float:
    """The KL term's weight: linear from 0 over kl_warmup_epochs, then beta; epoch may be broken.

    With kl_cycles of 2 or more it starts from 0 again so often, evenly over the epochs (Fu et al.
    2019, arXiv 1903.10145).
    """
    since_start = epoch % (epochs / objective.kl_cycles)
    if since_start >= objective.kl_warmup_epochs:
        return objective.beta
    return objective.beta * since_start / objective.kl_warmup_epochs
