"""latent/smoothness.py against independent references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from vaelab.studies.interpolate.paths import path
from vaelab.studies.interpolate.smoothness import (
    HEADLINE,
    Difference,
    PathMeasures,
    differences,
    headline,
    mean_and_sd,
    mean_smoothness,
    measure_paths,
    middle,
    paired_difference,
    smoothness,
    step_sizes,
    table,
    unpaired_difference,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fades(count: int, steps: int) -> Tensor:
    """Cross-fades of noise, (count, steps, 3, 8, 8)."""
    a, b = torch.rand(2, count, 3 * 8 * 8, generator=seeded())
    return path(a, b, steps, "linear").unflatten(-1, (3, 8, 8))


def greys(values: list[float]) -> Tensor:
    """One path of plain images."""
    return torch.tensor(values)[None, :, None, None, None].expand(1, -1, 1, 4, 4)


def test_a_cross_fade_is_straight_and_even() -> None:
    images = fades(4, 6)
    step, largest, evenness, detour = smoothness(images)
    expected = (images[:, 0] - images[:, -1]).square().mean((1, 2, 3)).sqrt() / 5
    torch.testing.assert_close(step, expected)
    torch.testing.assert_close(largest, torch.ones(4))
    torch.testing.assert_close(evenness, torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(detour, torch.ones(4))


def test_smoothness_by_hand() -> None:
    images = greys([0.0, 0.3, 0.2, 0.4])
    torch.testing.assert_close(step_sizes(images), torch.tensor([[0.3, 0.1, 0.2]]))
    step, largest, evenness, detour = smoothness(images)
    assert float(step) == pytest.approx(0.2)
    assert float(largest) == pytest.approx(0.3 / 0.2)
    assert float(evenness) == pytest.approx(np.std([0.3, 0.1, 0.2]) / 0.2)
    assert float(detour) == pytest.approx(0.6 / 0.4)


def test_half_a_circle_is_half_pi_times_its_diameter() -> None:
    angle = torch.linspace(0, math.pi, 201)
    images = 0.5 + 0.3 * torch.stack([angle.cos(), angle.sin()], 1)[None, :, None, None]
    found = smoothness(images)
    assert float(found.detour) == pytest.approx(math.pi / 2, rel=1e-4)
    assert float(found.evenness) == pytest.approx(0.0, abs=1e-3)
    assert float(found.largest) == pytest.approx(1.0, abs=1e-3)
    departure = middle(images.repeat(1, 1, 1, 4, 4)).departure  # a radius over a diameter
    assert float(departure) == pytest.approx(0.5, rel=1e-3)


def test_the_middle_of_a_cross_fade() -> None:
    """The mean of two independent pictures has their contrast over the square root of 2."""
    a, b = torch.rand(2, 5, 3 * 64 * 64, generator=seeded())
    found = middle(path(a, b, 5, "linear").unflatten(-1, (3, 64, 64)))
    torch.testing.assert_close(found.departure, torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.contrast, torch.full((5,), 0.5**0.5), atol=0.02, rtol=0)
    torch.testing.assert_close(found.sharpness, torch.full((5,), 0.5**0.5), atol=0.04, rtol=0)


@pytest.mark.parametrize(("steps", "number"), [(3, 1), (4, 2), (11, 5)])
def test_the_middle_by_hand(steps: int, number: int) -> None:
    texture = torch.rand(1, 8, 8, generator=seeded())
    strengths = torch.full((steps,), 9.0)
    strengths[[0, number, -1]] = torch.tensor([0.2, 0.3, 0.6])
    images = (strengths[:, None, None, None] * texture)[None]
    found = middle(images)
    assert float(found.sharpness) == pytest.approx(0.3 / 0.4)
    assert float(found.contrast) == pytest.approx(0.3 / 0.4)
    t = number / (steps - 1)
    assert float(found.departure) == pytest.approx(abs(0.3 - 0.2 - 0.4 * t) / 0.4, rel=1e-4)


def test_measures_of_parts_are_those_of_the_whole() -> None:
    images = fades(5, 4).square()
    originals = fades(5, 2)
    whole = measure_paths([images], originals)
    parts = measure_paths(iter(images.split(2)), originals)
    for name, values in whole.figures.items():
        torch.testing.assert_close(parts.figures[name], values)
    assert torch.equal(parts.steps, step_sizes(images))
    assert torch.equal(parts.middle, images[:, 2])


def test_the_ends_against_the_originals() -> None:
    images = greys([0.1, 0.5, 0.7])
    originals = greys([0.0, 1.0])
    assert float(measure_paths([images], originals).figures["ends"]) == pytest.approx(0.2)


def test_relative_steps_average_to_the_detour() -> None:
    paths = torch.cat([greys([0.0, 0.3, 0.2, 0.4]), greys([0.5, 0.5, 0.5, 0.5])])
    found = measure_paths([paths], paths[:, [0, -1]])
    torch.testing.assert_close(found.relative_steps(), 3 * torch.tensor([[0.3, 0.1, 0.2]]) / 0.4)
    still = PathMeasures({"detour": torch.full((2,), math.nan)}, torch.zeros(2, 3), paths[:, 0])
    assert still.relative_steps().shape == (0, 3)


def test_mean_smoothness_leaves_out_what_does_not_move() -> None:
    still = greys([0.5, 0.5, 0.5])
    both = mean_smoothness(torch.cat([still, greys([0.0, 0.5, 1.0])]))
    expected = {"step": 0.25, "largest": 1.0, "evenness": 0.0, "detour": 1.0}
    assert both == pytest.approx(expected)
    assert mean_smoothness(still) == {**dict.fromkeys(expected), "step": 0.0}


def test_rounding_is_no_movement() -> None:
    noise = 1e-8 * torch.rand(1, 5, 1, 4, 4, generator=seeded())
    found = mean_smoothness(noise)
    assert found["step"] == pytest.approx(0.0, abs=1e-7)
    assert found["evenness"] is None
    assert found["detour"] is None
    assert middle(noise).sharpness.isnan().all()
    assert middle(noise).departure.isnan().all()


def test_mean_and_sd() -> None:
    assert mean_and_sd(torch.tensor([1.0, math.nan, 4.0])) == (2.5, 1.5)
    assert mean_and_sd(torch.tensor([math.nan])) == (None, None)


def test_a_row_for_each_group() -> None:
    figures = {
        ("pixels", "linear"): {"detour": torch.ones(3)},
        ("fc", "linear"): {"detour": torch.tensor([1.0, 2.0, math.nan]), "ends": torch.ones(3)},
    }
    labels = torch.tensor([[0, 0], [0, 1], [2, 2]])
    rows = table(figures, labels, ["detour", "ends"])
    assert [(row["model"], row["pairs"], row["count"]) for row in rows] == [
        (model, *group)
        for model in ("pixels", "fc")
        for group in (("all", 3), ("within", 2), ("across", 1))
    ]
    assert rows[0]["ends"] is None
    assert [row["detour"] for row in rows[3:]] == [1.5, 1.0, 2.0]
    assert [row["detour_sd"] for row in rows[3:]] == [0.5, 0.0, 0.0]
    assert len({tuple(row) for row in rows}) == 1
    of_one_class = table(figures, torch.zeros(3, 2, dtype=torch.long), ["detour"])
    assert [row["pairs"] for row in of_one_class] == ["all", "all"]


def test_differences_are_those_of_the_t_tests() -> None:
    one, two = torch.randn(2, 40, generator=seeded()).double()
    two = one + 0.2 * two + 0.1
    for found, test in (
        (paired_difference(one, two), stats.ttest_rel(one, two)),
        (unpaired_difference(one, two[:30]), stats.ttest_ind(one, two[:30], equal_var=False)),
    ):
        assert found is not None
        assert found.mean / found.error == pytest.approx(test.statistic)
    absent = torch.cat([one, torch.tensor([math.nan, 5.0])])
    other = torch.cat([two, torch.tensor([7.0, math.nan])])
    assert paired_difference(absent, other) == pytest.approx(paired_difference(one, two))
    assert paired_difference(one[:1], two[:1]) is None
    assert unpaired_difference(one, torch.tensor([1.0, math.nan])) is None


@pytest.mark.parametrize(
    ("mean", "error", "is_clear"),
    [(0.19, 0.1, False), (-0.21, 0.1, True), (0.1, 0.0, True), (0.0, 0.0, False)],
)
def test_what_is_clear(mean: float, error: float, is_clear: bool) -> None:
    assert Difference(mean, error).is_clear == is_clear


def test_a_difference_for_each_two_rows() -> None:
    figures = {
        ("pixels", "linear"): {"detour": torch.ones(4)},
        ("fc", "linear"): {"detour": torch.tensor([1.0, 2.0, 3.0, 4.0]), "ends": torch.ones(4)},
    }
    labels = torch.tensor([[0, 0], [0, 1], [2, 2], [1, 2]])
    found = differences(figures, labels, ["detour", "ends"])
    of_fade, of_fc = ("pixels", "linear", "all"), ("fc", "linear", "all")
    assert found["detour", of_fc, of_fade].mean == -found["detour", of_fade, of_fc].mean == 1.5
    within, across = ("fc", "linear", "within"), ("fc", "linear", "across")
    assert found["detour", within, across].mean == 2.0 - 3.0
    assert ("ends", of_fc, of_fade) not in found
    assert not [
        key
        for key in differences(figures, labels[:, :1].repeat(1, 2), ["detour"])
        if "within" in key[1]
    ]


def test_headline_has_the_same_keys_for_all() -> None:
    figures = {key: torch.ones(2) for key in (*HEADLINE, "largest", "ends")}
    every = {("pixels", "linear"): figures, ("fc", "linear"): figures, ("fc", "slerp"): figures}
    found = headline(table(every, torch.tensor([[0, 0], [0, 1]]), [*figures]))
    keys = ["ends", *(f"{kind}_{key}" for kind in ("linear", "slerp") for key in HEADLINE)]
    assert list(found["pixels"]) == list(found["fc"]) == keys
    assert found["pixels"]["slerp_detour"] is None
    assert set(found["fc"].values()) == {1.0}
