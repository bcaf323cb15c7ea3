"""`dvc repro` that goes on past a data set that cannot be had, and ends with what was found.

    python scripts/repro.py [patterns of stages, such as '*@shapes'] [options of dvc repro]

Settings, patterns, MLflow's store, the device and the files that the settings name are checked
before dvc is started: dvc deletes a stage's outputs before it runs it, and runs every stage for a
pattern that fits none.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import dropwhile
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import NoReturn

from filelock import FileLock, Timeout

import dvc_lock
from vaelab.runtime.errors import UserError
from vaelab.runtime.files import unwritable
from vaelab.settings import Settings, load_settings

DVC = [sys.executable, "-u", "-m", "dvc"]  # -u: its lines come through the pipe as it writes them
INTERRUPTED = 128 + signal.SIGINT
GOES_ON = "the same command goes on from here"
ALONE = Path(".vaelab/repro.lock")  # held while this runs
NO_GIT = "[core]\n    no_scm = true\n"  # of .dvc/config.local
STAGE = re.compile(r"Running stage '|Stage '")  # dvc has written dvc.lock for the one before
ADVICE = re.compile(
    r"To track the changes with git, run:|\tgit add |To enable auto staging, run:"
    r"|\tdvc config core\.autostage |Use `dvc push` to send"
)


def main(arguments: list[str]) -> int:
    """Returns the exit status of `dvc repro`; 130 where it was interrupted."""
    try:
        with FileLock(ALONE, timeout=0):
            return run(arguments)
    except Timeout:
        said = "Another `make` or repro.py is at work in this folder; wait for it, or end it"
    except OSError as error:
        if not (reason := unwritable(error)):
            raise
        said = reason
    sys.stderr.write(f"{said}\n")
    return 1


def run(arguments: list[str]) -> int:
    """As `main`, alone in this folder."""
    patterns = [argument for argument in arguments if not argument.startswith("-")]
    options = [argument for argument in arguments if argument.startswith("-")]
    try:
        settings = load_settings()
        tell(without_git(), dvc_lock.restored())
        names = stage_names()
        targets = chosen(patterns, names) if patterns else []
        check_first(settings, targets or names, names, options)
        dvc_lock.begin()
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    for old in failures():
        old.unlink()
    before = pages()
    status = repro([*options, *targets])
    if status:
        tell(dvc_lock.restored())
    if status < 0:
        tell(f"dvc was killed (signal {-status}); {GOES_ON}")
        return 128 - status
    dvc_lock.close()
    if status == INTERRUPTED:
        tell(f"\nInterrupted; {GOES_ON}.")
        return INTERRUPTED
    written = [path for path, state in pages().items() if before.get(path) != state]
    sys.stdout.write("\n" + "\n".join(summary(status, written)) + "\n")
    return status


def repro(arguments: list[str]) -> int:
    """The exit status of `dvc repro`, whose lines are passed on; below 0 the signal that killed it.

    Where it does not end by itself, it is ended with its stage.
    """
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _stop)
    # a session of its own: a Ctrl-C that reached the stage alone would make dvc go on to the next
    dvc = subprocess.Popen(
        [*DVC, "repro", "--keep-going", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    assert dvc.stdout is not None
    Thread(target=_outlive, args=(dvc,), daemon=True).start()
    try:
        for line in without_advice(dvc.stdout):
            sys.stdout.write(line)
            sys.stdout.flush()
            if STAGE.match(line):
                dvc_lock.keep()
        status = dvc.wait()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:  # nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = INTERRUPTED
    if status < 0 or status == INTERRUPTED:
        end(dvc)
    return status


def tell(*lines: str) -> None:
    """Those that are not empty."""
    sys.stdout.write("".join(f"{line}\n" for line in lines if line))
    sys.stdout.flush()


def without_git() -> str:
    """Let dvc do without git where there is none, as in a downloaded archive; says so.

    Back to git where there is one again.
    """
    root, own = Path.cwd(), Path(".dvc/config.local")
    in_git = any((folder / ".git").exists() for folder in (root, *root.parents))
    configs = [file.read_text() for file in (Path(".dvc/config"), own) if file.is_file()]
    if own.is_file() and own.read_text() == NO_GIT and in_git:
        own.unlink()
    elif not in_git and configs and not any("no_scm" in text for text in configs):
        with own.open("a") as file:
            file.write(NO_GIT)
        return "This folder is in no git repository: dvc does without (after `git init`, with it)"
    return ""


def stage_names() -> list[str]:
    """Such as "compare@shapes", of every stage that dvc.yaml and params.yaml make."""
    return asked("stage", "list", "--name-only").split()


def asked(*command: str) -> str:
    """What a command of dvc's answers. Raises UserError, one line, where it fails."""
    answer = subprocess.run([*DVC, *command], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise UserError(f"dvc: {' '.join(answer.stderr.split()).removeprefix('ERROR: ')}")
    return answer.stdout


def check_first(
    settings: Settings, targets: Sequence[str], names: Sequence[str], options: Sequence[str] = ()
) -> None:
    """Raises UserError with what a stage would refuse, of those that would be run.

    names: of all stages, in the pipeline's order. options: of dvc repro.
    """
    before = [] if {"-s", "--single-item"} & {*options} else ["--with-deps"]
    changed = {*json.loads(asked("status", "--json", *before, *targets))}
    if {"-f", "--force"} & {*options}:
        changed |= {*targets}
    if not changed:
        return
    from vaelab.checks import check  # MLflow is imported, in seconds

    for dataset in settings.datasets:
        own = [name for name in names if name.endswith(f"@{dataset}")]
        own = [name for name in own if name in changed or name in targets]
        run = [name.partition("@")[0] for name in dropwhile(lambda n: n not in changed, own)]
        check(settings.of(dataset), run)


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
    """End dvc and its stage, and wait until the stage has put its things away.

    A second Ctrl-C ends them at once.
    """
    try:
        _signal(dvc, signal.SIGTERM)
        dvc.wait()
        while _signal(dvc, 0):
            time.sleep(0.1)
    except KeyboardInterrupt:
        _signal(dvc, signal.SIGKILL)


def _signal(dvc: subprocess.Popen[str], signum: int) -> bool:
    """To dvc and what it started; whether anything of it is there."""
    try:
        os.killpg(dvc.pid, signum)
    except ProcessLookupError:
        return False
    return True


def _outlive(dvc: subprocess.Popen[str]) -> None:
    """Where dvc alone is killed, end its stage, which would hold the pipe open, and go on."""
    if dvc.wait() < 0:
        _signal(dvc, signal.SIGTERM)


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def failures() -> list[Path]:
    """The reasons of failures, a file for each stage; written by src/vaelab/runtime/stage.py."""
    return sorted(Path(".vaelab/failures").glob("*.txt"))


def pages() -> dict[Path, tuple[int, int]]:
    """The reports' pages, .html first, with what tells whether one has been written anew."""
    found = sorted(Path("reports").glob("*/*"), key=lambda path: (path.suffix, path))
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in found
        if path.suffix in {".md", ".html"}
    }


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
        "No page has changed: reports/"
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
