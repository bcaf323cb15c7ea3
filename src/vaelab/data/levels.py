"""Which values are black and white in pictures of more than eight bits.

Files do not say: 12-bit values in a 16-bit file are common, and floats run to 1, to 255 or from -1.
A recipe's `value_range` says it. Without one the file's own type decides, and what was found is
kept, so that a doubt can be told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

DEEP, FLOAT, COLOUR = "16-bit grey", "float", "16-bit colour"  # kinds of pictures
WHITE = {DEEP: 65535.0, COLOUR: 65535.0}
DARK = 0.5  # of white: a whole set of pictures below it hardly uses their depth

ValueRange = Sequence[float]  # black, white


class Levels:
    """What the pictures of a run hold; one for several threads."""

    def __init__(self, value_range: ValueRange | None = None) -> None:
        self.value_range = value_range
        self._found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self._undefined = 0  # pictures with pixels that are no numbers

    def eight_bits(self, image: Image.Image) -> Image.Image:
        """Grey pictures of 16 bits or of floats, which Pillow's own conversion clips at 255.

        Pixels that are no numbers become black. Raises ValueError where all are.
        """
        if not image.mode.startswith(("I", "F")):
            return image
        values = np.asarray(image, np.float32)
        finite = np.isfinite(values)
        if not finite.any():
            raise ValueError("its pixels are no numbers")
        self._undefined += not finite.all()
        low, high = float(values[finite].min()), float(values[finite].max())
        kind = FLOAT if image.mode == "F" else DEEP
        black, white = self.value_range or (0.0, WHITE.get(kind, 1.0 if high <= 1.0 else 255.0))
        self._found[kind].append((low, high, white))
        scaled = np.nan_to_num((values - black) * (255 / (white - black)) + 0.5, nan=0.0)
        return Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))

    def note_colour(self, image: Image.Image) -> None:
        """Of a file that is not loaded yet: Pillow keeps the upper eight bits of colours of 16."""
        tiles = getattr(image, "tile", ())
        if image.mode.startswith("RGB") and any(";16" in str(tile[3]) for tile in tiles):
            brightest = max(np.asarray(image.getextrema())[:3, 1])
            self._found[COLOUR].append((0.0, 257.0 * brightest, WHITE[COLOUR]))

    def doubts(self) -> Iterator[str]:
        """Lines about pictures that probably come out too dark, too bright or clipped."""
        for kind, found in self._found.items():
            lows, highs, whites = (np.array(column) for column in zip(*found, strict=True))
            low, high, white = lows.min(), highs.max(), sorted(set(whites))
            fits = low >= 0 and DARK * white[-1] <= high <= white[-1] and len(white) == 1
            if fits or (self.value_range and kind != COLOUR):
                continue
            shown = " or ".join(f"{each:g}" for each in white)
            told = f"{len(found):,} {kind} pictures hold values from {low:g} to {high:g}"
            if kind == COLOUR:
                yield f"{told}, and {shown} is shown as white: they come out dark; brighten them"
                continue
            if kind == DEEP and low >= 0:
                high = 2 ** int(high).bit_length() - 1
            yield (
                f"{told}, and {shown} is shown as white; where that is wrong, say which values are "
                f"black and white: `value_range: [{low if low < 0 else 0:g}, {high:g}]`"
            )
        if self._undefined:
            yield f"{self._undefined:,} pictures have pixels that are no numbers: shown as black"
