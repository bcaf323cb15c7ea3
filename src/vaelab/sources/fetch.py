"""Archives from the network: checked before use, resumed after a break, kept for the next time.

    checksum = fetch(url, downloads_dir() / "cifar10" / "cifar-10-python.tar.gz", checksum="md5:…")

A download grows in NAME.part and is renamed when it is whole and right. NAME.part.etag holds what
identifies the version on the server, so that two versions are never joined.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from vaelab.runtime import repository
from vaelab.runtime.errors import UserError

log = logging.getLogger(__name__)

ATTEMPTS = 4  # in a row without a byte of progress
BACKOFF = 1.0  # seconds before the second attempt, doubled before each one after
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
TRY_AGAIN = {408, 429, 500, 502, 503, 504}
PIECE = 2**18  # bytes


class _Refused(Exception):
    """The file is not to be had; the message says why."""


class _Broken(Exception):
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


def checksum_of(path: Path, algorithm: str = "sha256") -> str:
    """Such as "sha256:2cf2…"."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
    return f"{algorithm}:{digest}"


def verified(path: Path, checksum: str | None) -> str:
    """The file's checksum: the one expected, or its sha256 where none is.

    Raises UserError where the file has another.
    """
    found = checksum_of(path, _algorithm(checksum))
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
    try:
        with _only_one(target):
            if target.exists():
                return verified(target, checksum)
            found = _download(url, target, checksum)
    except _Refused as error:
        raise UserError(
            f"{url} could not be fetched: {error}; put the file at {target} by hand and run again "
            "(`make demo` needs no network)"
        ) from None
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from None
    return found


def _download(url: str, target: Path, checksum: str | None) -> str:
    part = target.with_name(f"{target.name}.part")
    validator = target.with_name(f"{target.name}.part.etag")
    if url.startswith("https://drive.google.com/"):
        _from_google_drive(url, part)
    else:
        _over_http(url, part, validator, can_check=checksum is not None)
    found = checksum_of(part, _algorithm(checksum))
    validator.unlink(missing_ok=True)
    if _is_web_page(part):
        part.unlink()
        raise _Refused("the server answered with a web page instead of the file")
    if checksum not in (None, found):
        part.unlink()
        raise _Refused(f"what arrived has {found}, expected {checksum}")
    part.replace(target)
    return found


def _over_http(url: str, part: Path, validator: Path, *, can_check: bool) -> None:
    """Bring `part` to its full length, in as many attempts as keep making progress."""
    best, failures = _size(part), 0
    while True:
        try:
            return _transfer(url, part, validator, can_check=can_check)
        except _Broken as error:
            failures = 1 if _size(part) > best else failures + 1
            best = max(best, _size(part))
            if failures >= ATTEMPTS:
                raise _Refused(f"{error} ({ATTEMPTS} attempts)") from None
            log.info("%s: %s; trying again", part.stem, error)
            time.sleep(BACKOFF * 2 ** (failures - 1))
        except requests.RequestException as error:
            raise _Refused(_one_line(error)) from None


def _transfer(url: str, part: Path, validator: Path, *, can_check: bool) -> None:
    """One attempt. Raises _Broken where another is worth it, _Refused where none is.

    What is there is continued only where a join of two versions would be noticed: by the server,
    which is told which version it was, or by the checksum.
    """
    version = validator.read_text() if validator.exists() else ""
    start = _size(part) if version or can_check else 0
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are, so that lengths agree
    if start:
        headers["Range"] = f"bytes={start}-"
        if version:
            headers["If-Range"] = version
    with (
        _plain_connection_errors(),
        requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response,
    ):
        length = int(response.headers.get("Content-Length", 0))
        content_range = response.headers.get("Content-Range", "")
        if response.status_code in TRY_AGAIN:
            raise _Broken(f"HTTP {response.status_code} {response.reason}")
        if response.status_code == 416 and start:
            if content_range == f"bytes */{start}":
                return
            part.unlink()
            raise _Broken("what was there is not the beginning of the file")
        if response.status_code not in (200, 206):
            raise _Refused(f"HTTP {response.status_code} {response.reason}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise _Refused("the server answered with a web page instead of the file")
        if response.status_code == 200:
            start = 0
        elif not content_range.startswith(f"bytes {start}-"):
            part.unlink()
            raise _Broken("the server sent another range than was asked for")
        validator.write_text(_version(response))
        with (
            part.open("ab" if start else "wb") as file,
            _progress(part.stem, start, start + length if length else None) as progress,
        ):
            for piece in response.raw.stream(PIECE, decode_content=False):
                file.write(piece)
                progress.update(len(piece))


def _version(response: requests.Response) -> str:
    """What If-Range may name: a strong ETag, or else the date of the last change."""
    etag = response.headers.get("ETag", "W/")
    return response.headers.get("Last-Modified", "") if etag.startswith("W/") else etag


@contextmanager
def _plain_connection_errors() -> Iterator[None]:
    """Connection errors of requests, and of urllib3 while the body is read, as _Broken."""
    try:
        yield
    except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
        inner = error.args[0] if error.args else error
        cause = getattr(inner, "reason", inner)
        match cause:
            case NameResolutionError():
                reason = "the host's name cannot be resolved (is there a network?)"
            case NewConnectionError():
                reason = f"the host cannot be reached ({str(cause).rsplit(': ', 1)[-1]})"
            case _ if isinstance(error, requests.Timeout):
                reason = "the host does not answer"
            case _:
                reason = f"the connection broke ({_one_line(cause)})"
        raise _Broken(reason) from None


def _from_google_drive(url: str, part: Path) -> None:
    """gdown finds its way past Drive's page about large files, and resumes by itself."""
    try:
        import gdown
    except ImportError:
        raise _Refused("gdown, which Google Drive takes, is not installed: make extras") from None

    with _progress(part.stem, 0, None) as progress:

        def show(done: int, total: int | None) -> None:
            progress.total = total
            progress.update(done - progress.n)

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


@contextmanager
def _only_one(target: Path) -> Iterator[None]:
    """Keep a second process from fetching the same file at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process, which is fetching %s", target)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _progress(name: str, start: int, total: int | None) -> tqdm[NoReturn]:
    """A bar, on a terminal only."""
    return tqdm(
        desc=name, initial=start, total=total, unit="B", unit_scale=True, leave=False, disable=None
    )


def _is_web_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(512).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _algorithm(checksum: str | None) -> str:
    return "sha256" if checksum is None else checksum.partition(":")[0]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _one_line(error: object) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:199] + "…"
