"""Every figure that a page, a plot, a metrics file or MLflow shows: declared once.

    MEASURES["psnr"].label, MEASURES["psnr"].decimals, MEASURES["psnr"].better

A study names its figures by these keys; what shows them takes label, unit, decimals and direction
from here. docs/method.md says how each is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Measure:
    key: str
    label: str
    decimals: int
    unit: str = ""
    better: Literal["higher", "lower"] | None = None
    source: str = ""  # paper and equation or section

    @property
    def heading(self) -> str:
        """'PSNR, dB'"""
        return f"{self.label}, {self.unit}" if self.unit else self.label


NEAREST = Measure("nearest", "Distance to the nearest training image", 3, "RMSE per pixel")

COMPARE = (
    Measure("elbo", "ELBO", 1, "nats/image", "higher", "Kingma & Welling 2014, eq. 3"),
    Measure(
        "iw_bound",
        "Importance-weighted bound",
        1,
        "nats/image",
        "higher",
        "Burda et al. 2016, eq. 8",
    ),
    Measure("bits_per_dim", "Bits per dimension, by that bound", 3, "", "lower"),
    Measure("reconstruction", "Distortion (reconstruction)", 1, "nats/image", "lower"),
    Measure("kl", "Rate (KL)", 1, "nats/image"),
    Measure(
        "mutual_information",
        "Mutual information of image and code",
        1,
        "nats/image",
        None,
        "Hoffman & Johnson 2016",
    ),
    Measure("marginal_kl_lower", "KL(q(z) ‖ p(z)), at least", 1, "nats/image"),
    Measure("marginal_kl_upper", "KL(q(z) ‖ p(z)), at most", 1, "nats/image"),
    Measure("active_units", "Active units", 0, "", None, "Burda et al. 2016, section 5.2"),
    Measure("mse", "MSE of pixels in [0, 1]", 5, "", "lower"),
    Measure("psnr", "PSNR", 2, "dB", "higher"),
    Measure("ssim", "SSIM", 3, "", "higher", "Wang et al. 2004"),
    Measure("probe_linear", "Accuracy of a linear probe", 3, "", "higher"),
    Measure("probe_knn", "Accuracy of nearest neighbours", 3, "", "higher"),
    Measure("parameters", "Parameters", 0),
    Measure("macs", "Multiply-accumulates, encode and decode", 0),
)
GENERATED = (
    Measure("swd", "Sliced Wasserstein distance", 1, "", "lower", "Karras et al. 2018, section 5"),
    Measure("fid", "FID", 1, "", "lower", "Heusel et al. 2017"),
    Measure("kid", "KID", 4, "", "lower", "Bińkowski et al. 2018"),
    NEAREST,
)

INTERPOLATE = (  # of paths of images; sharpness, contrast, density, nearest are of the middle image
    Measure("detour", "Detour", 3),
    Measure("step_variation", "Variation of the steps", 3),
    Measure("middle_sharpness", "Sharpness", 2, "", None, "Pertuz et al. 2013"),
    Measure("middle_contrast", "Contrast", 2),
    Measure("departure", "Departure", 2),
    Measure("density", "Density", 2, "nats per latent dimension"),
    NEAREST,
    Measure("ends", "Ends", 3, "RMSE per pixel"),
    Measure("energy", "Energy", 4),
    Measure("pairs", "Pairs", 0),
)
PATH_NAMES = {"linear": "Linear", "slerp": "Spherical", "geodesic": "Data-following"}

MEASURES = {measure.key: measure for measure in (*COMPARE, *GENERATED, *INTERPOLATE)}
