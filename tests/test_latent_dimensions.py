"""latent/dimensions.py against independent references and cases with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor, nn

from vaelab.studies.latent import dimensions
from vaelab.studies.latent.dimensions import (
    STEPS,
    Scale,
    aggregate_scale,
    best_by_class,
    change,
    change_between,
    class_separation,
    dimension_change,
    first_of,
    holding,
    read_classes,
    traversals,
    traverse,
)
from vaelab.vae.model import VAE, Posterior, VAEConfig


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class HalfBright(nn.Module):
    """z0 lights the upper half of a 4 x 4 picture, z1 nothing."""

    def forward(self, z: Tensor) -> Tensor:
        upper = torch.cat([torch.ones(2, 4), torch.zeros(2, 4)])
        return z[:, :1, None, None] * upper


def half_bright() -> VAE:
    config = VAEConfig(
        architecture="fc", shape=(1, 4, 4), latent_dim=2, likelihood="bernoulli", net={}
    )
    decoder = HalfBright()
    decoder.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    return VAE(config, nn.Identity(), decoder)


# --- what they do to images ----------------------------------------------------------------------


def test_traversal_changes_one_coordinate() -> None:
    z = normal(5)
    result = traverse(z, 2, torch.tensor([-1.0, 4.0]))
    assert result[:, 2].tolist() == [-1.0, 4.0]
    keep = torch.tensor([0, 1, 3, 4])
    assert torch.equal(result[:, keep], z[keep].expand(2, 4))


def test_aggregate_scale_is_that_of_samples() -> None:
    posterior = Posterior(normal(2000, 2) * torch.tensor([2.0, 0.1]) + 1.0, normal(2000, 2, seed=1))
    draws = posterior.sample(torch.Generator().manual_seed(2))
    scale = aggregate_scale(posterior)
    torch.testing.assert_close(scale.mean, draws.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(scale.sd, draws.std(0), atol=0, rtol=0.05)


@pytest.mark.parametrize("count", [1, 50])
def test_scale_of_points(count: int) -> None:
    mu = normal(count, 3)
    scale = aggregate_scale(Posterior(mu, torch.full_like(mu, -math.inf)))
    torch.testing.assert_close(scale.sd, mu.std(0, correction=0))


def test_traversals_by_hand() -> None:
    scale = Scale(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 1.0]))
    images = traversals(half_bright(), torch.tensor([0.5, 0.0]), torch.tensor([1, 0]), scale)
    assert images.shape == (2, len(STEPS), 1, 4, 4)
    expected = torch.sigmoid(1.0 + 2.0 * torch.tensor(STEPS))
    np.testing.assert_allclose(images[1, :, 0, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(images[0, :, 0, 0, 0], torch.sigmoid(torch.tensor(0.5)), rtol=1e-6)
    np.testing.assert_allclose(images[:, :, 0, 3], 0.5)


def test_change_by_hand() -> None:
    before, after = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    after[0, 1, 0, 0] = 0.6  # one pixel of eight, in one channel of three
    after[1, 0, 1, 1] = 0.09  # too little to count
    found = change(before, after)
    assert found.pixels == pytest.approx(1 / 8)
    assert found.rmse == pytest.approx((0.6 + 0.09) / 12**0.5 / 2)


def test_dimension_change() -> None:
    scale = Scale(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]))
    z = normal(5, 2)
    lit = dimension_change(half_bright(), z, 0, scale)
    difference = float(torch.sigmoid(torch.tensor(2.0)) - torch.sigmoid(torch.tensor(-2.0)))
    assert lit == pytest.approx((0.5, difference * 0.5**0.5))
    assert dimension_change(half_bright(), z, 1, scale) == (0.0, 0.0)


def test_change_between_images() -> None:
    images = np.zeros((3, 1, 2, 2), np.uint8)
    images[0] = 255
    assert change_between(images) == pytest.approx((2 / 3, 2 / 3))
    assert change_between(images[:1]) is None


def test_holding() -> None:
    held = torch.tensor([1.0, 6.0, 0.0, 3.0])
    assert [holding(held, part) for part in (0.5, 0.6, 0.9, 0.95, 1.0)] == [1, 1, 2, 3, 3]
    assert holding(torch.tensor([2.0]), 0.9) == 1


def test_first_of() -> None:
    assert first_of([3, 1, 3], [1, 2, 0], count=3) == [3, 1, 2]


# --- which classes they set apart ----------------------------------------------------------------


def test_separation_by_hand() -> None:
    mu = torch.tensor([[0.0], [2.0], [5.0], [7.0], [9.0]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    pooled = math.sqrt((1 * 2.0 + 2 * 4.0) / 3)
    expected = torch.tensor([[-6.0 / pooled, 6.0 / pooled]]).double()
    torch.testing.assert_close(class_separation(mu, labels, 2), expected)


def test_separation_is_unknown_of_small_classes_and_constant_dimensions() -> None:
    mu = torch.tensor([[0.0, 3.3], [2.0, 3.3], [5.0, 3.3], [7.0, 3.3], [9.0, 3.3]])
    found = class_separation(mu, torch.tensor([0, 0, 1, 1, 2]), 4)
    assert found.isnan().tolist() == [[False, False, True, True], [True] * 4]


def test_separation_is_how_often_one_lies_beyond_the_other() -> None:
    a, b = normal(20_000) + 1.0, normal(20_000, seed=1)
    labels = torch.arange(2).repeat_interleave(20_000)
    separation = float(class_separation(torch.cat([a, b])[:, None], labels, 2)[0, 0])
    assert separation == pytest.approx(1.0, abs=0.03)
    assert float((a > b).double().mean()) == pytest.approx(norm.cdf(2**-0.5), abs=0.01)


def grouped(seed: int, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Class 1 lies two standard deviations up in dimension 4, class 2 one down in dimension 0."""
    labels = torch.arange(600) % classes
    mu = normal(600, 6, seed=seed)
    mu[labels == 1, 4] += 2.0
    mu[labels == 2, 0] -= 1.0
    return mu, labels


