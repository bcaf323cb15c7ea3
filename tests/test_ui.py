"""`make ui`: what it prints, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import checkout

import ui

SCRIPT = Path(__file__).parents[1] / "scripts" / "ui.py"


def test_an_address_for_each_data_set() -> None:
    lines = ui.listed("http://here", {"shapes": "/#/experiments/1", "faces": "/#/experiments/2"})
    assert lines[1:] == [
        "  shapes: http://here/#/experiments/1",
        "  faces: http://here/#/experiments/2",
    ]
    assert "make demo" in ui.listed("http://here", {})[0]


def test_it_serves_until_ctrl_c(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    unwanted = ("DVC_", "MLFLOW_")
    environment = {key: text for key, text in os.environ.items() if not key.startswith(unwanted)}
    process = subprocess.Popen(
        [sys.executable, SCRIPT, port],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + checkout.PATIENCE
    while not ui.answers(f"http://127.0.0.1:{port}/health"):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, complaints = process.communicate(timeout=checkout.PATIENCE)
    assert (process.returncode, complaints) == (0, "")
    assert said == f"http://127.0.0.1:{port} has no runs yet; `make demo` makes some\n"
    assert not ui.answers(f"http://127.0.0.1:{port}/health")
