"""Whether single dimensions hold single known factors: MIG, DCI and SAP of an encoder.

The code is mu, as in Locatello et al. 2019, whatever the width of the posterior. That a factor is
there at all is for readout.py to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.data.factors import KINDS
from vaelab.metrics.disentanglement import (
    correlation_ratio,
    dci,
    equal_bins,
    gaps,
    mutual_information,
    r_squared,
)
from vaelab.metrics.probes import probe_rows
from vaelab.studies.latent.readout import factor_targets, turns

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
    entropy = torch.stack([mutual_information(v[:, None], v)[0] for v in bins.values()])
    information = torch.stack([mutual_information(codes, v) for v in bins.values()], dim=1)
    cells = torch.tensor([(CODE_BINS - 1) * (len(v.unique()) - 1) for v in bins.values()])
    targets = factor_targets(names, factors[rows])
    explained = torch.stack([correlation_ratio(mu[rows], targets[name]) for name in bins], dim=1)

    first = probe_rows(len(fitted_mu), FITTED, seed)
    fitted = factor_targets(names, fitted_factors[first])
    scored = factor_targets(names, scored_factors)
    forests = [
        _forest(fitted_mu[first], fitted[name], scored_mu, scored[name], seed) for name in bins
    ]
    share = information / entropy
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
