"""Fetch or draw one data set, split it, and write it as arrays.

python src/stages/download.py cifar10
"""

from stage import check, log, run_stage

if __name__ == "__main__":
    check(__doc__)

from vaelab.settings import load_settings
from vaelab.sources.prepare import prepare


def main(dataset: str) -> None:
    settings = load_settings().of(dataset)
    meta = prepare(settings)
    counts = ", ".join(f"{count:,} {split}" for split, count in meta.counts.items())
    log.info("%s: %s images of %s", settings.data_dir, counts, "×".join(map(str, meta.shape)))


if __name__ == "__main__":
    run_stage(main, __doc__)
