"""One run: what it says of itself, its figures, pictures and files."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunInfo
from numpy.typing import NDArray
from PIL import Image

from vaelab.data.arrays import Meta
from vaelab.runtime import repository
from vaelab.runtime.files import write_whole
from vaelab.runtime.tracking.outbox import TOKEN, Outbox, run_of, settle, take
from vaelab.runtime.tracking.registry import registered_name
from vaelab.runtime.tracking.store import GRACE, aside, open_experiment, readable_errors, store, uri
from vaelab.settings import ARCHITECTURE_COLOURS, ARCHITECTURES, DatasetSettings

DIGEST_LENGTH = 16  # hexadecimal digits; MLflow keeps at most 36
EVERY = 5  # seconds between two looks at the machine; MLflow's own variable goes before it
SECTIONS = ("model", "objective", "train")  # that every run depends on; the data are its input
OF_THE_MACHINE = ("train.device", "train.processes", "train.threads", "train.precision")

log = logging.getLogger("vaelab")


class Run:
    """An open run. What it is told goes by its outbox: a store that is gone stops no stage."""

    def __init__(self, info: RunInfo, outbox: Outbox, resumed: bool) -> None:
        self.id: str = info.run_id
        self.started_ms: int = info.start_time
        self.resumed = resumed
        self._outbox = outbox

    def log_metrics(
        self, metrics: Mapping[str, float | None], step: int = 0, timestamp_ms: int | None = None
    ) -> None:
        """One point of each curve, or the final figures; the same call again changes nothing.

        None stands for a figure that does not apply. What is not finite, as a point posterior's KL,
        is left out too: not every store takes it.
        """
        when = timestamp_ms or _now()
        points = [
            (key, float(value), when, step)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]
        self._outbox.put("metrics", points=points)

    def log_image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """image: (H, W, 3). The UI shows those of one name behind a slider."""
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "image.png"
            Image.fromarray(image).save(file)
            self._outbox.put("image", file, name=name, step=step)

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what lies in a folder, into the run's artifacts, under `folder`."""
        self._outbox.put("artifacts", path, folder=folder)

    def register(self, folder: Path, dataset: str) -> None:
        """Make the model in `folder` the newest version of its data set and architecture."""
        self._outbox.put("model", folder, dataset=dataset)

    def end(self, status: str, patience: float | None) -> None:
        """Waits until the store has everything, or that many seconds."""
        self._outbox.put("end", status=status, end_time=_now())
        if not self._outbox.close(patience):
            log.warning(
                "MLflow's store does not have all of this run; the next stage sends the rest"
            )


@contextmanager
def run(
    stage: str,
    settings: DatasetSettings,
    meta: Meta,
    *,
    name: str,
    model: str | None = None,
    seed: int | None = None,
    token: str | None = None,
) -> Iterator[Run]:
    """One stage's run: FINISHED at the end, KILLED when stopped, FAILED on any other exception.

    model: the one that the run trains, and `seed` its seed; the machine is watched meanwhile.
    token: by which the run of a process that was stopped is found; a new one begins where the store
    has none.
    Raises UserError where the store cannot be used at the start; later it is gone without.
    """
    token = token or uuid.uuid4().hex

    opened: list[Run] = []

    def begin() -> None:
        client, experiment_id = open_experiment(settings.dataset)
        settle(client)
        folder, lock = take(token, settings.dataset)
        tags = _tags(stage, settings, model, seed) | {TOKEN: token}
        known = run_of(client, experiment_id, token)
        if known:
            client.update_run(known.info.run_id, status="RUNNING")
            for key, value in tags.items():
                client.set_tag(known.info.run_id, key, value)
        found = known or client.create_run(experiment_id, run_name=name, tags=tags)
        if not (known and known.inputs and known.inputs.dataset_inputs):  # the last to be told
            client.log_batch(found.info.run_id, params=_params(stage, settings, model, seed))
            images = _images(meta, "evaluation" if model is None else "training")
            client.log_inputs(found.info.run_id, [images])
        outbox = Outbox(client, found.info.run_id, folder, lock)
        opened.append(Run(found.info, outbox, resumed=known is not None))

    try:
        with readable_errors():
            aside(begin)
        with _machine_watched(opened[0]) if model else nullcontext():
            yield opened[0]
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        for run in opened:
            with suppress(OSError):  # a full disk may be what failed
                run.end("KILLED" if stopped else "FAILED", GRACE)
        raise
    opened[0].end("FINISHED", None)


def _now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def _params(
    stage: str, settings: DatasetSettings, model: str | None, seed: int | None
) -> list[Param]:
    """The settings that decide the run's figures; of a training run also which model and seed.

    Few, as the UI writes them all above a picture.
    """
    sections = tuple(f"{section}." for section in (*SECTIONS, stage))
    others = tuple(f"model.{each}." for each in ARCHITECTURES if model and each != model)
    without = {*OF_THE_MACHINE, *(["train.seeds"] if seed is not None else [])}
    params = {"model": model, "seed": seed} if model else {}
    params |= {
        key: value
        for key, value in settings.flat().items()
        if key.startswith(sections) and not key.startswith(others) and key not in without
    }
    return [Param(key, str(value)) for key, value in params.items()]


