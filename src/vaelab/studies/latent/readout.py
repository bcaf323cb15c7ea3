"""How well a linear map reads the known factors (data/factors.py) from the encodings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from vaelab.data.factors import CIRCULAR, KINDS, SYMMETRY
from vaelab.metrics.disentanglement import linear_readout


def turns(names: Sequence[str], factors: Tensor) -> dict[str, Tensor]:
    """The circular factors, as shares of their period: 0 and 1 are the same image.

    factors: (N, F), named by `names`. Returns name -> (N,) in [0, 1). A rotation is taken at its
    shape's own period, so that shapes that look alike have equal turns.
    """
    column = dict(zip(names, factors.unbind(1), strict=True))
    found = {name: column[name] % 1.0 for name in CIRCULAR if name in column}
    if "rotation" in column:
        period = torch.from_numpy(SYMMETRY).to(factors.dtype)[column["shape"].long()]
        found["rotation"] = column["rotation"] / period % 1.0
    return found


def factor_targets(names: Sequence[str], factors: Tensor) -> dict[str, Tensor]:
    """What a linear map could read: kinds one-hot, angles as sine and cosine, the rest as it is.

    factors: (N, F), named by `names`. Returns name -> (N, T).
    """
    targets = {name: factors[:, i : i + 1] for i, name in enumerate(names)}
    for name in KINDS.keys() & targets.keys():
        targets[name] = one_hot(targets[name][:, 0].long(), len(KINDS[name])).to(factors.dtype)
    for name, turn in turns(names, factors).items():
        angle = 2.0 * math.pi * turn
        targets[name] = torch.stack([angle.sin(), angle.cos()], dim=1)
    return targets


def read_factors(
    names: Sequence[str],
    train_mu: Tensor,
    train_factors: Tensor,
    test_mu: Tensor,
    test_factors: Tensor,
) -> dict[str, float | None]:
    """`linear_readout` of each factor. mu: (N, latent_dim); factors: (N, F), named by `names`."""
    fitted, scored = (factor_targets(names, factors) for factors in (train_factors, test_factors))
    return {name: linear_readout(train_mu, fitted[name], test_mu, scored[name]) for name in fitted}
