"""One run: what it says of itself, its figures, pictures and files."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param
from mlflow.exceptions import MlflowException
from numpy.typing import NDArray

from vaelab.data.arrays import Meta
from vaelab.runtime import repository
from vaelab.runtime.tracking.store import open_experiment, readable_errors, store, uri
from vaelab.settings import ARCHITECTURE_COLOURS, ARCHITECTURES, DatasetSettings

DIGEST_LENGTH = 16  # hexadecimal digits; MLflow keeps at most 36
EVERY = 5  # seconds between two looks at the machine; MLflow's own variable goes before it
SECTIONS = ("model", "objective", "train")  # that every run depends on; the data are its input
OF_THE_MACHINE = ("train.device", "train.processes", "train.threads", "train.precision")


class Run:
    """An open run."""

    def __init__(self, client: MlflowClient, run_id: str, resumed: bool) -> None:
        self.client = client
        self.id = run_id
        self.resumed = resumed

    @readable_errors()
    def log_metrics(
        self, metrics: Mapping[str, float | None], step: int = 0, timestamp_ms: int | None = None
    ) -> None:
        """One point of each curve, or the final figures; the same call again changes nothing.

        None stands for a figure that does not apply. What is not finite, as a point posterior's KL,
        is left out too: not every store takes it.
        """
        when = timestamp_ms or int(time.time() * 1000)
        points = [
            Metric(key, float(value), when, step)
            for key, value in metrics.items()
            if value is not None and math.isfinite(value)
        ]
        self.client.log_batch(self.id, metrics=points)

    @readable_errors()
    def log_image(self, name: str, image: NDArray[np.uint8], step: int) -> None:
        """image: (H, W, 3). The UI shows those of one name behind a slider."""
        self.client.log_image(self.id, image, key=name, step=step)

    @readable_errors()
    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Copy a file, or what lies in a folder, into the run's artifacts, under `folder`."""
        if path.is_dir():
            self.client.log_artifacts(self.id, str(path), folder)
        else:
            self.client.log_artifact(self.id, str(path), folder)


@contextmanager
def run(
    stage: str,
    settings: DatasetSettings,
    meta: Meta,
    *,
    name: str,
    model: str | None = None,
    seed: int | None = None,
    resume: str | None = None,
) -> Iterator[Run]:
    """One stage's run: FINISHED at the end, KILLED when stopped, FAILED on any other exception.

    model: the one that the run trains, and `seed` its seed; the machine is watched meanwhile.
    resume: the id of a run to go on with; a new one begins where the store does not have it.
    Raises UserError where the store cannot be used.
    """
    with readable_errors():
        client, experiment_id = open_experiment(settings.dataset)
        tags = _tags(stage, settings, model, seed)
        known = resume and client.search_runs([experiment_id], f"attributes.run_id = '{resume}'")
        if resume and known:
            run_id = resume
            client.update_run(run_id, status="RUNNING")
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
        else:
            run_id = client.create_run(experiment_id, run_name=name, tags=tags).info.run_id
            client.log_batch(run_id, params=_params(stage, settings, model, seed))
            client.log_inputs(
                run_id, [_images(meta, "evaluation" if model is None else "training")]
            )
    try:
        with _machine_watched(run_id) if model else nullcontext():
            yield Run(client, run_id, resumed=bool(known))
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
        with suppress(MlflowException):  # the store itself may be what failed
            client.set_terminated(run_id, "KILLED" if stopped else "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


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
def _machine_watched(run_id: str) -> Iterator[None]:
    """Log the use of processors, memory and, with `nvidia-ml-py`, of the GPU, from a thread."""
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    watch = SystemMetricsMonitor(run_id, EVERY, resume_logging=True, tracking_uri=uri())
    watch.monitors = [
        each for each in watch.monitors if not isinstance(each, (DiskMonitor, NetworkMonitor))
    ]
    watch.start()
    try:
        yield
    finally:
        watch.finish()


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


def registered_name(dataset: str, architecture: str) -> str:
    """Of a trained model in MLflow's registry."""
    return f"vaelab-{dataset}-{architecture}"


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
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(run.id)


def _note_of(weights: Path) -> Path:
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return repository.kept() / "trained" / digest[:32]


def _training_runs(folder: Path) -> str | None:
    weights = sorted(folder.glob("seed_*/*.safetensors"), key=lambda file: (len(str(file)), file))
    notes = [note for each in weights if (note := _note_of(each)).is_file()]
    return ", ".join(note.read_text() for note in notes) or None
