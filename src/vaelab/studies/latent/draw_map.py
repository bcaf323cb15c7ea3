"""Figures of the whole map: encodings in two dimensions, thumbnails, and q(z) against the prior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from vaelab.plotting.style import COLOURS, DPI, NAMES, WIDTH, Images, new_figure, tile, to_rgb

COLOURED_CLASSES = 10
LONGEST_NAME = 16  # characters of a class's name that are shown
INITIALS = 3  # of a class's name, that stand by its mean
LABEL = (0.085, 0.05)  # room for them, as a share of a map's extent
LEGEND = 110  # characters of a row of the legend
LEGEND_ROW = 0.21  # inches
GREY = "0.75"  # of the classes beyond those
ONLY = "0.4"  # of a single class
POINT_NAMES = "ABC"
CENTRED = 0.01  # of a tile: as near to its centre a point is the tile's own
THUMBNAIL = 32  # pixels: the longest side of a thumbnail
FRAME = 2  # pixels about it, in its class's colour
ACROSS = 24  # thumbnails that would fit beside another on a map
THUMBNAIL_SHARE = 1.0 / ACROSS  # a framed thumbnail's side as a share of the map's
MARGINALS = 4  # dimensions of a row
BINS = 60

Array = NDArray[Any]


# --- maps ----------------------------------------------------------------------------------------


class Palette:
    """A colour for each of the ten largest classes; the rest, or a single one, are grey."""

    def __init__(self, labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
        """labels: (N,), of all images that are drawn."""
        present, counts = np.unique(labels, return_counts=True)
        largest = present[np.argsort(-counts, kind="stable")][:COLOURED_CLASSES]
        self.several = len(present) > 1
        sequence = matplotlib.color_sequences["tab10"] if self.several else [colors.to_rgb(ONLY)]
        self.colours = dict(zip(sorted(largest.tolist()), sequence, strict=False))
        self.names = {label: _shortened(class_names[label]) for label in self.colours}
        self.others = len(present) - len(self.colours)

    def of(self, labels: NDArray[np.int64]) -> Array:
        """labels: (n,). Returns (n, 3), RGB in [0, 1]."""
        grey = colors.to_rgb(GREY)
        return np.array([self.colours.get(label, grey) for label in labels.tolist()])

    @property
    def rows(self) -> int:
        """Of the legend; none of a single class."""
        if not self.several:
            return 0
        longest = max(map(len, self.names.values()))
        return -(-self._entries() // (LEGEND // (longest + 6)))

    def legend(self, figure: Figure) -> None:
        """Below all else."""
        if not self.rows:
            return
        entries = [(self.names[label], colour) for label, colour in self.colours.items()]
        if self.others:
            entries.append((f"{self.others} others", colors.to_rgb(GREY)))
        handles = [
            Line2D([], [], marker="o", linestyle="", markersize=7, color=colour, label=name)
            for name, colour in entries
        ]
        columns = -(-len(handles) // self.rows)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)

    def _entries(self) -> int:
        return len(self.colours) + bool(self.others)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def draw_encodings(
    pca: Mapping[str, Array],
    explained: Mapping[str, Sequence[float]],
    tsne: Mapping[str, Array | None],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    brightness: Array,
) -> Figure:
    """The maps by PCA and, where there are any, under them those by t-SNE.

    pca, tsne: model -> (N, 2); explained: model -> shares of variance; labels: (N,); brightness:
    (N,), the images' means in [0, 1], which colour a single class. Framed dots on the upper maps:
    the means of classes, with the first letters of their names.
    """
    palette = Palette(labels, class_names)
    values = None if palette.several else brightness
    rows = 1 + any(found is not None for found in tsne.values())
    figure = new_figure(WIDTH / 2 * rows + 0.1 + LEGEND_ROW * palette.rows)
    panels = figure.subplots(rows, len(pca), squeeze=False)
    for axes, (model, uv) in zip(panels[0], pca.items(), strict=True):
        drawn = _scatter(axes, uv, labels, palette, values)
        if palette.several:
            _mark_means(axes, uv, labels, palette)
        axes.set_title(f"{NAMES[model]}, PCA", loc="left")
        axes.set_xlabel(f"component 1 ({explained[model][0]:.0%} of the variance)")
        axes.set_ylabel(f"component 2 ({explained[model][1]:.0%})")
    for axes, (model, found) in zip(panels[1:].flat, tsne.items(), strict=False):
        axes.set_title(f"{NAMES[model]}, t-SNE", loc="left")
        axes.set_xticks([])
        axes.set_yticks([])
        if found is None:
            axes.text(0.5, 0.5, "the encodings do not vary", ha="center", transform=axes.transAxes)
        else:
            _scatter(axes, found, labels, palette, values)
    if values is not None:
        figure.colorbar(
            drawn,
            ax=list(panels.flat),
            orientation="horizontal",
            shrink=0.4,
            aspect=30,
            label="mean brightness of the image",
        )
    palette.legend(figure)
    return figure


def _scatter(
    axes: Axes,
    uv: Array,
    labels: NDArray[np.int64],
    palette: Palette,
    values: Array | None,
) -> PathCollection:
    """Coloured by class, or by values in [0, 1], (N,)."""
    # In an order of chance, so that no class lies on top; grey below.
    order = np.random.default_rng(0).permutation(len(uv))
    order = order[np.argsort(np.isin(labels[order], list(palette.colours)), kind="stable")]
    size = float(np.clip(16_000 / len(uv), 4.0, 20.0))
    colours: dict[str, Any] = (
        {"c": palette.of(labels[order])}
        if values is None
        else {"c": values[order], "cmap": "viridis"}
    )
    u, v = uv[order].T
    axes.set_aspect("equal", "datalim")
    return axes.scatter(u, v, s=size, alpha=0.7, linewidths=0, **colours)


def _mark_means(axes: Axes, uv: Array, labels: NDArray[np.int64], palette: Palette) -> None:
    """A dot at each class's mean, and its first letters as near as there is room."""
    means = {label: uv[labels == label].mean(0) for label in palette.colours}
    extent = float(np.ptp(uv, axis=0).max()) or 1.0
    places = spread_labels(np.array([*means.values()]) / extent, LABEL) * extent
    for (label, mean), place in zip(means.items(), places, strict=True):
        colour = palette.colours[label]
        axes.annotate(
            palette.names[label][:INITIALS],
            mean,
            place,
            ha="center",
            va="center",
            fontsize=7.5,
            fontweight="bold",
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": colour},
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 1.2, "shrinkB": 0.0},
            annotation_clip=False,
        )
        axes.plot(*mean, "o", color=colour, markersize=5, markeredgecolor="black", zorder=4)


