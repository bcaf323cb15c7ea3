"""What a latent space looks like: its map, its regions, single dimensions, and directions."""

from typing import Any, NamedTuple


class Found(NamedTuple):
    """What a part of the study hands over; its pictures and tables it writes itself."""

    figures: list[dict[str, Any]]  # rows of metrics.frame.rows
    facts: dict[str, Any]  # conditions, and what is no figure of a model
