"""Archives from the network: checked before use, resumed after a break, kept for the next time.

    checksum = fetch(url, downloads_dir() / "cifar10" / "cifar-10-python.tar.gz", checksum="md5:…")

A download grows in NAME.part and gets its name when it is whole and right. One that broke off is
continued only where its checksum is known, which would tell that two versions had been joined.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import textwrap
import time
from pathlib import Path
from typing import NoReturn

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from vaelab.runtime import repository
from vaelab.runtime.errors import UserError
from vaelab.runtime.progress import bar

log = logging.getLogger("vaelab")

ATTEMPTS = 5
BACKOFF = 1.0  # seconds before the second attempt, doubled before each one after
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
TRY_AGAIN = {408, 416, 429, 500, 502, 503, 504}
PIECE = 2**18  # bytes
WEB_PAGE = "the server answered with a web page instead of the file"


class _Refused(Exception):
    """The file is not to be had; the message says why."""


class _Broken(_Refused):
    """The transfer stopped short; another attempt may go on."""


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
        raise UserError(
            f"{path} is not the file that was asked for: expected {checksum}, found {found}; "
            "move it away or correct the recipe"
        )
    return found


def fetch(url: str, target: Path, *, checksum: str | None = None) -> str:
    """Have the file at `target`, and give its checksum.

    checksum: "md5:…" or "sha256:…". A file that is already there is used, and never overwritten
    or deleted. Links to Google Drive files go through gdown.

    Raises UserError where the file cannot be had, is not the right one, or cannot be written.
    """
    if target.exists():
        return verified(target, checksum)
    lock = target.with_name(f".{target.name}.lock")
    try:
        with repository.held(lock, f"another process fetches {target}"):
            if target.exists():
                return verified(target, checksum)
            log.info("fetching %s", url)
            return _download(url, target, checksum)
    except _Refused as error:
        raise UserError(
            f"{url} could not be fetched: {error}; put the file at {target} by hand and run again "
            "(`make demo` needs no network)"
        ) from None
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from None


def _download(url: str, target: Path, checksum: str | None) -> str:
    part = target.with_name(f"{target.name}.part")
    if url.startswith("https://drive.google.com/"):
        _from_google_drive(url, part)
    else:
        _over_http(url, part, resume=checksum is not None)
    found = checksum_of(part, checksum)
    with part.open("rb") as file:
        begins = file.read(512).lstrip().lower()
    if begins.startswith((b"<!doctype html", b"<html")):
        part.unlink()
        raise _Refused(WEB_PAGE)
    if checksum not in (None, found):
        part.unlink()
        raise _Refused(f"what arrived has {found}, expected {checksum}")
    part.replace(target)
    return found


def _over_http(url: str, part: Path, *, resume: bool) -> None:
    """Bring `part` to its full length, in as many attempts as it takes and ATTEMPTS allows."""
    for attempt in range(ATTEMPTS):
        try:
            return _transfer(url, part, resume=resume)
        except _Broken as error:
            if attempt == ATTEMPTS - 1:
                raise
            log.info("%s: %s; trying again", part.stem, error)
            time.sleep(BACKOFF * 2**attempt)


def _transfer(url: str, part: Path, *, resume: bool) -> None:
    """One attempt. Raises _Broken where another is worth it, _Refused where none is."""
    start = part.stat().st_size if resume and part.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are, so that lengths agree
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if response.status_code == 416:  # what is there is not the beginning of the file
                part.unlink()
            if not response.ok:
                kind = _Broken if response.status_code in TRY_AGAIN else _Refused
                raise kind(f"HTTP {response.status_code} {response.reason}")
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise _Refused(WEB_PAGE)
            if response.status_code != 206:  # the server begins anew
                start = 0
            total = start + int(response.headers.get("Content-Length", 0))
            with part.open("ab" if start else "wb") as file, _progress(part, total) as moving:
                moving.update(start)
                for piece in response.raw.stream(PIECE, decode_content=False):
                    file.write(piece)
                    moving.update(len(piece))
    except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
        inner = error.args[0] if error.args else error
        reason = str(getattr(inner, "reason", inner))
        raise _Broken(_one_line(re.sub(r"^HTTPS?Connection\w*\(.*?\): ", "", reason))) from None
    except requests.RequestException as error:
        raise _Refused(_one_line(error)) from None


def _from_google_drive(url: str, part: Path) -> None:
    """gdown finds its way past Drive's page about large files, and resumes by itself."""
    try:
        import gdown
    except ImportError:
        raise _Refused("gdown, which Google Drive takes, is not installed: make extras") from None

    with _progress(part, 0) as moving:

        def show(done: int, total: int | None) -> None:
            moving.total = total
            moving.update(done - moving.n)

        try:
            gdown.download(
                url, str(part), quiet=True, resume=True, use_cookies=False,
                timeout=TIMEOUT, retries=ATTEMPTS, progress=show,
            )  # fmt: skip
        except gdown.exceptions.FileURLRetrievalError:
            raise _Refused(
                "Google Drive answered with a web page instead of the file, "
                "which is most often its daily quota for it"
            ) from None
        except (gdown.exceptions.DownloadError, requests.RequestException) as error:
            raise _Refused(_one_line(error)) from None


def _progress(part: Path, total: int) -> tqdm[NoReturn]:
    return bar(total or None, part.stem, "B")


def _one_line(error: object) -> str:
    return textwrap.shorten(str(error), 200, placeholder="…")
