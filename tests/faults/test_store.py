"""MLflow's store when it is stopped at its birth, damaged, locked, silent or gone."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path

import pytest
import sqlalchemy
from mlflow import MlflowClient

from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.runtime.tracking import store

STOPS = 3  # of a store's making, evenly over its statements


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository's root without a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def forked(work: Callable[[], None]) -> int:
    """Its exit status; the number of the signal that ended it below 0."""
    process = get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def killed_at_statement(number: int, work: Callable[[], None]) -> Callable[[], None]:
    def listening() -> None:
        seen = iter(range(number))

        def count(*_: object) -> None:
            if next(seen, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
        work()

    return listening


def statements(work: Callable[[], None]) -> int:
    seen: list[None] = []

    def count(*_: object) -> None:
        seen.append(None)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", count)
    work()
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", count)
    return len(seen)


@pytest.fixture(scope="module")
def born(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An empty store, and how many statements it took to make it."""
    place = tmp_path_factory.mktemp("born")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(place))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return place / "mlflow.db", statements(tracking.check)


def in_place() -> None:
    """As MLflow itself makes a store."""
    MlflowClient(tracking.uri()).search_experiments()


def test_a_store_stopped_at_its_birth_is_made_anew(root: Path, born: tuple[Path, int]) -> None:
    for stop in range(STOPS):
        number = born[1] * (2 * stop + 1) // (2 * STOPS)
        assert forked(killed_at_statement(number, tracking.check)) == -signal.SIGKILL
        assert not (root / "mlflow.db").exists()
    tracking.check()
    assert [each.name for each in MlflowClient(tracking.uri()).search_experiments()] == ["Default"]
    assert not list(root.glob("mlflow.db?*"))


def test_what_mlflow_left_when_it_was_stopped_is_made_anew(
    root: Path, born: tuple[Path, int]
) -> None:
    assert forked(killed_at_statement(born[1] // 2, in_place)) == -signal.SIGKILL
    assert (root / "mlflow.db").stat().st_size
    tracking.check()
    assert MlflowClient(tracking.uri()).search_experiments()


def test_an_older_store_with_runs_is_migrated_as_a_copy(root: Path, born: tuple[Path, int]) -> None:
    file = root / "mlflow.db"
    file.write_bytes(born[0].read_bytes())
    client = MlflowClient(tracking.uri())
    run_id = client.create_run("0", run_name="kept").info.run_id
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'of another version'")
    before = file.read_bytes()
    with pytest.raises(UserError, match="of another version"):
        tracking.check()
    assert file.read_bytes() == before
    assert client.get_run(run_id).info.run_name == "kept"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://bob:S3cretPw@127.0.0.1:1", "Connection refused"),
        ("http://no-such-host.invalid", "Name or service|name resolution|Name does not|not known"),
        ("http://127.0.0.1:notaport", "notaport"),
        ("http://[bad", "Invalid IPv6"),
        ("nonsense://bob:S3cretPw@store", "unsupported URI"),
        ("postgresql+nodriver://bob:S3cretPw@127.0.0.1:1/x", "nodriver"),
        ("postgresql://bob:S3cretPw@127.0.0.1:port/x", "port"),
        ("sqlite:////proc/nope/mlflow.db", "No such file"),
        ("sqlite:///junk.db", "file is not a database"),
        ("sqlite:///folder.db", "unable to open"),
        ("sqlite:///locked.db", "database is locked"),
        ("./mlruns", "maintenance mode"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_and_no_secret(
    uri: str, said: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 4.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (root / "junk.db").write_bytes(b"no database " * 1000)
    (root / "folder.db").mkdir()
    with closing(sqlite3.connect(root / "locked.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match=said) as caught:
            tracking.check()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    assert "S3cretPw" not in message
    assert "MLFLOW_TRACKING_URI" in message


def test_a_server_that_is_silent_is_not_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(UserError, match="no answer within"):
            tracking.check()
    assert time.monotonic() - started < 20


def test_a_relative_database_is_the_repositorys_wherever_a_stage_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.chdir(tmp_path_factory.mktemp("temporary"))
    assert tracking.uri() == f"sqlite:///{root / 'mlflow.db'}"
