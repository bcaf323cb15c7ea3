"""MLflow: one run for each stage execution, one experiment for each data set.

    with tracking.run("train_conv", settings, meta, name="conv-z128", model="conv") as run:
        run.log_metrics({"val_elbo": -1840.2}, step=1)

The only file that knows MLflow. The store is an SQLite file and a folder of artifacts at the
repository's root, also for a stage that runs in a queued experiment's temporary folder;
MLFLOW_TRACKING_URI names another one instead.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from vaelab.data.arrays import Meta
from vaelab.runtime import repository
from vaelab.runtime.errors import UserError
from vaelab.settings import DatasetSettings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, at the import

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException

ARTIFACTS = "mlartifacts"
DIGEST_LENGTH = 16  # hexadecimal digits; MLflow keeps at most 36


class Run:
    """An open run."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.id = run_id

    def log_metrics(
        self, metrics: Mapping[str, float | None], step: int = 0, timestamp_ms: int | None = None
    ) -> None:
        """One point of each curve, or the final figures; the same call again changes nothing.

        None stands for a figure that does not apply. What is not finite, as a point posterior's KL,
        is left out too: not every store takes it.
        """
        when = timestamp_ms or int(time.time() * 1000)
        points = [
            Metric(key, float(value), when, step)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]
        self._client.log_batch(self.id, metrics=points)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what lies in a folder, into the run's artifacts, under `folder`."""
        if path.is_dir():
            self._client.log_artifacts(self.id, str(path), folder)
        else:
            self._client.log_artifact(self.id, str(path), folder)


@contextmanager
def run(
    stage: str,
    settings: DatasetSettings,
    meta: Meta,
    *,
    name: str,
    model: str | None = None,
    seed: int | None = None,
    resume: str | None = None,
) -> Iterator[Run]:
    """One stage's run: FINISHED at the end, KILLED when stopped, FAILED on any other exception.

    seed: of the one model that the run trains.
    resume: the id of a run to go on with; a new one begins where the store does not have it.
    Raises UserError where the store cannot be used.
    """
    with _readable_errors():
        client, experiment_id = _open_experiment(settings.dataset)
        tags = _tags(stage, settings, model, seed)
        if resume and client.search_runs([experiment_id], f"attributes.run_id = '{resume}'"):
            run_id = resume
            client.update_run(run_id, status="RUNNING")
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
        else:
            run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
            params = [Param(key, str(value)) for key, value in settings.flat().items()]
            client.log_batch(run_id, params=params)
            client.log_inputs(
                run_id, [_images(meta, "evaluation" if model is None else "training")]
            )
    try:
        with _readable_errors():
            yield Run(client, run_id)
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        with suppress(MlflowException):  # the store itself may be what failed
            client.set_terminated(run_id, "KILLED" if stopped else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _tags(
    stage: str, settings: DatasetSettings, model: str | None, seed: int | None
) -> dict[str, str]:
    """A run of several models names the runs that trained them, as `fc_run`, `conv_run`, ….

    With several seeds the ids stand in the seeds' order.
    """
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"src/stages/{stage}.py",
        "mlflow.source.git.commit": _commit(),
        "stage": stage,
        "dataset": settings.dataset,
        "model": model,
        "seed": None if seed is None else str(seed),
        "dvc_exp": os.environ.get("DVC_EXP_NAME"),
    }
    if model is None:
        folders = sorted(each for each in settings.models_dir.glob("*") if each.is_dir())
        tags |= {f"{folder.name}_run": _training_runs(folder) for folder in folders}
    return {key: value for key, value in tags.items() if value is not None}


def _commit() -> str | None:
    """The commit that the stage's code comes from; None outside git, or before the first one."""
    if baseline := os.environ.get("DVC_EXP_BASELINE_REV"):
        return baseline
    command = ["git", "rev-parse", "--verify", "HEAD"]
    with suppress(OSError):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None
    return None


def _images(meta: Meta, context: str) -> DatasetInput:
    dataset = Dataset(
        name=meta.name,
        digest=meta.digest[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps(meta.source),
        profile=json.dumps({"shape": meta.shape, **meta.counts}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


# --- which run trained which weights -------------------------------------------------------------


def finished_runs(dataset: str) -> pd.DataFrame:
    """The data set's finished runs: `start_time`, and each metric and tag by its name.

    Raises UserError where the store cannot be used.
    """
    with _readable_errors(), _store() as client:
        experiment = client.get_experiment_by_name(dataset)
        runs: list[Any] = []
        token: str | None = ""
        ids = [experiment.experiment_id] if experiment else []
        while ids and token is not None:
            page = client.search_runs(
                ids, "attributes.status = 'FINISHED'", page_token=token or None
            )
            runs += page
            token = page.token
    return pd.DataFrame(
        [{"start_time": r.info.start_time} | r.data.tags | r.data.metrics for r in runs]
    )


def remember(run: Run, weights: Path) -> None:
    """Note the run that trained these weights.

    The note is known by the weights' own bytes and lies outside of DVC's outputs and of git: it
    differs from run to run and from machine to machine where the weights are the same.
    """
    note = _note_of(weights)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(run.id)


def _note_of(weights: Path) -> Path:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return repository.kept() / "trained" / digest[:32]


def _training_runs(folder: Path) -> str | None:
    weights = sorted(folder.glob("seed_*/*.safetensors"), key=lambda file: (len(str(file)), file))
    notes = [note for each in weights if (note := _note_of(each)).is_file()]
    return ", ".join(note.read_text() for note in notes) or None


# --- the store -----------------------------------------------------------------------------------


def prepare() -> None:
    """Make the store ready for its UI: create or migrate it, and follow a moved repository."""
    with _store():
        pass


def _uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{repository.root() / 'mlflow.db'}"


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except (MlflowException, sqlite3.Error) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"MLflow's store {_uri()} cannot be used: {reason}") from error


@contextmanager
def _store() -> Iterator[MlflowClient]:
    """One process at a time: two that make or migrate one database at once fail."""
    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with repository.held(repository.kept() / "mlflow.lock", "another process opens MLflow's store"):
        client = MlflowClient(_uri())
        client.search_experiments(max_results=1)
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            _follow_move()
        yield client


def _open_experiment(name: str) -> tuple[MlflowClient, str]:
    with _store() as client:
        known = client.get_experiment_by_name(name)
        if known is None:
            here = not os.environ.get("MLFLOW_TRACKING_URI")
            place = (repository.root() / ARTIFACTS / name).as_uri() if here else None
            return client, client.create_experiment(name, artifact_location=place)
        if known.lifecycle_stage != "active":
            client.restore_experiment(known.experiment_id)
        return client, known.experiment_id


def _follow_move() -> None:
    """MLflow keeps absolute paths; make them those of the present root if the repository moved."""
    here = f"{(repository.root() / ARTIFACTS).as_uri()}/"
    places = (
        "experiments.artifact_location",
        "runs.artifact_uri",
        "logged_models.artifact_location",
    )
    with closing(sqlite3.connect(repository.root() / "mlflow.db")) as database, database:
        for table, column in (place.split(".") for place in places):
            tail = f"substr({column}, instr({column}, '/{ARTIFACTS}/') + {len(ARTIFACTS) + 2})"
            database.execute(
                f"UPDATE {table} SET {column} = ? || {tail} "
                f"WHERE {column} LIKE 'file://%/{ARTIFACTS}/%' AND {column} != ? || {tail}",
                (here, here),
            )
