"""Directions of attributes and classes: against codes whose attribute's axis is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chapters.directions import tell
from vaelab.data.arrays import ImageArrays, Meta, Split
from vaelab.runtime.errors import UserError
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import directions as module
from vaelab.studies.latent.directions import (
    AVERAGED,
    STEPS,
    TRIALS,
    WALKED,
    Direction,
    Draw,
    Group,
    calculate,
    chance_auc,
    choose,
    directions,
    draw,
    explore,
    groups,
    held,
    walk,
)
from vaelab.studies.latent.encoded import Encoded
from vaelab.vae.model import Posterior

SHAPE = (1, 16, 16)
SIDE = 8  # of the block of pixels that a latent moves


class Linear(nn.Module):
    """A toy of VAE's interface: each of four latents is the mean of a block of pixels."""

    latent_dim = 4
    stochastic = True

    def __init__(self, reach: float = 0.1) -> None:
        super().__init__()
        self.reach = nn.Parameter(torch.tensor(reach))  # of a pixel, for a unit of z

    def encode(self, images: Tensor) -> Posterior:
        means = nn.functional.avg_pool2d(images, SIDE).flatten(1)
        mu = (means - 0.5) / self.reach
        return Posterior(mu, torch.full_like(mu, -2.0))

    def decode_mean(self, z: Tensor) -> Tensor:
        return (
            (0.5 + self.reach * z)
            .reshape(-1, 1, 2, 2)
            .repeat_interleave(SIDE, 2)
            .repeat_interleave(SIDE, 3)
        )


class Half(Linear):
    """Its images show half of what is asked for, about z = 0."""

    def decode_mean(self, z: Tensor) -> Tensor:
        return super().decode_mean(0.5 * z)


