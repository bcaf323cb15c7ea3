"""Files that are whole or not there, and what is said where one cannot be written."""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from vaelab.runtime.errors import UserError

PLACES = (".vaelab", "data", "models", "samplers", "metrics", "reports", "mlartifacts", ".")
DISK = {  # what a disk, and not the code, may answer
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ENOTDIR")
}
IN_WORDS = re.compile(  # NumPy's, safetensors' and SQLite's, which have no number
    r"\d+ requested and \d+ written|No space left|Read-only file system|disk is full|File too large"
    r"|readonly database"
)


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
        raise UserError(
            unwritable(error, path) or f"{path} cannot be written: {error.strerror}"
        ) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def unwritable(error: BaseException | None, path: Path | None = None) -> str | None:
    """One line: what could not be written or read, why, and how much room is there.

    None where the disk is not at fault. Without a path in the error it is the fullest of PLACES.
    """
    while error and not (_number(error) in DISK or IN_WORDS.search(str(error))):
        error = error.__cause__ or error.__context__
    if not error:
        return None
    named = path or getattr(error, "filename", None)
    here = [Path(each) for each in PLACES if Path(each).exists()]
    where = Path(os.fsdecode(named)) if named else min(here, key=_free)
    why = getattr(error, "strerror", None) or "the disk is full or read-only"
    what = (
        "cannot be used" if _number(error) in (errno.EACCES, errno.EPERM) else "cannot be written"
    )
    return f"{where} {what}: {why}; {_free(where) / 1e6:,.0f} MB are free there"


def _number(error: BaseException) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _free(path: Path) -> int:
    """Bytes on the disk of a path, which need not exist."""
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
