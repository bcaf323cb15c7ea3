"""Text for a terminal, and files that are whole or not there."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from vaelab.runtime.errors import UserError


def printable(text: str) -> str:
    """One line: a file's name may hold line breaks and bytes that are no text."""
    return "".join(each if each.isprintable() else "?" for each in text)


def complain(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")


def write(path: Path, content: bytes) -> None:
    """All of it or nothing; a file that is there is replaced, a folder that is not is made.

    Raises UserError where it cannot be written.
    """
    target = path.resolve()
    partial = target.with_name(f".vaelab-{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
