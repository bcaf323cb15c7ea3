"""dvc.lock, which DVC writes anew, in its place, after every stage: a stop in that moment leaves it
empty or cut. The last whole one is kept in .vaelab/, and put back where that has happened.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vaelab.runtime.errors import UserError
from vaelab.runtime.files import write_whole

LOCK = Path("dvc.lock")
KEPT = Path(".vaelab/dvc.lock")  # the last whole one
RUNNING = Path(".vaelab/dvc.lock.running")  # the same, while DVC runs: what a killed run leaves
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
REPAIR = (
    "`git checkout dvc.lock` brings back the committed one (without git, remove it), and what was "
    "made since comes out of DVC's cache"
)


def begin() -> None:
    """DVC is about to run, on dvc.lock as it stands."""
    for old in (KEPT, RUNNING):
        old.unlink(missing_ok=True)
    keep()


def keep() -> None:
    """Remember dvc.lock as it stands while DVC runs; not where it is being written."""
    if LOCK.is_file() and not _lost(LOCK.read_bytes(), _kept()):
        write_whole(RUNNING, LOCK.read_bytes())


def close() -> None:
    """DVC has ended by itself: what it wrote is whole, also where it knows less than before."""
    if LOCK.is_file() and _records(LOCK.read_bytes()) is not None:
        write_whole(RUNNING, LOCK.read_bytes())
    if RUNNING.is_file():
        RUNNING.replace(KEPT)


def restored() -> str:
    """What was put back, in a line; "" where there was nothing to mend.

    A readable dvc.lock that lacks what the kept one has at its end is taken for cut only after a
    run that did not end, and not where git has it so: otherwise a person has asked for it.
    Raises UserError where it is cut and nothing is kept.
    """
    if not LOCK.is_file():
        return ""
    now, kept = LOCK.read_bytes(), _kept()
    if _records(now) is not None:
        if not RUNNING.is_file() or not _lost(now, kept) or _is_committed():
            return ""
    elif not kept:
        raise UserError(f"{LOCK} is empty or cut, as by a stop while DVC wrote it; {REPAIR}")
    write_whole(LOCK, kept)
    return f"{LOCK} was cut by a stop while DVC wrote it: the last whole one is put back"


def _kept() -> bytes:
    return next((file.read_bytes() for file in (RUNNING, KEPT) if file.is_file()), b"")


def _lost(now: bytes, kept: bytes) -> bool:
    """Whether `now` is cut: DVC writes from the first record to the last, which alone can lack what
    stands last in it, the outs and the size of each. What stands before may rightly be less.
    """
    found, before = _records(now), _records(kept) or {}
    if found is None or not before.keys() <= found.keys():
        return True
    if not found:
        return False
    name, last = list(found.items())[-1]
    outs = last.get("outs", [])
    if not outs or "size" not in outs[-1]:
        return True
    return _size(outs) < _size(before.get(name, {}).get("outs", []))


def _records(text: bytes) -> Mapping[str, Any] | None:
    """Stage -> its record; None of what DVC could not read, or reads as nothing."""
    try:
        stages: Mapping[str, Any] = yaml.load(text, LOADER)["stages"]
        assert text.endswith(b"\n")
        for record in stages.values():
            assert "cmd" in record
            assert all("path" in file for file in _files(record))
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, AssertionError):
        return None
    return stages


def _files(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*record.get("deps", ()), *record.get("outs", ())]


def _size(tree: Any) -> int:
    """How many values it holds."""
    if isinstance(tree, Mapping):
        return sum(map(_size, tree.values()))
    return sum(map(_size, tree)) if isinstance(tree, list) else 1


def _is_committed() -> bool:
    """Whether it is the file of git's last commit."""
    try:
        answers = [
            subprocess.run(["git", *command], capture_output=True, check=False)
            for command in (["rev-parse", f"HEAD:./{LOCK}"], ["hash-object", str(LOCK)])
        ]
    except OSError:
        return False
    committed, present = answers
    return committed.returncode == 0 and committed.stdout == present.stdout
