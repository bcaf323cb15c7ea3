"""Both architectures: shapes, sizes, and the way to a folder and back."""

import json
from pathlib import Path

import pytest
import torch

from vaelab.errors import UserError
from vaelab.models import CONFIG, VAE, WEIGHTS, VAEConfig
from vaelab.models.conv import sides
from vaelab.models.load import BUILDERS, load_vae
from vaelab.settings import ARCHITECTURES, Architecture

CPU = torch.device("cpu")
NETS = {"fc": {"hidden": [24, 12]}, "conv": {"width": 4}}


def build(
    architecture: Architecture, channels: int = 3, side: int = 16, likelihood: str = "bernoulli"
) -> VAE:
    config = VAEConfig(
        architecture=architecture,
        shape=(channels, side, side),
        latent_dim=6,
        likelihood=likelihood,
        net=NETS[architecture],
    )
    return BUILDERS[architecture](config)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [16, 20, 28, 32, 36, 64])
def test_shapes(architecture: Architecture, channels: int, side: int) -> None:
    vae = build(architecture, channels, side)
    images = torch.rand(2, channels, side, side)
    posterior = vae.encode(images)
    assert posterior.mu.shape == posterior.logvar.shape == (2, 6)
    decoded = vae.decode_mean(posterior.sample())
    assert decoded.shape == images.shape
    assert decoded.min() >= 0.0
    assert decoded.max() <= 1.0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_and_every_pixel_takes_part(architecture: Architecture) -> None:
    """28 -> 14 -> 7 -> 4 has an odd side, where a border could be lost."""
    vae = build(architecture, side=28)
    images = torch.rand(2, 3, 28, 28, requires_grad=True)
    raw = vae.decode(vae.encode(images).sample())
    vae.likelihood.log_prob(images.detach(), raw).sum().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert images.grad is not None
    assert (images.grad.abs().sum((0, 1)) > 0).all()


def test_precision_of_the_nets_does_not_reach_the_likelihood() -> None:
    vae = build("conv")
    with torch.autocast("cpu", torch.bfloat16):
        posterior = vae.encode(torch.rand(2, 3, 16, 16))
        raw = vae.decode(posterior.mu)
    assert posterior.mu.dtype == posterior.logvar.dtype == raw.dtype == torch.float32


def test_the_nets_see_pixels_around_zero() -> None:
    vae = build("fc")
    seen = []
    vae.encoder.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    vae.encode(torch.tensor([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1).expand(3, 3, 16, 16))
    assert [image.unique().tolist() for image in seen[0]] == [[-1.0], [0.0], [1.0]]


@pytest.mark.parametrize(
    ("side", "expected"),
    [
        (16, [16, 8, 4]),
        (20, [20, 10, 5]),
        (28, [28, 14, 7, 4]),
        (32, [32, 16, 8, 4]),
        (36, [36, 18, 9, 5]),
        (64, [64, 32, 16, 8, 4]),
    ],
)
def test_conv_halves_the_side(side: int, expected: list[int]) -> None:
    assert sides(side) == expected


@pytest.mark.parametrize(("side", "expected"), [(32, [32, 64, 128]), (64, [32, 64, 128, 256])])
def test_conv_doubles_the_channels(side: int, expected: list[int]) -> None:
    config = VAEConfig(
        architecture="conv",
        shape=(3, side, side),
        latent_dim=6,
        likelihood="bernoulli",
        net={"width": 32},
    )
    vae = BUILDERS["conv"](config)
    convolutions = [m for m in vae.encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions if m.stride == (2, 2)] == expected
    doublings = [m for m in vae.decoder.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [m.in_channels for m in doublings] == expected[::-1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_differ_in_their_nets_only(architecture: Architecture) -> None:
    vae = build(architecture, likelihood="gaussian")
    rest = {
        name: tensor
        for name, tensor in vae.state_dict().items()
        if not name.startswith(("encoder.", "decoder."))
    }
    assert set(rest) == {"likelihood.log_sigma"}
    reference = build("fc", likelihood="gaussian").likelihood
    assert torch.equal(rest["likelihood.log_sigma"], reference.state_dict()["log_sigma"])
    assert vae.parameter_count() == sum(tensor.numel() for tensor in vae.state_dict().values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_save_and_load(architecture: Architecture, likelihood: str, tmp_path: Path) -> None:
    vae = build(architecture, likelihood=likelihood)
    vae.save(tmp_path / "model")
    loaded = load_vae(tmp_path / "model", CPU)
    assert loaded.config == vae.config
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    saved = vae.state_dict()
    assert list(loaded.state_dict()) == list(saved)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.state_dict().items())


def break_nothing_there(folder: Path) -> None:
    (folder / CONFIG).unlink()


def break_weights(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"not weights")


def break_weights_missing(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def break_config(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"colour": "blue"}))


def break_agreement(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"latent_dim": 7}))


@pytest.mark.parametrize(
    "damage",
    [
        break_nothing_there,
        break_weights,
        break_weights_missing,
        break_config,
        break_agreement,
    ],
)
def test_a_broken_folder_is_one_line(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "cifar10" / "conv"
    build("conv").save(folder)
    damage(folder)
    with pytest.raises(UserError) as caught:
        load_vae(folder, CPU)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    assert "dvc repro train_conv@cifar10" in message
