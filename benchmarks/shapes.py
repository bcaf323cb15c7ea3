"""How long the embedded data set takes to draw: factors to pixels, best and worst of three.

python benchmarks/shapes.py [IMAGE_SIZE [COUNT]]
"""

import logging
import sys
import time

from vaelab.sources.shapes import draw, sample_factors

log = logging.getLogger("benchmark")


def main(image_size: int = 32, count: int = 24_000) -> None:
    seconds = []
    for seed in range(3):
        start = time.perf_counter()
        draw(sample_factors(count, seed), image_size)
        seconds.append(time.perf_counter() - start)
    log.info(
        "%d images at %d×%d: %.2f to %.2f s (%.0f images/s at best)",
        count, image_size, image_size, min(seconds), max(seconds), count / min(seconds),
    )  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main(*map(int, sys.argv[1:]))
