"""How useful a code is for telling classes apart: a linear probe and nearest neighbours.

    probe(train_mu, train_labels, test_mu, test_labels, seed=0).linear
    fit_linear_probe(train_mu, train_labels, seed=0).predict_proba(mu.double().numpy())

A code is any (N, d): a VAE's means, PCA's components, the raw pixels.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TRAIN_IMAGES = 10_000  # that the probes are fitted on, at most
TEST_IMAGES = 5_000  # that they are scored on, at most: a standard error of at most 0.7 points
NEIGHBOURS = 10
LOGIT_VARIANCES = [1.0, 10.0]  # v of the linear probe's prior; held-out images choose between them
HELD_OUT = 5  # one in so many of a class's training images
TOLERANCE = 1e-3  # nats; the largest entry of the mean loss's gradient when the fit ends
MAX_ITERATIONS = 1000


class Probe(NamedTuple):
    """Accuracies on the test images, as fractions."""

    linear: float  # of multinomial logistic regression
    knn: float  # of a vote among NEIGHBOURS nearest training images
    chance: float  # of always naming the commonest of the training labels


def chance_accuracy(train_labels: Tensor, test_labels: Tensor) -> float:
    """Of always naming the commonest of the training labels, the least of several; both (N,)."""
    labels, counts = train_labels.unique(return_counts=True)
    return float((test_labels == labels[counts.argmax()]).double().mean())


def probe_rows(count: int, most: int, seed: int) -> Tensor:
    """`most` of `count` rows, all where there are no more: their numbers, rising.

    `probe` takes TRAIN_IMAGES and TEST_IMAGES by it, so a code may be made for those rows alone.
    """
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most]
    return chosen.sort().values


def probe(
    train_codes: Tensor, train_labels: Tensor, test_codes: Tensor, test_labels: Tensor, seed: int
) -> Probe | None:
    """How well classes are read from a code, by a linear map and by neighbours.

    codes: (N, d); labels: (N,). seed: of which rows are taken, the same ones for every code.

    The linear probe sees each dimension standardised, and its L2 penalty is the prior N(0, v/d) of
    each weight, by which a logit has a variance of about v in a code of any size: one penalty for
    all would overfit thousands of pixels or hold back a hundred latents. The neighbours are by
    Euclidean distance between the codes as they are, where a dimension that hardly varies, an
    inactive one of a VAE, weighs hardly anything. A test image of a class that no training image
    has counts as mistaken. None where the training labels group nothing: all alike, or no two.
    """
    from sklearn.neighbors import KNeighborsClassifier

    linear = fit_linear_probe(train_codes, train_labels, seed)
    if linear is None:
        return None
    fitted = probe_rows(len(train_codes), TRAIN_IMAGES, seed)
    scored = probe_rows(len(test_codes), TEST_IMAGES, seed)
    x, y = train_codes[fitted].numpy(), train_labels[fitted].numpy()
    test_x, test_y = test_codes[scored].numpy(), test_labels[scored].numpy()
    knn = KNeighborsClassifier(min(NEIGHBOURS, len(x)), algorithm="brute").fit(x, y)
    return Probe(
        linear=float(linear.score(test_x.astype(np.float64), test_y)),
        knn=float(knn.score(test_x, test_y)),
        chance=chance_accuracy(train_labels, test_labels),
    )


def fit_linear_probe(codes: Tensor, labels: Tensor, seed: int) -> Any:
    """The linear probe that `probe` scores, fitted to at most TRAIN_IMAGES rows.

    codes: (N, d); labels: (N,); seed: of which rows are taken. Returns scikit-learn's pipeline,
    which standardises and classifies float64 arrays, or None where those rows' labels group
    nothing. By Newton steps in float64: L-BFGS in float32 has been seen to end where it begins.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    rows = probe_rows(len(codes), TRAIN_IMAGES, seed)
    x, y = codes[rows].double().numpy(), labels[rows].numpy()
    if not 1 < len(np.unique(y)) < len(y):
        return None
    regression = LogisticRegression(solver="newton-cg", tol=TOLERANCE, max_iter=MAX_ITERATIONS)
    pipeline = Pipeline([("scale", StandardScaler()), ("classify", regression)])
    inverse_penalties = [variance / x.shape[1] for variance in LOGIT_VARIANCES]
    split = PredefinedSplit(np.where(held_out(y), 0, -1))
    search = GridSearchCV(pipeline, {"classify__C": inverse_penalties}, cv=split)
    with warnings.catch_warnings():  # of many classes it asks whether they are not amounts
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        search.fit(x, y)
    return search.best_estimator_


def held_out(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Each class's second image and every HELD_OUT-th after it, never a class's only one; (N,)."""
    order = labels.argsort(kind="stable")
    ordered = labels[order]
    rank = np.arange(len(labels)) - ordered.searchsorted(ordered)
    chosen = np.empty(len(labels), dtype=bool)
    chosen[order] = rank % HELD_OUT == 1
    return chosen
