"""How many latent dimensions are worth having: both architectures at each, through DVC's queue.

    python scripts/sweep.py shapes [--dims 8 16 32 64 128 256] [--seeds 3] [--epochs 10] [--jobs 2]

Each latent dimension is a DVC experiment that trains FC and Conv from every seed. Those that have
been trained since the last commit, with the same settings, are not trained again, so that a stopped
sweep goes on. Writes
reports/DATASET/sweep.md, sweep.csv (a row for each model) and sweep.png. All figures are of the
validation split.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import torch
from matplotlib.axes import Axes
from tqdm import tqdm

from vaelab.data.arrays import ImageArrays
from vaelab.metrics.pca import fit_pca
from vaelab.plotting.style import COLOURS, NAMES, new_figure, save
from vaelab.report.render import render
from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.runtime.outputs import write_csv, write_text
from vaelab.settings import ARCHITECTURES, DatasetSettings, load_settings
from vaelab.vae.pixels import psnr, to_floats

PAUSE = 5.0  # seconds between two looks at the queue
GONE = 60.0  # seconds without a worker, after which none will come
MOST = 8192  # latent dimensions, as in params.yaml
WAITING = ("Queued", "Running")
INTERRUPTED = 130
AXES = {  # a panel of sweep.png: title, what is drawn against what, and their names
    "What a nat of rate buys": ("rate", "distortion", "rate, nats/image", "distortion, nats/image"),
    "Reconstruction": ("latent_dim", "psnr", "latent dimensions", "PSNR, dB"),
    "Training": ("latent_dim", "seconds", "latent dimensions", "wall-clock time, s"),
}


def dvc(*arguments: str) -> str:
    """What DVC prints. Raises UserError with its message where it fails."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.strip() or f"dvc {arguments[0]} ended with {done.returncode}")
    return done.stdout


def queue() -> dict[str, str]:
    """The state of each task by its experiment's name: Queued, Running, Success or Failed."""
    row = re.compile(r"^\w{7}\s+(\S+)\s.*?(Queued|Running|Success|Failed)\s*$", re.MULTILINE)
    return dict(row.findall(dvc("queue", "status")))


def working() -> bool:
    """Whether a worker of this repository's queue lives; `dvc queue status` misses busy ones."""
    here = str(Path.cwd())
    return any(
        "queue-worker" in (process.info["cmdline"] or ()) and process.info["cwd"] == here
        for process in psutil.process_iter(["cmdline", "cwd"])
    )


def experiments(
    settings: DatasetSettings, dims: list[int], seeds: int, epochs: int
) -> dict[int, str]:
    """latent_dim -> the experiment's name, which other settings change."""
    training = settings.model_dump_json(
        include={"recipe": True, "model": True, "objective": True, "train": True},
        exclude={
            "recipe": {"model", "objective", "train"},
            "model": {"latent_dim"},
            "train": {"seeds", "epochs"},
        },
    )
    digest = hashlib.sha256(training.encode()).hexdigest()[:6]
    return {dim: f"sweep-{settings.dataset}-z{dim}-{epochs}e-{seeds}s-{digest}" for dim in dims}


def train(dataset: str, names: dict[int, str], seeds: int, epochs: int, jobs: int) -> None:
    """Queue what has not been trained, and wait. names: latent_dim -> experiment.

    Raises UserError where an experiment failed, or no worker is left.
    """
    done = dvc("exp", "list", "--name-only").split()
    wanted = {dim: name for dim, name in names.items() if name not in done}
    states = queue()
    if not working():  # what is said to run was killed with its worker, and is queued anew
        for name in wanted.values():
            if states.get(name) == "Running":
                dvc("queue", "kill", name)
                states[name] = "Failed"
    waiting = [name for name, state in states.items() if state in WAITING]
    for dim, name in wanted.items():
        if name not in waiting:
            settings = {
                "model.latent_dim": dim,
                "train.seeds": list(range(seeds)),
                "train.epochs": epochs,
            }
            changes = [f"++datasets.{dataset}.{key}={value}" for key, value in settings.items()]
            options = [part for change in changes for part in ("-S", change)]
            stages = [f"train_{architecture}@{dataset}" for architecture in ARCHITECTURES]
            dvc("exp", "run", "--queue", "--force", "--name", name, *options, *stages)
    if not wanted:
        return
    dvc("queue", "start", "--jobs", str(jobs))
    seen = time.monotonic()
    with tqdm(total=len(names), initial=len(names) - len(wanted), unit="dim") as bar:
        while waiting := [
            n for n, state in queue().items() if n in names.values() and state in WAITING
        ]:
            bar.update(len(names) - len(waiting) - bar.n)
            seen = time.monotonic() if working() else seen
            if time.monotonic() - seen > GONE:
                raise UserError(
                    f"the queue's workers are gone, killed perhaps, before {', '.join(waiting)} "
                    "was trained; the same command goes on"
                )
            time.sleep(PAUSE)
    done = dvc("exp", "list", "--name-only").split()
    if failed := [name for name in wanted.values() if name not in done]:
        raise UserError(
            f"{', '.join(failed)} failed; `dvc queue logs {failed[0]}` says why, and the same "
            "command tries again"
        )


