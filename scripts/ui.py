"""MLflow's UI on this project's store; ends with Ctrl-C.

    python scripts/ui.py 5000

Prints an address for each data set once the server answers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError

QUIET = ["--uvicorn-opts", "--log-level warning"]  # no line for each request


def main(port: str) -> int:
    try:
        views = tracking.views()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ
    server = ["server", "--workers", "1", "--port", port, "--backend-store-uri", tracking.uri()]
    # a session of its own: Ctrl-C reaches this process alone, which then ends the server
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", *server, *QUIET], env=environment, start_new_session=True
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(f"{address}/health"):
            if process.poll() is not None:
                return process.returncode
            time.sleep(0.2)
        sys.stdout.write("\n".join(listed(address, views)) + "\n")
        sys.stdout.flush()
        return process.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _end(process)


def listed(address: str, views: dict[str, str]) -> list[str]:
    """What is printed once the server answers."""
    if not views:
        return [f"{address} has no runs yet; `make demo` makes some"]
    return [
        "Training runs, the best first; Ctrl-C ends the server",
        *(f"  {dataset}: {address}{view}" for dataset, view in views.items()),
    ]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """The server and its workers."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
