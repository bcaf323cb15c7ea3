"""p(x|z): what a decoder's output says about the pixels. Each expects images in [0, 1].

A likelihood turns `raw`, a decoder's output (B, C, H, W), into a log probability summed over pixels
and channels, in nats for each image, and into a mean and samples in the range of the data.

    likelihood = build_likelihood("discretized_logistic")
    nats = likelihood.log_prob(images, raw)      # (B,)

| likelihood             | log_prob is                           | compares with                 |
|------------------------|---------------------------------------|-------------------------------|
| `bernoulli`            | a score, not normalised               | itself                        |
| `continuous_bernoulli` | a log density on [0, 1]               | densities of pixels in [0, 1] |
| `gaussian`             | a log density on the real line        | densities of pixels in [0, 1] |
| `discretized_logistic` | a log probability of the 8-bit values | models of the 8-bit values    |

Densities are taken at the grey values themselves, without the noise that would dequantise them. So
they bound no probability of an 8-bit image and give no bits per dimension, and a density that
narrows upon the grid of values gains without limit (Theis, van den Oord & Bethge 2016,
section 3.1).
"""

from __future__ import annotations

import math
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of a learned scale, before training. Latent dimensions along which the images vary less than this
# have nothing to say at first and fall to the prior; not all of them come back when the scale has
# fallen (docs/method.md has the figures of beginning at 0.25, the images' own deviation).
FIRST_DEVIATION = 0.05


class Likelihood(Protocol):
    proper: ClassVar[bool]
    """Whether log_prob is a log probability mass on the 256 values k/255 of a pixel, so that
    -log_prob / (C * H * W * log 2) is in bits per dimension."""

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        """log p(x|z): images in [0, 1] and raw, both (B, C, H, W). Returns (B,), nats."""
        ...

    def mean(self, raw: Tensor) -> Tensor:
        """The mean image, (B, C, H, W) in [0, 1]: E[x|z], or what its class says instead."""
        ...

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """x ~ p(x|z), (B, C, H, W) in [0, 1]."""
        ...


class Bernoulli(nn.Module):
    """The textbook's binary cross-entropy; raw are logits. Kingma & Welling 2014, appendix C.1.

    Normalised on {0, 1} only. On grey values it is a score, not a density (Loaiza-Ganem &
    Cunningham 2019), so it gives no bits per dimension and compares with no other likelihood.
    """

    proper: ClassVar[bool] = False

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        cross_entropy = functional.binary_cross_entropy_with_logits(raw, images, reduction="none")
        return -cross_entropy.flatten(1).sum(1)

    def mean(self, raw: Tensor) -> Tensor:
        return raw.sigmoid()

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return torch.bernoulli(self.mean(raw), generator=generator)


