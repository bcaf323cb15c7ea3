"""Where the repository is, and what the stages keep there outside of their outputs."""

from __future__ import annotations

import os
from pathlib import Path


def root() -> Path:
    """The repository's root: DVC_ROOT, which names it also for a stage that runs in a queued
    experiment's temporary folder; the working folder where a stage is run by hand.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def kept() -> Path:
    """`.vaelab/`: checkpoints and locks. DVC does not know it."""
    return root() / ".vaelab"
