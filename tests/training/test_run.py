"""A training stage that is killed, whenever, ends in the bits of one that was not."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml
from mlflow import MlflowClient

from vaelab.training.run import IN_GIT

PROJECT = Path(__file__).parents[2]
EPOCHS = 12
PATIENCE = 300  # seconds until an epoch that does not come is an error


def prepare(folder: Path) -> None:
    """A working folder with small settings and the built-in data set."""
    tree = yaml.safe_load((PROJECT / "params.yaml").read_text())
    tree["datasets"] = {"shapes": {"source": "shapes", "image_size": 16, "count": 600}}
    tree["model"] |= {
        "latent_dim": 8,
        "fc": {"width": 32, "blocks": 1},
        "conv": {"width": 8, "blocks": 0},
    }
    tree["train"] |= {"epochs": EPOCHS, "min_steps": 0, "batch_size": 32, "device": "cpu"}
    folder.mkdir()
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    assert start("download", folder).wait() == 0


def start(stage: str, folder: Path) -> subprocess.Popen[bytes]:
    unwanted = ("DVC_", "MLFLOW_", "VAELAB_")
    environment = {key: text for key, text in os.environ.items() if not key.startswith(unwanted)}
    return subprocess.Popen(
        [sys.executable, PROJECT / "src" / "stages" / f"{stage}.py", "shapes"],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1"},
        stderr=(folder / f"{stage}.log").open("ab"),
    )


def stop(folder: Path, moment: str, ending: signal.Signals) -> None:
    """Start training, and end it by a signal when its log or a file's name has come to `moment`."""
    log = folder / "train_conv.log"
    process = start("train_conv", folder)
    end = time.monotonic() + PATIENCE
    while moment not in log.read_text() and not list(folder.glob(f".vaelab/**/{moment}")):
        assert process.poll() is None, f"ended before {moment!r}:\n{log.read_text()}"
        assert time.monotonic() < end, f"no {moment!r} in {PATIENCE} s:\n{log.read_text()}"
        time.sleep(0.005)
    process.send_signal(ending)
    process.wait()
    assert not (folder / "models").exists()


def outputs(folder: Path) -> dict[str, bytes]:
    files = [
        file for name in ("models", "metrics", "reports") for file in (folder / name).rglob("*.*")
    ]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_killed_at_four_moments(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    prepare(whole)
    shutil.copytree(whole, cut)
    assert start("train_conv", whole).wait() == 0

    stop(cut, "token", signal.SIGKILL)  # before the first epoch's end
    stop(cut, "epoch 1/", signal.SIGKILL)
    stop(cut, "epoch 4/", signal.SIGTERM)
    stop(cut, "epoch 9/", signal.SIGKILL)
    assert start("train_conv", cut).wait() == 0
    assert (cut / "train_conv.log").read_text().count("goes on after epoch") == 3

    # other clocks, other runs of MLflow: the same bytes
    assert sorted(outputs(whole)) == [
        "metrics/shapes/conv.json",
        "models/shapes/conv/seed_0/config.json",
        "models/shapes/conv/seed_0/history.csv",
        "models/shapes/conv/seed_0/weights.safetensors",
        "reports/shapes/conv/history.csv",
    ]
    assert outputs(cut) == outputs(whole)
    metrics = json.loads((cut / "metrics/shapes/conv.json").read_text())
    assert tuple(metrics["conv"]) == IN_GIT
    assert not list((cut / ".vaelab" / "checkpoints").rglob("*.pt"))

    client = MlflowClient(f"sqlite:///{cut / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("shapes")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_elbo")]
    assert steps == list(range(1, EPOCHS + 1))
