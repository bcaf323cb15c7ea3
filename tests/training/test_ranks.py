"""Two processes on the CPU train what one does; what ends one ends the run."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import checkout
import numpy as np
import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from vaelab.runtime.checkpoints import SEAL
from vaelab.runtime.errors import UserError
from vaelab.training import ranks

PROJECT = Path(__file__).parents[2]
PROMISED = 30  # seconds, after which no process is left where one died


def prepared(folder: Path, **train: Any) -> Path:
    """A folder to run stages in, its data made: 97 training images, one in the last batch."""
    tree = yaml.safe_load((PROJECT / "params.yaml").read_text())
    tree["datasets"] = {"shapes": {"source": "shapes", "image_size": 16, "count": 120}}
    tree["model"] |= {"latent_dim": 4, "fc": {"width": 16, "blocks": 1}}
    tree["model"]["conv"] = {"width": 4, "blocks": 0}
    tree["objective"]["free_bits"] = 0.05
    tree["train"] |= {"epochs": 3, "min_steps": 0, "batch_size": 32, "device": "cpu"}
    tree["train"] |= {"precision": "float32", "threads": 1} | train
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    assert stage("download", folder).wait() == 0
    return folder


def stage(name: str, folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    script = PROJECT / "src" / "stages" / f"{name}.py"
    env = {**os.environ, "DVC_ROOT": str(folder), **variables}
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, script, "shapes"], cwd=folder, env=env, stdout=said, stderr=said
        )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "models" / "shapes" / "conv" / "seed_0" / "weights.safetensors")


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    """With free bits, which are of the whole batch, and a last batch smaller than the ranks."""
    one, two = prepared(tmp_path / "one"), prepared(tmp_path / "two", processes=2)
    for folder in (one, two):
        assert stage("train_conv", folder).wait() == 0, (folder / "said.txt").read_text()
    expected = weights(one)
    for name, tensor in weights(two).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-4)
    said = (two / "said.txt").read_text()
    assert said.count("epoch 3/3") == 1  # one process speaks
    assert not (two / ".vaelab" / "failures").exists() or not list(
        (two / ".vaelab" / "failures").iterdir()
    )


def test_a_process_that_is_killed_ends_the_run_which_then_goes_on(tmp_path: Path) -> None:
    """Before that, a second training of the same is refused: its processes would not wait."""
    folder = prepared(tmp_path / "killed", processes=2, epochs=2000)
    running = stage("train_conv", folder)
    state = folder / ".vaelab" / "checkpoints"
    deadline = time.monotonic() + checkout.PATIENCE
    while not list(state.rglob("state.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stage("train_conv", folder).wait(checkout.PATIENCE) == 1
    refusal = "another process trains the same shapes/conv/seed_0; start this again when it has"
    assert refusal in (folder / "said.txt").read_text()

    children = psutil.Process(running.pid).children(recursive=True)
    rank = next(child for child in reversed(children) if "spawn_main" in " ".join(child.cmdline()))
    rank.send_signal(signal.SIGKILL)
    assert running.wait(PROMISED) == 1
    said = (folder / "said.txt").read_text()
    assert said.count("ended by itself (status -9)") == 1
    assert "Traceback" not in said
    assert not psutil.wait_procs(children, timeout=PROMISED)[1]

    (kept,) = state.rglob("state.pt")
    state = io.BytesIO(kept.read_bytes()[:-SEAL])
    done = len(torch.load(state, weights_only=True)["epochs"])
    running = stage("train_conv", folder)
    while "goes on after" not in (said := (folder / "said.txt").read_text()):
        assert running.poll() is None
        time.sleep(0.05)
    assert f"goes on after epoch {done}" in said
    running.send_signal(signal.SIGINT)
    assert running.wait(PROMISED) == 128 + signal.SIGINT
    assert "train_conv@shapes: interrupted; " in (folder / "said.txt").read_text()


def test_what_the_first_process_refuses_is_the_stages_line(tmp_path: Path) -> None:
    """Here it alone opens the tracking store, while the other one waits for it."""
    folder = prepared(tmp_path / "refused", processes=2)
    closed = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    assert stage("train_conv", folder, **closed).wait(checkout.PATIENCE) == 1
    said = (folder / "said.txt").read_text()
    assert "\ntrain_conv@shapes: MLflow's store http://127.0.0.1:1 cannot be used" in said
    assert "Traceback" not in said


def test_what_is_wrong_with_the_code_is_shown(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "faulty", processes=2, epochs=1)
    images = np.zeros((97, 3, 8, 8), np.uint8)  # of another size than the nets are made for
    np.save(folder / "data" / "shapes" / "train.npy", images)
    assert stage("train_conv", folder).wait(checkout.PATIENCE) == 1
    assert "shapes cannot be multiplied" in (folder / "said.txt").read_text()


@pytest.mark.parametrize(("device", "here"), [("cuda", 2), ("mps", 1)])
def test_every_process_is_refused_where_one_has_no_device(
    device: str, here: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the others would wait for it."""
    monkeypatch.setattr(ranks, "select_device", torch.device)
    monkeypatch.setattr(ranks, "launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for rank in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
        refusal = f"^3 processes need a GPU each and this machine has {here}: set"
        with pytest.raises(UserError, match=refusal), ranks.joined(device):
            pass


def test_rows_are_shared_and_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(ranks.dist, "get_world_size", lambda: 3)
    for count in (1, 2, 3, 8):
        seen: list[int] = []
        for rank in range(3):
            monkeypatch.setattr(ranks.dist, "get_rank", lambda rank=rank: rank)
            rows, weight = ranks.own_rows(count)
            seen += list(range(count))[rows] if weight else []
            assert len(range(count)[rows]) >= 1
        assert sorted(seen) == list(range(count))