@contextmanager
def _machine_watched(run: Run) -> Iterator[None]:
    """Log the use of processors, memory and, with `nvidia-ml-py`, of the GPU, from a thread."""
    from mlflow.environment_variables import MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    every = MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL.get() or EVERY
    watch = SystemMetricsMonitor(run.id, every, tracking_uri=uri())
    watch.monitors = [
        each for each in watch.monitors if not isinstance(each, (DiskMonitor, NetworkMonitor))
    ]
    over = Event()

    def look() -> None:
        while not over.wait(every):
            watch.collect_metrics()
            seen = {f"system/{key}": value for key, value in watch.aggregate_metrics().items()}
            for each in watch.monitors:
                each.clear_metrics()
            with suppress(OSError):  # the stage says itself that the disk is full
                run.log_metrics(seen, step=round((_now() - run.started_ms) / 1000 / every))

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(GRACE)


def _tags(
    stage: str, settings: DatasetSettings, model: str | None, seed: int | None
) -> dict[str, str]:
    """A run of several models names the runs that trained them, as `fc_run`, `conv_run`, ….

    With several seeds the ids stand in the seeds' order.
    """
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"src/stages/{stage}.py",
        "mlflow.source.git.commit": _commit(),
        "mlflow.note.content": _description(stage, settings, model, seed),
        "mlflow.runColor": ARCHITECTURE_COLOURS[model] if model else None,
        "stage": stage,
        "dataset": settings.dataset,
        "model": model,
        "seed": None if seed is None else str(seed),
        "dvc_exp": os.environ.get("DVC_EXP_NAME"),
    }
    flat = settings.flat()
    tags |= {key: str(flat[key]) for key in OF_THE_MACHINE}
    if model is None:
        folders = sorted(each for each in settings.models_dir.glob("*") if each.is_dir())
        tags |= {f"{folder.name}_run": _training_runs(folder) for folder in folders}
    return {key: value for key, value in tags.items() if value is not None}


def _description(stage: str, settings: DatasetSettings, model: str | None, seed: int | None) -> str:
    """In Markdown. A browser opens no file from a server's page: files are named to be copied."""
    dataset, folder = settings.dataset, settings.report_dir.as_posix()
    if model is None:
        return f"`{stage}` of every model of `{dataset}`. Report: `{folder}/{stage}.md`"
    lines = [
        f"**{ARCHITECTURES[model]}** trained on `{dataset}` from seed {seed}",
        f"Report: `{folder}/compare.md`",
        f"Page: `{folder}/index.html`",
    ]
    if settings.tracking.register_models:
        name = registered_name(dataset, model)
        lines.append(f"Model: [{name}](#/models/{name})")
    return "  \n".join(lines)


def _commit() -> str | None:
    """The commit that the stage's code comes from; None outside git, or before the first one."""
    if baseline := os.environ.get("DVC_EXP_BASELINE_REV"):
        return baseline
    command = ["git", "rev-parse", "--verify", "HEAD"]
    with suppress(OSError):
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None
    return None


def _images(meta: Meta, context: str) -> DatasetInput:
    dataset = Dataset(
        name=meta.name,
        digest=meta.digest[:DIGEST_LENGTH],
        source_type="local",
        source=json.dumps(meta.source),
        profile=json.dumps({"shape": meta.shape, **meta.counts}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def finished_runs(dataset: str) -> pd.DataFrame:
    """The data set's finished runs: `start_time`, and each metric and tag by its name.

    Raises UserError where the store cannot be used.
    """
    with readable_errors(), store() as client:
        experiment = client.get_experiment_by_name(dataset)
        runs: list[Any] = []
        token: str | None = ""
        ids = [experiment.experiment_id] if experiment else []
        while ids and token is not None:
            page = client.search_runs(
                ids, "attributes.status = 'FINISHED'", page_token=token or None
            )
            runs += page
            token = page.token
    return pd.DataFrame(
        [{"start_time": r.info.start_time} | r.data.tags | r.data.metrics for r in runs]
    )


# --- which run trained which weights -------------------------------------------------------------


def remember(run: Run, weights: Path) -> None:
    """Note the run that trained these weights.

    The note is known by the weights' own bytes and lies outside of DVC's outputs and of git: it
    differs from run to run and from machine to machine where the weights are the same.
    """
    note = _note_of(weights)
    write_whole(note, run.id.encode())


def _note_of(weights: Path) -> Path:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return repository.kept() / "trained" / digest[:32]


def _training_runs(folder: Path) -> str | None:
    weights = sorted(folder.glob("seed_*/*.safetensors"), key=lambda file: (len(str(file)), file))
    notes = [note for each in weights if (note := _note_of(each)).is_file()]
    return ", ".join(note.read_text() for note in notes) or None
