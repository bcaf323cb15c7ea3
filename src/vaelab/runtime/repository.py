"""Where the repository is, and what the stages keep there outside of their outputs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from vaelab.runtime.errors import UserError

log = logging.getLogger("vaelab")


def root() -> Path:
    """The repository's root: DVC_ROOT, which names it also for a stage that runs in a queued
    experiment's temporary folder; the working folder where a stage is run by hand.
    """
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def kept() -> Path:
    """`.vaelab/`, unknown to DVC: checkpoints, locks, and notes on who trained which weights."""
    return root() / ".vaelab"


@contextmanager
def held(lock: Path, other: str, wait: bool = True) -> Iterator[None]:
    """Let one process at a time do what the file `lock` stands for.

    other: what a process does that has it, for the message of one that has to wait.
    Raises UserError instead of waiting where `wait` is false.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = FileLock(lock)
    try:
        file.acquire(blocking=False)
    except Timeout:
        if not wait:
            raise UserError(f"{other}; start this again when it has ended") from None
        log.info("%s; waiting for it to end", other)
        file.acquire()
    try:
        yield
    finally:
        file.release()
