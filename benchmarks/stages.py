"""Each stage's wall-clock time and peak memory, alone and beside busy processes.

    python benchmarks/stages.py [--image-size 32] [--count 16000] [--epochs 10] [--beside 2]

Runs the pipeline's stages on built-in shapes with the settings of params.yaml, in a folder of its
own. Each runs alone, and then once more while --beside processes keep the same cores busy.
"""

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator

from pipeline import project, stage, write

STAGES = (
    "download", "train_fc", "train_conv", "compare", "interpolate", "latent_explore", "report",
)  # fmt: skip
BUSY = [sys.executable, "-c", "while True: pass"]


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen(BUSY) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()


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
