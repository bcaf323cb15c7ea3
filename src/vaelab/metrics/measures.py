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


COMPARE = (
    Measure("elbo", "ELBO", 1, "nats/image", "higher", "Kingma & Welling 2014, eq. 3"),
    Measure(
        "iw_bound", "Importance-weighted bound", 1, "nats/image", "higher", "Burda 2016, eq. 8"
    ),
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
    Measure("nearest", "Distance to the nearest training image", 3, "RMSE per pixel"),
)

SOURCES = {  # of images that are judged, and what pages and figures call them
    "reconstruction": "Reconstructions",
    "prior": "Prior",
    "tempered": "Tempered prior",
    "mixture": "Gaussian mixture",
    "class": "Gaussian of each class",
    "flow": "Flow",
    "floor": "Real test images",
}
MEASURES = {measure.key: measure for measure in (*COMPARE, *GENERATED)}


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
