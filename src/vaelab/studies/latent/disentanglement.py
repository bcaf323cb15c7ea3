"""Whether single dimensions hold single known factors: MIG, DCI and SAP.

All three reward a code whose axes are the factors. A rotation of such a code holds as much and
scores low, and nothing in the bound of a VAE with an isotropic prior asks for one rotation rather
than another (Locatello et al. 2019, arXiv 1811.12359, theorem 1): that a factor is there at all is
for readout.py to say. A circular factor, a hue or a rotation, takes two dimensions of a code that
does not jump, and two that hold it equally well leave no gap between the best and the next.

The code is mu, as in Locatello et al. 2019, whatever the width of the posterior.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaelab.metrics.probes import probe_rows
from vaelab.studies.latent.readout import factor_targets, r_squared, turns

CODE_BINS = 20  # equal widths from a dimension's least value to its greatest
FACTOR_BINS = 10  # equal widths, of a factor that is a number; a kind is its own bin
COUNTED = 10_000  # images that are counted, at most
FITTED = 5_000  # images that the forests are fitted on, at most
FEWEST = CODE_BINS * FACTOR_BINS  # images below which the counts are not worth having
TREES = 50
LEAF = 5  # images in a leaf, at least
TRIED = 256  # dimensions that a split is chosen from, drawn anew for each; all where fewer


@dataclass(frozen=True)
class Disentanglement:
    """F factors, those that vary; matrices are (latent_dim, F), float64."""

    factors: list[str]
    information: Tensor  # I(z_i; v_j) / H(v_j): the share of a factor's entropy in a dimension
    floor: Tensor  # (F,): what `information` comes to by chance alone, about
    separability: Tensor  # R² of a dimension regressed on a factor
    importance: Tensor  # of a dimension in a forest that predicts a factor; columns add up to 1
    informativeness: Tensor  # (F,): R² of that forest on the scored images; NaN where none varies

    def figures(self) -> dict[str, float | None]:
        """The scores, each at most 1; None where a score is undefined."""
        disentanglement, completeness = dci(self.importance)
        informativeness = self.informativeness.nanmean()
        return {
            "mig": float(gaps(self.information).mean()),
            "dci_disentanglement": disentanglement,
            "dci_completeness": completeness,
            "dci_informativeness": None if informativeness.isnan() else float(informativeness),
            "sap": float(gaps(self.separability).mean()),
        }

    def best_dimensions(self) -> list[dict[str, Any]]:
        """For each factor the dimension that holds most of it and the next, None of a single one.

        `information` and `next_information` are shares of the factor's entropy.
        """
        rows = []
        for j, factor in enumerate(self.factors):
            order = self.information[:, j].argsort(descending=True, stable=True)[:2].tolist()
            shares = self.information[order, j].tolist()
            runner_up = (order[1], shares[1]) if len(order) > 1 else (None, None)
            rows.append(
                {
                    "factor": factor,
                    "dimension": order[0],
                    "information": shares[0],
                    "next": runner_up[0],
                    "next_information": runner_up[1],
                    "chance": float(self.floor[j]),
                    "forest": float(self.informativeness[j]),
                }
            )
        return rows


def disentanglement(
    names: Sequence[str],
    fitted_mu: Tensor,
    fitted_factors: Tensor,
    scored_mu: Tensor,
    scored_factors: Tensor,
    seed: int,
) -> Disentanglement | None:
    """Two splits on neither of which the model was trained: forests are fitted on the first.

    mu: (N, latent_dim); factors: (N, F), of data/shapes.py, named by `names`. seed: of the rows
    that are taken and of the forests. Information and separability, which fit next to nothing, are
    of both splits together. None where a split has fewer than FEWEST images, or no factor varies.
    """
    if min(len(fitted_mu), len(scored_mu)) < FEWEST:
        return None
    mu, factors = torch.cat([fitted_mu, scored_mu]), torch.cat([fitted_factors, scored_factors])
    rows = probe_rows(len(mu), COUNTED, seed)
    bins = factor_bins(names, factors[rows])
    varying = [name for name in names if len(bins[name].unique()) > 1]
    if not varying:
        return None
    codes = equal_bins(mu[rows].double(), CODE_BINS)
    entropy = torch.stack([_entropy(bins[name]) for name in varying])
    information = torch.stack([mutual_information(codes, bins[name]) for name in varying], dim=1)
    cells = torch.tensor([(CODE_BINS - 1) * (len(bins[name].unique()) - 1) for name in varying])
    targets = factor_targets(names, factors[rows])
    separability = [correlation_ratio(mu[rows], targets[name]) for name in varying]

    first = probe_rows(len(fitted_mu), FITTED, seed)
    fitted = factor_targets(names, fitted_factors[first])
    scored = factor_targets(names, scored_factors)
    forests = [
        _forest(fitted_mu[first], fitted[name], scored_mu, scored[name], seed) for name in varying
    ]
    return Disentanglement(
        varying,
        information / entropy,
        cells / (2.0 * len(rows)) / entropy,
        torch.stack(separability, dim=1),
        torch.stack([importance for importance, _ in forests], dim=1),
        torch.tensor([score for _, score in forests], dtype=torch.float64),
    )


def factor_bins(names: Sequence[str], factors: Tensor) -> dict[str, Tensor]:
    """Factors as whole numbers from 0: kinds as they are, numbers in FACTOR_BINS equal widths.

    names: of the F factors of data/shapes.py; factors: (N, F). A circle is cut at 0 and divided,
    a rotation's at its shape's own period. Returns name -> (N,).
    """
    circular = turns(names, factors)
    bins = {
        name: (circular[name] * FACTOR_BINS).long()
        if name in circular
        else equal_bins(factors[:, i : i + 1].double(), FACTOR_BINS)[:, 0]
        for i, name in enumerate(names)
    }
    return bins | {"shape": factors[:, list(names).index("shape")].long()}


def equal_bins(values: Tensor, bins: int) -> Tensor:
    """Each column cut into equal widths between its least and its greatest value.

    values: (N, D). Returns (N, D), whole numbers from 0 to bins - 1; all 0 in a constant column.
    """
    low, high = values.amin(0), values.amax(0)
    width = torch.where(high > low, high - low, 1.0)
    return ((values - low) / width * bins).long().clamp(max=bins - 1)


def mutual_information(codes: Tensor, factor: Tensor) -> Tensor:
    """Of each column with the factor, from counts, in nats.

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


