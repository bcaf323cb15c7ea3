"""Each stage's wall-clock time and peak memory, and what surrounds them.

    python benchmarks/stages.py [--image-size 32] [--count 16000] [--epochs 10] [--beside 0]

Runs the pipeline's stages on built-in shapes with the settings of params.yaml, in a folder of its
own. --beside: so many busy processes run on the same cores meanwhile. Then a refused setting, a
stage that has next to nothing to compute, and `dvc repro` of three data sets that are up to date.
"""

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[1]
QUICK = runpy.run_path(str(PROJECT / "scripts" / "quick.py"))  # its small pipeline

STAGES = (
    "download", "train_fc", "train_conv", "compare", "interpolate", "latent_explore", "report",
)  # fmt: skip
BUSY = [sys.executable, "-c", "while True: pass"]


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


def write(row: str, seconds: float, memory: float) -> None:
    sys.stdout.write(f"{row:44}{seconds:9.2f} s{memory:9.2f} GB\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--count", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--beside", type=int, default=0)
    options = parser.parse_args()
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "true",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        QUICK["copy_project"](folder)
        settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
        shapes = {"source": "shapes", "image_size": options.image_size, "count": options.count}
        settings["train"]["epochs"] = options.epochs
        if options.epochs < 10:
            settings["train"]["min_steps"] = 0
        sizes = settings | {"datasets": {"shapes": settings["datasets"]["shapes"] | shapes}}
        (folder / "params.yaml").write_text(json.dumps(sizes))
        neighbours = [subprocess.Popen(BUSY) for _ in range(options.beside)]
        try:
            for name in STAGES:
                write(f"{name}, {options.count:,} images", *stage(name, "shapes", folder))
        finally:
            for neighbour in neighbours:
                neighbour.kill()
        write("compare, refused", *stage("compare", "no_such", folder, status=1))

        three = dict.fromkeys(("a", "b", "c"), {"source": "shapes"} | shapes)
        (folder / "params.yaml").write_text(
            json.dumps(QUICK["shrunk"](settings | {"datasets": three}))
        )
        repro = [sys.executable, "-m", "dvc", "repro", "--quiet"]
        timed(repro, folder)
        write("train_fc, 300 images of 16 x 16, 2 epochs", *stage("train_fc", "a", folder))
        timed(repro, folder)
        write("dvc repro, three data sets up to date", *timed(repro, folder))


if __name__ == "__main__":
    main()
