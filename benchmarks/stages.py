"""Each stage's wall-clock time and peak memory, alone and beside busy processes.

    python benchmarks/stages.py [--image-size 32] [--count 16000] [--epochs 10] [--beside 2]

Runs the pipeline's stages on built-in shapes with the settings of params.yaml, in a folder of its
own. Each runs alone, and then once more while --beside processes keep the same cores busy.
"""

import argparse
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


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen(BUSY) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def write(row: str, seconds: float, memory: float | None = None, more: str = "") -> None:
    used = f"{memory:9.2f} GB" if memory is not None else ""
    sys.stdout.write(f"{row:44}{seconds:9.2f} s{used}{more}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--count", type=int, default=16_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--beside", type=int, default=2)
    options = parser.parse_args()
    train: dict[str, object] = {"epochs": options.epochs}
    if options.epochs < 10:
        train["min_steps"] = 0
    with project({"image_size": options.image_size, "count": options.count}, train) as folder:
        array = options.count * 3 * options.image_size**2 / 1e9
        sys.stdout.write(f"{options.count:,} images, {array:.2f} GB\n")
        for name in STAGES:
            alone, memory = stage(name, "shapes", folder)
            more = ""
            if options.beside:
                with busy(options.beside):
                    beside, _ = stage(name, "shapes", folder)
                more = f"{beside:9.2f} s beside {options.beside}, {alone / beside:.2f} of the speed"
            write(name, alone, memory, more)


if __name__ == "__main__":
    main()
