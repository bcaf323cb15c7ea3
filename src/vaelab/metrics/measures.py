"""Every figure that a page, a plot, a metrics file or MLflow shows: declared once.

    MEASURES["psnr"].label, MEASURES["psnr"].decimals, MEASURES["psnr"].better

A study names its figures by these keys; what shows them takes label, unit, decimals and direction
from here. docs/method.md says how each is measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from vaelab.metrics.frame import Spread
from vaelab.runtime.outputs import number


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
        "iw_bound", "Importance-weighted bound", 1, "nats/image", "higher", "Burda 2016, eq. 8"
    ),
    Measure("iw_error", "Standard error of that bound's gap", 2, "nats/image"),
    Measure("bits_per_dim", "Bits per dimension, by that bound", 3, "", "lower"),
    Measure("reconstruction", "Distortion (reconstruction)", 1, "nats/image", "lower"),
    Measure("kl", "Rate (KL)", 1, "nats/image"),
    Measure("mutual_information", "Mutual information I(x; z)", 1, "nats/image"),
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
MAP = (  # of all encodings together
    Measure("norm", "Root mean square of |z| / √d under q(z)", 2),
    Measure("variance", "Variance of z under q(z), mean over dimensions", 2),
    Measure("radius_mean", "Radius |z|, mean", 1, "units of z"),
    Measure("radius_sd", "Radius |z|, standard deviation", 1, "units of z"),
    Measure("radius_distance", "Radius, distance to the chi distribution", 2, "units of z"),
    Measure("prior_inside", "Share within the radii that hold 95% of the prior", 2),
    Measure("explained", "Share of the variance along two principal components", 2),
    Measure("map_r2", "R² of a linear map from two principal components", 2),
    Measure("trust_pca", "Trustworthiness by PCA", 2, "", "higher", "Venna & Kaski 2001"),
    Measure("trust_tsne", "Trustworthiness by t-SNE", 2, "", "higher", "Venna & Kaski 2001"),
    Measure("same_class", "Neighbours of the same class", 3),
    Measure("same_class_pca", "Neighbours of the same class, on the map by PCA", 3),
    Measure("same_class_tsne", "Neighbours of the same class, on the map by t-SNE", 3),
    Measure("same_class_chance", "Neighbours of the same class, by chance", 3),
)
REGIONS = (  # of images decoded from a region of latent space
    Measure("radius", "Radius, mean |z| / √d", 2),
    Measure("sharpness", "Sharpness, real images = 1", 2, "", None, "Pertuz et al. 2013"),
    Measure("diversity", "Diversity, real images = 1", 2),
    Measure("round_trip", "Miss of the round trip", 2, "", "lower"),
    Measure("confidence", "Confidence of a linear probe", 2),
    Measure("accuracy", "Accuracy of that probe", 2, "", "higher"),
    Measure("apart", "Distance of class means", 2, "sd within a class"),
)
DIMENSIONS = (
    Measure("mig", "MIG", 3, "", "higher", "Chen et al. 2018, eq. 6"),
    Measure(
        "dci_disentanglement",
        "DCI disentanglement",
        3,
        "",
        "higher",
        "Eastwood & Williams 2018, section 2",
    ),
    Measure("dci_completeness", "DCI completeness", 3, "", "higher"),
    Measure("dci_informativeness", "DCI informativeness", 3, "", "higher"),
    Measure("sap", "SAP", 3, "", "higher", "Kumar et al. 2018, section 3"),
    Measure("class_one", "Accuracy of a linear probe, best dimension", 3, "", "higher"),
    Measure("class_every", "Accuracy of a linear probe, all dimensions", 3, "", "higher"),
    Measure("class_chance", "Accuracy of the commonest training label", 3),
    # of a factor
    Measure("readout", "R² of a linear map of all dimensions", 2, "", "higher"),
    Measure("information", "Information in the best dimension, share of the factor's entropy", 3),
    Measure("information_next", "Information in the next dimension", 3),
    Measure("information_chance", "Information in a dimension by chance", 3),
    Measure("forest_r2", "R² of a forest of all dimensions", 2, "", "higher"),
    # of a dimension, from -2 to +2 standard deviations
    Measure("dimension_held", "KL of the dimension, of an autoencoder its variance", 2),
    Measure("dimension_pixels", "Pixels that change visibly", 3),
    Measure("dimension_rmse", "Change of the image", 3, "RMSE per pixel"),
)
DIRECTIONS = (
    Measure("auc", "AUC", 2, "", "higher", "Fawcett 2006"),
    Measure("auc_chance", "AUC that chance reaches", 2, "", None, "Mann & Whitney 1947"),
    Measure("direction_length", "Length of the direction", 2, "units of z"),
    Measure("walk_share", "Move", 2, "", None, "Larsen et al. 2016, section 4"),
    Measure("walk_share_other", "Move, other encoder", 2),
    Measure("walk_change", "Change by one step", 3, "RMSE per pixel"),
    Measure("walk_shift", "One-colour change", 2),
    Measure("hit_c", "Hits, c", 2),
    Measure("hit_single", "Hits, single", 2, "", "higher"),
    Measure("hit_mean", "Hits, means", 2, "", "higher", "Radford et al. 2016, section 6.3.2"),
    Measure("hit_c_other", "Hits, c, other encoder", 2),
    Measure("hit_single_other", "Hits, single, other encoder", 2, "", "higher"),
    Measure("hit_mean_other", "Hits, means, other encoder", 2, "", "higher"),
    Measure("hit_real", "Hits, real", 2),
    Measure("hit_change_single", "Change by single images", 3, "RMSE per pixel"),
    Measure("hit_change_mean", "Change by means", 3, "RMSE per pixel"),
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

SOURCES = {  # of images that are judged, and what pages and figures call them
    "reconstruction": "Reconstructions",
    "prior": "Prior",
    "tempered": "Tempered prior",
    "mixture": "Gaussian mixture",
    "class": "Gaussian of each class",
    "flow": "Flow",
    "floor": "Real test images",
}

MEASURES = {
    measure.key: measure
    for measure in (*COMPARE, *GENERATED, *MAP, *REGIONS, *DIMENSIONS, *DIRECTIONS, *INTERPOLATE)
}


def show(value: float | Spread | None, measure: str) -> str:
    """By the measure's decimals; a spread as 'mean ± sd'."""
    decimals = MEASURES[measure].decimals
    if not isinstance(value, Spread):
        return number(value, decimals)
    mean = number(value.mean, decimals)
    return f"{mean} ± {number(value.sd, decimals)}" if value.sd else mean


def measure_rows(
    measures: Iterable[str], cells: Mapping[str, Mapping[str, Spread | None]]
) -> list[list[str]]:
    """A table's row for each measure that some model has; the best cell is bold.

    cells: measure -> model -> its spread over the seeds.
    """
    rows = []
    for key in measures:
        if any(cells[key].values()):
            better = MEASURES[key].better
            direction = f" ({better} is better)" if better else ""
            rows.append([MEASURES[key].heading + direction, *best_bold(key, cells[key].values())])
    return rows


def best_bold(measure: str, cells: Iterable[Spread | None]) -> list[str]:
    """A row's cells as text, the best of them bold where one way is better."""
    found, better = list(cells), MEASURES[measure].better
    means = [each.mean for each in found if each]
    best = (max if better == "higher" else min)(means) if better and means else None
    bold = [each is not None and each.mean == best for each in found]
    texts = [show(each, measure) for each in found]
    return [f"**{text}**" if own else text for text, own in zip(texts, bold, strict=True)]
