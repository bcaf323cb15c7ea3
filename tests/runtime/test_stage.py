"""How a stage's script ends: in words that a person can act on, and a status."""

from __future__ import annotations

import signal
import sys
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