def codes(count: int, seed: int, axis: Tensor | None = None) -> tuple[Tensor, np.ndarray]:
    """(count, 4), and which of them lie a unit along the axis."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.rand(count, generator=generator) < 0.4
    z = 0.1 * torch.randn(count, 4, generator=generator)
    if axis is not None:
        z = z + inside.unsqueeze(1) * axis
    return z, inside.numpy()


def group(inside: Sequence[bool] | np.ndarray, name: str = "it") -> Group:
    every = np.asarray(inside, bool)
    return Group(name, f"not {name}", every, every, every)


def settings(wanted: int | list[str], seed: int = 0) -> LatentExploreSettings:
    return LatentExploreSettings.model_construct(directions=wanted, seed=seed)


def image_arrays(
    labels: Sequence[int], attributes: np.ndarray | None = None, names: Sequence[str] = ()
) -> ImageArrays:
    """All splits alike: an image for each label, bright above where the first attribute is."""
    rng = np.random.default_rng(0)
    images = rng.integers(90, 110, (len(labels), *SHAPE)).astype(np.uint8)
    bright = np.asarray(labels) == 1 if attributes is None else attributes[:, 0] == 1
    images[bright, :, :SIDE, :SIDE] += 60
    split = Split(images, np.asarray(labels, np.int64), attributes=attributes)
    meta = Meta(
        name="toy",
        source={},
        shape=SHAPE,
        counts={"train": len(labels), "val": len(labels), "test": len(labels)},
        class_names=["no", "yes", "other"],
        factor_names=[],
        attribute_names=list(names),
        split_seed=0,
        digest="",
    )
    return ImageArrays(meta, split, split, split)


def encoded(images: ImageArrays, vae: nn.Module | None = None) -> Encoded:
    vae = vae or Linear()
    train, val, test = (
        Posterior(*(each.detach() for each in vae.encode(torch.from_numpy(split.images) / 255.0)))
        for split in (images.train, images.val, images.test)
    )
    return Encoded(vae, train, val, test, torch.ones(4))


# --- directions -----------------------------------------------------------------------------------


def test_the_direction_is_the_difference_of_means():
    mu = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 4.0], [1.0, 3.0]])
    inside = np.array([[True, False, True, False], [False, True, False, False]]).T
    first, second = directions(mu, inside)
    torch.testing.assert_close(first.origin, torch.tensor([1.5, 1.5], dtype=torch.float64))
    torch.testing.assert_close(first.vector, torch.tensor([1.0, 0.5], dtype=torch.float64))
    torch.testing.assert_close(second.vector, torch.tensor([0.0, -7 / 3], dtype=torch.float64))
    outside_mean, inside_mean = mu[[1, 3]].mean(0), mu[[0, 2]].mean(0)
    torch.testing.assert_close(
        first.score(torch.stack([outside_mean, inside_mean])), torch.tensor([0.0, 1.0]).double()
    )
    moved = first.along(mu[:2], torch.tensor([-2.0, 1.0]))
    torch.testing.assert_close(moved[1], torch.tensor([[0.0, -1.0], [3.0, 0.5]]))


def test_a_known_axis_is_found():
    axis = torch.tensor([1.0, 0.0, -2.0, 0.0])
    mu, inside = codes(2000, 0, axis)
    (direction,) = directions(mu, inside[:, None])
    assert torch.cosine_similarity(direction.vector, axis.double(), dim=0) > 0.999
    test_mu, test_inside = codes(500, 1, axis)
    assert held(direction, test_mu, test_inside) == pytest.approx(1.0)
    assert held(direction, -test_mu, test_inside) == pytest.approx(0.0)


def test_random_labels_are_not_held():
    mu, inside = codes(2000, 0)
    (direction,) = directions(mu, inside[:, None])
    test_mu, test_inside = codes(2000, 1)
    assert held(direction, test_mu, test_inside) == pytest.approx(0.5, abs=0.04)


def test_auc_is_the_share_of_pairs_in_order():
    direction = Direction(torch.zeros(1).double(), torch.ones(1).double())
    mu = torch.tensor([[0.0], [1.0], [2.0], [2.0]])
    inside = np.array([False, True, True, False])
    assert held(direction, mu, inside) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert held(direction, mu, np.zeros(4, bool)) is None
    assert held(direction, mu, np.ones(4, bool)) is None


def test_chance_is_that_of_the_mann_whitney_statistic():
    inside = np.arange(300) < 40
    rng = np.random.default_rng(0)
    one = Direction(torch.zeros(1).double(), torch.ones(1).double())
    draws = [held(one, torch.from_numpy(rng.normal(size=(300, 1))), inside) for _ in range(400)]
    assert np.quantile(draws, 0.975) == pytest.approx(chance_auc(inside, 1), abs=0.015)
    assert chance_auc(inside[:40], 1) is None
    assert chance_auc(~inside[:40], 1) is None


def test_encodings_that_do_not_vary_have_no_direction():
    mu = torch.full((6, 3), 0.1)
    inside = np.array([[True, False, True, False, False, False]]).T
    (direction,) = directions(mu, inside)
    assert direction.vector.tolist() == [0.0, 0.0, 0.0]
    assert direction.score(mu + 1.0).tolist() == [0.0] * 6
    assert held(direction, mu, inside[:, 0]) == 0.5


# --- groups, choice and draw ----------------------------------------------------------------------


def test_groups_of_classes():
    (only,) = groups(image_arrays([0, 1, 1, 0]))
    assert (only.name, only.rest) == ("yes", "no")
    assert only.train.tolist() == [False, True, True, False]
    found = groups(image_arrays([0, 1, 2, 0]))
    assert [(each.name, each.rest) for each in found] == [
        ("no", "not no"), ("yes", "not yes"), ("other", "not other")
    ]  # fmt: skip
    assert groups(image_arrays([1, 1, 1])) == []


def test_attributes_come_first_and_a_class_that_is_one_is_not_listed_again():
    labels = [0, 1, 1, 0, 1]
    hat, always = [1, 0, 1, 0, 0], [1] * 5
    for same in (np.array(labels), 1 - np.array(labels)):
        attributes = np.stack([hat, always, same], axis=1).astype(np.uint8)
        found = groups(image_arrays(labels, attributes, ["hat", "always", "same"]))
        assert [each.name for each in found] == ["hat", "same"]
        assert found[0].rest == "not hat"
        assert found[0].test.tolist() == [True, False, True, False, False]
    attributes = np.array([hat], np.uint8).T
    found = groups(image_arrays(labels, attributes, ["hat"]))
    assert [each.name for each in found] == ["hat", "yes"]


def test_choose():
    three = [group([True, False], name) for name in ("a", "b", "c")]
    auc = [[0.6, None, 0.9], [0.8, None, 0.6]]
    assert choose(three, auc, 2) == [2, 0]
    assert choose(three, auc, 12) == [2, 0, 1]
    assert choose(three, auc, ["b", "a", "b"]) == [1, 0]
    message = r"^latent_explore\.directions names 'd'; allowed: a, b, c$"
    with pytest.raises(UserError, match=message):
        choose(three, auc, ["a", "d"])


def test_draw():
    inside = np.arange(300) % 3 == 0
    drawn = draw(group(inside), seed=0)
    assert len(drawn.without) == len(drawn.inside) == WALKED
    assert drawn.a.shape == drawn.b.shape == (TRIALS, AVERAGED)
    for numbers, expected in (
        (drawn.without, False), (drawn.inside, True), (drawn.a, True), (drawn.b, False),
        (drawn.c, False),
    ):  # fmt: skip
        assert (inside[numbers.numpy()] == expected).all()
    for b, c in zip(drawn.b.tolist(), drawn.c.tolist(), strict=True):
        assert len({*b, c}) == AVERAGED + 1
    again, other, named = (
        draw(group(inside), 0), draw(group(inside), 1), draw(group(inside, "x"), 0)
    )  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(drawn, again, strict=True))
    assert not torch.equal(drawn.c, other.c)
    assert not torch.equal(drawn.c, named.c)


@pytest.mark.parametrize(
    ("inside", "averaged"),
    [([1, 0, 0, 0], 1), ([1, 1, 0, 0], 1), ([1, 1, 1, 0], 0), ([0, 0], 0), ([1, 1], 0)],
)
def test_draw_of_few(inside, averaged):
    drawn = draw(group(np.array(inside, bool)), seed=0)
    assert len(drawn.without) == inside.count(0)
    assert len(drawn.inside) == inside.count(1)
    trials = TRIALS if averaged else 0
    assert len(drawn.a) == len(drawn.b) == len(drawn.c) == trials
    if averaged:
        assert drawn.a.shape == drawn.b.shape == (TRIALS, averaged)


# --- walks and arithmetic -------------------------------------------------------------------------

AXIS = Direction(torch.tensor([0.5, 0, 0, 0]).double(), torch.tensor([0.0, 2.0, 0, 0]).double())
POINTS = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 2.0, 0.0, 1.0]])
EVERY = torch.tensor([0, 1, 2])


def drawn_by_hand(without: Tensor, inside: Tensor) -> Draw:
    return Draw(without, inside, EVERY[:0], EVERY[:0], EVERY[:0])


def test_a_linear_model_makes_exactly_the_move_asked_for():
    own = (Linear(), AXIS)
    found = walk(POINTS, drawn_by_hand(EVERY[:2], EVERY[2:]), own, (Half(), AXIS))
    assert found.share == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(found.without, [0.125 + step for step in STEPS], atol=1e-4)
    np.testing.assert_allclose(found.inside, [1.0 + step for step in STEPS], atol=1e-4)
    # A quarter of the pixels by 0.1 for each unit of z, of which a step is two.
    np.testing.assert_allclose(found.change, [abs(step) * 0.1 for step in STEPS], atol=1e-5)
    # A change of a quarter of the image has a quarter of its squares in its mean.
    assert found.shift == [pytest.approx(0.25, abs=1e-4) if step else None for step in STEPS]
    assert found.sharpness[STEPS.index(0.0)] == pytest.approx(1.0)
    assert found.share_other == pytest.approx(1.0, abs=1e-4)


def test_the_share_of_a_model_that_shows_half():
    found = walk(POINTS, drawn_by_hand(EVERY, EVERY[:0]), (Half(), AXIS), (Linear(0.2), AXIS))
    assert found.share == pytest.approx(0.5, abs=1e-4)
    assert found.share_other == pytest.approx(0.25, abs=1e-4)
    assert found.inside is None


def test_a_flat_image_has_no_sharpness_to_keep():
    found = walk(torch.zeros(1, 4), drawn_by_hand(EVERY[:1], EVERY[:0]), *[(Linear(), AXIS)] * 2)
    assert found.sharpness == [None] * len(STEPS)


def test_arithmetic_by_hand():
    # Scores are z[1] / 2. a: 2 and 0; b: 0 and 0.4; c: 0. Single: 2 - 0 + 0. Means: 1 - 0.2 + 0.
    mu = torch.zeros(5, 4)
    mu[:, 1] = torch.tensor([2.0, 0.0, 0.0, 0.4, 0.0])
    rows = [torch.tensor([[0, 1]]), torch.tensor([[2, 3]]), torch.tensor([4])]
    drawn = Draw(EVERY[:0], EVERY[:0], *rows)
    inside = np.array([True, True, False, False, False])
    found, pictures = calculate(mu, drawn, (Linear(), AXIS), (Linear(0.05), AXIS), inside)
    assert found.averaged == 2
    assert found.real == 0.5
    assert (found.start.hit, found.single.hit, found.mean.hit) == (0.0, 1.0, 0.0)
    assert (found.single.hit_other, found.mean.hit_other) == (1.0, 1.0)  # it sees twice as much
    assert found.start.change == 0.0
    assert found.single.change == pytest.approx(0.5 * 0.2)
    assert found.mean.change == pytest.approx(0.5 * 0.08)
    np.testing.assert_allclose(pictures[:, 0, 0, -1], [0.5, 0.7, 0.58], atol=1e-6)


def test_shares_over_trials():
    mu = torch.zeros(4, 4)
    mu[:, 1] = torch.tensor([2.0, 0.5, 0.0, 0.0])
    count = 3 * module.CHUNK + 1
    a = torch.where(torch.arange(count) % 7 == 0, 1, 0).unsqueeze(1)
    drawn = Draw(EVERY[:0], EVERY[:0], a, torch.full((count, 1), 2), torch.full((count,), 3))
    inside = np.array([True, True, False, False])
    found, _ = calculate(mu, drawn, *[(Linear(), AXIS)] * 2, inside)
    assert found.single.hit == found.mean.hit == pytest.approx(1 - 7 / count)


# --- all of it ------------------------------------------------------------------------------------


def test_explore():
    labels = np.arange(60) % 2
    attributes = np.stack([labels, np.arange(60) % 3 == 0], axis=1).astype(np.uint8)
    images = image_arrays(labels.tolist(), attributes, ["bright", "third"])
    both = {"fc": encoded(images), "conv": encoded(images, Linear(0.2))}
    found = explore(both, images, settings(1))
    assert [each.name for each in found.groups] == ["bright", "third"]
    (chosen,) = found.chosen
    assert chosen.group.name == "bright"
    assert chosen.inside == [False, False, True, True]
    assert (chosen.shown[2:, :, :SIDE, :SIDE].mean((1, 2, 3)) > 140).all()
    assert [len(term) for term in chosen.terms] == [29, 29, 1]
    for model in both:
        assert found.auc[model][0] == 1.0
        measured = chosen.measured[model]
        assert measured.walk.share == pytest.approx(1.0, abs=1e-3)
        assert measured.walks.shape == (4, len(STEPS), *SHAPE)
        assert measured.results.shape == (3, *SHAPE)
        assert measured.arithmetic.single.hit == measured.arithmetic.mean.hit == 1.0
        assert measured.arithmetic.start.hit == 0.0
        assert found.cosines[model] == [[pytest.approx(1.0)]]
    # Twice the reach of a pixel for a unit of z: half the length of the same direction.
    assert found.lengths["fc"][0] == pytest.approx(2 * found.lengths["conv"][0], rel=1e-4)
    rows = found.rows()
    assert [(row["direction"], row["model"]) for row in rows] == [
        ("bright", "fc"), ("bright", "conv"), ("third", "fc"), ("third", "conv")
    ]  # fmt: skip
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert rows[0]["without_forth"] == pytest.approx(rows[0]["without_start"] + 1, abs=1e-3)
    assert rows[0]["chance"] == chance_auc(found.groups[0].test, len(found.groups))
    assert (rows[0]["beats_chance"], rows[2]["beats_chance"]) == (True, False)
    assert rows[0]["train_with"] == rows[0]["test_without"] == 30
    assert rows[2]["share"] is None
    metrics = found.metrics()["fc"]
    assert metrics["auc"] == pytest.approx((rows[0]["auc"] + rows[2]["auc"]) / 2)
    assert (metrics["share"], metrics["mean_hit"]) == (rows[0]["share"], 1.0)
    again = explore(both, images, settings(1))
    assert again.rows() == rows
    np.testing.assert_array_equal(again.chosen[0].shown, chosen.shown)


def test_explore_by_name_with_a_test_image_or_two():
    images = image_arrays([0, 1, 2, 0, 1, 2])
    few = ImageArrays(images.meta, images.train, images.val, images.test[:2])
    both = {model: encoded(few) for model in ("fc", "conv")}
    found = explore(both, few, settings(["other", "yes"]))
    assert [each.group.name for each in found.chosen] == ["other", "yes"]
    other, yes = (each.measured["fc"] for each in found.chosen)
    assert found.auc["fc"][2] is None
    unknown = [row for row in found.rows() if row["direction"] == "other"]
    assert [(row["chance"], row["beats_chance"]) for row in unknown] == [(None, False)] * 2
    assert other.walk.inside is None
    assert (other.arithmetic, other.results, found.chosen[0].terms) == (None, None, None)
    assert yes.walk.inside is not None
    assert yes.row().keys() < set(module.MEASURES)


def test_nothing_without_attributes_and_classes():
    images = image_arrays([0] * 6)
    both = {model: encoded(images) for model in ("fc", "conv")}
    assert explore(both, images, settings(4)) is None


@pytest.mark.parametrize("seen", [True, False])
def test_walks_are_drawn_where_a_direction_is_held(tmp_path, seen):
    labels = np.random.default_rng(3).integers(0, 3, 120)
    bright = image_arrays(labels.tolist())
    test = bright.test if seen else Split(np.full_like(bright.test.images, 100), labels)
    images = ImageArrays(bright.meta, bright.train, bright.val, test)
    told = tell({m: encoded(images) for m in ("fc", "conv")}, images, settings(2), tmp_path)
    walks = {"directions.png", "direction_scores.png", "arithmetic.png"} if seen else set()
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"directions.csv", "directions_auc.png"} | walks
    assert all(f"(latent_explore/{name})" in told.chapter.body for name in written)
    assert told.chapter.body.count("](") == len(written)
