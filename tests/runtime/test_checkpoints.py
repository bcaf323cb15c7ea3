"""Checkpoints: known by what decides the weights, and by nothing else."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from vaelab.runtime.checkpoints import checkpoint_of


def test_checkpoints_of_other_settings_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with checkpoint_of({"latent_dim": 16}, "blobs/conv") as checkpoint:
        token = checkpoint.token
        checkpoint.save({"epoch": 1})
    with checkpoint_of({"latent_dim": 32}, "blobs/conv") as checkpoint:
        assert checkpoint.token != token
        assert checkpoint.load() is None
    with checkpoint_of({"latent_dim": 16}, "blobs/conv") as checkpoint:
        assert checkpoint.token == token
        assert checkpoint.load() == {"epoch": 1}
        checkpoint.discard()
    with checkpoint_of({"latent_dim": 16}, "blobs/conv") as checkpoint:
        assert checkpoint.token != token
        assert checkpoint.load() is None


@pytest.mark.parametrize("package", ["data", "nets", "training", "vae", "runtime", "settings"])
def test_only_code_that_decides_the_weights_ends_a_checkpoint(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    source = tmp_path / "module.py"
    source.write_text("a = 1")
    module = ModuleType(f"vaelab.{package}.module")
    module.__file__ = str(source)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        checkpoint.save({"epoch": 1})
    source.write_text("a = 2")
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        kept = checkpoint.load() is not None
    assert kept == (package in ("runtime", "settings"))


def _flipped(at: float) -> Callable[[Path], object]:
    def flip(state: Path) -> None:
        content = bytearray(state.read_bytes())
        content[int(at * (len(content) - 1))] ^= 1
        state.write_bytes(content)

    return flip


def _cut(to: int) -> Callable[[Path], object]:
    return lambda state: os.truncate(state, to if to >= 0 else state.stat().st_size + to)


def _folder(state: Path) -> None:
    state.unlink()
    (state / "inside").mkdir(parents=True)


def _file_for_its_folder(state: Path) -> None:
    shutil.rmtree(state.parent)
    state.parent.write_text("a file")


def _saved(content: Any) -> Callable[[Path], object]:
    return lambda state: torch.save(content, state)


def _no_part(state: Path) -> None:
    _cut(100)(state)
    state.with_suffix(".part").mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    **{f"cut to {to}": _cut(to) for to in (0, 1, 31, 32, 100, 1000, -1, -32)},
    **{f"a bit flipped at {at}": _flipped(at) for at in (0, 0.1, 0.3, 0.5, 0.9, 1)},
    "zeros": lambda state: state.write_bytes(bytes(state.stat().st_size)),
    "text": lambda state: state.write_text("not a checkpoint"),
    "longer": lambda state: state.write_bytes(state.read_bytes() + b"0"),
    "unsealed": _saved({"epoch": 1}),
    "a folder": _folder,
    "a file for its folder": _file_for_its_folder,
    "cut, and a folder for what is written next": _no_part,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_in_one_line(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        checkpoint.save({"weights": torch.ones(1000)})
    (state,) = tmp_path.rglob("state.pt")
    for _ in range(2):  # what was set aside before is in the way of nothing
        DAMAGES[damage](state)
        with checkpoint_of({}, "blobs/conv") as checkpoint:
            assert checkpoint.load() is None
            checkpoint.save({"epoch": 1})
        assert state.parent.with_suffix(".damaged").exists()
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        assert checkpoint.load() == {"epoch": 1}
    assert len(caplog.messages) == 2
    assert all(str(state) in message and "\n" not in message for message in caplog.messages)


@pytest.mark.parametrize("token", [b"", b"\xff\xfe\x00", b"f" * 31, b"../../" + b"f" * 26, None])
def test_a_damaged_token_costs_no_epoch(
    token: bytes | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        checkpoint.save({"epoch": 1})
    (file,) = tmp_path.rglob("token")
    if token is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(token)
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        assert checkpoint.load() == {"epoch": 1}
        new = checkpoint.token
    with checkpoint_of({}, "blobs/conv") as checkpoint:
        assert checkpoint.token == new
    assert len(caplog.messages) == 1
