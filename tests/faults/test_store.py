"""MLflow's store when it is stopped at its birth, damaged, locked, silent or gone."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import sqlalchemy
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.client import TrackingServiceClient
from toys import PARAMS, toy_meta

from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.runtime.tracking import outbox, store
from vaelab.runtime.tracking import runs as runs_module
from vaelab.settings import DatasetSettings, load_settings

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
        ("http://bob:S3cretPw@127.0.0.1:1", "used: Connection refused; "),
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


def test_mlflow_prints_no_address() -> None:
    """It would ask the server for the run's name first, and print its password."""
    TrackingServiceClient("http://bob:S3cretPw@127.0.0.1:1")._log_url("f" * 32)


def test_a_relative_database_is_the_repositorys_wherever_a_stage_runs(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.chdir(tmp_path_factory.mktemp("temporary"))
    assert tracking.uri() == f"sqlite:///{root / 'mlflow.db'}"


# --- in the middle -------------------------------------------------------------------------------


@pytest.fixture
def settings(root: Path, born: tuple[Path, int]) -> DatasetSettings:
    """With an empty store at the root."""
    (root / "mlflow.db").write_bytes(born[0].read_bytes())
    return load_settings(PARAMS).of("shapes")


def runs() -> list[MlflowRun]:
    client = MlflowClient(tracking.uri())
    return list(client.search_runs([each.experiment_id for each in client.search_experiments()]))


class Gone:
    """What a client's `log_batch` is while its store is gone."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.gone, self._log = True, MlflowClient.log_batch
        patch.setattr(MlflowClient, "log_batch", lambda *args, **values: self(*args, **values))
        patch.setattr(outbox, "AGAIN", 0.01)
        patch.setattr(outbox, "PATIENCE", 0.2)

    def __call__(self, client: MlflowClient, run_id: str, **values: Any) -> None:
        if self.gone and "metrics" in values:
            raise MlflowException("API request to http://bob:S3cretPw@127.0.0.1:1 failed")
        self._log(client, run_id, **values)


@pytest.mark.parametrize("back", ["in the middle", "after the end", "never for this run"])
def test_a_store_that_goes_away_stops_no_stage_and_loses_nothing(
    back: str,
    root: Path,
    settings: DatasetSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store_is = Gone(monkeypatch)
    (root / "history.csv").write_text("epoch\n1\n")
    with tracking.run("train_fc", settings, toy_meta(), name="fc") as run:
        for epoch in (1, 2, 3):
            run.log_metrics({"val_elbo": -1.0 * epoch}, epoch, epoch)
            while "the stage goes on" not in caplog.text:
                time.sleep(0.01)
            store_is.gone = back != "in the middle"
        run.log_image("samples", np.zeros((4, 4, 3), np.uint8), 3)
        run.log_artifact(root / "history.csv")
    client = MlflowClient(tracking.uri())
    store_is.gone = False
    if back == "never for this run":
        client.delete_run(run.id)
    (root / "history.csv").write_text("of a later run")
    with tracking.run("compare", settings, toy_meta(), name="another"):
        pass
    assert len([each for each in caplog.messages if "the stage goes on" in each]) == 1
    assert "S3cretPw" not in caplog.text
    assert not list((root / ".vaelab" / "runs").glob("*/*"))  # not even its lock
    if back == "never for this run":
        return
    history = client.get_metric_history(run.id, "val_elbo")
    assert [(point.step, point.value) for point in history] == [(1, -1.0), (2, -2.0), (3, -3.0)]
    assert client.get_run(run.id).info.status == "FINISHED"
    assert {each.path for each in client.list_artifacts(run.id)} == {"history.csv", "images"}
    place = root / "mlartifacts" / "shapes" / run.id / "artifacts" / "history.csv"
    assert place.read_text() == "epoch\n1\n"


def test_what_the_store_will_never_take_is_left_out(
    root: Path, settings: DatasetSettings, caplog: pytest.LogCaptureFixture
) -> None:
    with tracking.run("train_fc", settings, toy_meta(), name="fc") as run:
        MlflowClient(tracking.uri()).delete_run(run.id)
        run.log_metrics({"val_elbo": -1.0})
    assert "does not take its metrics" in caplog.text
    assert not list((root / ".vaelab" / "runs").glob("*/*"))


@pytest.mark.parametrize("left", ["", None])
def test_a_call_that_was_cut_is_left_out(
    left: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call = tmp_path / "000001"
    call.mkdir()
    if left is not None:
        (call / "call.json").write_text(left)
    outbox._deliver(MlflowClient(), "a run", call)
    assert "000001 was cut, and is not sent" in caplog.text
    assert not list(tmp_path.iterdir())


def test_what_another_process_settles_meanwhile_is_taken_after_it(root: Path) -> None:
    token = "c" * 32
    folder, lock = outbox.take(token, "shapes")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(outbox.take, token, "shapes")
        time.sleep(0.3)
        outbox._remove(folder)
        lock.release()
        again, held = waiting.result()
    assert (again / "experiment").read_text() == "shapes"
    assert again.with_suffix(".lock").exists()
    held.release()


def killed_in(moment: str, settings: DatasetSettings, token: str) -> Callable[[], None]:
    """A stage's process that a signal ends at some moment of its run."""

    def die(*_: object, **__: object) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    def stage() -> None:
        if moment != "the middle":
            setattr(shutil if moment == "rmtree" else MlflowClient, moment, die)
        with tracking.run("train_fc", settings, toy_meta(), name="fc", token=token) as run:
            run.log_metrics({"val_elbo": -1.0}, 1, 1)
            die()

    return stage


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_killed_stage_leaves_no_run_that_runs_for_ever(
    root: Path, settings: DatasetSettings, goes_on: bool
) -> None:
    """Wherever it was; training goes on in the run that it had."""
    token = "a" * 32
    moments = ("create_run", "log_batch", "log_inputs", "the middle", "rmtree", "set_terminated")
    for moment in moments:
        assert forked(killed_in(moment, settings, token)) == -signal.SIGKILL
    assert [each.info.status for each in runs()] == ["RUNNING"]
    name, token = ("fc", token) if goes_on else ("compare", "b" * 32)
    with tracking.run("train_fc", settings, toy_meta(), name=name, token=token) as run:
        found = {each.info.run_name: each.info.status for each in runs()}
        assert found == {"fc": "RUNNING"} if goes_on else {"fc": "KILLED", "compare": "RUNNING"}
        run.log_metrics({"val_elbo": -1.0}, 1, 1)
    assert len(runs()) == (1 if goes_on else 2)
    assert MlflowClient(tracking.uri()).get_run(run.id).info.status == "FINISHED"
    assert not list((root / ".vaelab" / "runs").glob("*/*"))


def test_the_run_of_a_living_process_is_left_alone(root: Path, settings: DatasetSettings) -> None:
    with tracking.run("train_fc", settings, toy_meta(), name="fc") as living:
        with tracking.run("train_conv", settings, toy_meta(), name="conv"):
            pass
        assert MlflowClient(tracking.uri()).get_run(living.id).info.status == "RUNNING"


def test_a_ctrl_c_waits_for_the_call_and_ends_the_run(
    root: Path, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come while MLflow writes; and no server that hangs holds it up."""
    create = MlflowClient.create_run

    def interrupted(*args: Any, **values: Any) -> MlflowRun:
        signal.raise_signal(signal.SIGINT)
        return create(*args, **values)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_run", interrupted)
        with (
            pytest.raises(KeyboardInterrupt),
            tracking.run("train_fc", settings, toy_meta(), name="fc"),
        ):
            pass
    with pytest.raises(KeyboardInterrupt), tracking.run("compare", settings, toy_meta(), name="x"):
        signal.raise_signal(signal.SIGINT)
    assert {each.info.run_name: each.info.status for each in runs()} == {
        "fc": "KILLED",
        "x": "KILLED",
    }

    monkeypatch.setattr(runs_module, "GRACE", 0.2)
    monkeypatch.setattr(MlflowClient, "set_terminated", lambda *_: time.sleep(300))
    with pytest.raises(KeyboardInterrupt), tracking.run("compare", settings, toy_meta(), name="y"):
        signal.raise_signal(signal.SIGINT)
