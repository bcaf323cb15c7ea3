"""Stops of stages at the moments that matter, and what a rerun makes of them.

    python tests/faults/kills.py 20     # of each kind of stop; counts those that were survived

A stage runs in a fork of this process, which has imported all that it needs, and stops itself at a
named place of the code: a stop is where it is meant to be, and takes a fraction of a second.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import count, cycle
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
sys.path[:0] = [str(PROJECT / "src"), str(PROJECT / "src" / "stages"), str(PROJECT / "scripts")]

import mlflow.store.tracking.sqlalchemy_store
import mlflow.system_metrics.system_metrics_monitor  # noqa: F401
import psutil
import torch
import yaml

import compare
import interpolate
import latent_explore
import quick
import report
from vaelab.data import arrays
from vaelab.runtime import checkpoints
from vaelab.runtime.stage import _outlived, run_stage
from vaelab.settings import load_settings
from vaelab.sources.prepare import prepare
from vaelab.training import loop
from vaelab.training.run import train_architecture

torch.set_num_threads(1)  # threads do not pass a fork

EPOCHS = 3
STAGES: dict[str, Callable[[str], object]] = {
    "download": lambda dataset: prepare(load_settings().of(dataset)),
    "train_conv": lambda dataset: train_architecture(dataset, "conv"),
    "compare": compare.main,
    "interpolate": interpolate.main,
    "latent_explore": latent_explore.main,
    "report": report.main,
}
WRITTEN = ("data", "models", "samplers", "metrics", "reports")
KINDS = ("KILL", "TERM", "INT", "HUP", "dvc")  # dvc: of the process that started the stage, alone

# Moment -> the stage; the place of the code; at which call of it.
MOMENTS: dict[str, tuple[str, object, str, int]] = {
    "between two files of the data set": ("download", arrays.np, "save", 3),
    "before the first epoch": ("train_conv", loop, "_train_epoch", 1),
    "in an epoch": ("train_conv", loop, "learning_rate_at", 5),
    "in a checkpoint's write": ("train_conv", os, "fsync", 2),
    "in the final save": ("train_conv", loop, "write_history", 1),
    "after the checkpoint is gone": ("train_conv", checkpoints.Checkpoint, "discard", 1),
    "in compare": ("compare", compare, "write_csv", 1),
    "in interpolate": ("interpolate", interpolate, "write_csv", 1),
    "in latent_explore": ("latent_explore", latent_explore, "write_csv", 1),
    "in report": ("report", report, "write_text", 2),
}
AFTER = {"save", "discard", "write_csv", "write_text"}  # these are stopped when they have returned
ENDED = "after the checkpoint is gone"  # training has ended, and its run: it is done once more
OUTPUTS = {
    "download": ["data/toys"],
    "train_conv": ["models/toys/conv", "metrics/toys/conv.json", "reports/toys/conv"],
    "compare": ["samplers/toys", "metrics/toys/compare.json", "reports/toys/compare"],
    "interpolate": ["metrics/toys/interpolate.json", "reports/toys/interpolate"],
    "latent_explore": ["metrics/toys/latent_explore.json", "reports/toys/latent_explore"],
    "report": ["reports/toys/index.html", *(f"reports/toys/{page}.md" for page in report.PAGES)],
}


def write_params(folder: Path, seed: int) -> None:
    tree = quick.shrunk(yaml.safe_load((PROJECT / "params.yaml").read_text()))
    tree["datasets"] = {"toys": {"source": "shapes", "image_size": 16, "count": 120}}
    tree["model"] |= {"latent_dim": 4, "conv": {"width": 2, "blocks": 0}}
    tree["train"] |= {"seeds": [seed], "epochs": EPOCHS, "batch_size": 32, "device": "cpu"}
    tree["train"] |= {"threads": 1}
    tree["compare"] |= {"flow_steps": 2, "generated": 64, "iw_images": 5}
    tree["tracking"] = {"register_models": False}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))


def run(folder: Path, stage: str, moment: str | None = None, kind: str = "KILL") -> int:
    """As DVC does: without the stage's earlier outputs. moment: at which it is stopped.

    Returns the status, below 0 the signal that ended it.
    """
    for name in OUTPUTS[stage]:
        output = folder / name
        shutil.rmtree(output) if output.is_dir() else output.unlink(missing_ok=True)
    started = os.fork()
    if not started:
        status = 1
        try:
            os.setsid()
            _stage(folder, stage, moment, kind)
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        finally:
            os._exit(status)
    _, status = os.waitpid(started, 0)
    while _alive(started):
        time.sleep(0.02)
    return os.waitstatus_to_exitcode(status)


def _alive(session: int) -> bool:
    for process in psutil.process_iter(["status"]):
        try:
            own = os.getsid(process.pid) == session
        except OSError:
            continue
        if own and process.info["status"] != psutil.STATUS_ZOMBIE:
            return True
    return False


def _stage(folder: Path, stage: str, moment: str | None, kind: str) -> None:
    if kind == "dvc" and moment and (child := os.fork()):  # this process stands for dvc
        os.waitpid(child, 0)
        return
    os.chdir(folder)
    os.environ |= {"DVC_ROOT": str(folder), "DVC_STAGE": f"{stage}@toys"}
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    sys.stderr = open("stages.log", "a", buffering=1)  # noqa: SIM115 - until the process ends
    sys.argv = [f"src/stages/{stage}.py", "toys"]
    logging.getLogger().handlers.clear()  # those of the process that forked, as pytest's
    logging.getLogger("vaelab").disabled = False
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if moment:
        _, place, name, call = MOMENTS[moment]
        _stop_at(place, name, call, kind)
    if kind == "dvc":
        threading.Thread(target=_outlived, args=(psutil.Process().parent(),), daemon=True).start()
    run_stage(lambda dataset: STAGES[stage](dataset) and None, None)


def _stop_at(place: object, name: str, call: int, kind: str) -> None:
    original, calls = getattr(place, name), count(1)

    def stopping(*arguments: Any, **named: Any) -> Any:
        if next(calls) != call:
            return original(*arguments, **named)
        if name == "fsync":  # half of it is on the disk
            os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
        result = original(*arguments, **named) if name in AFTER else None
        if kind == "dvc":
            os.kill(os.getppid(), signal.SIGKILL)
        else:
            os.kill(os.getpid(), signal.Signals[f"SIG{kind}"])
        time.sleep(30)  # the signal comes meanwhile
        return result

    setattr(place, name, stopping)


def contents(folder: Path) -> dict[str, bytes]:
    files = [file for name in WRITTEN for file in (folder / name).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def runs(folder: Path) -> dict[str, tuple[str, list[int]]]:
    """MLflow's: id -> status, and the epochs whose figures it has. Without MLflow, which would keep
    a connection that the next fork shares.
    """
    if not (folder / "mlflow.db").exists():
        return {}
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        steps = "SELECT step FROM metrics WHERE run_uuid = ? AND key = 'val_elbo' ORDER BY step"
        return {
            run_id: (status, [step for (step,) in database.execute(steps, (run_id,))])
            for run_id, status in database.execute("SELECT run_uuid, status FROM runs")
        }


def made(folder: Path, seed: int, stages: Iterable[str] = tuple(STAGES)) -> Path:
    """The stages, run to their ends: what others are compared with."""
    folder.mkdir()
    write_params(folder, seed)
    for stage in stages:
        assert run(folder, stage) == 0, (folder / "stages.log").read_text()
    return folder


def fault_after(whole: Path, place: Path, moment: str, kind: str) -> str:
    """What a stop at that moment leaves wrong after a rerun; "" where nothing.

    whole: as `made` makes it; place: where a copy of it goes.
    """
    shutil.copytree(whole, place)
    stage, known = MOMENTS[moment][0], runs(place)
    stopped = run(place, stage, moment, kind)
    if stopped == 0:
        return "was not stopped"
    if stopped == 1 or run(place, stage) != 0:
        return (place / "stages.log").read_text()[-2000:]
    if contents(place) != contents(whole):
        return "other bytes"
    new = [run for key, run in runs(place).items() if key not in known]
    ended = [epochs for status, epochs in new if status == "FINISHED"]
    stages_run = 0 if stage in ("download", "report") else 1 + (moment == ENDED)
    if len(ended) != stages_run or any(status == "RUNNING" for status, _ in new):
        return f"runs: {[status for status, _ in new]}"
    if stage == "train_conv" and any(epochs != [*range(1, EPOCHS + 1)] for epochs in ended):
        return f"epochs: {ended}"
    return ""


def main(number: int) -> int:
    """Prints how many were tried and survived, of each kind. Returns 1 where one was not."""
    with tempfile.TemporaryDirectory() as scratch:
        wholes = [made(Path(scratch, f"whole_{seed}"), seed) for seed in (0, 1)]
        lost = 0
        for kind in KINDS:
            faults = []
            for i, moment in zip(range(number), cycle(MOMENTS)):
                place = Path(scratch, "stopped")
                fault = fault_after(wholes[i // len(MOMENTS) % 2], place, moment, kind)
                faults += [f"{moment}: {fault}"] if fault else []
                shutil.rmtree(place)
            said = "".join(f"\n    {fault}" for fault in faults)
            sys.stdout.write(f"{kind}: tried {number}, survived {number - len(faults)}{said}\n")
            sys.stdout.flush()
            lost += len(faults)
    return int(lost > 0)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
