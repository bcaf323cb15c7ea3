"""How well a linear map reads the known factors (data/factors.py) from the encodings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from vaelab.data.factors import CIRCULAR, KINDS, SYMMETRY


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


def linear_readout(
    train_mu: Tensor, train_targets: Tensor, test_mu: Tensor, test_targets: Tensor
) -> float | None:
    """R² on test encodings of a ridge regression (penalty 1) from mu to the targets.

    mu: (N, latent_dim); targets: (N, T), the T columns scored together. 1 is perfect, 0 no better
    than the mean, below 0 worse; None where the test targets do not vary.
    """
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=1.0).fit(train_mu.double().numpy(), train_targets.double().numpy())
    predictions = torch.from_numpy(ridge.predict(test_mu.double().numpy()))
    return r_squared(predictions.reshape(test_targets.shape), test_targets)


def r_squared(predictions: Tensor, targets: Tensor) -> float | None:
    """1 - squared error / squared deviation from the mean, both summed over the T columns.

    predictions, targets: (N, T). None where the targets do not vary.
    """
    truth = targets.double()
    if (truth == truth[0]).all():
        return None
    residual = truth - predictions.double()
    return float(1.0 - residual.square().sum() / (truth - truth.mean(0)).square().sum())
