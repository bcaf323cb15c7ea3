"""Where a training run that was stopped goes on from.

DVC deletes a stage's outputs before it runs the stage, so a checkpoint lives outside of them, in
`.vaelab/checkpoints/` at the repository's root, under a fingerprint of everything that decides the
result: other settings, data, code or versions never meet it. It goes when the stage has succeeded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vaelab.runtime import repository

PACKAGES = [["data"], ["nets"], ["training"], ["vae"]]  # whose code decides the weights


class Checkpoint:
    """The state of one training run at the end of its last whole epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "state.pt"
        self._run_id = folder / "run_id"

    @property
    def run_id(self) -> str | None:
        """The MLflow run of the process that was stopped; None where there was none."""
        return (self._run_id.exists() and self._run_id.read_text()) or None

    @run_id.setter
    def run_id(self, run_id: str) -> None:
        beside = self._run_id.with_suffix(".part")
        beside.write_text(run_id)
        beside.replace(self._run_id)

    def save(self, state: Mapping[str, Any]) -> None:
        """Tensors, numbers, texts and containers of them; whole or not at all."""
        beside = self._state.with_suffix(".part")
        with beside.open("wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._state)

    def load(self) -> dict[str, Any] | None:
        """None where no epoch was finished."""
        if not self._state.exists():
            return None
        state: dict[str, Any] = torch.load(self._state, map_location="cpu", weights_only=True)
        return state

    def discard(self) -> None:
        shutil.rmtree(self._folder)


@contextmanager
def checkpoint_of(
    decisive: Mapping[str, Any], name: str, wait: bool = True
) -> Iterator[Checkpoint]:
    """Hold the checkpoint of the run that `decisive` (what JSON can hold) and the code determine.

    name: a folder to keep it under, such as `shapes/conv`. A second process that trains the very
    same thing waits for the first.
    """
    fingerprint = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    fingerprint.update(f"torch {torch.__version__}".encode())
    for source in _loaded_sources():
        fingerprint.update(source.read_bytes())
    folder = repository.kept() / "checkpoints" / name / fingerprint.hexdigest()[:16]
    other = f"another process trains the same {name}"
    with repository.held(folder.with_suffix(".lock"), other, wait):
        folder.mkdir(parents=True, exist_ok=True)
        yield Checkpoint(folder)


def _loaded_sources() -> list[Path]:
    """The files that the process has loaded of the packages on which weights depend."""
    modules = [
        module
        for name, module in sys.modules.items()
        if name.split(".")[0] == "vaelab" and name.split(".")[1:2] in PACKAGES
    ]
    return sorted(Path(module.__file__) for module in modules if module.__file__)
