"""How a stage's script ends: in words that a person can act on, and a status."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from vaelab.runtime.errors import UserError
from vaelab.runtime.stage import KILLED, OUT_OF_MEMORY, run_stage


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the reason of a failure of download@shapes is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "download@shapes")
    monkeypatch.setattr(sys, "argv", ["src/stages/download.py", "shapes"])
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    yield tmp_path / ".vaelab" / "failures" / "download@shapes.txt"
    signal.signal(signal.SIGTERM, handler)


def raising(error: BaseException) -> Callable[[str], None]:
    def main(dataset: str) -> None:
        raise error

    return main


def test_a_user_error_is_one_line_and_is_kept(
    failure: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage(raising(UserError("no network")), None)
    assert caught.value.code == 1
    assert caplog.messages == ["download@shapes: no network"]
    assert failure.read_text() == "no network\n"


def out_of_cuda_memory(size: int) -> None:
    raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")


@pytest.mark.parametrize("allocate", [np.empty, torch.empty, out_of_cuda_memory])
def test_a_lack_of_memory_is_one_line_and_is_kept(
    failure: Path, caplog: pytest.LogCaptureFixture, allocate: Callable[[int], object]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage(lambda dataset: allocate(10**17), None)
    assert caught.value.code == 1
    assert caplog.messages == [f"download@shapes: {OUT_OF_MEMORY}"]
    assert failure.read_text() == f"{OUT_OF_MEMORY}\n"


def test_another_error_keeps_its_traceback(failure: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage(raising(ZeroDivisionError("by zero")), None)
    assert failure.read_text() == "ZeroDivisionError: by zero\n"


def test_being_stopped_is_no_failure(failure: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage(raising(KeyboardInterrupt()), None)
    assert caught.value.code == 130
    assert "`dvc repro` runs it again" in caplog.text
    assert not failure.exists()


def test_a_reason_stands_there_for_a_stage_that_is_killed_until_it_succeeds(failure: Path) -> None:
    seen = []
    run_stage(lambda dataset: seen.append(failure.read_text()), None)
    assert seen == [f"{KILLED}\n"]
    assert not failure.exists()


AT_EXIT = """
import atexit, os, signal, sys
from vaelab.runtime.stage import run_stage

def import_late(dataset):
    atexit.register(os.kill, os.getpid(), signal.SIGTERM)

sys.argv[1:] = ["shapes"]
run_stage(import_late, None)
"""


def test_a_stop_after_all_was_done_changes_nothing(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], cwd=tmp_path, env=environment, capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_password_is_said_or_kept(
    failure: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "by variable")
    fault = (
        "https://bob:S3cret%40Pw@host/x?user=1&api_key=abcdef https://ghp_abcdef@host by variable"
    )
    with pytest.raises(SystemExit):
        run_stage(raising(UserError(fault)), None)
    kept = failure.read_text()
    with pytest.raises(ZeroDivisionError) as caught:
        run_stage(raising(ZeroDivisionError(fault)), None)
    sys.excepthook(caught.type, caught.value, caught.tb)
    said = [caplog.text, kept, failure.read_text(), capsys.readouterr().err]
    for each in said:
        assert "https://bob:***@host/x?user=1&api_key=***" in each
        assert not re.search("S3cret|abcdef|by variable", each)


def test_a_stage_whose_disk_is_full_says_so_and_ends(
    failure: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (failure.parents[1]).write_text("a file in the place of .vaelab")
    with pytest.raises(SystemExit) as caught:
        run_stage(raising(OSError(errno.ENOSPC, "No space left on device", "models/a")), None)
    assert caught.value.code == 1
    assert caplog.messages[0].startswith("download@shapes: models/a cannot be written: No space")


def test_a_hang_up_ends_a_stage_by_its_finally_blocks(failure: Path) -> None:
    def main(dataset: str) -> None:
        signal.raise_signal(signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as caught:
            run_stage(main, None)
        assert caught.value.code == 128 + signal.SIGHUP
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        run_stage(main, None)
    finally:
        signal.signal(signal.SIGHUP, before)


STAGE = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from vaelab.runtime.stage import end_with_dvc, speak
speak()
end_with_dvc()
Path("begun").touch()
try:
    time.sleep(120)
finally:
    Path("ended").touch()
"""
DVC = """
import subprocess, sys
subprocess.run(f"{sys.executable} stage.py {sys.argv[1]}; true", shell=True)
"""


def test_a_stage_ends_when_its_dvc_is_killed(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc").write_text(DVC)
    source = Path(__file__).parents[2] / "src"
    dvc = subprocess.Popen(
        [sys.executable, "dvc", source], cwd=tmp_path, env=os.environ | {"DVC_STAGE": "a"}
    )
    for name in ("begun", "ended"):
        deadline = time.monotonic() + 100
        while not (tmp_path / name).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        if name == "begun":
            time.sleep(1)
            assert not (tmp_path / "ended").exists()
            dvc.kill()
            dvc.wait()
