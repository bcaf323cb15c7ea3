"""MLflow's UI on this project's store, with an address for each data set; Ctrl-C ends it.

python scripts/ui.py 5000
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError, masked

QUIET = ["--uvicorn-opts", "--log-level warning"]  # no line for each request
LOG = Path(".vaelab/ui.log")  # what the server says


def main(port: str = "5000") -> int:
    try:
        views = tracking.views()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if tracking.uri().startswith("http"):  # a server that is there already
        sys.stdout.write("\n".join(listed(masked(tracking.uri()).rstrip("/"), views)) + "\n")
        return 0
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ
    server = ["server", "--workers", "1", "--port", port, "--backend-store-uri", tracking.uri()]
    # a session of its own: Ctrl-C reaches this process alone, which then ends the server
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *server, *QUIET],
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        while not answers(f"{address}/health"):
            if process.poll() is not None:
                sys.stderr.write(LOG.read_text(errors="replace"))
                return 1
            time.sleep(0.2)
        sys.stdout.write("\n".join(listed(address, views)) + "\n")
        sys.stdout.flush()
        process.wait()
        sys.stderr.write(f"The server has ended; {LOG} says why\n")
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _end(process)


def listed(address: str, views: dict[str, str]) -> list[str]:
    """What is printed once the server answers."""
    if not views:
        return [f"{address} has no runs yet; `make demo` makes some"]
    return [
        "Training runs, the best first:",
        *(f"  {dataset}: {address}{view}" for dataset, view in views.items()),
    ]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server and its workers."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
