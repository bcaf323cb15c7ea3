"""Between which pictures: drawn, chosen by number, a person's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from toys import image_arrays

from vaelab.data.arrays import ImageArrays
from vaelab.runtime.errors import UserError
from vaelab.settings import InterpolateSettings
from vaelab.studies.interpolate.pictures import corner_pictures, draw_pairs, shown_pairs


def settings(**changes: Any) -> InterpolateSettings:
    values = {"pairs": 4, "corners": "drawn", "measured": 6, "relaxation": 3, "steps": 3, "seed": 0}
    return InterpolateSettings.model_validate(values | changes)


def draw(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(count).integers(0, 256, (count, 3, 16, 16), dtype=np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> ImageArrays:
    return image_arrays(tmp_path / "toys", draw, {"train": 12, "val": 10, "test": 20}, classes=3)


def test_pairs_alternate_within_and_across() -> None:
    labels = torch.arange(40) // 4
    pairs = draw_pairs(labels, 300, seed=5)
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    assert same.tolist() == [True, False] * 150
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert len(pairs[:, 0].unique()) > 35
    assert len(pairs[:, 1].unique()) > 35
    assert torch.equal(pairs[:7], draw_pairs(labels, 7, seed=5))
    assert not torch.equal(pairs, draw_pairs(labels, 300, seed=6))


@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [3, 3, 3, 4]])
def test_pairs_are_of_two_images_where_there_are_two(labels: list[int]) -> None:
    pairs = draw_pairs(torch.tensor(labels), 40, seed=0)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert draw_pairs(torch.tensor([0]), 3, seed=0).tolist() == [[0, 0]] * 3


def test_drawn_pictures(images: ImageArrays) -> None:
    drawn = draw_pairs(torch.tensor(images.test.labels), 4, seed=0)
    for pair, numbers in zip(shown_pairs(images, settings()), drawn.tolist(), strict=True):
        for picture, number in zip(pair, numbers, strict=True):
            np.testing.assert_array_equal(picture.image, images.test.images[number])
            assert (picture.name, picture.place) == (str(number % 3), f"test image {number}")


def test_corners_are_of_different_classes_as_far_as_there_are(images: ImageArrays) -> None:
    corners = corner_pictures(images, settings())
    assert {picture.name for picture in corners[:3]} == {"0", "1", "2"}
    assert len({picture.place for picture in corners}) == 4
    others = corner_pictures(images, settings(seed=1))
    assert [picture.place for picture in corners] != [picture.place for picture in others]


def test_corners_of_fewer_images(tmp_path: Path) -> None:
    few = image_arrays(tmp_path / "few", draw, {"train": 12, "val": 10, "test": 3}, classes=2)
    assert len({picture.place for picture in corner_pictures(few, settings())}) == 3


def test_own_pictures(images: ImageArrays, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (9, 8, 7)).save(tmp_path / "mine.png")
    mine = str(tmp_path / "mine.png")
    chosen = settings(pairs=[[3, mine], [0, 1]], corners=[mine, 1, 2, 19])
    (three, own), second = shown_pairs(images, chosen)
    assert (own.name, own.place, three.place) == ("mine.png", "own file", "test image 3")
    assert (own.image == np.array([9, 8, 7])[:, None, None]).all()
    assert [picture.place for picture in second] == ["test image 0", "test image 1"]
    places = [picture.place for picture in corner_pictures(images, chosen)]
    assert places == ["own file", "test image 1", "test image 2", "test image 19"]


def test_a_picture_that_is_not_there(images: ImageArrays) -> None:
    with pytest.raises(UserError, match=r"interpolate\.pairs .* 20; allowed: 0 to 19"):
        shown_pairs(images, settings(pairs=[[3, 20]]))
    with pytest.raises(UserError, match=r"interpolate\.corners .* 21; allowed: 0 to 19"):
        corner_pictures(images, settings(corners=[0, 1, 2, 21]))
    with pytest.raises(UserError, match=r"none\.png cannot be read"):
        shown_pairs(images, settings(pairs=[[3, "none.png"]]))
