"""Checkpoints: known by what decides the weights, and by nothing else."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from vaelab.runtime.checkpoints import checkpoint_of


def test_checkpoints_of_other_settings_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with checkpoint_of({"latent_dim": 16}, "blobs/conv") as checkpoint:
        checkpoint.run_id = "abc"
        checkpoint.save({"epoch": 1})
    with checkpoint_of({"latent_dim": 32}, "blobs/conv") as checkpoint:
        assert checkpoint.run_id is None
        assert checkpoint.load() is None
    with checkpoint_of({"latent_dim": 16}, "blobs/conv") as checkpoint:
        assert checkpoint.run_id == "abc"
        assert checkpoint.load() == {"epoch": 1}
        checkpoint.discard()
    with checkpoint_of({"latent_dim": 16}, "blobs/conv") as checkpoint:
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
