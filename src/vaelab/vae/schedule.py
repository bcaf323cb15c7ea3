"""The learning rate's course, of the nets and of the flow that is fitted after them."""

from __future__ import annotations

import math

WARM_UP = 0.05  # of all steps


def warm_cosine(step: int, steps: int) -> float:
    """The rate as a share of its peak: up linearly over WARM_UP, then down to 0 along a cosine."""
    warm_up = WARM_UP * steps
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))
