"""What runs have to tell MLflow's store: on disk until the store has taken it.

    .vaelab/runs/STORE/TOKEN/              of a run; here while it lasts, and until all is sent
        experiment                         the name of its experiment
        000001/call.json, 000001/files/    one call, and the files that it sends
    .vaelab/runs/STORE/TOKEN.lock          held while the run's process lives

A thread sends the calls in their order, so that no stage waits for a store, or fails with it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from PIL import Image

from vaelab.runtime import repository
from vaelab.runtime.errors import masked
from vaelab.runtime.tracking.registry import register
from vaelab.runtime.tracking.store import FAILURES, PATIENCE, known_as, reason, uri

AGAIN = 15.0  # seconds until a store that failed is tried again
LOOK = 0.02  # seconds between two looks at whether all is sent
TOKEN = "execution"  # the tag by which a run is found whose process was stopped
REFUSED = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE")

log = logging.getLogger("vaelab")


class Outbox:
    """Of a run in progress, whose folder this process has for itself."""

    def __init__(self, client: MlflowClient, run_id: str, folder: Path, lock: FileLock) -> None:
        self._client, self._run_id, self._folder, self._lock = client, run_id, folder, lock
        self._count = max((int(call.name) for call in _calls(folder)), default=0)
        self._one = Lock()
        self._wake, self._over = Event(), Event()
        self._fails = False
        self._thread = Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def put(self, call: str, files: Path | None = None, **arguments: Any) -> None:
        """Returns when it is on disk. files: one, or a folder whose content is copied."""
        with self._one:
            self._count += 1
            whole = self._folder / f"{self._count:06d}"
            part = whole.with_suffix(".part")
            part.mkdir()
            if files and files.is_dir():
                shutil.copytree(files, part / "files")
            elif files:
                (part / "files").mkdir()
                shutil.copy(files, part / "files")
            with (part / "call.json").open("w") as file:
                json.dump({"call": call, **arguments}, file)
                file.flush()
                os.fsync(file.fileno())
            part.rename(whole)
        self._wake.set()

    def close(self, patience: float | None) -> bool:
        """Whether all was sent; waits that many seconds, or as long as the store takes calls.

        The folder goes when all is sent, and is left to `settle` otherwise.
        """
        limit = time.monotonic() + (PATIENCE if patience is None else patience)
        while _calls(self._folder) and self._thread.is_alive():
            if (self._fails or patience is not None) and time.monotonic() > limit:
                break
            time.sleep(LOOK)
        self._over.set()
        self._wake.set()
        self._thread.join(LOOK)
        if sent := not _calls(self._folder):
            _remove(self._folder)
        if not self._thread.is_alive():  # one that hangs in a call still has the folder
            self._lock.release()
        return sent

    def _send_all(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            sent = all(map(self._send, _calls(self._folder)))
            self._wake.wait(None if sent else AGAIN)

    def _send(self, call: Path) -> bool:
        if self._over.is_set():
            return False
        try:
            _deliver(self._client, self._run_id, call)
        except FAILURES as error:
            if not self._fails:
                log.warning(
                    "MLflow's store %s cannot be used now: %s; the stage goes on, and what it has "
                    "to say is kept in %s and sent when it can be",
                    masked(uri()),
                    reason(error),
                    self._folder,
                )
            self._fails = True
            return False
        if self._fails:
            log.info("MLflow's store can be used again; what was kept is sent")
        self._fails = False
        return True


def take(token: str, experiment: str) -> tuple[Path, FileLock]:
    """A run's folder, and its lock, which is held."""
    folder = _place() / token
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    lock.acquire()
    folder.mkdir(exist_ok=True)  # not before: who settles it removes it
    for cut in folder.glob("*.part"):
        shutil.rmtree(cut)
    (folder / "experiment").write_text(experiment)
    return folder, lock


def settle(client: MlflowClient) -> None:
    """Send what the runs of processes that are gone have left, and close these as KILLED."""
    for folder in sorted(_place().glob("*/")):
        lock = _lock(folder)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        try:
            if run := _run_in(client, folder):
                for call in _calls(folder):
                    _deliver(client, run.info.run_id, call)
                if client.get_run(run.info.run_id).info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, "KILLED")
            _remove(folder)
        except FAILURES as error:
            log.warning("what an earlier run left in %s is not sent yet: %s", folder, reason(error))
        finally:
            lock.release()


def run_of(client: MlflowClient, experiment_id: str, token: str) -> MlflowRun | None:
    """None where there is none, or where it was deleted in the UI."""
    found = client.search_runs([experiment_id], f"tags.{TOKEN} = '{token}'")
    return found[0] if found else None


def _run_in(client: MlflowClient, folder: Path) -> MlflowRun | None:
    file = folder / "experiment"
    experiment = client.get_experiment_by_name(file.read_text()) if file.is_file() else None
    return run_of(client, experiment.experiment_id, folder.name) if experiment else None


def _deliver(client: MlflowClient, run_id: str, folder: Path) -> None:
    """One call. What the store will never take, of a run that was deleted say, is left out, and so
    is what a power failure has cut.
    """
    try:
        told = json.loads((folder / "call.json").read_text())
    except (FileNotFoundError, ValueError):
        log.warning("%s was cut, and is not sent", folder)
        _drop(folder)
        return
    files = folder / "files"
    try:
        match told["call"]:
            case "metrics":
                client.log_batch(run_id, metrics=[Metric(*point) for point in told["points"]])
            case "image":
                with Image.open(next(files.iterdir()), formats=["PNG"]) as image:
                    pixels = np.asarray(image)
                client.log_image(run_id, pixels, key=told["name"], step=told["step"])
            case "artifacts":
                client.log_artifacts(run_id, str(files), told["folder"])
            case "model":
                register(client, run_id, files, told["dataset"])
            case "end":
                client.set_terminated(run_id, told["status"], told["end_time"])
    except MlflowException as error:
        if error.error_code not in REFUSED:
            raise
        log.warning("MLflow's run %s does not take its %s: %s", run_id, told["call"], reason(error))
    _drop(folder)


def _drop(call: Path) -> None:
    """Under another name first, so that a stop leaves no half of a call."""
    part = call.rename(call.with_suffix(".part"))
    shutil.rmtree(part)


def _calls(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*[0-9]"))


def _place() -> Path:
    return repository.kept() / "runs" / known_as()


def _lock(folder: Path) -> FileLock:
    return FileLock(folder.with_suffix(".lock"), thread_local=False)


def _remove(folder: Path) -> None:
    """A folder whose lock is held, and the lock's file with it."""
    shutil.rmtree(folder)
    folder.with_suffix(".lock").unlink(missing_ok=True)
