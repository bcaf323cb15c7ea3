"""The factors that known images are drawn from: what whoever reads them must know of each.

Of a kind the values are numbers of it; a circular one is the same image a period further.
"""

from __future__ import annotations

import numpy as np

FACTORS = ["shape", "x", "y", "size", "rotation", "hue", "background_hue"]
SHAPES = ["square", "ellipse", "heart"]
SYMMETRY = np.array([np.pi / 2, np.pi, 2 * np.pi])  # each shape's period of rotation, radians

KINDS = {"shape": SHAPES}
CIRCULAR = ("rotation", "hue", "background_hue")  # hues have a period of 1


def in_words(name: str) -> str:
    """'background_hue' -> 'background hue'; a name that a person gave is shown as it is."""
    return name.replace("_", " ") if name in FACTORS else name
