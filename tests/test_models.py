"""Both architectures: shapes, sizes, and the way to a folder and back."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from vaelab.errors import UserError
from vaelab.likelihoods import LIKELIHOODS
from vaelab.models import CONFIG, VAE, WEIGHTS, VAEConfig, seed_dir
from vaelab.models.conv import build_conv, conv_config, sides
from vaelab.models.fc import Flat, build_fc, fc_config
from vaelab.models.load import BUILDERS, load_vae, load_vaes
from vaelab.settings import (
    ARCHITECTURES,
    Architecture,
    ConvSettings,
    FCSettings,
    ModelSettings,
    load_settings,
)

CPU = torch.device("cpu")
NETS = {"fc": {"width": 24, "blocks": 2}, "conv": {"width": 4}}


def build(architecture: Architecture, channels: int = 3, side: int = 16, **config: Any) -> VAE:
    fields = {"latent_dim": 6, "likelihood": "bernoulli", "net": NETS[architecture]} | config
    return BUILDERS[architecture](
        VAEConfig(architecture=architecture, shape=(channels, side, side), **fields)
    )


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


@pytest.mark.parametrize(("side", "scale"), [(16, 1.0), (32, 1.0), (64, 0.25)])
def test_fc_scales_the_pixels_of_larger_images(side: int, scale: float) -> None:
    image = torch.rand(2, 3, side, side)
    torch.testing.assert_close(Flat(3 * side * side)(image), scale * image.flatten(1))


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
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_save_and_load(architecture: Architecture, likelihood: str, tmp_path: Path) -> None:
    vae = build(architecture, likelihood=likelihood)
    vae.save(seed_dir(tmp_path / "model", 0))
    loaded = load_vae(tmp_path / "model", CPU)
    assert loaded.config == vae.config
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    saved = vae.state_dict()
    assert list(loaded.state_dict()) == list(saved)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.state_dict().items())


def test_the_models_of_all_seeds_are_loaded_in_their_order(tmp_path: Path) -> None:
    for seed in (10, 2):
        build("conv", latent_dim=seed).save(seed_dir(tmp_path, seed))
    loaded = load_vaes(tmp_path, CPU)
    assert {seed: vae.latent_dim for seed, vae in loaded.items()} == {2: 2, 10: 10}
    assert list(loaded) == [2, 10]
    assert load_vae(tmp_path, CPU).latent_dim == 2


def model_settings(**change: object) -> ModelSettings:
    settings = load_settings(Path(__file__).parents[1] / "params.yaml").model
    return settings.model_copy(update=change)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64)])
def test_fc_has_as_many_parameters_as_conv(shape: tuple[int, int, int]) -> None:
    fc, conv = fc_config(model_settings(), shape), conv_config(model_settings(), shape)
    counts = [build_fc(fc).parameter_count(), build_conv(conv).parameter_count()]
    assert abs(counts[0] / counts[1] - 1) <= 0.02
    assert isinstance(fc.net["width"], int)


def test_a_width_that_is_named_is_taken() -> None:
    model = model_settings(fc=FCSettings(width=77, blocks=2))
    assert fc_config(model, (3, 32, 32)).net == {"width": 77, "blocks": 2}


def test_a_conv_too_small_to_be_matched_is_one_line() -> None:
    model = model_settings(latent_dim=2, conv=ConvSettings(width=1))
    with pytest.raises(
        UserError, match=r"no model\.fc\.width gives FC within 2% as many .* Conv's"
    ):
        fc_config(model, (3, 64, 64))


def test_a_point_posterior_is_its_mean() -> None:
    vae = build("conv", posterior="point")
    posterior = vae.encode(torch.rand(2, *vae.config.shape))
    assert torch.equal(posterior.sample(), posterior.mu)
    assert not vae.stochastic
    assert build("conv").stochastic


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
    build("conv").save(seed_dir(folder, 0))
    damage(seed_dir(folder, 0))
    with pytest.raises(UserError) as caught:
        load_vae(folder, CPU)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    assert "dvc repro train_conv@cifar10" in message
