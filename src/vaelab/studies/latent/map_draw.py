"""Figures of the whole map: encodings in two dimensions, and their radius."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from vaelab.data.factors import in_words
from vaelab.plotting.style import COLOURS, NAMES, new_figure

COLOURED_CLASSES = 10
LONGEST_NAME = 16  # characters of a class's name that are shown
GREY = "0.75"  # of the classes beyond those
PANEL = 3.0  # inches: a row of maps
BINS = 60

Array = NDArray[Any]


class Reading(NamedTuple):
    """What a map is coloured by: a known quantity of the images."""

    name: str
    r2: float
    values: Tensor  # (M,): of a circular factor the share of its period, in [0, 1)
    circular: bool

    @property
    def colours(self) -> dict[str, Any]:
        """A hue is drawn as that hue."""
        if not self.circular:
            return {"cmap": "viridis"}
        cyclic = "hsv" if self.name.endswith("hue") else "twilight"
        return {"cmap": cyclic, "vmin": 0.0, "vmax": 1.0}


class EncodingMap(NamedTuple):
    """Of M of a split's encodings."""

    pca: Tensor  # (M, 2), along the principal components of the whole split, in units of z
    explained: Tensor  # (2,): each component's share of the split's variance
    tsne: Tensor | None  # (M, 2), in units of its own
    reading: Reading | None  # what a linear map reads best from the components


def draw_encodings(
    maps: Mapping[str, EncodingMap], labels: NDArray[np.int64], class_names: Sequence[str]
) -> Figure:
    """A row for each map and each way to colour it; labels: (M,).

    By PCA, coloured by class, with a framed dot at each class's mean, then by what the components
    hold best; by t-SNE by class, or where there is one class by the same quantity.
    """
    palette = Palette(labels, class_names)
    read = any(each.reading is not None for each in maps.values())
    by_class = palette.several or not read
    rows = [("PCA", coloured) for coloured in (True, False) if (by_class if coloured else read)]
    if any(each.tsne is not None for each in maps.values()):
        rows.append(("t-SNE", by_class))
    figure = new_figure(PANEL * len(rows) + 0.4 * palette.several)
    panels = figure.subplots(len(rows), len(maps), squeeze=False)
    for (method, coloured), line in zip(rows, panels, strict=True):
        for axes, (model, found) in zip(line, maps.items(), strict=True):
            _draw_map(axes, model, method, found, labels, palette if coloured else None)
    if palette.several:
        tight = {"columnspacing": 1.0, "handletextpad": 0.2}
        figure.legend(handles=palette.handles(), loc="outside lower center", ncols=5, **tight)
    return figure


def _draw_map(
    axes: Axes,
    model: str,
    method: str,
    found: EncodingMap,
    labels: NDArray[np.int64],
    palette: Palette | None,
) -> None:
    """Coloured by class with a palette, without one by the reading."""
    uv, reading = (found.pca if method == "PCA" else found.tsne), found.reading
    title = f"{NAMES[model]}, {method}"
    axes.set_aspect("equal", "datalim")
    if method == "PCA":
        axes.set_xlabel(f"component 1 ({found.explained[0]:.0%} of the variance)")
        axes.set_ylabel(f"component 2 ({found.explained[1]:.0%})")
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    if uv is None or (palette is None and reading is None):
        axes.set_title(f"{title}: the encodings do not vary", loc="left")
        return
    u, v = uv.numpy().T
    order = np.random.default_rng(0).permutation(len(u))  # so that no class lies on top
    dots: dict[str, Any] = {"s": float(np.clip(16_000 / len(u), 4.0, 20.0)), "linewidths": 0}
    if palette is not None:
        axes.scatter(u[order], v[order], c=palette.of(labels[order]), alpha=0.7, **dots)
        for label, colour in palette.colours.items() if method == "PCA" else ():
            mean = u[labels == label].mean(), v[labels == label].mean()
            axes.plot(*mean, "o", color=colour, markersize=8, markeredgecolor="black")
        axes.set_title(title + ", by class" * palette.several, loc="left")
    elif reading is not None:
        drawn = axes.scatter(u[order], v[order], c=reading.values[order], **reading.colours, **dots)
        name = in_words(reading.name)
        axes.figure.colorbar(drawn, ax=axes, aspect=30, label=name)
        axes.set_title(
            f"{title}, by {name}" + f" (R² {reading.r2:.2f})" * (method == "PCA"), loc="left"
        )


class Palette:
    """A colour for each of the ten largest classes; the rest, or a single one, are grey."""

    def __init__(self, labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
        """labels: (N,), of all images that are drawn."""
        present, counts = np.unique(labels, return_counts=True)
        largest = present[np.argsort(-counts, kind="stable")][:COLOURED_CLASSES]
        self.several = len(present) > 1
        colours = matplotlib.color_sequences["tab10"] if self.several else ()
        self.colours = dict(zip(sorted(largest.tolist()), colours, strict=False))
        self.names = {label: _shortened(class_names[label]) for label in self.colours}
        self.others = len(present) - len(self.colours)

    def of(self, labels: NDArray[np.int64]) -> list[Any]:
        return [self.colours.get(label, GREY) for label in labels.tolist()]

    def handles(self) -> list[Line2D]:
        entries = [(self.names[label], colour) for label, colour in self.colours.items()]
        entries += [(f"{self.others} others", GREY)] if self.others else []
        dot: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 7}
        return [Line2D([], [], color=colour, label=name, **dot) for name, colour in entries]


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def draw_radii(radii: Mapping[str, Array], latent_dim: int) -> Figure:
    """Histograms of |z| of draws of q(z), and the density of |z| under N(0, I).

    radii: model -> (N,), in units of z.
    """
    from scipy.stats import chi

    prior = chi(latent_dim)
    every = np.concatenate([prior.ppf([1e-4, 1.0 - 1e-4]), *radii.values()])
    edges = np.linspace(every.min(), every.max(), BINS + 1)
    line = np.linspace(every.min(), every.max(), 1000)
    figure = new_figure(3.2)
    axes = figure.subplots()
    for model, r in radii.items():
        sd = r.std(ddof=1) if len(r) > 1 else 0.0
        name = f"{NAMES[model]}: {r.mean():.1f} ± {sd:.1f}"
        shared: dict[str, Any] = {"bins": edges.tolist(), "density": True, "color": COLOURS[model]}
        axes.hist(r, **shared, alpha=0.25)
        axes.hist(r, **shared, histtype="step", lw=1.5, label=name)
    name = f"N(0, I): {prior.mean():.1f} ± {prior.std():.1f}"
    axes.plot(line, prior.pdf(line), color="black", linewidth=1.5, label=name)
    axes.set_xlabel("|z| of a draw of q(z|x), in units of z")
    axes.set_ylabel("density")
    axes.legend(title="mean ± sd")
    return figure
