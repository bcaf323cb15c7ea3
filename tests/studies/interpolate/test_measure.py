"""studies/interpolate/measure.py against independent references."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from toys import seeded

from vaelab.metrics.frame import mean, values
from vaelab.studies.interpolate.measure import (
    differences,
    measure_paths,
    path_figures,
    summary,
)
from vaelab.studies.interpolate.paths import path
from vaelab.vae.pixels import to_uint8


def fades(count: int, steps: int, side: int = 8) -> Tensor:
    """Cross-fades of noise, (count, steps, 3, side, side)."""
    a, b = torch.rand(2, count, 3 * side * side, generator=seeded())
    return path(a, b, steps, "linear").unflatten(-1, (3, side, side))


def greys(shades: list[float]) -> Tensor:
    """One path of plain images."""
    return torch.tensor(shades)[None, :, None, None, None].expand(1, -1, 1, 4, 4)


def test_a_cross_fade() -> None:
    """Straight and even; its middle has the ends' contrast over the square root of 2."""
    found = path_figures(fades(5, 5, side=64))
    close = torch.testing.assert_close
    close(found["detour"], torch.ones(5))
    for measure in ("step_variation", "departure"):
        close(found[measure], torch.zeros(5), atol=1e-5, rtol=0)
    close(found["middle_contrast"], torch.full((5,), 0.5**0.5), atol=0.02, rtol=0)
    close(found["middle_sharpness"], torch.full((5,), 0.5**0.5), atol=0.04, rtol=0)


def test_steps_by_hand() -> None:
    images = greys([0.0, 0.3, 0.2, 0.4])
    found = measure_paths([images], images[:, [0, -1]])
    assert float(found.figures["detour"]) == pytest.approx(0.6 / 0.4)
    variation = np.std([0.3, 0.1, 0.2]) / 0.2
    assert float(found.figures["step_variation"]) == pytest.approx(variation)
    torch.testing.assert_close(found.steps, 3 * torch.tensor([[0.3, 0.1, 0.2]]) / 0.4)


def test_half_a_circle_is_half_pi_times_its_diameter() -> None:
    angle = torch.linspace(0, math.pi, 201)
    images = 0.5 + 0.3 * torch.stack([angle.cos(), angle.sin()], 1)[None, :, None, None]
    found = path_figures(images.repeat(1, 1, 1, 4, 4))
    assert float(found["detour"]) == pytest.approx(math.pi / 2, rel=1e-4)
    assert float(found["step_variation"]) == pytest.approx(0.0, abs=1e-3)
    assert float(found["departure"]) == pytest.approx(0.5, rel=1e-3)  # a radius over a diameter


@pytest.mark.parametrize(("steps", "number"), [(3, 1), (4, 2), (11, 5)])
def test_the_middle_by_hand(steps: int, number: int) -> None:
    texture = torch.rand(1, 8, 8, generator=seeded())
    strengths = torch.full((steps,), 9.0)
    strengths[[0, number, -1]] = torch.tensor([0.2, 0.3, 0.6])
    found = path_figures((strengths[:, None, None, None] * texture)[None])
    assert float(found["middle_sharpness"]) == pytest.approx(0.3 / 0.4)
    assert float(found["middle_contrast"]) == pytest.approx(0.3 / 0.4)
    t = number / (steps - 1)
    assert float(found["departure"]) == pytest.approx(abs(0.3 - 0.2 - 0.4 * t) / 0.4, rel=1e-4)


def test_parts_give_the_figures_of_the_whole() -> None:
    images = fades(5, 4).square()
    originals = fades(5, 2)
    whole = measure_paths([images], originals)
    parts = measure_paths(iter(images.split(2)), originals)
    for name, expected in whole.figures.items():
        torch.testing.assert_close(parts.figures[name], expected)
    torch.testing.assert_close(parts.steps, whole.steps)
    np.testing.assert_array_equal(parts.middle, to_uint8(images[:, 2].numpy()))
    ends = measure_paths([greys([0.1, 0.5, 0.7])], greys([0.0, 1.0])).figures["ends"]
    assert float(ends) == pytest.approx(0.2)


def test_rounding_is_no_movement() -> None:
    noise = 1e-8 * torch.rand(1, 5, 1, 4, 4, generator=seeded())
    found = measure_paths([noise], noise[:, [0, -1]])
    assert all(found.figures.pop(name) == 0.0 for name in ["ends"])
    assert all(every.isnan().all() for every in (*found.figures.values(), found.steps))


LABELS = torch.tensor([[0, 0], [0, 1], [2, 2], [1, 2]])
FIGURES = {
    ("pixels", "linear"): {"detour": torch.ones(4)},
    ("fc", "slerp"): {"detour": torch.tensor([1.0, 2.0, 4.0, math.nan]), "ends": torch.ones(4)},
}


def test_means_of_all_pairs_and_by_group() -> None:
    found = summary(FIGURES, LABELS)
    sources = ["slerp", "slerp.within", "slerp.across"]
    assert [mean(found, "fc", "pairs", source) for source in sources] == [4, 2, 2]
    every = [mean(found, "fc", "detour", source) for source in sources]
    assert every == pytest.approx([7 / 3, 2.5, 2.0])
    known = np.std([1.0, 2.0, 4.0], ddof=1)
    assert mean(found, "fc", "detour_sd", "slerp") == pytest.approx(known)
    assert values(found, "fc", "detour_sd", "slerp.across") == []  # of one there is none
    assert values(found, "pixels", "ends", "linear") == []
    of_one_class = summary(FIGURES, torch.zeros(4, 2, dtype=torch.long))
    assert set(of_one_class["source"]) == {"linear", "slerp"}


def test_differences_are_those_of_the_paired_t_test() -> None:
    one, two = torch.randn(2, 40, generator=seeded())
    (found,) = differences({("fc", "linear"): {"detour": one}, ("fc", "slerp"): {"detour": two}})
    assert [found[key] for key in ("model", "source", "model_two", "source_two")] == [
        *("fc", "linear"),
        *("fc", "slerp"),
    ]
    assert found["mean"] == pytest.approx(float((one - two).mean()))
    assert found["p_value"] == pytest.approx(stats.ttest_rel(one, two).pvalue, rel=1e-4)
    (found,) = differences(FIGURES)  # the ends are not the fade's
    assert found["mean"] == pytest.approx(1.0 - 7 / 3)
