"""Where a training run that was stopped goes on from.

DVC deletes a stage's outputs before it runs the stage, so a checkpoint lives outside of them, in
`.vaelab/checkpoints/` at the repository's root, under a fingerprint of everything that decides the
result: other settings, data, code or versions never meet it. It goes when the stage has succeeded.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from vaelab.runtime import repository
from vaelab.runtime.errors import lacks_memory
from vaelab.runtime.files import write_whole

PACKAGES = [["data"], ["nets"], ["training"], ["vae"]]  # whose code decides the weights
SEAL = hashlib.sha256().digest_size  # bytes behind the state that tell whether it has changed
UNREADABLE = (OSError, UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, LookupError)

log = logging.getLogger("vaelab")


class Checkpoint:
    """The state of one training run at the end of its last whole epoch.

    token: 32 hexadecimal digits, the same for every process that goes on with the run.
    What cannot be read is set aside, and training starts anew.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state = folder / "state.pt"
        self._found: dict[str, Any] | None = None
        if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
            self.set_aside("is no folder that can be written")
        folder.mkdir(parents=True, exist_ok=True)
        _remove(self._beside)
        try:
            self._found = self._read()
        except UNREADABLE as error:
            if lacks_memory(error):
                raise
            self.set_aside("is damaged")
        self.token = self._known_token()

    @property
    def _beside(self) -> Path:
        return self._state.with_suffix(".part")

    def save(self, state: Mapping[str, Any]) -> None:
        """Tensors, numbers, texts and containers of them; whole or not at all."""
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        with self._beside.open("wb") as file:
            file.write(buffer.getbuffer())
            file.write(hashlib.sha256(buffer.getbuffer()).digest())
            file.flush()
            os.fsync(file.fileno())
        self._beside.replace(self._state)

    def load(self) -> dict[str, Any] | None:
        """What was found when the checkpoint was opened; None where no epoch was finished."""
        found, self._found = self._found, None
        return found

    def set_aside(self, fault: str) -> None:
        """Keep what is there under another name, and begin with nothing."""
        aside = self._folder.with_suffix(".damaged")
        _remove(aside)
        self._folder.rename(aside)
        self._folder.mkdir()
        log.warning(
            "the checkpoint %s %s; it is kept as %s, and training starts anew",
            self._state,
            fault,
            aside.name,
        )

    def discard(self) -> None:
        shutil.rmtree(self._folder)

    def _read(self) -> dict[str, Any] | None:
        try:
            sealed = memoryview(self._state.read_bytes())
        except FileNotFoundError:
            return None
        body, seal = sealed[:-SEAL], sealed[-SEAL:]
        if hashlib.sha256(body).digest() != seal:
            raise ValueError
        return dict(torch.load(io.BytesIO(body), map_location="cpu", weights_only=True))

    def _known_token(self) -> str:
        file = self._folder / "token"
        try:
            known = file.read_text()
            if re.fullmatch(r"[0-9a-f]{32}", known):
                return known
            raise ValueError
        except FileNotFoundError:
            pass
        except (OSError, ValueError):
            log.warning("%s is damaged; training goes on as another run of MLflow's", file)
            _remove(file)
        write_whole(file, (token := uuid.uuid4().hex).encode())
        return token


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
        yield Checkpoint(folder)


def _loaded_sources() -> list[Path]:
    """The files that the process has loaded of the packages on which weights depend."""
    modules = [
        module
        for name, module in sys.modules.items()
        if name.split(".")[0] == "vaelab" and name.split(".")[1:2] in PACKAGES
    ]
    return sorted(Path(module.__file__) for module in modules if module.__file__)
