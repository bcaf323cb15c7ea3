"""MLflow's store: an SQLite file and a folder of artifacts at the repository's root, also for a
stage that runs in a queued experiment's temporary folder.

MLFLOW_TRACKING_URI names another one instead. A server keeps artifacts itself; beside a database
they lie at the repository's root.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import shorten
from threading import Thread
from typing import TypeVar

import sqlalchemy
from alembic.util import CommandError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError
from urllib3.exceptions import HTTPError

from vaelab.runtime import repository
from vaelab.runtime.errors import UserError, masked

ARTIFACTS = "mlartifacts"
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # those that MLflow knows
PATIENCE = 10.0  # seconds for a store to answer
LONGEST = 300  # characters of a store's own words
GRACE = 3.0  # seconds for a call to end by itself after a Ctrl-C
FAILURES = (  # of a store; a driver may be missing, an address no address
    MlflowException,
    SQLAlchemyError,
    sqlite3.Error,
    OSError,
    ImportError,
    CommandError,
    ValueError,
)
PLACES = (  # table.column, of absolute paths
    "experiments.artifact_location",
    "runs.artifact_uri",
    "logged_models.artifact_location",
    "model_versions.source",
    "model_versions.storage_location",
)

T = TypeVar("T")


def check() -> None:
    """Refuse a store that cannot be used, within PATIENCE; make or migrate one that can.

    Raises UserError, one line without a password.
    """
    with readable_errors():
        aside(prepare)


def prepare() -> None:
    """Make the store ready for its UI: create or migrate it, and follow a moved repository."""
    with store():
        pass


def uri() -> str:
    """A relative SQLite path is one from the repository's root, wherever the process runs."""
    given = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    file = _sqlite_file(given)
    if file and not file.is_absolute():
        return given.replace(f"/{file}", f"/{repository.root() / file}", 1)
    return given


def known_as() -> str:
    """A short name of the store, for a folder of what belongs to it; the same after a move."""
    return hashlib.sha256(uri().replace(str(repository.root()), "").encode()).hexdigest()[:12]


@contextmanager
def readable_errors() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        given = bool(os.environ.get("MLFLOW_TRACKING_URI"))
        remedy = "MLFLOW_TRACKING_URI names it" if given else "if it is damaged, move it away"
        raise UserError(
            f"MLflow's store {masked(uri())} cannot be used: {reason(error)}; {remedy}"
        ) from error


def reason(error: BaseException) -> str:
    """One line without passwords: the words of what MLflow and SQLAlchemy wrap."""
    wrapping = MlflowException | SQLAlchemyError | RequestException | HTTPError
    while isinstance(error, wrapping):
        inner = error.__cause__ or error.__context__
        if not isinstance(inner, (*FAILURES, HTTPError)):
            break
        error = inner
    said = re.sub(r"^\[Errno -?\d+\] ", "", " ".join(str(error).split())) or type(error).__name__
    return shorten(masked(said), LONGEST, placeholder=" …")


def aside(call: Callable[[], T], limit: float | None = None) -> T:
    """What `call` returns, from a thread of its own, so that a Ctrl-C does not cut it in two.

    Raises TimeoutError after `limit` seconds.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is read
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    try:
        return answer.result(limit)
    except (KeyboardInterrupt, SystemExit):
        wait([answer], GRACE)
        raise


@contextmanager
def store() -> Iterator[MlflowClient]:
    """One process at a time: two that make or migrate one database at once fail."""
    for noisy in ("alembic", "mlflow", "sqlalchemy", "urllib3"):  # what they say is raised too
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # MLflow itself would try for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")  # an upload takes its time
    with repository.held(repository.kept() / "mlflow.lock", "another process opens MLflow's store"):
        try:
            aside(_answer, PATIENCE)
        except TimeoutError:
            raise TimeoutError(f"no answer within {PATIENCE:.0f} s") from None
        if file := _sqlite_file(uri()):
            _make_whole(file)
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
            place = (repository.root() / ARTIFACTS / name).as_uri() if _is_database() else None
            return client, client.create_experiment(name, artifact_location=place)
        if known.lifecycle_stage != "active":
            client.restore_experiment(known.experiment_id)
        return client, known.experiment_id


def _is_database() -> bool:
    return uri().partition(":")[0].partition("+")[0] in DATABASES


def _sqlite_file(address: str) -> Path | None:
    """None where it names no file of SQLite's."""
    path = address.removeprefix("sqlite:///").partition("?")[0]
    return Path(path) if address.startswith("sqlite:///") and path else None


def _answer() -> None:
    """Raises one of FAILURES where the store does not take what one writes."""
    if file := _sqlite_file(uri()):
        if file.exists():
            with closing(sqlite3.connect(file, timeout=PATIENCE / 2)) as database:
                database.execute("BEGIN IMMEDIATE")
    elif _is_database():
        engine = sqlalchemy.create_engine(uri(), poolclass=sqlalchemy.NullPool)
        with engine.connect():
            pass
    else:
        MlflowClient(uri()).search_experiments(max_results=1)


# --- a database that is whole or not there -------------------------------------------------------


def _make_whole(file: Path) -> None:
    """Make or migrate an SQLite store beside its place, and put it there when it is whole.

    MLflow's migrations are no transaction: a stop among them leaves what no later one goes on from.
    What such a stop left is made anew; a store with runs is migrated as a copy.
    """
    if file.exists() and _is_whole(file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    for left in (part, part.with_name(f"{part.name}-journal")):
        left.unlink(missing_ok=True)
    if file.exists() and _in_use(file):
        with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(part)) as copy:
            old.backup(copy)
    from mlflow.store.db import utils as schema

    engine = sqlalchemy.create_engine(f"sqlite:///{part}", poolclass=sqlalchemy.NullPool)
    schema._initialize_tables(engine)
    part.replace(file)


def _is_whole(file: Path) -> bool:
    from mlflow.store.db import utils as schema

    engine = sqlalchemy.create_engine(f"sqlite:///{file}", poolclass=sqlalchemy.NullPool)
    newest = schema._get_latest_schema_revision()
    return schema._all_tables_exist(engine) and schema._get_schema_version(engine) == newest


def _in_use(file: Path) -> bool:
    """Whether a person would miss anything in it: runs, registered models, other tables' rows."""
    from mlflow.store.db import utils as schema

    with closing(sqlite3.connect(file)) as database:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = {name for (name,) in database.execute(query)}
        mlflows = {*schema.Base.metadata.tables, *schema.InitialBase.metadata.tables}
        limits = dict.fromkeys({"runs", "registered_models"} & tables | tables - mlflows, 0)
        limits |= dict.fromkeys({"experiments"} & tables, 1)  # MLflow makes `Default` by itself
        return any(
            database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0] > limit
            for table, limit in limits.items()
            if not table.startswith(("alembic_", "_alembic_", "sqlite_"))
        )


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