class ContinuousBernoulli(nn.Module):
    """The cross-entropy, normalised on [0, 1]; raw are logits. Loaiza-Ganem & Cunningham 2019.

    p(x) is proportional to exp(raw * x) on [0, 1], and its mean is not sigmoid(raw) but nearer to
    1/2. A density of pixels in [0, 1], comparable with other densities of the same pixels: with
    `gaussian`, which has some of its mass outside of [0, 1], but not with `bernoulli`, and not
    with `discretized_logistic`, whose values are probabilities.
    """

    proper: ClassVar[bool] = False

    SERIES_BELOW = 0.3  # of |raw|: there the closed forms cancel, and two terms are exact to 1e-7

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        return ((images - 0.5) * raw - self._log_normaliser(raw)).flatten(1).sum(1)

    def _log_normaliser(self, raw: Tensor) -> Tensor:
        """log of the integral of exp(raw * (x - 1/2)) over [0, 1] = log(sinh(raw/2) / (raw/2))."""
        squared = raw.square()
        series = squared * (1 / 24 - squared / 2880)
        size, is_small = self._away_from_zero(raw.abs())
        closed = size / 2 + ((1.0 - (-size).exp()) / size).log()
        return torch.where(is_small, series, closed)

    def mean(self, raw: Tensor) -> Tensor:
        """1 / (1 - exp(-raw)) - 1 / raw."""
        series = raw * (1 / 12 - raw.square() / 720)
        safe, is_small = self._away_from_zero(raw)
        closed = 0.5 / (safe / 2).tanh() - 1 / safe
        return 0.5 + torch.where(is_small, series, closed)

    def _away_from_zero(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """raw with 1 where it is small, lest a gradient of 0 * inf come of it; and where it is."""
        is_small = raw.abs() < self.SERIES_BELOW
        return raw.masked_fill(is_small, 1.0), is_small

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """By the inverse of the distribution function, of -|raw|; a positive raw is its mirror."""
        uniform = torch.rand(raw.shape, generator=generator, device=raw.device)
        size = raw.abs().clamp_min(1e-6)
        near_zero = (-torch.log1p(uniform * torch.expm1(-size)) / size).clamp(0.0, 1.0)
        return torch.where(raw > 0, 1.0 - near_zero, near_zero)


class Gaussian(nn.Module):
    """N(location(raw), sigma² I), sigma one learned number, or fixed.

    The learned one is sigma-VAE, Rybkin et al. 2021, section 3.2. Its log is kept above
    LOG_SIGMA_FLOOR, about half a grey level, below which the density of 8-bit data would grow
    without bound. A fixed one weighs the errors against the KL term as a beta would.

    A density on the whole real line, some of its mass outside of [0, 1], comparable with other
    densities of pixels in [0, 1]. For pixels in 0..255 it would be lower by log 255 nats for each
    value. Samples are clipped to [0, 1].
    """

    proper: ClassVar[bool] = False
    LOG_SIGMA_FLOOR = math.log(0.5 / 255)

    def __init__(self, sigma: float | None = None) -> None:
        """sigma: in units of pixels in [0, 1]; None learns it."""
        super().__init__()
        self.sigma = sigma
        if sigma is None:
            self.log_sigma = nn.Parameter(torch.tensor(math.log(FIRST_DEVIATION)))

    def _log_sigma(self) -> Tensor:
        if self.sigma is not None:
            return torch.tensor(math.log(self.sigma))
        return _softly_above(self.LOG_SIGMA_FLOOR, self.log_sigma)

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        log_sigma = self._log_sigma()
        squared = (images - _location(raw)).square().flatten(1)
        constant = squared.shape[1] * (log_sigma + 0.5 * math.log(2 * math.pi))
        return -0.5 * (-2 * log_sigma).exp() * squared.sum(1) - constant

    def mean(self, raw: Tensor) -> Tensor:
        return _location(raw)

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn(raw.shape, generator=generator, device=raw.device)
        return (_location(raw) + self._log_sigma().exp() * noise).clamp(0.0, 1.0)


class DiscretizedLogistic(nn.Module):
    """The mass of a logistic distribution in a pixel's bin; one learned scale.

    Kingma et al. 2016 (IAF), appendix; Salimans et al. 2017 (PixelCNN++), section 2.1.
    256 bins of width 1/255 about the grey values k/255; the two at the edges take the tails.
    Images must be on that grid. A probability: it gives bits per dimension, which compare with
    those of any model of the same 8-bit images, and with no density.

    The mean is the logistic's own, its location. That of its bins differs by the tails: by
    scale * log 2 towards grey where the location is black or white.
    """

    proper: ClassVar[bool] = True
    LOG_SCALE_FLOOR = -7.0 - math.log(2.0)  # PixelCNN++'s, for pixels in [0, 1] and not [-1, 1]
    HALF_BIN = 0.5 / 255

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(
            torch.tensor(math.log(FIRST_DEVIATION * math.sqrt(3.0) / math.pi))
        )

    def _scale(self) -> Tensor:
        return _softly_above(self.LOG_SCALE_FLOOR, self.log_scale).exp()

    def log_prob(self, images: Tensor, raw: Tensor) -> Tensor:
        """By sigmoid(u) - sigmoid(l) = sigmoid(u) sigmoid(-l) (1 - exp(l - u)).

        u and l are a bin's ends, standardised. Each factor has a stable log at any scale; the last
        is the same for all inner bins. An edge's outer end is infinite, which leaves one factor.
        """
        scale = self._scale()
        half_bin = self.HALF_BIN / scale
        centred = (images - _location(raw)) / scale
        not_white = (images < 1.0 - self.HALF_BIN).to(raw.dtype)
        not_black = (images > self.HALF_BIN).to(raw.dtype)
        below_upper = not_white * _log_sigmoid(half_bin + centred)
        above_lower = not_black * _log_sigmoid(half_bin - centred)
        inner_bins = (not_white * not_black).flatten(1).sum(1)
        width = (-torch.expm1(-2.0 * half_bin)).log()
        return (below_upper + above_lower).flatten(1).sum(1) + inner_bins * width

    def mean(self, raw: Tensor) -> Tensor:
        return _location(raw)

    def sample(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """On the grid k/255."""
        uniform = torch.rand(raw.shape, generator=generator, device=raw.device)
        logistic = _location(raw) + self._scale() * uniform.logit()
        return (255 * logistic.clamp(0.0, 1.0)).round() / 255


def _location(raw: Tensor) -> Tensor:
    """Where `gaussian` and `discretized_logistic` are centred, in units of pixels in [0, 1]."""
    return raw.sigmoid()


def _log_sigmoid(x: Tensor) -> Tensor:
    """To 1e-7 or float32's rounding, at any x: a fifth of functional.logsigmoid's time on a CPU."""
    return -functional.relu(-x) - (1.0 + (-x.abs()).exp()).log()


def _softly_above(floor: float, log_scale: Tensor) -> Tensor:
    """Softplus above the floor: the gradient never vanishes. Rybkin et al. 2021, section 4."""
    return floor + functional.softplus(log_scale - floor)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "discretized_logistic": DiscretizedLogistic,
}


def build_likelihood(name: str, sigma: float | None = None) -> Likelihood:
    """name: one of LIKELIHOODS. sigma: of `gaussian`, for pixels in [0, 1]; None learns it."""
    return Gaussian(sigma) if name == "gaussian" else LIKELIHOODS[name]()
