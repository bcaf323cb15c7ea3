"""Whole arrays in batches: the same whatever their size, and none that takes much memory."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from toys import normal

from vaelab import nets
from vaelab.data.arrays import Picked
from vaelab.vae import inference
from vaelab.vae.inference import VALUES, Decoded, batch_size, decode, encode, encode_means
from vaelab.vae.model import VAE, VAEConfig
from vaelab.vae.pixels import to_floats, to_uint8

SHAPE = (3, 16, 16)


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    shared = {"shape": SHAPE, "latent_dim": 4, "likelihood": "gaussian"}
    return nets.build(VAEConfig(architecture="conv", net={"width": 4, "blocks": 0}, **shared))


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (11, *SHAPE), dtype=np.uint8)


@pytest.mark.parametrize("size", [16, 32, 64, 96, 128, 256, 512, 4096])
def test_a_batch_of_large_images_is_smaller(size: int) -> None:
    images = batch_size((3, size, size))
    assert images == 256 if size <= 64 else 1 <= images < 256
    assert images == 1 or images * 3 * size * size <= VALUES


def test_small_batches_give_the_same(
    vae: VAE, images: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    for net in (vae.encoder, vae.decoder):
        net.register_forward_hook(lambda net, inputs, output: seen.append(len(output)))
    z, floats = normal(11, 4), to_floats(images)
    whole = [*encode(vae, images), encode_means(vae, floats), torch.from_numpy(decode(vae, z))]
    assert seen == [11] * 3
    monkeypatch.setattr(inference, "VALUES", 5 * math.prod(SHAPE))
    parts = [*encode(vae, images), encode_means(vae, floats), torch.from_numpy(decode(vae, z))]
    assert seen[3:] == [5, 5, 1] * 3
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other)


def test_images_that_are_made_when_they_are_looked_at(vae: VAE, images: NDArray[np.uint8]) -> None:
    z, rows = normal(11, 4), np.array([7, 2, 2])
    made, picked = Decoded.by(vae, z), Picked(images, np.arange(11))
    for source, whole in ((made, to_uint8(decode(vae, z))), (picked, images)):
        assert (len(source), source.shape) == (11, (11, *SHAPE))
        for wanted in (slice(None), slice(3, 6), slice(9, 20), rows):
            np.testing.assert_array_equal(source[wanted], whole[wanted])
    np.testing.assert_array_equal(Picked(images, rows)[1:], images[[2, 2]])
