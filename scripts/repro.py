"""`dvc repro` that goes on past a data set that cannot be had, and names it at the end.

python scripts/repro.py [arguments of dvc repro, such as --glob '*@shapes']
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

FAILURES = Path(".vaelab/failures")  # written by src/stages/stage.py


def main(arguments: list[str]) -> int:
    """Returns the exit status of `dvc repro`."""
    for old in FAILURES.glob("*.txt"):
        old.unlink()
    signal.signal(signal.SIGINT, _left_to_dvc)
    command = [sys.executable, "-m", "dvc", "repro", "--keep-going", *arguments]
    status = subprocess.Popen(command).wait()
    sys.stdout.write("\n" + "\n".join(summary(status)) + "\n")
    return status


def _left_to_dvc(signum: int, frame: FrameType | None) -> None:
    """Ctrl-C reaches dvc and the stage too; wait until they have put their things away."""


def summary(status: int) -> list[str]:
    """What to read, and, unless the status is 0, what is missing and why."""
    lines = [f"Read {path}" for path in sorted(Path("reports").glob("*/compare.md"))]
    if lines:
        lines.append("See every run: make ui")
    if status:
        reasons = {file.stem: file.read_text("utf-8").strip() for file in FAILURES.glob("*.txt")}
        lines += ["", "Could not be had:"]
        lines += [f"  {stage}: {reason}" for stage, reason in sorted(reasons.items())]
        if not reasons:
            lines.append("  dvc stopped before or between the stages; its message is above")
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
