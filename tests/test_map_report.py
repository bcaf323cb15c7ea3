"""The chapter on the whole map: what it says of made-up figures, and of small or odd splits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from vaelab.metrics.aggregate import encoding_statistics
from vaelab.plotting.style import DPI, save
from vaelab.report.common import Chapter
from vaelab.report.map import COLLAPSED, map_chapter
from vaelab.studies.latent import draw_map as figures
from vaelab.studies.latent.map import (
    brightness_on_map,
    map_encodings,
    mapped_rows,
    neighbourhoods,
    plane_through,
    principal_components,
    spread_out,
)
from vaelab.studies.latent.prior_fit import PriorFit
from vaelab.vae.model import Posterior
from vaelab.vae.objective import kl_to_standard_normal

LARGEST = 500_000  # bytes
PRIOR = {
    "radius_mean": 4.0,
    "radius_sd": 0.7,
    "radius_distance": 0.01,
    "radius_inside": 0.951,
    "sd_low": 0.98,
    "sd_high": 1.02,
    "kurtosis_low": -0.1,
    "kurtosis_high": 0.1,
    "correlation_mean": 0.008,
    "correlation_high": 0.04,
}


def model(**changed: Any) -> dict[str, Any]:
    return {
        **PRIOR,
        "radius_mean": 5.25,
        "radius_sd": 2.0,
        "radius_inside": 0.33,
        "kurtosis_high": 1.5,
        "correlation_mean": 0.05,
        "correlation_high": 0.6,
        "norm": 1.1,
        "variance": 1.2,
        "kl": 20.0,
        "marginal_kl": 6.0,
        "collapsed": 0,
        "trust_pca": 0.6,
        "trust_tsne": 0.9,
        "same_class": 0.3,
        "same_class_pca": 0.15,
        "same_class_tsne": 0.28,
        "same_class_chance": 0.1,
        "explained": 0.4,
        "brightness": 0.75,
        "factors": {},
        **changed,
    }


def chapter(fc: dict[str, Any], conv: dict[str, Any] | None = None) -> Chapter:
    return map_chapter(16, 10_000, 2_000, {"fc": fc, "conv": conv or model()}, PRIOR)


def words(found: Chapter) -> str:
    return " ".join([*found.findings, *found.body.split()])


def test_findings_hold_the_figures() -> None:
    found = chapter(model(same_class=0.2), model(radius_mean=4.5, trust_tsne=0.8))
    assert found.findings[0] == (
        "Draws of q(z|x), the encoder's Gaussian for an image x, one for each of the 10,000 test "
        "images, have a radius |z| of 5.2 ± 2.0 (FC) and 4.5 ± 2.0 (Conv), mean ± standard "
        "deviation, as many draws of N(0, I) one of 4.0 ± 0.7; 33% (FC) and 33% (Conv) lie between "
        "the radii that hold the middle 95% of N(0, I)."
    )
    text = words(found)
    assert (
        "Of an image's 10 nearest encodings 20.0% (FC) and 30.0% (Conv) are of its own class, by "
        "chance 10.0%; on the map by t-SNE 28.0% (FC) and 28.0% (Conv); on the map by PCA" in text
    )
    assert "trustworthiness of the map by t-SNE is 0.90 (FC) and 0.80 (Conv), and of the" in text
    assert "account for 75.0% (FC) and 75.0% (Conv) of the variance" in text
    assert "is in absolute value 0.050 (FC) and 0.050 (Conv) on average" in text
    assert "excess kurtosis (of a Gaussian 0) is −0.10 to 1.50 (FC)" in text
    assert "perplexity 30" in text
    assert "t-SNE is left out" not in text
    assert "none" not in text.lower()
    assert "nan" not in text


def test_encodings_fill_the_prior_or_not() -> None:
    gap = words(chapter(model()))
    assert "at least 6.0 of 20.0 nats (FC) and 6.0 of 20.0 nats (Conv) are the divergence" in gap
    assert "images: it does not fill N(0, I). What" in gap
    close = words(chapter(model(marginal_kl=1.0), model(marginal_kl=1.0)))
    assert "images: it comes close to filling N(0, I). What" in close
    one = words(chapter(model(marginal_kl=1.0)))
    assert (
        "that of FC comes close to filling N(0, I), that of Conv does not fill N(0, I). What" in one
    )


def test_collapsed_dimensions_are_named() -> None:
    text = words(chapter(model(collapsed=3), model(collapsed=1)))
    assert "3 of the 16 dimensions of FC hold less than 0.01 nats" in text
    assert "1 of the 16 dimensions of Conv holds less than" in text
    assert "hold less than" not in words(chapter(model()))
    whole = words(chapter(model(collapsed=16, kl=0.001, marginal_kl=0.0)))
    assert "at least 6.0 of 20.0 nats (Conv) are the divergence" in whole
    assert "The mean KL of FC is 0.001 nats: its encodings say nothing of the image." in whole


def test_the_factor_that_the_components_tell_best() -> None:
    fc = model(factors={"x": 0.2, "background_hue": 0.84, "size": None})
    text = words(chapter(fc, model(factors={"x": 0.9, "background_hue": 0.1})))
    assert "reads best the background hue (R² 0.84, FC) and the x (R² 0.90, Conv)" in text
    assert "known factors" not in words(chapter(model(), model(factors={"x": None})))


def test_points_are_no_draws() -> None:
    point = model(kl=math.inf, marginal_kl=3.0, collapsed=None)
    text = words(chapter(point, point))
    assert "The encodings have a variance of 1.20 (FC) and 1.20 (Conv) a dimension" in text
    assert "points that nothing held to N(0, I)" in text
    assert "Draws of q(z|x)" not in text
    assert "KL term holds" not in text


# --- splits as they come -------------------------------------------------------------------------


def posterior(count: int, latent_dim: int, kind: str) -> Posterior:
    """kind: gaussian, collapsed (all at the prior), point, or equal (points, all alike)."""
    mu = 2.0 * torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(1))
    if kind == "gaussian":
        return Posterior(mu, torch.full_like(mu, -1.0))
    if kind == "collapsed":
        return Posterior(torch.zeros_like(mu), torch.zeros_like(mu))
    mu = torch.ones_like(mu) if kind == "equal" else mu
    return Posterior(mu, torch.full_like(mu, -math.inf))


def pictures(count: int, channels: int = 3, side: int = 32) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, channels, side, side), dtype=np.uint8)


def saved(figure: Figure, path: Path) -> None:
    """It fits on its canvas, and in its file."""
    save(figure, path)
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= -1.0 / DPI
    assert box.y0 >= -1.0 / DPI
    assert box.x1 <= width + 1.0 / DPI
    assert box.y1 <= height + 1.0 / DPI
    assert path.stat().st_size < LARGEST


class Split:
    """Two models' encodings of `count` images, charted as the stage does."""

    def __init__(self, count: int, latent_dim: int, kind: str, classes: int) -> None:
        channels, side = (1, 28) if latent_dim == 1 else (3, 64)
        self.images = pictures(count, channels, side)
        self.rows = mapped_rows(count, 25, seed=0)
        self.labels = np.arange(count)[self.rows.numpy()] % classes
        self.class_names = [f"a class of number {i}" for i in range(classes)]
        every = posterior(count, latent_dim, kind)
        self.mu = every.mu
        generator = torch.Generator().manual_seed(0)
        self.map = map_encodings(every.mu, self.rows, seed=0)
        self.fit = PriorFit.of(every.sample(generator))
        kl = kl_to_standard_normal(*every).mean(0)
        measured = {
            **encoding_statistics(every, kl)._asdict(),
            **self.fit.figures(),
            **neighbourhoods(self.mu[self.rows], self.map, torch.from_numpy(self.labels)),
            "explained": float(self.map.explained.sum()),
            "brightness": brightness_on_map(principal_components(self.mu).coordinates, self.images),
            "factors": {},
            "collapsed": None if kl.isinf().any() else int((kl < COLLAPSED).sum()),
        }
        prior = PriorFit.of(torch.randn(self.mu.shape, generator=generator)).figures()
        models = {"fc": measured, "conv": measured}
        self.chapter = map_chapter(latent_dim, count, len(self.rows), models, prior)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ["gaussian", "point", "equal", "collapsed"])
