"""Archives from the network: checked before use, resumed after a break, kept for the next time.

    checksum = fetch(url, downloads_dir() / "cifar10" / "cifar-10-python.tar.gz", checksum="md5:…")

A download grows in NAME.part and gets its name when it is whole and right. One that broke off is
continued only where its checksum is known, which tells whether two versions were joined. `${NAME}`
in an address stands for an environment variable: a key that no file, message or log shows.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import os
import re
import shutil
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from vaelab.data.files import what_it_is
from vaelab.runtime import repository
from vaelab.runtime.errors import UserError, masked
from vaelab.runtime.files import unwritable
from vaelab.sources.transfer import WEB_PAGE, Refused, from_google_drive, over_http

log = logging.getLogger("vaelab")


class Archive(NamedTuple):
    url: str
    target: Path
    checksum: str | None = None  # "md5:…" or "sha256:…"


def downloads_dir() -> Path:
    """Where archives are kept: $VAELAB_DOWNLOADS, or data/downloads in the repository."""
    chosen = os.environ.get("VAELAB_DOWNLOADS")
    return expanded(chosen) if chosen else repository.root() / "data" / "downloads"


def expanded(path: str) -> Path:
    """The path with `~` or `~name` spelled out. Raises UserError where there is no such home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        home = Path(path).parts[0]
        raise UserError(f"{path}: there is no home folder {home} here; correct the path") from None


def checksum_of(path: Path, like: str | None = None) -> str:
    """Such as "sha256:2cf2…", or by the algorithm of another checksum."""
    algorithm = (like or "sha256").partition(":")[0]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return f"{algorithm}:{digest.hexdigest()}"


def verified(path: Path, checksum: str | None) -> str:
    """The file's checksum: the one expected, or its sha256 where none is.

    Raises UserError where the file has another.
    """
    found = checksum_of(path, checksum)
    if checksum not in (None, found):
        what = f"{what}, " if (what := what_it_is(path)) else ""
        raise UserError(
            f"{path} is {what}not the file that was asked for: expected {checksum}, found {found}; "
            "move it away or correct the recipe"
        )
    return found


def fetch(
    url: str,
    target: Path,
    *,
    checksum: str | None = None,
    check: Callable[[Path], object] | None = None,
) -> str:
    """Have the file at `target`, and give its checksum. As fetch_all.

    check: raises UserError where what arrived is not to be kept.
    """
    return fetch_all([Archive(url, target, checksum)], check)[0]


def fetch_all(
    archives: Sequence[Archive], check: Callable[[Path], object] | None = None
) -> list[str]:
    """Have all the files, and give their checksums.

    A file that is already there is used, and never overwritten or deleted. Links to Google Drive
    files go through gdown.

    Raises UserError where one cannot be had, is not the right one, or cannot be written: of the
    files that are there it names all that are wrong, of the others all that are missing.
    """
    found: dict[Path, str] = {}
    wrong = []
    for _, target, checksum in archives:
        try:
            if target.exists():
                found[target] = verified(target, checksum)
        except UserError as error:
            wrong.append(str(error))
        except OSError as error:
            wrong.append(f"{target} cannot be read: {error.strerror or error}")
    if wrong:
        raise UserError("; ".join(wrong))
    for archive in archives:
        try:
            if archive.target not in found:
                found[archive.target] = _have(archive, check)
        except Refused as error:
            missing = [str(each.target) for each in archives if not each.target.exists()]
            many = len(missing) > 1
            raise UserError(
                f"{archive.url} could not be fetched: {error}; put "
                f"{'these files there' if many else 'the file at ' + missing[0]} by hand and run "
                f"again (`make demo` needs no network){': ' + ', '.join(missing) if many else ''}"
            ) from None
        except OSError as error:
            target = archive.target
            reason = unwritable(error, target) or f"{target} cannot be written: {error}"
            raise UserError(reason) from None
    return [found[archive.target] for archive in archives]


def _have(archive: Archive, check: Callable[[Path], object] | None) -> str:
    """Waits for another process that fetches it."""
    target = archive.target
    lock = target.with_name(f".{target.name}.lock")
    with repository.held(lock, f"another process fetches {target}"):
        if target.exists():
            return verified(target, archive.checksum)
        log.info("fetching %s", archive.url)
        return _download(archive, check)


def _download(archive: Archive, check: Callable[[Path], object] | None) -> str:
    """Raises Refused, with nothing left of what is not the file."""
    url, target, checksum = archive
    part = target.with_name(f"{target.name}.part")
    joined = _transferred(url, part, resume=checksum is not None)
    if joined and checksum != checksum_of(part, checksum):
        log.info("%s: two versions were joined; fetching it anew", target.name)
        _transferred(url, part, resume=False)
    try:
        try:
            found = _right(part, checksum, check)
        except Refused:
            if not _unpacked(part):
                raise
            found = _right(part, checksum, check)
    except Refused:
        part.unlink()
        raise
    part.replace(target)
    return found


def _right(part: Path, checksum: str | None, check: Callable[[Path], object] | None) -> str:
    """The checksum. Raises Refused where it is not the file that was asked for."""
    if what := what_it_is(part):
        raise Refused(WEB_PAGE if what == "a web page" else f"what arrived is {what}")
    found = checksum_of(part, checksum)
    if checksum not in (None, found):
        raise Refused(f"what arrived has {found}, expected {checksum}")
    try:
        if check:
            check(part)
    except UserError as error:
        reason = str(error).replace(str(part), part.stem)
        raise Refused(f"what arrived cannot be used: {reason}") from None
    return found


def _unpacked(part: Path) -> bool:
    """Whether it was in gzip, as some servers send what nobody asked them to pack."""
    beside = part.with_suffix(".unpacked")
    try:
        with gzip.open(part) as packed, beside.open("wb") as file:
            shutil.copyfileobj(packed, file)
        beside.replace(part)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        return False
    finally:
        beside.unlink(missing_ok=True)
    return True


def _transferred(url: str, part: Path, *, resume: bool) -> bool:
    """Raises Refused in words that tell no secret; OSError where there is no room."""
    filled, secrets = _filled(url)
    on_drive = filled.startswith("https://drive.google.com/")
    try:
        return (from_google_drive if on_drive else over_http)(filled, part, resume=resume)
    except Refused as error:
        reason = str(error)
        for name, value in secrets.items():
            reason = reason.replace(value, f"${{{name}}}") if value else reason
        raise Refused(masked(reason)) from None
    except OSError:
        if not resume:  # it would start anew
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise


def _filled(url: str) -> tuple[str, dict[str, str]]:
    """The address with the values of its environment variables, and these by name.

    Raises UserError where one is not set.
    """
    names = re.findall(r"\$\{(\w+)\}", url)
    if missing := [name for name in names if name not in os.environ]:
        raise UserError(f"{url}: the environment variable {missing[0]} is not set")
    secrets = {name: os.environ[name] for name in names}
    return re.sub(r"\$\{(\w+)\}", lambda found: secrets[found[1]], url), secrets
