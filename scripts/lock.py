"""Make requirements.lock, or see that it can be relied on.

    python scripts/lock.py              # after a change of pyproject.toml; versions are kept
    python scripts/lock.py --upgrade    # the newest versions
    python scripts/lock.py --check      # writes nothing and downloads no wheel

Needs uv and nothing else of the environment.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path("requirements.lock")
PYTHONS = ("3.11.0", "3.14")  # the oldest and the newest promised
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28", "aarch64-apple-darwin")
MACOS = "14.0"
ONLY_SOURCE = "antlr4-python3-runtime"  # is published without a wheel; pure Python


class LockError(Exception):
    """The message says what is wrong and what to do."""


def make(lock: Path, *options: str) -> None:
    """Write the lock, keeping the versions that the file has where pyproject.toml allows them."""
    _uv(
        "pip", "compile", "pyproject.toml", "--extra", "dev", "--python-version", PYTHONS[0],
        "--universal", "--generate-hashes", "--no-annotate", "--no-emit-index-url",
        "--custom-compile-command", "make lock", "--output-file", str(lock), *options,
    )  # fmt: skip


def check() -> None:
    """Raises LockError where the lock does not follow from pyproject.toml, or cannot be installed
    by one of the promised Pythons on one of the promised platforms.
    """
    with tempfile.TemporaryDirectory() as folder:
        again = Path(shutil.copy(LOCK, folder))
        make(again)
        if again.read_bytes() != LOCK.read_bytes():
            raise LockError(f"{LOCK} does not follow from pyproject.toml; run: make lock")
    for python in PYTHONS:
        for platform in PLATFORMS:
            _would_install(python, platform, "--require-hashes", "--requirements", str(LOCK))
    extras = ("--requirements", "pyproject.toml", "--all-extras", "--constraints", str(LOCK))
    _would_install(PYTHONS[0], PLATFORMS[0], *extras)


def _would_install(python: str, platform: str, *what: str) -> None:
    try:
        _uv(
            "pip", "install", "--dry-run", "--target", tempfile.gettempdir(),
            "--python-version", python, "--python-platform", platform,
            "--only-binary", ":all:", "--no-binary", ONLY_SOURCE, *what,
        )  # fmt: skip
    except LockError as error:
        raise LockError(f"Python {python} on {platform}: {error}") from None


def _uv(*arguments: str) -> None:
    environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": MACOS}
    try:
        done = subprocess.run(
            ["uv", *arguments], env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise LockError("uv is not there; run: pip install uv") from None
    if done.returncode:
        raise LockError(f"uv {' '.join(arguments[:2])} failed:\n{done.stderr.strip()}")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    options = parser.parse_args(arguments)
    try:
        if options.check:
            check()
        else:
            make(LOCK, *(["--upgrade"] if options.upgrade else []))
    except LockError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
