from torch import nn

from vaelab.metrics.cost import macs
from vaelab.vae.model import VAE, VAEConfig


def test_macs_by_hand() -> None:
    """A 4 x 4 stride-2 convolution, linear layers, and the convolution's transpose."""
    config = VAEConfig(
        architecture="conv", shape=(3, 16, 16), latent_dim=2, likelihood="bernoulli", net={}
    )
    encoder = nn.Sequential(
        nn.Conv2d(3, 5, 4, stride=2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(5 * 64, 4)
    )
    decoder = nn.Sequential(
        nn.Linear(2, 5 * 64),
        nn.Unflatten(1, (5, 8, 8)),
        nn.ConvTranspose2d(5, 3, 4, stride=2, padding=1),
    )
    convolution = 3 * 5 * 4 * 4 * 8 * 8
    expected = convolution + 5 * 64 * 4 + 2 * 5 * 64 + convolution
    assert macs(VAE(config, encoder, decoder)) == expected
