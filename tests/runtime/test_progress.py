"""What a stage says while it works: lines on a pipe, and a moving bar on a terminal."""

import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
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


COMMAND = [sys.executable, "-c", STAGE, str(SOURCE)]


def test_a_pipe_gets_plain_lines_with_the_time_that_is_left() -> None:
    shown = subprocess.run(COMMAND, capture_output=True, text=True, check=True).stderr
    assert re.fullmatch(LINES + r"\s+", shown)


def test_a_terminal_gets_the_lines_and_a_moving_bar() -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    process = subprocess.Popen(COMMAND, stderr=theirs, env=os.environ | {"TERM": "xterm-256color"})
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(ours, 4096):
            shown += part
    assert process.wait() == 0
    os.close(ours)
    text = shown.decode()
    assert re.search("compare 1/2: encode\r?\n", text)
    assert text.count("compare: encode |") > 3
    assert "compare: measure |" in text
    assert "epoch 1/1" in text
    assert not re.search(r"\x1b\[[0-9;]*m", text)  # no colour
