"""What every figure shares: its look, grids of images, and how it is saved.

Figures are made without pyplot, so that no state outlives them, and are drawn at the size at which
a report shows them: about 900 pixels wide.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray
from PIL import Image

from vaelab.settings import ARCHITECTURE_COLOURS, ARCHITECTURES
from vaelab.vae.pixels import to_uint8

DPI = 110
WIDTH = 8.2  # inches: 900 pixels
MAX_BYTES = 490_000
GAP = 2  # pixels between a sheet's images
LARGER = 2.0  # times the room for a sheet, up to which its images keep their size
COLOURS = ARCHITECTURE_COLOURS | {"pca": "#7a7a7a", "data": "#2f2f2f"}
NAMES = ARCHITECTURES | {"pca": "PCA", "mean_image": "Mean image", "data": "Original"}
matplotlib.rcParams.update(
    {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "text.parse_math": False,  # a person's names are no formulas
    }
)

Images = NDArray[Any]  # (N, C, H, W), floats in [0, 1] or uint8


def to_rgb(images: Images) -> NDArray[np.uint8]:
    """(N, C, H, W) in [0, 1] or uint8 -> uint8 (N, H, W, 3)."""
    pixels: NDArray[np.uint8] = to_uint8(images).transpose(0, 2, 3, 1)
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels


def tile(images: Images, columns: int, gap: int = GAP) -> NDArray[np.uint8]:
    """(N, C, H, W) -> one white-ruled sheet, uint8 (rows * (H + gap) - gap, …, 3), row by row."""
    pixels = to_rgb(images)
    count, height, width, _ = pixels.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, image in enumerate(pixels):
        top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def show_sheet(
    axes: Axes,
    images: Images,
    columns: int,
    row_labels: Sequence[str] = (),
    title: str = "",
    column_labels: Sequence[str] = (),
) -> None:
    """Draw a grid of images, each row's label at its left and each column's below.

    Pixels are drawn as they are, but smoothed where a sheet has more of them than there is room.
    """
    images = _reduced(images, int(columns * images.shape[-1] / (LARGER * axes.bbox.width)))
    sheet = tile(images, columns)
    fits = sheet.shape[1] <= axes.bbox.width
    axes.imshow(sheet, interpolation="nearest" if fits else "auto")
    width, height = images.shape[-1], images.shape[-2]
    across = [(i + 0.5) * width + i * GAP for i in range(len(column_labels))]
    down = [(i + 0.5) * height + i * GAP for i in range(len(row_labels))]
    axes.set_xticks(across, column_labels)
    axes.set_yticks(down, row_labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title, loc="left")


def _reduced(images: Images, times: int) -> Images:
    """Each pixel the mean of a square of `times` to a side; as they are where that is below 2."""
    if times < 2:
        return images
    return np.stack(
        [np.asarray(Image.fromarray(each).reduce(times)) for each in to_rgb(images)]
    ).transpose(0, 3, 1, 2)


def show_beside(
    figure: FigureBase, sheets: Mapping[str, Images], columns: int, row_labels: Sequence[str] = ()
) -> None:
    """A panel for each sheet, under its name; the first has the rows' labels."""
    panels = figure.subplots(1, len(sheets), squeeze=False)[0]
    for axes, (name, images) in zip(panels, sheets.items(), strict=True):
        show_sheet(axes, images, columns, row_labels if axes is panels[0] else (), name)


def shortened(text: str, most: int) -> str:
    """At most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """height, width: inches."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a PNG with no date or version inside: the same figure gives the same bytes.

    Photographs make large PNGs: one over MAX_BYTES is written in fewer shades, as many as fit.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():  # an emoji in a person's name is a box, and right on the page
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="png", metadata={"Software": None})
    if buffer.tell() > MAX_BYTES:
        with Image.open(buffer) as picture:
            for coarser in _fewer_shades(picture.convert("RGB")):
                buffer = io.BytesIO()
                coarser.save(buffer, "PNG")
                if buffer.tell() <= MAX_BYTES:
                    break
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def _fewer_shades(picture: Image.Image) -> Iterator[Image.Image]:
    """Coarser and coarser: fewer levels of each channel (white stays white), then a palette."""
    pixels = np.asarray(picture) / 255.0
    for steps in (127, 63):
        yield Image.fromarray(np.rint(np.rint(pixels * steps) / steps * 255.0).astype(np.uint8))
    for colours in (256, 128, 64, 32):
        yield picture.quantize(colours, Image.Quantize.MEDIANCUT)
