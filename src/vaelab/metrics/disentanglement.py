"""How much single dimensions of a code hold of single factors: MIG, DCI and SAP.

    disentanglement(names, val_mu, val_factors, test_mu, test_factors, seed=0).scores["mig"]

The code is mu, as in Locatello et al. 2019, whatever the width of the posterior. All three reward a
code whose axes are the factors. A rotation of such a code holds as much and scores low, and nothing
in the bound of a VAE with an isotropic prior asks for one rotation rather than another (Locatello
et al. 2019, arXiv 1811.12359, theorem 1); that a factor is there at all is for readout.py to say. A
circular factor, a hue or a rotation, takes two dimensions of a code that does not jump, and two
that hold it equally well leave no gap between the best and the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.data.factors import KINDS
from vaelab.metrics.probes import probe_rows
from vaelab.metrics.readout import factor_targets, r_squared, turns

CODE_BINS = 20  # equal widths from a dimension's least value to its greatest
FACTOR_BINS = 10  # equal widths, of a factor that is a number; a kind is its own bin
COUNTED = 10_000  # images that are counted, at most
FITTED = 5_000  # images that the forests are fitted on, at most
FEWEST = CODE_BINS * FACTOR_BINS  # images below which the counts are not worth having
TREES = 50
LEAF = 5  # images in a leaf, at least
TRIED = 256  # dimensions that a split is chosen from, drawn anew for each; all where fewer


class Disentanglement(NamedTuple):
    """F factors, those that vary; matrices are (latent_dim, F), float64."""

    factors: list[str]
    information: Tensor  # I(z_i; v_j) / H(v_j): the share of a factor's entropy in a dimension
    floor: Tensor  # (F,): what `information` comes to by chance alone, about
    forest: Tensor  # (F,): R² of a forest on the scored images; NaN where none varies
    scores: dict[str, float | None]  # each at most 1; None where it is undefined

    def best(self) -> dict[str, list[int]]:
        """For each factor the dimension that holds most of it and, if there is one, the next."""
        order = self.information.argsort(dim=0, descending=True, stable=True)[:2]
        return dict(zip(self.factors, order.T.tolist(), strict=True))


def disentanglement(
    names: Sequence[str],
    fitted_mu: Tensor,
    fitted_factors: Tensor,
    scored_mu: Tensor,
    scored_factors: Tensor,
    seed: int,
) -> Disentanglement | None:
    """Two splits on neither of which the model was trained: forests are fitted on the first.

    mu: (N, latent_dim); factors: (N, F), named by `names`. seed: of the rows that are taken and of
    the forests. Information and SAP, which fit next to nothing, are of both splits together. None
    where a split has fewer than FEWEST images, or no factor varies.
    """
    if min(len(fitted_mu), len(scored_mu)) < FEWEST:
        return None
    mu, factors = torch.cat([fitted_mu, scored_mu]), torch.cat([fitted_factors, scored_factors])
    rows = probe_rows(len(mu), COUNTED, seed)
    every = factor_bins(names, factors[rows])
    bins = {name: values for name, values in every.items() if len(values.unique()) > 1}
    if not bins:
        return None
    codes = equal_bins(mu[rows].double(), CODE_BINS)
    binned = list(bins.values())
    entropy = mutual_information(torch.stack(binned, dim=1), binned).diagonal()
    share = mutual_information(codes, binned) / entropy
    cells = torch.tensor([(CODE_BINS - 1) * (len(v.unique()) - 1) for v in bins.values()])
    targets = factor_targets(names, factors[rows])
    explained = torch.stack([correlation_ratio(mu[rows], targets[name]) for name in bins], dim=1)

    first = probe_rows(len(fitted_mu), FITTED, seed)
    fitted = factor_targets(names, fitted_factors[first])
    scored = factor_targets(names, scored_factors)
    forests = [
        _forest(fitted_mu[first], fitted[name], scored_mu, scored[name], seed) for name in bins
    ]
    concentrated, complete = dci(torch.stack([importance for importance, _ in forests], dim=1))
    forest = torch.tensor([score for _, score in forests], dtype=torch.float64)
    scores = {
        "mig": float(gaps(share).mean()),
        "dci_disentanglement": concentrated,
        "dci_completeness": complete,
        "dci_informativeness": float(forest.nanmean()),
        "sap": float(gaps(explained).mean()),
    }
    return Disentanglement([*bins], share, cells / (2.0 * len(rows)) / entropy, forest, scores)


def factor_bins(names: Sequence[str], factors: Tensor) -> dict[str, Tensor]:
    """Factors as whole numbers from 0: kinds as they are, numbers in FACTOR_BINS equal widths.

    factors: (N, F), named by `names`. A circle is cut at 0 and divided, a rotation's at its shape's
    own period. Returns name -> (N,).
    """
    bins = dict(zip(names, equal_bins(factors.double(), FACTOR_BINS).unbind(1), strict=True))
    bins |= {name: factors[:, i].long() for i, name in enumerate(names) if name in KINDS}
    return bins | {k: (v * FACTOR_BINS).long() for k, v in turns(names, factors).items()}


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


def mutual_information(codes: Tensor, bins: Sequence[Tensor]) -> Tensor:
    """Of each column with each factor, from counts, in nats.

    codes: (N, D), whole numbers; bins: F of (N,), the same. Returns (D, F). Counts alone give
    (A - 1)(B - 1) / 2N on average where two variables of A and B values are independent (Miller
    1955).
    """
    from sklearn.metrics import mutual_info_score

    factors = [factor.numpy() for factor in bins]
    found = [[mutual_info_score(factor, code) for factor in factors] for code in codes.T.numpy()]
    return torch.tensor(found, dtype=torch.float64)


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
