"""Pictures of a training: what they show, and that it does not notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys import small_vae, write_data

from vaelab.data.arrays import ImageArrays
from vaelab.training.pictures import draw, drawn_after


@pytest.mark.parametrize(
    ("epochs", "expected"), [(10, {0, 3, 7, 10}), (400, {0, 133, 267, 400}), (1, {0, 1})]
)
def test_drawn_a_few_times(epochs: int, expected: set[int]) -> None:
    assert drawn_after(epochs) == expected


def test_what_they_show(tmp_path: Path) -> None:
    write_data(tmp_path, known_factors=True)
    images, vae = ImageArrays.open(tmp_path), small_vae("conv").eval()
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    state = torch.get_rng_state()
    drawn = draw(vae, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())

    assert {name: image.shape for name, image in drawn.items()} == {
        "reconstructions": (64, 64, 3),
        "samples": (64, 64, 3),
    }
    originals = images.val.images[:8].transpose(0, 2, 3, 1)
    for top, row in ((0, originals[:4]), (32, originals[4:])):
        np.testing.assert_array_equal(drawn["reconstructions"][top : top + 16], np.hstack([*row]))
    again = draw(vae, images)
    assert all(np.array_equal(again[name], image) for name, image in drawn.items())


def test_a_validation_split_of_few_images(tmp_path: Path) -> None:
    write_data(tmp_path, known_factors=False)
    images, vae = ImageArrays.open(tmp_path), small_vae("fc", channels=3)
    few = ImageArrays(images.meta, images.train, images.val[:3], images.test)
    sheet = draw(vae, few)["reconstructions"]
    assert sheet.shape == (32, 64, 3)
    assert (sheet[:, 48:] == 255).all()