def spread_labels(points: Array, room: tuple[float, float]) -> Array:
    """Where labels of points stand, so that none covers another or a point.

    points: (K, 2); room: width and height of a label. Each in turn, those farthest from the middle
    first, takes the nearest free place on a grid of half a label; the nearer to the outer side the
    better. Returns (K, 2), centres.
    """
    size = np.array(room)
    reach = 2 * len(points) + 4
    steps = np.arange(-reach, reach + 1)
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * 0.5 * size
    outwards = points - points.mean(0)
    places = np.full(points.shape, np.inf)
    for i in np.argsort(-np.linalg.norm(outwards, axis=1), kind="stable"):
        candidates = points[i] + grid
        over_label = (np.abs(candidates[:, None] - places) < size).all(2).any(1)
        over_point = (np.abs(candidates[:, None] - points) < 0.7 * size).all(2).any(1)
        cost = np.linalg.norm(grid, axis=1) - 0.5 * grid @ outwards[i] / (
            np.linalg.norm(outwards[i]) or 1.0
        )
        cost[over_label | over_point] = np.inf
        places[i] = candidates[cost.argmin()]
    return places


def draw_thumbnails(
    title: str,
    images: NDArray[np.uint8],
    centres: Array,
    labels: NDArray[np.int64],
    palette: Palette,
) -> Figure:
    """Images where they lie on a map, pixel for pixel unless they are larger than THUMBNAIL.

    images: uint8 (K, C, H, W); centres: (K, 2), in [0, 1] from the bottom left, at least
    THUMBNAIL_SHARE apart along one of the axes; labels: (K,).
    """
    framed = [
        _framed(image, colour)
        for image, colour in zip(to_rgb(images), palette.of(labels), strict=True)
    ]
    cell = THUMBNAIL + 2 * FRAME
    side = cell * ACROSS
    sheet = np.full((side, side, 3), 255, np.uint8)
    for image, (u, v) in zip(framed, centres.tolist(), strict=True):
        room = (cell - len(image)) // 2
        top = min(int((1.0 - v) * side - 0.5 * cell), side - cell) + room
        left = min(int(u * side - 0.5 * cell), side - cell) + room
        sheet[top : top + len(image), left : left + len(image)] = image
    used = np.flatnonzero((sheet < 255).any(axis=(1, 2)))
    sheet = sheet[used[0] : used[-1] + 1]

    below, above = LEGEND_ROW * (palette.rows + 0.5), 0.3
    figure = Figure(figsize=(side / DPI, len(sheet) / DPI + below + above), dpi=DPI)
    height = figure.get_figheight()
    axes = figure.add_axes((0.0, below / height, 1.0, len(sheet) / DPI / height))
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    figure.text(0.01, 1.0 - 0.5 * above / height, title, va="center", fontsize=10)
    palette.legend(figure)
    return figure


