"""Files that are whole or not there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from vaelab.runtime.errors import UserError


def write_whole(path: Path, content: bytes) -> None:
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
