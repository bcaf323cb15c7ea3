"""How a stage script begins and ends: its command line, its messages, its exit status."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vaelab.runtime.errors import UserError, lacks_memory
from vaelab.runtime.threads import use_threads
from vaelab.settings import load_settings

log = logging.getLogger("vaelab")

FAILURES = Path(".vaelab/failures")  # of this workspace: a queued experiment has its own
KILLED = "ended before it could say why: killed, for want of memory perhaps"
OUT_OF_MEMORY = "out of memory; try a smaller batch_size, image_size, limit, count or latent_dim"


def check(description: str | None) -> None:
    """Refuse a wrong command line or params.yaml as `run_stage` does, and choose the threads.

    Before torch is imported: it takes seconds, and then has its threads.
    """

    def prepare(dataset: str) -> None:
        settings = load_settings().of(dataset)
        use_threads(settings.train.threads)

    run_stage(prepare, description)


def run_stage(main: Callable[[str], None], description: str | None) -> None:
    """Call `main` with the data set named on the command line.

    A UserError or a lack of memory ends the process with one line and status 1; Ctrl-C and SIGTERM
    with 130 and 143, after the `finally` blocks on the way. The reason of a failure is kept in
    .vaelab/failures/ for `make repro` to repeat at its end, until the stage succeeds.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="a name under `datasets` in params.yaml")
    dataset = parser.parse_args().dataset
    speak()
    stage = os.environ.get("DVC_STAGE", f"{Path(sys.argv[0]).stem}@{dataset}")
    failure = FAILURES / f"{stage}.txt"
    _keep(failure, KILLED)
    try:
        main(dataset)
    except KeyboardInterrupt:
        failure.unlink(missing_ok=True)
        log.error(
            "%s: interrupted; `dvc repro` runs it again, and training goes on from its last epoch",
            stage,
        )
        raise SystemExit(128 + signal.SIGINT) from None
    except Exception as error:
        if (reason := reason_of(error)) is None:
            _keep(failure, f"{type(error).__name__}: {error}")
            raise
        log.error("%s: %s", stage, reason)
        _keep(failure, reason)
        raise SystemExit(1) from None
    failure.unlink(missing_ok=True)


def speak() -> None:
    """Messages go to the errors' stream, a line each; SIGTERM ends by the `finally` blocks."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _terminated)


def reason_of(error: Exception) -> str | None:
    """What a person can mend, in one line; None where it is a fault of the code."""
    if lacks_memory(error):
        return OUT_OF_MEMORY
    return str(error) if isinstance(error, UserError) else None


def _keep(file: Path, reason: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{reason}\n", encoding="utf-8")


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)
