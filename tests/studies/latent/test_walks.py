"""Walks and arithmetic, against a model whose latents are means of pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import Blocks, group, normal

from vaelab.plotting import strips
from vaelab.studies.latent import walks
from vaelab.studies.latent.walks import (
    AVERAGED,
    STEPS,
    TRIALS,
    WALKED,
    Direction,
    Draw,
    Judge,
    calculate,
    draw,
    draw_arithmetic,
    draw_walks,
    follow,
    walk,
)


class Half(Blocks):
    """Its images show half of what is asked for, about z = 0."""

    def decode_mean(self, z: Tensor) -> Tensor:
        return super().decode_mean(0.5 * z)


def test_draw() -> None:
    inside = np.arange(300) % 3 == 0
    drawn = draw(group(inside), seed=0)
    assert len(drawn.without) == len(drawn.inside) == WALKED
    assert drawn.a.shape == drawn.b.shape == (TRIALS, AVERAGED)
    assert inside[torch.cat([drawn.inside, drawn.a.flatten()])].all()
    assert not inside[torch.cat([drawn.without, drawn.b.flatten(), drawn.c])].any()
    for b, c in zip(drawn.b.tolist(), drawn.c.tolist(), strict=True):
        assert len({*b, c}) == AVERAGED + 1
    assert torch.equal(drawn.c, draw(group(inside), 0).c)
    assert not torch.equal(drawn.c, draw(group(inside), 1).c)
    assert not torch.equal(drawn.c, draw(group(inside, "x"), 0).c)


@pytest.mark.parametrize(
    ("inside", "averaged"),
    [([1, 0, 0, 0], 1), ([1, 1, 0, 0], 1), ([1, 1, 1, 0], 0), ([0, 0], 0), ([1, 1], 0)],
)
def test_draw_of_few(inside: list[int], averaged: int) -> None:
    drawn = draw(group(np.array(inside, bool)), seed=0)
    assert len(drawn.without) == inside.count(0)
    assert len(drawn.inside) == inside.count(1)
    trials = TRIALS if averaged else 0
    assert len(drawn.a) == len(drawn.b) == len(drawn.c) == trials
    if averaged:
        assert drawn.a.shape == drawn.b.shape == (TRIALS, averaged)


AXIS = Direction(torch.tensor([0.5, 0, 0, 0]).double(), torch.tensor([0.0, 2.0, 0, 0]).double())
POINTS = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 2.0, 0.0, 1.0]])
EVERY = torch.tensor([0, 1, 2])


def drawn_by_hand(without: Tensor, inside: Tensor) -> Draw:
    return Draw(without, inside, EVERY[:0], EVERY[:0], EVERY[:0])


def test_a_linear_model_makes_exactly_the_move_asked_for() -> None:
    judges = [Judge(Blocks(), AXIS), Judge(Half(), AXIS)]
    found = walk(POINTS, drawn_by_hand(EVERY[:2], EVERY[2:]), judges)
    assert found == {
        "walk_share": pytest.approx(1.0, abs=1e-4),
        "walk_share_other": pytest.approx(1.0, abs=1e-4),
        # A quarter of the pixels by 0.1 for each unit of z, of which a step is two.
        "walk_change": pytest.approx(0.1, abs=1e-5),
        # A change of a quarter of the image has a quarter of its squares in its mean.
        "walk_shift": pytest.approx(0.25, abs=1e-4),
    }


def test_the_share_of_a_model_that_shows_half() -> None:
    drawn = drawn_by_hand(EVERY, EVERY[:0])
    found = walk(POINTS, drawn, [Judge(Half(), AXIS), Judge(Blocks(0.2), AXIS)])
    assert found["walk_share"] == pytest.approx(0.5, abs=1e-4)
    assert found["walk_share_other"] == pytest.approx(0.25, abs=1e-4)
    still = Direction(AXIS.origin, torch.zeros(4).double())
    found = walk(POINTS, drawn, [Judge(Blocks(), still)])
    assert found == {"walk_share": 0.0, "walk_change": 0.0, "walk_shift": None}


def test_arithmetic_by_hand() -> None:
    # Scores are z[1] / 2. a: 2 and 0; b: 0 and 0.4; c: 0. Single: 2 - 0 + 0. Means: 1 - 0.2 + 0.
    mu = torch.zeros(5, 4)
    mu[:, 1] = torch.tensor([2.0, 0.0, 0.0, 0.4, 0.0])
    rows = [torch.tensor([[0, 1]]), torch.tensor([[2, 3]]), torch.tensor([4])]
    drawn = Draw(EVERY[:0], EVERY[:0], *rows)
    found, pictures = calculate(mu, drawn, [Judge(Blocks(), AXIS), Judge(Blocks(0.05), AXIS)])
    assert found == {
        "hit_c": 0.0,
        "hit_c_other": 0.0,
        "hit_single": 1.0,
        "hit_single_other": 1.0,
        "hit_change_single": pytest.approx(0.5 * 0.2),
        "hit_mean": 0.0,
        "hit_mean_other": 1.0,  # it sees twice as much
        "hit_change_mean": pytest.approx(0.5 * 0.08),
    }
    np.testing.assert_allclose(pictures[:, 0, 0, -1], [0.5, 0.7, 0.58], atol=1e-6)


@pytest.mark.parametrize("models", [["fc"], ["fc", "conv", "fc2"]])
def test_what_is_shown(models: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(walks, "NAMES", dict.fromkeys(models, "Net"))
    monkeypatch.setattr(strips, "NAMES", dict.fromkeys(models, "Net"))
    mu = normal(40, 4)
    images = np.arange(40 * 256).reshape(40, 1, 16, 16).astype(np.uint8)
    it = group(np.arange(40) < 15, "a_name that is long")
    judges = {model: [Judge(Blocks(), AXIS)] for model in models}
    figures, shown = follow(it, dict.fromkeys(models, mu), judges, images, seed=0)
    inside = AXIS.score(mu[:15]) > 0.5
    assert figures["fc"]["hit_real"] == pytest.approx(float(inside.double().mean()))
    assert shown.labels == [it.rest, it.rest, it.name, it.name]
    assert shown.walks["fc"].shape == (4, len(STEPS), 1, 16, 16)
    assert len(shown.terms) == len(shown.results["fc"]) == 3
    draw_walks([shown, shown], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"directions.png", "arithmetic.png"}
    (alone,) = draw_arithmetic([shown]).axes
    assert len(alone.get_xticks()) == 3 + 3 * len(models)


def test_no_arithmetic_of_too_few_images(tmp_path: Path) -> None:
    images = np.zeros((3, 1, 16, 16), np.uint8)
    judges = {"fc": [Judge(Blocks(), AXIS)]}
    figures, shown = follow(group([0, 0, 0]), {"fc": POINTS}, judges, images, seed=0)
    assert set(figures["fc"]) == {"walk_share", "walk_change", "walk_shift"}
    assert shown.labels == ["not it"] * 2
    draw_walks([shown], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["directions.png"]
