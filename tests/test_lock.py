"""What keeps requirements.lock true to pyproject.toml; uv itself is stood in for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lock

LOCK = Path(__file__).parents[1] / "requirements.lock"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    monkeypatch.chdir(tmp_path)
    lock.LOCK.write_text("a==1\n")
    calls: list[tuple[str, ...]] = []
    monkeypatch.setattr(lock, "_uv", lambda *arguments: calls.append(arguments))
    return calls


def test_the_lock_has_hashes_and_neither_hosts_nor_paths() -> None:
    pins = re.split(r"\n(?=\w)", LOCK.read_text())[1:]
    assert len(pins) > 100
    assert all("==" in pin and "--hash=sha256:" in pin for pin in pins)
    assert not re.search(r"://|^-|^#.* /", LOCK.read_text(), flags=re.MULTILINE)


def test_every_python_and_platform_is_tried(calls: list[tuple[str, ...]]) -> None:
    assert lock.main(["--check"]) == 0
    strict = [call for call in calls if "--require-hashes" in call]
    tried = {
        (python, platform)
        for call in strict
        for python in lock.PYTHONS
        for platform in lock.PLATFORMS
        if {python, platform} <= set(call)
    }
    assert len(tried) == len(strict) == len(lock.PYTHONS) * len(lock.PLATFORMS)
    assert "--all-extras" in calls[-1]


def test_what_is_wrong_is_one_line(
    calls: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lock, "make", lambda path: path.write_text("a==2\n"))
    assert lock.main(["--check"]) == 1
    said = "requirements.lock does not follow from pyproject.toml; run: make lock\n"
    assert capsys.readouterr().err == said
    assert lock.LOCK.read_text() == "a==1\n"
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")
    assert lock.main(["--check"]) == 1
    assert capsys.readouterr().err == "uv is not there; run: pip install uv\n"