def _framed(image: NDArray[np.uint8], colour: Array) -> NDArray[np.uint8]:
    """image: (H, H, 3)."""
    if len(image) > THUMBNAIL:
        image = np.asarray(Image.fromarray(image).resize((THUMBNAIL, THUMBNAIL)))
    side = len(image) + 2 * FRAME
    framed = np.full((side, side, 3), np.rint(255.0 * colour), np.uint8)
    framed[FRAME:-FRAME, FRAME:-FRAME] = image
    return framed


def draw_plane(
    originals: NDArray[np.uint8],
    grids: Mapping[str, Images],
    points: Mapping[str, Array],
    squares: Mapping[str, tuple[float, float, float, float]],
) -> Figure:
    """originals: uint8 (3, C, H, W).

    grids: model -> decoded images (side * side, C, H, W), row by row from the top; points: model ->
    (3, 2), where the originals' encodings lie; squares: model -> left, right, bottom, top. The last
    two in units of z.
    """
    figure = new_figure(WIDTH / 2 + 1.3)
    layout = figure.add_gridspec(2, 1, height_ratios=[1, 4])
    examples = figure.add_subfigure(layout[0]).subplots(1, len(POINT_NAMES))
    for axes, name, original in zip(examples, POINT_NAMES, to_rgb(originals), strict=True):
        axes.imshow(original, interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(name)
    panels = figure.add_subfigure(layout[1]).subplots(1, len(grids), squeeze=False)[0]
    for axes, (model, images) in zip(panels, grids.items(), strict=True):
        side = round(len(images) ** 0.5)
        axes.imshow(tile(images, side, gap=0), extent=squares[model])
        for name, (u, v) in zip(POINT_NAMES, points[model].tolist(), strict=True):
            _mark(axes, name, u, v, squares[model], side)
        axes.set_title(NAMES[model], loc="left")
        axes.set_xlabel("along AB (units of z)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6))
    panels[0].set_ylabel("across AB (units of z)")
    return figure


def _mark(
    axes: Axes,
    name: str,
    u: float,
    v: float,
    square: tuple[float, float, float, float],
    side: int,
) -> None:
    """A frame about the tile that is the point's own, a ring where it has none, and its letter."""
    left, right, bottom, _ = square
    cell = (right - left) / side
    steps = np.array([u - left, v - bottom]) / cell - 0.5
    if np.abs(steps - steps.round()).max() < CENTRED:
        for colour, width in (("black", 3.0), ("white", 1.5)):
            corner = (u - 0.5 * cell, v - 0.5 * cell)
            frame = Rectangle(corner, cell, cell, fill=False, color=colour, linewidth=width)
            axes.add_patch(frame)
        place, shift = (u - 0.5 * cell, v + 0.5 * cell), (0.0, 0.0)
    else:
        for colour, width in (("black", 3.0), ("white", 1.5)):
            ring: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none"}
            axes.plot(u, v, "o", color=colour, markeredgewidth=width, **ring)
        place, shift = (u, v), (8.0, 6.0)
    axes.annotate(
        name,
        place,
        shift,
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=8,
        fontweight="bold",
        bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "black"},
        zorder=5,
    )


# --- q(z) against the prior ----------------------------------------------------------------------


def draw_radii(radii: Mapping[str, Array], latent_dim: int) -> Figure:
    """Histograms of |z| of draws of q(z), and the density of |z| under N(0, I).

    radii: model -> (N,), in units of z.
    """
    from scipy.stats import chi

    prior = chi(latent_dim)
    ends = [
        *prior.ppf([1e-4, 1.0 - 1e-4]),
        *(x for r in radii.values() for x in (r.min(), r.max())),
    ]
    edges = np.linspace(min(ends), max(ends), BINS + 1).tolist()
    line = np.linspace(min(ends), max(ends), 1000)
    figure = new_figure(3.2)
    axes = figure.subplots()
    for model, r in radii.items():
        colour, name = COLOURS[model], f"{NAMES[model]}: {r.mean():.1f} ± {r.std():.1f}"
        axes.hist(r, edges, density=True, color=colour, alpha=0.25)
        axes.hist(r, edges, density=True, color=colour, histtype="step", linewidth=1.5, label=name)
    name = f"N(0, I): {prior.mean():.1f} ± {prior.std():.1f}"
    axes.plot(line, prior.pdf(line), color="black", linewidth=1.5, label=name)
    axes.set_xlabel("|z| (units of z)")
    axes.set_ylabel("density")
    axes.legend(title="mean ± sd")
    return figure


def marginals_shown(order: Sequence[int]) -> list[Sequence[int]]:
    """The rows of dimensions of `draw_marginals`: those that hold most, and those that hold least.

    order: the dimensions, most informative first. Of twice MARGINALS or fewer all are shown.
    """
    if len(order) <= MARGINALS:
        return [order]
    return [order[:MARGINALS], order[-min(MARGINALS, len(order) - MARGINALS) :]]


def draw_marginals(
    z: Mapping[str, Array],
    held: Mapping[str, Array],
    unit: str,
    sd: Mapping[str, Array],
    kurtosis: Mapping[str, Array],
) -> Figure:
    """Histograms of single dimensions of draws of q(z), and the density of N(0, 1).

    z: model -> (N, latent_dim), draws; the others: model -> (latent_dim,): what a dimension holds,
    in `unit`, and its draws' standard deviation and excess kurtosis.
    """
    shown = {
        model: marginals_shown(np.argsort(-every, kind="stable").tolist())
        for model, every in held.items()
    }
    height = sum(len(rows) for rows in shown.values())
    figure = new_figure(1.55 * height + 0.3)
    panels = figure.subplots(height, MARGINALS, squeeze=False)
    every = [(model, row) for model, rows in shown.items() for row in rows]
    values = np.concatenate([z[model][:, row].ravel() for model, row in every])
    reach = max(4.0, float(np.quantile(np.abs(values), 0.999)))
    edges = np.linspace(-reach, reach, BINS + 1).tolist()
    line = np.linspace(-reach, reach, 400)
    density = np.exp(-0.5 * line**2) / np.sqrt(2.0 * np.pi)
    for line_of_panels, (model, row) in zip(panels, every, strict=True):
        for axes, dimension in zip(line_of_panels, row, strict=False):
            axes.hist(
                z[model][:, dimension],
                edges,
                density=True,
                color=COLOURS[model],
                alpha=0.6,
            )
            axes.plot(line, density, color="black", linewidth=1)
            axes.set_title(
                f"{NAMES[model]} z{dimension}: {held[model][dimension]:.2f} {unit}",
                fontsize=8,
                loc="left",
            )
            text = (
                f"sd {sd[model][dimension]:.2f}, excess kurtosis {kurtosis[model][dimension]:+.2f}"
            )
            axes.text(
                0.02,
                0.97,
                text.replace("-", "−").replace("+nan", "–"),
                va="top",
                fontsize=7,
                transform=axes.transAxes,
            )
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.set_yticks([])
            axes.set_ylim(0.0, 1.25 * axes.get_ylim()[1])
            axes.spines["left"].set_visible(False)
        for axes in line_of_panels[len(row) :]:
            axes.set_axis_off()
    figure.supxlabel("z; black: N(0, 1)", fontsize=9)
    return figure


def draw_correlations(correlations: Mapping[str, Array]) -> Figure:
    """correlations: model -> (latent_dim, latent_dim), most informative dimension first.

    The diagonal, and dimensions that do not vary (NaN), are grey.
    """
    off_diagonal = {model: found.copy() for model, found in correlations.items()}
    for found in off_diagonal.values():
        np.fill_diagonal(found, np.nan)
    known = np.concatenate([np.abs(found[np.isfinite(found)]) for found in off_diagonal.values()])
    reach = max(0.05, float(known.max())) if len(known) else 1.0
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad="0.6")
    figure = new_figure(WIDTH / 2 + 0.2)
    panels = figure.subplots(1, len(correlations), squeeze=False)[0]
    for axes, (model, found) in zip(panels, off_diagonal.items(), strict=True):
        drawn = axes.imshow(found, cmap=colours, vmin=-reach, vmax=reach, interpolation="nearest")
        axes.set_title(NAMES[model], loc="left")
        axes.set_xlabel("dimension, most informative first")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(7, integer=True))
    figure.colorbar(
        drawn, ax=list(panels), orientation="horizontal", shrink=0.5, label="correlation"
    )
    return figure
