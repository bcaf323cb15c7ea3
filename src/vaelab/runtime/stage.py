"""How a stage script begins and ends: its command line, its messages, its exit status."""

from __future__ import annotations

import argparse
import atexit
import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, NoReturn

import psutil

from vaelab.runtime.errors import UserError, lacks_memory, masked
from vaelab.runtime.files import unwritable
from vaelab.runtime.threads import use_threads
from vaelab.settings import load_settings

log = logging.getLogger("vaelab")

FAILURES = Path(".vaelab/failures")  # of this workspace: a queued experiment has its own
LOOK = 0.5  # seconds between two looks at whether dvc is there
KILLED = "ended before it could say why: killed, for want of memory perhaps"
OUT_OF_MEMORY = "out of memory; try a smaller batch_size, image_size, limit, count or latent_dim"


def check(description: str | None) -> None:
    """Refuse a wrong command line or params.yaml as `run_stage` does, and choose the threads.

    Before torch is imported: it takes seconds, and then has its threads.
    """

    def prepare(dataset: str) -> None:
        settings = load_settings().of(dataset)
        use_threads(settings.train.threads)
        end_with_dvc()

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
        _forget(failure)
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
    _forget(failure)
    atexit.register(_ignore_endings)  # all is done, and Python's own end is short


def _ignore_endings() -> None:
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)


def speak() -> None:
    """Messages go to the errors' stream, a line each, tracebacks too, and neither with a password.

    SIGTERM, and SIGHUP where it is not ignored, end by the `finally` blocks.
    """
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    log.setLevel(logging.INFO)
    sys.excepthook = _masked_traceback
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, _terminated)


def end_with_dvc() -> None:
    """End this stage, as by SIGTERM, when the dvc that started it is gone.

    Nothing would record what it makes, and the next dvc would start the same stage beside it.
    """
    ancestors = psutil.Process().parents() if "DVC_STAGE" in os.environ else []
    for process in ancestors:
        with suppress(psutil.Error):
            if any("dvc" in Path(word).parts for word in process.cmdline()[:4]):
                Thread(target=_outlived, args=(process,), daemon=True).start()
                return


def _outlived(dvc: psutil.Process) -> None:
    with suppress(psutil.Error):
        while dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
            time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


def reason_of(error: Exception) -> str | None:
    """What a person can mend, in one line; None where it is a fault of the code."""
    if lacks_memory(error):
        return OUT_OF_MEMORY
    return masked(str(error)) if isinstance(error, UserError) else unwritable(error)


def _keep(file: Path, reason: str) -> None:
    with suppress(OSError):  # it is said on the errors' stream anyway
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{masked(reason)}\n", encoding="utf-8")


def _forget(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)


def _masked_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    sys.stderr.write(masked("".join(traceback.format_exception(kind, error, trace))))


def _terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)
