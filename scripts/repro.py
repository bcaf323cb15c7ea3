"""`dvc repro` that goes on past a data set that cannot be had, and names it at the end.

    python scripts/repro.py [arguments of dvc repro, such as --glob '*@shapes']

Settings are checked before dvc is started, as dvc deletes a stage's outputs before it runs it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vaelab.runtime.errors import UserError
from vaelab.settings import load_settings

INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str]) -> int:
    """Returns the exit status of `dvc repro`; 130 where it was interrupted."""
    try:
        load_settings()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for old in failures():
        old.unlink()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _stop)
    command = [sys.executable, "-m", "dvc", "repro", "--keep-going", *arguments]
    # a session of its own: a Ctrl-C that reached the stage alone would make dvc go on to the next
    dvc = subprocess.Popen(command, start_new_session=True)
    try:
        status = dvc.wait()
    except KeyboardInterrupt:
        end(dvc)
        sys.stdout.write("\nInterrupted; the same command goes on from here.\n")
        return INTERRUPTED
    sys.stdout.write("\n" + "\n".join(summary(status)) + "\n")
    return status


def end(dvc: subprocess.Popen[bytes]) -> None:
    """End dvc and its stage, and wait until the stage has put its things away."""
    os.killpg(dvc.pid, signal.SIGTERM)
    dvc.wait()
    while _alive(dvc.pid):
        time.sleep(0.1)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def failures() -> list[Path]:
    """The reasons of failures, a file for each stage; written by src/stages/stage.py."""
    return sorted(Path(".vaelab/failures").glob("*.txt"))


def summary(status: int) -> list[str]:
    """What to read, and, unless the status is 0, what is missing and why."""
    lines = [f"Read {path}" for path in sorted(Path("reports").glob("*/compare.md"))]
    if lines:
        lines.append("See every run: make ui")
    if status:
        lines += ["", "Could not be had:"]
        lines += [f"  {file.stem}: {file.read_text('utf-8').strip()}" for file in failures()]
        if not failures():
            lines.append("  dvc stopped before or between the stages; its message is above")
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
