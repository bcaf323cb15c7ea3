"""The architectures: what goes in and comes out, and how large they are."""

import math
from pathlib import Path

import pytest
import torch
from toys import small_vae as build

from vaelab import nets
from vaelab.nets.conv import Double, Residual, sides
from vaelab.runtime.errors import UserError
from vaelab.settings import (
    ARCHITECTURES,
    ConvSettings,
    FCSettings,
    ModelSettings,
    load_settings,
)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [16, 28, 36])
def test_shapes(architecture: str, channels: int, side: int) -> None:
    vae = build(architecture, channels, side)
    images = torch.rand(2, channels, side, side)
    posterior = vae.encode(images)
    assert posterior.mu.shape == posterior.logvar.shape == (2, 6)
    decoded = vae.decode_mean(posterior.sample())
    assert decoded.shape == images.shape
    assert decoded.min() >= 0.0
    assert decoded.max() <= 1.0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_parameter_and_every_pixel_takes_part(architecture: str) -> None:
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
    assert [image.unique().tolist() for image in seen[0]] == [[-2.0], [0.0], [2.0]]


@pytest.mark.parametrize(
    ("side", "expected", "channels"),
    [
        (20, [20, 10, 5], [32, 64]),
        (28, [28, 14, 7, 4], [32, 64, 128]),
        (36, [36, 18, 9, 5], [32, 64, 128]),
        (64, [64, 32, 16, 8, 4], [32, 64, 128, 256]),
    ],
)
def test_conv_halves_the_side_and_doubles_the_channels(
    side: int, expected: list[int], channels: list[int]
) -> None:
    assert sides(side) == expected
    vae = build("conv", side=side, net={"width": 32, "blocks": 0})
    convolutions = [m for m in vae.encoder.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == channels
    doublings = [m for m in vae.decoder.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [m.in_channels for m in doublings] == channels[::-1]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_architectures_differ_in_their_nets_only(architecture: str) -> None:
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


def model_settings(**change: object) -> ModelSettings:
    settings = load_settings(Path(__file__).parents[2] / "params.yaml").model
    return settings.model_copy(update=change)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64)])
def test_fc_has_as_many_parameters_as_conv_unless_its_width_is_named(
    shape: tuple[int, int, int],
) -> None:
    fc, conv = (nets.configure(name, model_settings(), shape) for name in ("fc", "conv"))
    assert nets.build(fc).parameter_count() == pytest.approx(
        nets.build(conv).parameter_count(), rel=0.02
    )
    model = model_settings(fc=FCSettings(width=77, blocks=2))
    assert nets.configure("fc", model, shape).net == {"width": 77, "blocks": 2}


def test_a_conv_too_small_to_be_matched_is_one_line() -> None:
    model = model_settings(latent_dim=2, conv=ConvSettings(width=1, blocks=0))
    with pytest.raises(
        UserError, match=r"no model\.fc\.width gives FC within 2% as many .* Conv's"
    ):
        nets.configure("fc", model, (3, 64, 64))


def test_a_point_posterior_is_its_mean() -> None:
    vae = build("conv", posterior="point")
    posterior = vae.encode(torch.rand(2, *vae.config.shape))
    assert torch.equal(posterior.sample(), posterior.mu)
    assert not vae.stochastic
    assert build("conv").stochastic


def test_a_variance_above_the_priors_grows_linearly() -> None:
    """An encoder that gives huge values must not make exp(logvar) overflow."""
    vae = build("fc")
    with torch.no_grad():
        vae.encoder[-1][-1].weight.zero_()  # type: ignore[index]
        for raw, variance in ((1e6, 1e6 + 1), (1.0, 2.0), (0.0, 1.0), (-8.0, math.exp(-8.0))):
            vae.encoder[-1][-1].bias.fill_(raw)  # type: ignore[index]
            found = vae.encode(torch.rand(2, *vae.config.shape)).logvar
            torch.testing.assert_close(found.exp(), torch.full_like(found, variance))


def test_doubling_is_the_transposed_convolution_with_its_bias() -> None:
    double, whole = Double(5, 3, side=7), torch.nn.ConvTranspose2d(5, 3, 4, stride=2, padding=1)
    whole.load_state_dict({"weight": double.conv.weight, "bias": torch.arange(3.0)})
    double.bias.data = torch.arange(3.0).view(3, 1, 1)
    x = torch.randn(2, 5, 4, 4)
    torch.testing.assert_close(double(x), whole(x)[..., :7, :7])


def test_blocks_are_residual_and_at_every_feature_map() -> None:
    without, with_two = (build("conv", net={"width": 4, "blocks": n}) for n in (0, 2))
    own = sum(isinstance(module, Residual) for module in with_two.modules())
    assert own == 2 * 2 * (len(sides(16)) - 1)  # two nets
    residual = Residual(4)
    torch.nn.init.zeros_(residual.branch[-1].weight)
    torch.nn.init.zeros_(residual.branch[-1].bias)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(residual(x), x)
    assert with_two.parameter_count() > without.parameter_count()