def test_best_by_class() -> None:
    train, test = grouped(0), grouped(1)
    first, second, third = best_by_class(*train, *test, ["a", "b", "c"])
    assert (first["class"], first["dimension"]) == ("b", 4)
    assert first["separation"] == pytest.approx(2.0, abs=0.25)
    assert first["error"] == pytest.approx((1 / 200 + 1 / 400) ** 0.5)
    others = {row["class"]: row for row in (second, third)}
    assert others["a"]["dimension"] == 4
    assert others["c"]["dimension"] == 0
    assert others["c"]["separation"] < -0.7


def test_two_classes_are_one_row() -> None:
    rows = best_by_class(*grouped(0, 2), *grouped(1, 2), ["a", "b"])
    assert len(rows) == 1
    assert rows[0]["dimension"] == 4


def test_classes_that_are_not_there_have_no_row() -> None:
    (mu, labels), (test_mu, test_labels) = grouped(0), grouped(1)
    some = test_labels != 2
    rows = best_by_class(mu, labels, test_mu[some], test_labels[some], ["a", "b", "c", "d"])
    assert {row["class"] for row in rows} == {"a", "b"}
    one = torch.zeros(5, dtype=torch.long)
    assert best_by_class(mu[:5], one, mu[:5], one, ["a", "b"]) == []


def test_reading_classes_against_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    (mu, labels), (test_mu, test_labels) = grouped(0), grouped(1)
    found = read_classes(mu, labels, test_mu, test_labels, seed=0)
    assert found is not None
    assert found.dimension == 4
    every = LinearDiscriminantAnalysis().fit(mu.numpy(), labels.numpy())
    assert found.every == pytest.approx(every.score(test_mu.numpy(), test_labels.numpy()), abs=0.01)
    assert found.chance == pytest.approx(1 / 3)
    assert found.chance + 0.1 < found.one < found.every
    monkeypatch.setattr(dimensions, "CLASSIFIED", 60)
    fewer = read_classes(mu, labels, test_mu, test_labels, seed=0)
    assert fewer is not None
    assert fewer != found


def test_nothing_to_classify() -> None:
    mu, labels = grouped(0)
    assert read_classes(mu, torch.zeros(600, dtype=torch.long), mu, labels, seed=0) is None
    assert read_classes(mu[:3], torch.arange(3), mu, labels, seed=0) is None
    assert read_classes(torch.ones(600, 2), labels, mu[:, :2], labels, seed=0) is None


def test_more_dimensions_than_images() -> None:
    mu, labels = normal(30, 100), torch.arange(30) % 2
    found = read_classes(mu, labels, mu, labels, seed=0)
    assert found is not None
    assert 0.0 <= found.one <= found.every <= 1.0
