"""`dvc repro` that goes on past a data set that cannot be had, and ends with what was found.

    python scripts/repro.py [patterns of stages, such as '*@shapes'] [options of dvc repro]

Settings and patterns are checked before dvc is started: dvc deletes a stage's outputs before it
runs it, and runs every stage for a pattern that fits none.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vaelab.runtime.errors import UserError
from vaelab.settings import load_settings

DVC = [sys.executable, "-u", "-m", "dvc"]  # -u: its lines come through the pipe as it writes them
INTERRUPTED = 128 + signal.SIGINT
ADVICE = re.compile(
    r"To track the changes with git, run:|\tgit add |To enable auto staging, run:"
    r"|\tdvc config core\.autostage |Use `dvc push` to send"
)


def main(arguments: list[str]) -> int:
    """Returns the exit status of `dvc repro`; 130 where it was interrupted."""
    patterns = [argument for argument in arguments if not argument.startswith("-")]
    options = [argument for argument in arguments if argument.startswith("-")]
    try:
        load_settings()
        targets = chosen(patterns, stage_names()) if patterns else []
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    for old in failures():
        old.unlink()
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _stop)
    start = time.time()
    command = [*DVC, "repro", "--keep-going", *options, *targets]
    # a session of its own: a Ctrl-C that reached the stage alone would make dvc go on to the next
    dvc = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, errors="replace", start_new_session=True
    )
    assert dvc.stdout is not None
    try:
        for line in without_advice(dvc.stdout):
            sys.stdout.write(line)
            sys.stdout.flush()
        status = dvc.wait()
    except KeyboardInterrupt:
        end(dvc)
        sys.stdout.write("\nInterrupted; the same command goes on from here.\n")
        return INTERRUPTED
    sys.stdout.write("\n" + "\n".join(summary(status, pages(start))) + "\n")
    return status


def stage_names() -> list[str]:
    """Such as "compare@shapes", of every stage that dvc.yaml and params.yaml make."""
    listed = subprocess.run(
        [*DVC, "stage", "list", "--name-only"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise UserError(listed.stderr.strip())
    return listed.stdout.split()


def chosen(patterns: list[str], names: list[str]) -> list[str]:
    """The names that fit a pattern, in the order of the pipeline; `compare` stands for `compare@*`.

    Raises UserError where a pattern fits none.
    """
    fitting = {
        pattern: {
            name
            for name in names
            if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}@*")
        }
        for pattern in patterns
    }
    for pattern, found in fitting.items():
        if not found:
            parts = [name.partition("@") for name in names]
            stages = dict.fromkeys(stage for stage, _, _ in parts)
            datasets = dict.fromkeys(dataset for _, _, dataset in parts if dataset)
            raise UserError(
                f"{pattern} fits no stage: there are {', '.join(stages)}, each of them with @ and "
                f"one of {', '.join(datasets)}"
            )
    return [name for name in names if any(name in found for found in fitting.values())]


def without_advice(lines: Iterable[str]) -> Iterator[str]:
    """dvc's lines but those on git and on remotes, and the blank ones before them."""
    blank = ""
    for line in lines:
        if not line.strip():
            blank = line
        elif not ADVICE.match(line):
            yield blank + line
            blank = ""


def end(dvc: subprocess.Popen[str]) -> None:
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


def pages(since: float) -> list[Path]:
    """The reports' pages that were written at `since` or later, in seconds of the clock."""
    found = sorted(Path("reports").glob("*/*"), key=lambda path: (path.suffix, path))  # .html first
    return [
        path for path in found if path.suffix in {".md", ".html"} and path.stat().st_mtime >= since
    ]


def verdict(page: str) -> str:
    """The first paragraph of a page in Markdown, as plain text; "" where there is none."""
    for block in re.split(r"\n\s*\n", page):
        if not block.lstrip().startswith(("#", "|", "!", "<", "```")):
            return plain(block)
    return ""


def plain(markdown: str) -> str:
    """On one line, without emphasis, code marks, links and escapes."""
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", " ".join(markdown.split()))
    text = re.sub(r"(?<![\w\\])([*_]{1,3}|`+)(\S.*?)(?<=\S)\1(?!\w)", r"\2", text)
    return re.sub(r"\\([^\w\s])", r"\1", text)


def summary(status: int, written: list[Path]) -> list[str]:
    """The verdicts, the pages and where all runs are; what is missing and why, if anything is."""
    lines: list[str] = []
    for path in written:
        if path.name == "compare.md":
            said = f"{path.parent.name}: {verdict(path.read_text('utf-8'))}"
            lines += [*textwrap.wrap(said, 100, break_on_hyphens=False), ""]
    verbs = {".html": "Open in a browser:", ".md": "Read"}
    lines += [f"{verbs[path.suffix]} {path}" for path in written] or [
        "No page had to be written anew: reports/"
    ]
    lines.append("See every run: make ui")
    if status:
        lines += ["", "Could not be had:"]
        lines += [f"  {file.stem}: {file.read_text('utf-8').strip()}" for file in failures()]
        if not failures():
            lines.append("  dvc stopped before or between the stages; its message is above")
    return lines


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
