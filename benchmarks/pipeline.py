"""What surrounds the computation: a queue's workers, and the time before and after a stage's work.

    python benchmarks/pipeline.py

Two experiments, each of which trains FC and Conv on the built-in shapes, by one worker of DVC's
queue and by two. Then a refused setting, a stage that has next to nothing to compute, and
`dvc repro` of three data sets that are up to date.
"""

import json
import subprocess
import sys
from pathlib import Path

import yaml

from stages import QUICK, project, stage, timed, write

DVC = [sys.executable, "-m", "dvc"]
REPRO = [*DVC, "repro", "--quiet"]


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
