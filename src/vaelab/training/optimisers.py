"""The optimisers, and what changes with the step: the learning rate and the KL term's weight."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vaelab.settings import ObjectiveSettings, TrainSettings
from vaelab.vae.model import VAE
from vaelab.vae.schedule import warm_cosine

LARGE = 512  # rows or columns of a weight as a matrix
MUON_SHARE = 20.0  # Muon's rate for each of Adam's: sought on photographs of 32 x 32
MOMENTUM = 0.9
EVERY = 2  # steps between two of a matrix by Muon, which cost more than the net's own work
FAINTEST = 1e-3
WHOLE = 192  # rows that are made orthogonal to each other
TINY = 1e-30
# Amsel et al. 2025 (arXiv 2505.16932), algorithm 1: the polynomials that bring singular values from
# 1e-3 to 1 in the fewest matrix products.
POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845749493, 0.4188073119525673),
)


class Muon(torch.optim.Optimizer):
    """Steps whose singular values are all `lr`: Jordan et al. 2024.

    So the many directions in which images vary little are learned as fast as the few in which they
    vary much. A weight is a matrix here, a kernel's last dimensions taken together. The momentum is
    Nesterov's.

    every: of so many steps one moves the weights; the momentum gathers all gradients. A group may
    have its own.
    """

    def __init__(self, params: Any, share: float, momentum: float, every: int = 1) -> None:
        defaults = {"lr": share, "share": share, "momentum": momentum, "every": every}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state |= {"velocity": torch.zeros_like(weight), "steps": 0}
                velocity = state["velocity"].mul_(group["momentum"]).add_(weight.grad)
                state["steps"] += 1
                if state["steps"] % group["every"] == 0:
                    ahead = weight.grad.add(velocity, alpha=group["momentum"]).flatten(1)
                    weight.add_(orthogonal(ahead).view_as(weight), alpha=-group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """(M M^T)^(-1/2) M: the matrix with its singular values made 1, (out, in), float32.

    Those below FAINTEST of the largest are noise, and stay small. What is costly is done on the
    shorter side, in blocks of WHOLE at most, as it grows with the square of that side: n blocks are
    not orthogonal to each other, and together have singular values of up to sqrt(n). It is done
    exactly on a CPU, and by a polynomial on a GPU, whose own eigenvalues are slow.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.mT).mT
    if matrix.shape[0] > WHOLE:
        return torch.cat(
            [orthogonal(block) for block in matrix.tensor_split(-(-len(matrix) // WHOLE))]
        )
    if matrix.device.type != "cpu":
        return by_polynomial(matrix)
    values, vectors = torch.linalg.eigh(matrix @ matrix.mT)
    inverse_root = (values.clamp(min=0) + FAINTEST**2 * values[-1] + TINY).rsqrt()
    return ((vectors * inverse_root) @ vectors.mT) @ matrix


def by_polynomial(matrix: Tensor) -> Tensor:
    """As `orthogonal`, the singular values to within a tenth of 1. Rows no more than columns."""
    result = matrix / (1.01 * matrix.norm() + TINY)
    for a, b, c in POLAR_EXPRESS:
        gram = result @ result.mT
        result = a * result + (b * gram + c * gram @ gram) @ result
    return result


def build_optimisers(vae: VAE, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """`adam` for all weights; or `muon` for the large matrices and kernels, and Adam beside.

    `share` of a group: what its rate is in terms of `learning_rate`. By it one learning rate serves
    every width and image size, as features move by as much at each:

    Muon's step has a spectral norm that goes with sqrt(outputs / inputs) (Yang, Simon & Bernstein
    2023, arXiv 2310.17813, condition 1). Adam moves every weight by about as much, so an output by
    as much as it has inputs (Yang et al. 2021, arXiv 2203.03466, table 8).
    """
    of_muon: dict[tuple[float, int], list[nn.Parameter]] = {}
    of_adam: dict[float, list[nn.Parameter]] = {}
    for module in vae.modules():
        for weight in module.parameters(recurse=False):
            outputs, inputs = fans(module, weight)
            large = weight.ndim > 1 and max(len(weight), weight[0].numel()) >= LARGE
            if settings.optimiser == "muon" and large:
                every = EVERY if weight.ndim == 2 else 1
                share = MUON_SHARE * every * math.sqrt(outputs / inputs)
                of_muon.setdefault((share, every), []).append(weight)
            else:
                of_adam.setdefault(min(1.0, LARGE / inputs), []).append(weight)
    adam = torch.optim.Adam(
        [{"params": weights, "share": share} for share, weights in of_adam.items()], fused=True
    )
    groups = [
        {"params": weights, "share": share, "every": every}
        for (share, every), weights in of_muon.items()
    ]
    return [adam, Muon(groups, MUON_SHARE, MOMENTUM)] if groups else [adam]


def fans(module: nn.Module, weight: nn.Parameter) -> tuple[int, int]:
    """The outputs and inputs that a module's weight joins.

    An output of a transposed convolution of stride 2 sees every second row and column of the
    kernel.
    """
    if isinstance(module, nn.ConvTranspose2d) and weight is module.weight:
        seen = math.prod(module.kernel_size) // math.prod(module.stride)
        return module.out_channels, module.in_channels * seen
    return weight.shape[:1].numel(), weight.shape[1:].numel()


def set_learning_rate(optimisers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = rate * group["share"]


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
