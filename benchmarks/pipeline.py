"""What surrounds the computation: a queue's workers, and the time before and after a stage's work.

    python benchmarks/pipeline.py

Two experiments, each of which trains FC and Conv on the built-in shapes, by one worker of DVC's
queue and by two. Then a refused setting, a stage that has next to nothing to compute, and
`dvc repro` of three data sets that are up to date.
"""

import contextlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[1]
QUICK = runpy.run_path(str(PROJECT / "scripts" / "quick.py"))  # how the project is copied

DVC = [sys.executable, "-m", "dvc"]
REPRO = [*DVC, "repro", "--quiet"]


def timed(command: list[str], folder: Path, status: int = 0) -> tuple[float, float]:
    """Seconds, and peak memory in GB. Raises SystemExit where the status is another."""
    start = time.perf_counter()
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, ended, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(ended)
        if process.returncode != status:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}\n{said.read()}")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return time.perf_counter() - start, used.ru_maxrss * unit / 1e9


def stage(name: str, dataset: str, folder: Path, status: int = 0) -> tuple[float, float]:
    return timed([sys.executable, f"src/stages/{name}.py", dataset], folder, status)


@contextlib.contextmanager
def project(shapes: dict[str, object], train: dict[str, object]) -> Iterator[Path]:
    """A copy of the project in a folder of its own, with `shapes` and `train` changed so."""
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        QUICK["copy_project"](folder)
        settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
        settings["datasets"] = {"shapes": settings["datasets"]["shapes"] | shapes}
        settings["train"] |= train
        (folder / "params.yaml").write_text(json.dumps(settings))
        yield folder


def write(row: str, seconds: float, memory: float | None = None, more: str = "") -> None:
    used = f"{memory:9.2f} GB" if memory is not None else ""
    sys.stdout.write(f"{row:44}{seconds:9.2f} s{used}{more}\n")
    sys.stdout.flush()


def queued(folder: Path, workers: int, rates: tuple[float, float]) -> float:
    """Seconds until two experiments, of these learning rates, are done."""
    for rate in rates:
        change = ["-S", f"train.learning_rate={rate}"]
        timed([*DVC, "exp", "run", "--queue", *change, "train_fc", "train_conv"], folder)
    return timed([*DVC, "exp", "run", "--run-all", "--jobs", str(workers)], folder)[0]


def main() -> None:
    with project({}, {}) as folder:
        timed([*REPRO, "download"], folder)
        subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
        author = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
        subprocess.run(["git", *author, "commit", "--quiet", "-m", "a"], cwd=folder, check=True)
        one = queued(folder, 1, (0.001, 0.002))
        two = queued(folder, 2, (0.003, 0.004))
        write("two experiments, one worker of the queue", one)
        write("two experiments, two workers", two, more=f", {one / two:.2f} of one's throughput")

        write("compare, refused", *stage("compare", "no_such", folder, status=1))

        settings = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
        settings["datasets"] = dict.fromkeys("abc", settings["datasets"]["shapes"])
        (folder / "params.yaml").write_text(json.dumps(QUICK["shrunk"](settings)))
        timed(REPRO, folder)
        write("train_fc, 300 images of 16 x 16, 2 epochs", *stage("train_fc", "a", folder))
        timed(REPRO, folder)
        write("dvc repro, three data sets up to date", *timed(REPRO, folder))


if __name__ == "__main__":
    main()
