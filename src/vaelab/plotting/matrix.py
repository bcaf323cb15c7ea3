"""A matrix as a table whose cells are coloured by what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

SMALL = 7.5  # points: numbers in a cell
DARK = 0.6  # of the full colour: from there on a number is white


def show_matrix(
    axes: Axes,
    matrix: NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    full: float,
) -> None:
    """matrix: (R, K), from 0 to `full`, which has the darkest blue; each row's largest is bold."""
    colours = matplotlib.colormaps["Blues"]
    axes.imshow(matrix, cmap=colours, vmin=0.0, vmax=full, aspect="auto")
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": SMALL}
    for (row, column), value in np.ndenumerate(matrix):
        weight = "bold" if column == matrix[row].argmax() else "normal"
        colour = "white" if value > DARK * full else "black"
        axes.text(column, row, f"{value:.0f}", color=colour, weight=weight, **style)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(len(columns)), columns)
    axes.tick_params(length=0, labelsize=8)
    axes.spines[:].set_visible(False)
