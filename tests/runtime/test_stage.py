"""How a stage's script ends, and what `make repro` says of it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from stage import KILLED, OUT_OF_MEMORY, run_stage
from vaelab.runtime.errors import UserError

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture
def failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the reason of a failure of download@shapes is kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_STAGE", "download@shapes")
    monkeypatch.setattr(sys, "argv", ["src/stages/download.py", "shapes"])
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path / ".vaelab" / "failures" / "download@shapes.txt"
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def repro() -> ModuleType:
    spec = importlib.util.spec_from_file_location("repro", SCRIPTS / "repro.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


@pytest.mark.parametrize("allocate", [np.empty, torch.empty])
def test_a_lack_of_memory_is_one_line_and_is_kept(
    failure: Path, caplog: pytest.LogCaptureFixture, allocate: Callable[[int], object]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage(lambda dataset: allocate(10**17), None)
    assert caught.value.code == 1
    assert caplog.messages == [f"download@shapes: {OUT_OF_MEMORY}"]
    assert failure.read_text() == f"{OUT_OF_MEMORY}\n"


@pytest.mark.parametrize(
    "message", ["CUDA out of memory. Tried to allocate 2 GiB", "CUBLAS_STATUS_ALLOC_FAILED"]
)
def test_a_lack_of_a_devices_memory(failure: Path, message: str) -> None:
    with pytest.raises(SystemExit):
        run_stage(raising(RuntimeError(message)), None)


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


def test_repro_names_what_is_missing_and_why(failure: Path, repro: ModuleType) -> None:
    failure.parent.mkdir(parents=True)
    failure.write_text("no network\n")
    report = Path("reports/shapes/compare.md")
    report.parent.mkdir(parents=True)
    report.write_text("# Report")
    text = "\n".join(repro.summary(1))
    assert "download@shapes: no network" in text
    assert str(report) in text
    assert "no network" not in "\n".join(repro.summary(0))


def test_repro_refuses_wrong_settings_before_dvc_deletes_anything(
    failure: Path, repro: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (SCRIPTS.parent / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("batch_size: 128", "batch_size: many"))
    assert repro.main([]) == 1  # dvc would say that this is no repository, and end with 253
    assert "train.batch_size is 'many'" in capsys.readouterr().err


SLOW_STAGES = """
stages:
  first:
    cmd: touch first && sleep 60
  second:
    cmd: touch second && sleep 60
"""


def test_ctrl_c_ends_repro_and_starts_no_other_stage(tmp_path: Path) -> None:
    shutil.copy(SCRIPTS.parent / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(SLOW_STAGES)
    environment = {key: text for key, text in os.environ.items() if not key.startswith("DVC_")}
    options = {"cwd": tmp_path, "env": environment | {"DVC_NO_ANALYTICS": "true"}}
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True, **options)
    process = subprocess.Popen(
        [sys.executable, SCRIPTS / "repro.py"], stdout=subprocess.PIPE, text=True, **options
    )
    end = time.monotonic() + 60
    while not (started := [name for name in ("first", "second") if (tmp_path / name).exists()]):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in output
    assert [name for name in ("first", "second") if (tmp_path / name).exists()] == started