@pytest.mark.parametrize(
    ("count", "latent_dim", "classes"),
    [(40, 8, 3), (30, 4, 1), (30, 2, 12), (30, 1, 2), (3, 6, 2), (2, 6, 1), (1, 8, 1), (1, 1, 1)],
)
def test_chapter_of_any_split(count: int, latent_dim: int, kind: str, classes: int) -> None:
    split = Split(count, latent_dim, kind, classes)
    text = words(split.chapter)
    assert "nan" not in text
    assert "None" not in text
    assert ("t-SNE is left out" in text) == (split.map.tsne is None)
    assert ("correlation.png" in text) == (latent_dim > 1)
    assert ("are of its own class" in text) == (
        count > 2 and classes > 1 and kind in ("gaussian", "point")
    )
    assert ("have a radius" in text) == (count > 1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("count", "latent_dim", "kind", "classes"),
    [(30, 5, "gaussian", 12), (30, 4, "equal", 2), (1, 1, "point", 1)],
)
def test_figures_of_any_split(
    count: int, latent_dim: int, kind: str, classes: int, tmp_path: Path
) -> None:
    split = Split(count, latent_dim, kind, classes)
    found, fit, labels = split.map, split.fit, split.labels
    palette = figures.Palette(labels, split.class_names)
    tsne = None if found.tsne is None else found.tsne.numpy()
    shown, centres = spread_out(found.best, figures.THUMBNAIL_SHARE)
    plane = plane_through(split.mu[split.rows[torch.arange(3) % len(split.rows)]])
    drawn = [
        figures.draw_encodings(
            twice(found.pca.numpy()),
            twice([0.5, 0.25]),
            twice(tsne),
            labels,
            split.class_names,
            np.zeros(len(labels)),
        ),
        figures.draw_thumbnails(
            "FC", split.images[split.rows[shown].numpy()], centres.numpy(), labels[shown], palette
        ),
        figures.draw_radii(twice(fit.radius.numpy()), latent_dim),
        figures.draw_marginals(
            twice(fit.z.numpy()),
            twice(np.arange(float(latent_dim))),
            "nats",
            twice(fit.sd.numpy()),
            twice(fit.kurtosis.numpy()),
        ),
        figures.draw_correlations(twice(fit.correlation.numpy())),
        figures.draw_plane(
            pictures(3, 1),
            twice(pictures(9, side=16) / 255.0),
            twice(plane.coordinates.numpy()),
            twice(plane.square(3)),
        ),
    ]
    for figure in drawn:
        saved(figure, tmp_path / "figure.png")


