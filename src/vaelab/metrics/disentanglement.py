"""How much single dimensions of a code hold of single factors: MIG, DCI, SAP, and what they are of.

    gaps(mutual_information(equal_bins(mu, 20), factor)[:, None])

All reward a code whose axes are the factors. A rotation of such a code holds as much and scores
low, and nothing in the bound of a VAE with an isotropic prior asks for one rotation rather than
another (Locatello et al. 2019, arXiv 1811.12359, theorem 1). A circular factor, a hue or a
rotation, takes two dimensions of a code that does not jump, and two that hold it equally well leave
no gap between the best and the next.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def gaps(scores: Tensor) -> Tensor:
    """For each factor, its highest score over the dimensions less the next.

    scores: (latent_dim, F). Returns (F,). Of shares of information their mean is MIG (Chen et al.
    2018, arXiv 1802.04942, equation 6), of correlation ratios SAP (Kumar et al. 2018).
    """
    if len(scores) == 1:
        return scores[0]
    first, second = scores.topk(2, dim=0).values
    return first - second


def dci(importance: Tensor) -> tuple[float | None, float | None]:
    """Disentanglement and completeness (Eastwood & Williams 2018, section 2).

    Disentanglement is 1 - the entropy, to the base F, of which factors a dimension matters to,
    averaged over dimensions by how much they matter; completeness is 1 - the entropy, to the base
    latent_dim, of which dimensions matter to a factor, averaged over factors.

    importance: (latent_dim, F), columns that add up to 1, or to 0 where nothing tells the factor,
    which then counts as 0. None of a single factor, or of a single dimension.
    """

    def concentrated(weights: Tensor) -> Tensor:
        """1 - the entropy of each row, of 1 at most; below 0 by rounding alone."""
        shares = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
        entropy = torch.special.entr(shares).sum(1)
        return (1.0 - entropy / math.log(weights.shape[1])).clamp(min=0.0)

    dimensions, factors = importance.shape
    disentanglement = completeness = None
    if factors > 1:
        weights = importance.sum(1)
        each = weights * concentrated(importance)
        disentanglement = float(each.sum() / weights.sum().clamp(min=1e-12))
    if dimensions > 1:
        told = importance.sum(0) > 0
        completeness = float(torch.where(told, concentrated(importance.T), 0.0).mean())
    return disentanglement, completeness


def mutual_information(codes: Tensor, factor: Tensor) -> Tensor:
    """Of each column with the factor, from counts, in nats; a factor's with itself is its entropy.

    codes: (N, D), whole numbers from 0; factor: (N,), the same. Returns (D,), float64. Counts alone
    give (A - 1)(B - 1) / 2N on average where two variables of A and B values are independent
    (Miller 1955).
    """
    count, dimensions = codes.shape
    rows, columns = int(codes.max()) + 1, int(factor.max()) + 1
    cells = (torch.arange(dimensions) * rows + codes) * columns + factor[:, None]
    joint = torch.bincount(cells.flatten(), minlength=dimensions * rows * columns)
    joint = joint.reshape(dimensions, rows, columns).double() / count
    product = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    ratio = torch.where(joint > 0, joint / product, 1.0)
    return (joint * ratio.log()).sum(dim=(1, 2))


def equal_bins(values: Tensor, bins: int) -> Tensor:
    """Each column cut into equal widths between its least and its greatest value.

    values: (N, D). Returns (N, D), whole numbers from 0 to bins - 1; all 0 in a constant column.
    """
    low, high = values.amin(0), values.amax(0)
    width = torch.where(high > low, high - low, 1.0)
    return ((values - low) / width * bins).long().clamp(max=bins - 1)


def correlation_ratio(mu: Tensor, targets: Tensor) -> Tensor:
    """R² of each dimension regressed linearly on a factor's targets, in the images at hand.

    For a number it is the squared correlation, SAP's score (Kumar et al. 2018, arXiv 1711.00848,
    section 3); for a circular factor's sine and cosine the linear-circular correlation (Mardia
    1976), 1 where the dimension is the cosine of the angle from some origin; for a kind, one-hot,
    the share of the dimension's variance between the kinds, where the paper has the accuracy of a
    classifier.

    mu: (N, latent_dim); targets: (N, T). Returns (latent_dim,), float64; 0 in a constant dimension.
    """
    x = mu.double() - mu.double().mean(0)
    y = targets.double() - targets.double().mean(0)
    basis, sizes, _ = torch.linalg.svd(y, full_matrices=False)
    basis = basis[:, sizes > 1e-9 * sizes.amax()]
    variance = x.square().sum(0)
    explained = (basis.T @ x).square().sum(0)
    return torch.where(variance > 0, explained / variance.where(variance > 0, 1.0), 0.0)


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
    return r_squared((test_mu.double() - mean) @ weights + offset, test_targets)


def r_squared(predictions: Tensor, targets: Tensor) -> float | None:
    """1 - squared error / squared deviation from the mean, both summed over the T columns.

    predictions, targets: (N, T). None where the targets do not vary.
    """
    truth = targets.double()
    if (truth == truth[0]).all():
        return None
    residual = truth - predictions.double()
    return float(1.0 - residual.square().sum() / (truth - truth.mean(0)).square().sum())
