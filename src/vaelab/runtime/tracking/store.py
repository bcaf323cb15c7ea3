"""MLflow's store: an SQLite file and a folder of artifacts at the repository's root, also for a
stage that runs in a queued experiment's temporary folder.

MLFLOW_TRACKING_URI names another one instead. A server keeps artifacts itself; beside a database
they lie at the repository's root.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from vaelab.runtime import repository
from vaelab.runtime.errors import UserError

ARTIFACTS = "mlartifacts"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # those that MLflow knows
PLACES = (  # table.column, of absolute paths
    "experiments.artifact_location",
    "runs.artifact_uri",
    "logged_models.artifact_location",
    "model_versions.source",
    "model_versions.storage_location",
)


def prepare() -> None:
    """Make the store ready for its UI: create or migrate it, and follow a moved repository."""
    with store():
        pass


def uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{repository.root() / 'mlflow.db'}"


@contextmanager
def readable_errors() -> Iterator[None]:
    try:
        yield
    except (MlflowException, sqlite3.Error) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"MLflow's store {uri()} cannot be used: {reason}") from error


@contextmanager
def store() -> Iterator[MlflowClient]:
    """One process at a time: two that make or migrate one database at once fail."""
    for noisy in ("alembic", "mlflow"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with repository.held(repository.kept() / "mlflow.lock", "another process opens MLflow's store"):
        client = MlflowClient(uri())
        client.search_experiments(max_results=1)
        if not os.environ.get("MLFLOW_TRACKING_URI"):
            _follow_move()
        yield client


def open_experiment(name: str) -> tuple[MlflowClient, str]:
    """The data set's experiment; brought back where it was deleted in the UI."""
    with store() as client:
        known = client.get_experiment_by_name(name)
        if known is None:
            beside_us = uri().partition(":")[0].partition("+")[0] in DATABASES
            place = (repository.root() / ARTIFACTS / name).as_uri() if beside_us else None
            return client, client.create_experiment(name, artifact_location=place)
        if known.lifecycle_stage != "active":
            client.restore_experiment(known.experiment_id)
        return client, known.experiment_id


def _follow_move() -> None:
    """MLflow keeps absolute paths; make them those of the present root if the repository moved."""
    here = f"{(repository.root() / ARTIFACTS).as_uri()}/"
    with closing(sqlite3.connect(repository.root() / "mlflow.db")) as database, database:
        for table, column in (place.split(".") for place in PLACES):
            tail = f"substr({column}, instr({column}, '/{ARTIFACTS}/') + {len(ARTIFACTS) + 2})"
            database.execute(
                f"UPDATE {table} SET {column} = ? || {tail} "
                f"WHERE {column} LIKE 'file://%/{ARTIFACTS}/%' AND {column} != ? || {tail}",
                (here, here),
            )
