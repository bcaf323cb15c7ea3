"""What a stage says while it works: lines on a pipe, and a moving bar on a terminal."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
STAGE = """
import logging, sys, time
sys.path.insert(0, sys.argv[1])
from vaelab.runtime import progress
progress.REFRESH = 0.02
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
with progress.steps("compare", {"encode": 1, "measure": 3}) as step:
    step("encode")
    time.sleep(0.5)
    step("measure")
    time.sleep(0.2)
with progress.bar(2, "epoch 1/1", "img") as bar:
    bar.update(1)
"""
LINES = r"compare 1/2: encode\s+compare 2/2: measure, about [12] s left\s+compare: done in \d+ s"


def on_a_pipe() -> str:
    command = [sys.executable, "-c", STAGE, str(SOURCE)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def on_a_terminal(**environment: str) -> str:
    command = [sys.executable, "-c", STAGE, str(SOURCE)]
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(command, stderr=theirs, env=os.environ | environment)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    assert process.wait() == 0
    os.close(ours)
    return shown.decode()


def test_a_pipe_gets_plain_lines_with_the_time_that_is_left() -> None:
    assert re.fullmatch(LINES + r"\s+", on_a_pipe())


def test_a_terminal_gets_the_lines_and_a_moving_bar() -> None:
    shown = on_a_terminal(TERM="xterm")
    assert re.search("compare 1/2: encode\r?\n", shown)
    assert shown.count("compare: encode |") > 3
    assert "compare: measure |" in shown
    assert "epoch 1/1" in shown


def test_no_colour_is_asked_for() -> None:
    for environment in ({}, {"NO_COLOR": "1"}):
        shown = on_a_terminal(TERM="xterm-256color", **environment)
        assert not re.search(r"\x1b\[[0-9;]*m", shown)
