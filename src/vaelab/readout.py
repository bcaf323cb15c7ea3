"""How well a linear map reads the known factors of data/shapes.py from the encodings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from vaelab.data.shapes import SYMMETRY


def factor_targets(names: Sequence[str], factors: Tensor) -> dict[str, Tensor]:
    """What a linear map could read: kinds one-hot, angles as sine and cosine, the rest as it is.

    names: of the F factors of data/shapes.py; factors: (N, F). Returns name -> (N, T). A rotation
    is taken at its shape's own period, so that shapes that look alike have equal targets.
    """
    column = dict(zip(names, factors.unbind(1), strict=True))
    kind = column["shape"].long()
    period = torch.from_numpy(SYMMETRY).to(factors.dtype)[kind]
    turns = {
        "rotation": column["rotation"] / period,
        "hue": column["hue"],
        "background_hue": column["background_hue"],
    }
    targets = {name: value.unsqueeze(1) for name, value in column.items()}
    targets["shape"] = one_hot(kind, len(SYMMETRY)).to(factors.dtype)
    for name, turn in turns.items():
        angle = 2.0 * math.pi * turn
        targets[name] = torch.stack([angle.sin(), angle.cos()], dim=1)
    return targets


def linear_readout(
    train_mu: Tensor, train_targets: Tensor, test_mu: Tensor, test_targets: Tensor
) -> float | None:
    """R² on test encodings of a ridge regression (penalty 1) from mu to the targets.

    mu: (N, latent_dim); targets: (N, T), the T columns scored together. 1 is perfect, 0 no better
    than the mean, below 0 worse; None where the test targets do not vary.
    """
    mean, offset = train_mu.double().mean(0), train_targets.double().mean(0)
    x, y = train_mu.double() - mean, train_targets.double() - offset
    penalty = torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(x.T @ x + penalty, x.T @ y)
    truth = test_targets.double()
    if (truth == truth[0]).all():
        return None
    residual = truth - ((test_mu.double() - mean) @ weights + offset)
    return float(1.0 - residual.square().sum() / (truth - truth.mean(0)).square().sum())
