"""How a stage's script ends, and what `make repro` says of it."""

from __future__ import annotations

import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from stage import run_stage
from vaelab.errors import UserError

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


def test_another_error_keeps_its_traceback(failure: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage(raising(ZeroDivisionError("by zero")), None)
    assert failure.read_text() == "ZeroDivisionError: by zero\n"


def test_being_stopped_is_no_failure(failure: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        run_stage(raising(KeyboardInterrupt()), None)
    assert caught.value.code == 130
    assert not failure.exists()


def test_success_removes_the_reason(failure: Path) -> None:
    failure.parent.mkdir(parents=True)
    failure.write_text("no network\n")
    run_stage(lambda dataset: None, None)
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