def collect(dataset: str, names: dict[int, str]) -> pd.DataFrame:
    """A row for each model: model, latent_dim, seed, elbo, rate, distortion, psnr, seconds.

    Raises UserError where an experiment's runs are not in MLflow's store.
    """
    runs = tracking.finished_runs(dataset)
    if absent := {*names.values()} - {*runs.get("dvc_exp", ())}:
        raise UserError(
            f"MLflow's store has no runs of {', '.join(sorted(absent))}; `dvc exp remove` them, "
            "and the same command trains them"
        )
    runs = runs[runs["dvc_exp"].isin(names.values()) & runs["model"].isin(ARCHITECTURES)]
    runs = runs.sort_values("start_time").drop_duplicates(["dvc_exp", "model", "seed"], keep="last")
    rows = pd.DataFrame(
        {
            "model": runs["model"],
            "latent_dim": runs["dvc_exp"].map({name: dim for dim, name in names.items()}),
            "seed": runs["seed"].astype(int),
            "elbo": runs["val_elbo"],
            "rate": runs["val_kl"],
            "distortion": runs["val_reconstruction"],
            "psnr": runs["val_psnr"],
            "seconds": runs["seconds"],
        }
    )
    return rows.sort_values(["latent_dim", "model", "seed"], ignore_index=True)


def pca_line(settings: DatasetSettings, dims: list[int]) -> dict[int, float]:
    """latent_dim -> PSNR of PCA with as many components, dB."""
    images = ImageArrays.open(settings.data_dir)
    pca = fit_pca(images.train.images, max(dims))
    codes, originals = pca.encode(images.val.images), to_floats(images.val.images)
    of_first = torch.arange(codes.shape[1])
    errors = {dim: pca.decode(codes * (of_first < dim)) - originals for dim in dims}
    return {dim: psnr(float(error.square().mean())) for dim, error in errors.items()}


def draw(rows: pd.DataFrame, pca: dict[int, float], file: Path) -> None:
    """Means over the seeds, with a standard deviation to both sides."""
    figure = new_figure(3.0)
    panels: list[Axes] = list(figure.subplots(1, len(AXES)))
    for axes, (title, (x, y, x_label, y_label)) in zip(panels, AXES.items(), strict=True):
        for model, own in rows.groupby("model", sort=False):
            by_dim = own.groupby("latent_dim")
            means, spreads = by_dim.mean(numeric_only=True), by_dim.std(numeric_only=True)
            places = means.index if x == "latent_dim" else means[x]
            axes.errorbar(
                places, means[y], spreads[y].fillna(0.0), marker="o", markersize=4, capsize=2,
                color=COLOURS[str(model)], label=NAMES[str(model)],
            )  # fmt: skip
            if x == "rate":
                for dim, place, height in zip(means.index, places, means[y], strict=True):
                    axes.annotate(
                        str(dim), (place, height), (4, 4), textcoords="offset points", fontsize=7
                    )
        if y == "psnr":
            axes.plot(list(pca), list(pca.values()), "--", color=COLOURS["pca"], label=NAMES["pca"])
            axes.legend()
        if x == "latent_dim":
            axes.set_xscale("log", base=2)
            axes.set_xticks(list(pca), map(str, pca))
        axes.set_title(title, loc="left")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
    save(figure, file)


def cells(rows: pd.DataFrame) -> dict[Any, dict[str, tuple[float, float | None]]]:
    """(model, latent_dim) -> measure -> mean and standard deviation over the seeds."""
    return {
        key: {
            measure: (
                float(own[measure].mean()),
                float(own[measure].std()) if len(own) > 1 else None,
            )
            for measure in ("elbo", "rate", "psnr", "seconds")
        }
        for key, own in rows.groupby(["model", "latent_dim"])
    }


def count(text: str) -> int:
    if not 1 <= (value := int(text)) <= MOST:
        raise argparse.ArgumentTypeError(f"{value}; allowed: 1 to {MOST}")
    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset")
    parser.add_argument("--dims", type=count, nargs="+", default=[8, 16, 32, 64, 128, 256])
    parser.add_argument("--seeds", type=count, default=3, help="how many, from 0 on")
    parser.add_argument("--epochs", type=count, default=10)
    parser.add_argument("--jobs", type=count, default=2, help="workers of the queue")
    options = parser.parse_args()
    try:
        settings = load_settings().of(options.dataset)
        dims = sorted(set(options.dims))
        names = experiments(settings, dims, options.seeds, options.epochs)
        pca = pca_line(settings, dims)  # first, as it finds where there are no data
        train(options.dataset, names, options.seeds, options.epochs, options.jobs)
        rows = collect(options.dataset, names)
    except UserError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        sys.stderr.write(
            "\nInterrupted; workers that have begun go on, until `dvc queue stop --kill`, and the "
            "same command waits for them\n"
        )
        raise SystemExit(INTERRUPTED) from None
    folder = settings.report_dir
    draw(rows, pca, folder / "sweep.png")
    write_csv(folder / "sweep.csv", rows)
    command = " ".join(["python", "scripts/sweep.py", *sys.argv[1:]])
    page = render(
        "sweep.md.j2",
        dataset=options.dataset,
        seeds=options.seeds,
        epochs=options.epochs,
        command=command,
        models=[name for name in ARCHITECTURES if name in set(rows["model"])],
        dims=dims,
        cells=cells(rows),
        pca=pca,
    )
    write_text(folder / "sweep.md", page)
    sys.stdout.write(f"{folder / 'sweep.md'}\n")


if __name__ == "__main__":
    main()