def twice(value: Any) -> dict[str, Any]:
    return {"fc": value, "conv": value}


def test_thumbnails_lie_where_their_images_do() -> None:
    images = np.stack([np.full((3, 32, 32), shade, np.uint8) for shade in (10, 60)])
    labels = np.array([0, 1])
    palette = figures.Palette(labels, ["a", "b"])
    centres = np.array([[0.1, 0.9], [0.9, 0.1]])  # the first at the top left
    figure = figures.draw_thumbnails("FC", images, centres, labels, palette)
    sheet = np.asarray(figure.axes[0].get_images()[0].get_array())
    height, width, _ = sheet.shape
    cell = figures.THUMBNAIL + 2 * figures.FRAME
    assert width == cell * figures.ACROSS
    assert (sheet[cell // 2, int(0.1 * width)] == 10).all()
    assert (sheet[height - cell // 2, int(0.9 * width)] == 60).all()
    assert (sheet[0, int(0.1 * width)] == np.rint(255.0 * palette.of(labels)[0])).all()
    assert (sheet == 10).all(2).sum() == figures.THUMBNAIL**2
    assert (sheet == 60).all(2).sum() == figures.THUMBNAIL**2


def test_a_single_class_is_coloured_by_brightness() -> None:
    uv = np.random.default_rng(0).normal(size=(20, 2))
    brightness = np.linspace(0.2, 0.7, 20)

    def drawn(labels: NDArray[np.int64]) -> Figure:
        names = ["ant", "beetle"]
        return figures.draw_encodings(
            {"fc": uv}, {"fc": [0.5, 0.2]}, {"fc": None}, labels, names, brightness
        )

    one = drawn(np.zeros(20, np.int64))
    values = one.axes[0].collections[0].get_array()
    assert values is not None
    assert sorted(values.tolist()) == brightness.tolist()
    assert one.axes[1].get_xlabel() == "mean brightness of the image"
    assert not one.axes[0].texts
    two = drawn(np.arange(20) % 2)
    assert two.axes[0].collections[0].get_array() is None
    assert [text.get_text() for text in two.axes[0].texts] == ["ant", "bee"]
    assert len(two.axes) == 1


def test_labels_of_one_place_do_not_cover_each_other() -> None:
    points = np.concatenate([np.zeros((9, 2)), [[0.01, 0.0]]])
    places = figures.spread_labels(points, figures.LABEL)
    apart = np.abs(places[:, None] - places) + np.eye(10)[:, :, None]
    assert (apart >= np.array(figures.LABEL) - 1e-9).any(2).all()
    assert np.abs(places - points).max() < 0.4


def test_the_planes_own_tiles_are_framed() -> None:
    plane = plane_through(torch.tensor([[0.0, 0.0], [4.0, 0.0], [1.1, 2.0]]))
    square = plane.square(9)
    figure = figures.draw_plane(
        pictures(3, 1), twice(pictures(81)), twice(plane.coordinates.numpy()), twice(square)
    )
    axes = figure.subfigs[1].axes[0]
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    corners = {(round(frame.get_x(), 3), round(frame.get_y(), 3)) for frame in frames}
    assert corners == {(-0.333, -0.333), (3.667, -0.333)}
    assert all(np.allclose(np.asarray(ring.get_xydata()), [1.1, 2.0]) for ring in axes.lines)


@pytest.mark.parametrize(
    ("latent_dim", "rows"), [(1, [[0]]), (4, [[0, 1, 2, 3]]), (6, [[0, 1, 2, 3], [4, 5]])]
)
def test_no_marginal_is_shown_twice(latent_dim: int, rows: list[list[int]]) -> None:
    assert [list(row) for row in figures.marginals_shown(range(latent_dim))] == rows


def test_most_and_least_informative_marginals() -> None:
    assert figures.marginals_shown(range(128)) == [range(4), range(124, 128)]
