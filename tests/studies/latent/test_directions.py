"""Directions of attributes and classes: against codes whose attribute's axis is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from toys import Blocks, group, standard_mixture, toy_meta

from vaelab.data.arrays import ImageArrays, Split
from vaelab.metrics.frame import frame, mean, values
from vaelab.metrics.measures import DIRECTIONS
from vaelab.plotting import strips
from vaelab.runtime.errors import UserError
from vaelab.settings import LatentExploreSettings
from vaelab.studies.latent import walks
from vaelab.studies.latent.directions import (
    auc,
    chance_auc,
    choose,
    closest,
    directions,
    explore,
    groups,
)
from vaelab.studies.latent.encoded import Encoded
from vaelab.studies.latent.walks import Direction
from vaelab.vae.model import VAE

SHAPE = (1, 16, 16)
SIDE = 8  # of the block of pixels that a latent moves
ONE = Direction(torch.zeros(1).double(), torch.ones(1).double())


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
    known = {"class_names": ["no", "yes", "other"], "attribute_names": list(names)}
    return ImageArrays(toy_meta(**known), split, split, split)


def encoded(images: ImageArrays, reach: float = 0.1) -> Encoded:
    return Encoded.of(cast("VAE", Blocks(reach)), images, standard_mixture(2))


def test_the_direction_is_the_difference_of_means() -> None:
    mu = torch.tensor([[0.0, 0.0], [2.0, 0.0], [5.0, 4.0], [1.0, 3.0]])
    inside = np.array([[True, False, True, False], [False, True, False, False]]).T
    first, second = directions(mu, inside)
    torch.testing.assert_close(first.origin, torch.tensor([1.5, 1.5], dtype=torch.float64))
    torch.testing.assert_close(first.vector, torch.tensor([1.0, 0.5], dtype=torch.float64))
    torch.testing.assert_close(second.vector, torch.tensor([0.0, -7 / 3], dtype=torch.float64))
    means = torch.stack([mu[[1, 3]].mean(0), mu[[0, 2]].mean(0)])  # outside, inside
    assert first.score(means).tolist() == pytest.approx([0.0, 1.0])
    moved = first.along(mu[:2])
    torch.testing.assert_close(moved[1, [0, 3]], torch.tensor([[0.0, -1.0], [3.0, 0.5]]))


def test_auc_is_the_share_of_pairs_in_order() -> None:
    mu = torch.tensor([[0.0], [1.0], [2.0], [2.0]])
    inside = np.array([False, True, True, False])
    assert auc(ONE, mu, inside) == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert math.isnan(auc(ONE, mu, np.ones(4, bool)))


def test_chance_is_that_of_the_mann_whitney_statistic() -> None:
    """At 0.05, two-sided: a score that says nothing is above in 2.5 of 100 cases."""
    inside = np.arange(300) < 40
    rng = np.random.default_rng(0)
    draws = [auc(ONE, torch.from_numpy(rng.normal(size=(300, 1))), inside) for _ in range(400)]
    assert np.quantile(draws, 0.975) == pytest.approx(chance_auc(group(inside), 1), abs=0.015)
    assert chance_auc(group(inside), 1) < chance_auc(group(inside), 40)
    assert math.isnan(chance_auc(group(inside[:40]), 1))
    assert chance_auc(group(inside[38:42]), 40) == 1.0  # of four images nothing is told


def test_groups_of_classes() -> None:
    (only,) = groups(image_arrays([0, 1, 1, 0]))
    assert (only.name, only.rest) == ("yes", "no")
    assert only.train.tolist() == [False, True, True, False]
    found = groups(image_arrays([0, 1, 2, 0]))
    assert [(each.name, each.rest) for each in found] == [
        ("no", "not no"), ("yes", "not yes"), ("other", "not other")
    ]  # fmt: skip
    assert groups(image_arrays([1, 1, 1])) == []


def test_attributes_come_first_and_a_class_that_is_one_is_not_listed_again() -> None:
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


def test_choose() -> None:
    three = [group([True, False], name) for name in ("a", "b", "c")]
    auc = [[0.6, math.nan, 0.9], [0.8, math.nan, 0.6]]
    assert choose(three, auc, 2) == [2, 0]
    assert choose(three, auc, 12) == [2, 0, 1]
    assert choose(three, auc, ["b", "a", "b"]) == [1, 0]
    message = r"^latent_explore\.directions names 'd'; allowed: a, b, c$"
    with pytest.raises(UserError, match=message):
        choose(three, auc, ["a", "d"])


def test_closest() -> None:
    x, y = torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 2.0]).double()
    vectors = {"a": {"fc": x}, "b": {"fc": y}, "c": {"fc": -3 * x + 0.0}}
    assert closest(vectors) == {"names": ["a", "c"], "cosines": {"fc": pytest.approx(-1.0)}}
    assert closest({"a": {"fc": x}}) is None


def two_attributes() -> ImageArrays:
    labels = np.arange(60) % 2
    attributes = np.stack([labels, np.arange(60) % 3 == 0], axis=1).astype(np.uint8)
    return image_arrays(labels.tolist(), attributes, ["bright", "third"])


def test_explore(tmp_path: Path) -> None:
    images = two_attributes()
    both = {"fc": encoded(images), "conv": encoded(images, 0.2)}
    found = explore(both, images, settings(1), tmp_path)
    facts = found.facts
    assert (facts["groups"], facts["chosen"], facts["level"]) == (2, ["bright"], 0.05)
    assert facts["held"] == {"fc": ["bright"], "conv": ["bright"]}
    assert facts["judges"] == {"fc": ["fc", "conv"], "conv": ["conv", "fc"]}
    assert facts["closest"] is None
    figures = frame(found.figures)
    assert set(figures["measure"]) == {measure.key for measure in DIRECTIONS}
    for model in both:
        assert mean(figures, model, "auc", "bright") == 1.0
        assert mean(figures, model, "walk_share", "bright") == pytest.approx(1.0, abs=1e-3)
        assert mean(figures, model, "hit_single", "bright") == 1.0
        assert mean(figures, model, "hit_c", "bright") == 0.0
        assert values(figures, model, "walk_share", "third") == []
        third = mean(figures, model, "auc", "third")
        assert mean(figures, model, "auc") == pytest.approx((1.0 + third) / 2)
        assert mean(figures, model, "hit_mean", "bright") == 1.0
    # Twice the reach of a pixel for a unit of z: half the length of the same direction.
    length = [mean(figures, model, "direction_length", "bright") for model in both]
    assert length[0] == pytest.approx(2 * length[1], rel=1e-4)
    assert {path.name for path in tmp_path.iterdir()} == {"directions.png", "arithmetic.png"}


@pytest.mark.parametrize("names", [["fc"], ["fc", "conv", "other"]])
def test_any_number_of_models(
    names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (walks, strips):
        monkeypatch.setattr(module, "NAMES", {name: name for name in names})
    images = two_attributes()
    models = {name: encoded(images, 0.1 + 0.1 * i) for i, name in enumerate(names)}
    found = explore(models, images, settings(2), tmp_path)
    judges = {"fc": ["fc", "conv"], "conv": ["conv", "other"], "other": ["other", "fc"]}
    assert found.facts["judges"] == (judges if len(names) > 1 else {"fc": ["fc"]})
    figures = frame(found.figures)
    assert set(figures["model"]) == set(names)
    other = mean(figures, "fc", "walk_share_other", "bright")
    assert other == (pytest.approx(1.0, abs=1e-3) if len(names) > 1 else None)


def test_walks_are_chosen_on_the_validation_split(tmp_path: Path) -> None:
    images = two_attributes()
    dark = Split(images.val.images.copy(), images.val.labels, attributes=images.val.attributes)
    dark.images[:] = 255 - dark.images
    both = {"fc": encoded(ImageArrays(images.meta, images.train, dark, images.test))}
    found = explore(both, images, settings(1), tmp_path)
    assert found.facts["held"] == {"fc": ["bright"]}
    assert found.facts["chosen"] == ["third"]


def test_explore_by_name_with_a_test_image_or_two(tmp_path: Path) -> None:
    images = image_arrays([0, 1, 2, 0, 1, 2])
    few = ImageArrays(images.meta, images.train, images.val, images.test[:2])
    both = {model: encoded(few) for model in ("fc", "conv")}
    found = explore(both, few, settings(["other", "yes"]), tmp_path)
    assert found.facts["chosen"] == ["other", "yes"]
    figures = frame(found.figures)
    for key in ("auc", "auc_chance", "hit_mean"):
        assert mean(figures, "fc", key, "other") is None
    assert mean(figures, "fc", "walk_share", "other") is not None


def test_nothing_is_drawn_where_no_direction_is_held(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).integers(0, 3, 120)
    bright = image_arrays(labels.tolist())
    images = ImageArrays(
        bright.meta, bright.train, bright.val, Split(np.full_like(bright.test.images, 100), labels)
    )
    found = explore({"fc": encoded(images)}, images, settings(2), tmp_path)
    assert found.facts["held"] == {"fc": []}
    none = image_arrays([0] * 6)
    assert explore({"fc": encoded(none)}, none, settings(4), tmp_path) == ([], {"groups": 0})
    assert not [*tmp_path.iterdir()]