def _entropy(factor: Tensor) -> Tensor:
    """From counts, in nats. factor: (N,), whole numbers. Returns ()."""
    return mutual_information(factor[:, None], factor)[0]


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


def gaps(scores: Tensor) -> Tensor:
    """For each factor, its highest score over the dimensions less the next.

    scores: (latent_dim, F). Returns (F,). Of `information` their mean is MIG (Chen et al. 2018,
    arXiv 1802.04942, equation 6), of `separability` SAP (Kumar et al. 2018).
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
    dimensions, factors = importance.shape
    disentanglement = completeness = None
    if factors > 1:
        weights = importance.sum(1)
        concentrated = (1.0 - _row_entropies(importance) / math.log(factors)).clamp(min=0.0)
        disentanglement = float((weights * concentrated).sum() / weights.sum().clamp(min=1e-12))
    if dimensions > 1:
        concentrated = (1.0 - _row_entropies(importance.T) / math.log(dimensions)).clamp(min=0.0)
        completeness = float(torch.where(importance.sum(0) > 0, concentrated, 0.0).mean())
    return disentanglement, completeness


def _row_entropies(weights: Tensor) -> Tensor:
    """Of each row, made to add up to 1, in nats; 0 of a row of zeros. Returns (rows,)."""
    shares = weights / weights.sum(1, keepdim=True).clamp(min=1e-12)
    return torch.special.entr(shares).sum(1)


def _forest(
    train_mu: Tensor, train_targets: Tensor, test_mu: Tensor, test_targets: Tensor, seed: int
) -> tuple[Tensor, float]:
    """The importance of each dimension, (latent_dim,), and R² on the test encodings.

    A forest of regression trees; on one-hot targets it splits as Gini's impurity does.
    """
    from sklearn.ensemble import ExtraTreesRegressor

    tried = min(TRIED, train_mu.shape[1])
    forest = ExtraTreesRegressor(
        TREES, max_features=tried, min_samples_leaf=LEAF, random_state=seed
    )
    targets = train_targets[:, 0] if train_targets.shape[1] == 1 else train_targets
    forest.fit(train_mu.numpy(), targets.numpy())
    predictions = torch.from_numpy(forest.predict(test_mu.numpy())).reshape(test_targets.shape)
    score = r_squared(predictions, test_targets)
    importance = torch.from_numpy(forest.feature_importances_).double()
    return importance, math.nan if score is None else score
