"""One file from the network into a file that grows: over HTTP, or from Google Drive.

    joined = over_http(url, part, resume=True)

What arrives is as long as the server said, and in time; whether it is the right file is for
fetch.py to see.
"""

from __future__ import annotations

import logging
import re
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import NoReturn

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from vaelab.runtime.progress import bar

log = logging.getLogger("vaelab")

ATTEMPTS = 5
BACKOFF = 1.0  # seconds before the second attempt, doubled before each one after
LONGEST_WAIT = 120.0  # seconds that a server may ask for
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces
PATIENCE, SLOWEST = 60.0, 1000  # seconds in which SLOWEST bytes each have to arrive on average
TRY_AGAIN = {408, 416, 429, 500, 502, 503, 504}
PIECE = 2**18  # bytes
WEB_PAGE = "the server answered with a web page instead of the file"
IN_WORDS = {
    "[Pp]roxy": "the proxy that the environment names cannot be reached",
    "Failed to resolve|getaddrinfo|Name or service|unreachable|No route": (
        "there is no network here, or no host of that name"
    ),
    "refused": "the host refuses the connection",
    "timed out": "the host does not answer in time",
}


class Refused(Exception):
    """The file is not to be had; the message says why."""


class Broken(Refused):
    """The transfer stopped short; another attempt may go on, after `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def over_http(url: str, part: Path, *, resume: bool) -> bool:
    """Bring `part` to its full length, in as many attempts as it takes and ATTEMPTS allows.

    resume: go on from what is there. Returns whether it did.
    """
    joined = False
    for attempt in range(ATTEMPTS):
        start = part.stat().st_size if resume and part.exists() else 0
        joined |= start > 0
        try:
            _transfer(url, part, start)
            return joined
        except Broken as error:
            if attempt == ATTEMPTS - 1:
                raise
            if error.wait > LONGEST_WAIT:
                raise Refused(f"{error}; the server asks to wait {error.wait:.0f} s") from None
            log.info("%s: %s; trying again", part.stem, error)
            time.sleep(max(error.wait, BACKOFF * 2**attempt))
    raise AssertionError("unreachable")


def _transfer(url: str, part: Path, start: int) -> None:
    """One attempt. Raises Broken where another is worth it, Refused where none is."""
    headers = {"Accept-Encoding": "identity"}  # the bytes as they are, so that lengths agree
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start, total = _announced(response, part, start)
            with part.open("ab" if start else "wb") as file, _progress(part, total) as moving:
                moving.update(start)
                for piece in _pieces(response):
                    file.write(piece)
                    moving.update(len(piece))
    except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
        raise Broken(in_words(error)) from None
    except (requests.RequestException, ValueError) as error:  # also an address that cannot be
        raise Refused(in_words(error)) from None
    if part.stat().st_size < (total or 0):
        raise Broken("the file is cut short")


def _announced(response: requests.Response, part: Path, start: int) -> tuple[int, int | None]:
    """Where what comes belongs, and how long the file then is, where it is said.

    Raises Broken or Refused where what comes is not the file, or not the part that was asked for.
    """
    if response.status_code == 416:  # what is there is not the beginning of the file
        part.unlink()
    if not response.ok:
        reason = f"HTTP {response.status_code} {response.reason}"
        if response.status_code in TRY_AGAIN:
            raise Broken(reason, _seconds(response.headers.get("Retry-After", "")))
        raise Refused(reason)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise Refused(WEB_PAGE)
    if response.status_code != 206:  # the server begins anew
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    sent = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if not sent or int(sent[1]) != start:
        part.unlink(missing_ok=True)
        raise Broken("the server sent another part of the file than was asked for")
    return start, int(sent[2]) if sent[2].isdecimal() else None


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """What comes, as it comes. Raises Broken where it comes too slowly."""
    since, moved = time.monotonic(), 0
    while piece := response.raw.read1(PIECE, decode_content=False):
        yield piece
        moved += len(piece)
        if (seconds := time.monotonic() - since) >= PATIENCE:
            if moved < SLOWEST * seconds:
                raise Broken(f"only {moved / seconds:.0f} bytes a second arrive")
            since, moved = time.monotonic(), 0


def _seconds(retry_after: str) -> float:
    """Of the header: seconds, or a date; 0 where it is neither."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def from_google_drive(url: str, part: Path, *, resume: bool) -> bool:
    """gdown finds its way past Drive's page about large files. As over_http."""
    try:
        import gdown
    except ImportError:
        raise Refused("gdown, which Google Drive takes, is not installed: make extras") from None

    joined = resume and part.exists()
    with _progress(part, 0) as moving:

        def show(done: int, total: int | None) -> None:
            moving.total = total
            moving.update(done - moving.n)

        try:
            gdown.download(
                url, str(part), quiet=True, resume=resume, use_cookies=False,
                timeout=TIMEOUT, retries=ATTEMPTS, progress=show,
            )  # fmt: skip
        except gdown.exceptions.FileURLRetrievalError:
            raise Refused(
                "Google Drive answered with a web page instead of the file, "
                "which is most often its daily quota for it"
            ) from None
        except (gdown.exceptions.DownloadError, requests.RequestException) as error:
            raise Refused(in_words(error)) from None
    return joined


def _progress(part: Path, total: int | None) -> tqdm[NoReturn]:
    return bar(total or None, part.stem, "B")


def in_words(error: object) -> str:
    """One plain line of what the libraries nest."""
    text = str(error)
    for pattern, words in IN_WORDS.items():
        if re.search(pattern, text):
            return words
    inner = error.args[0] if isinstance(error, Exception) and error.args else error
    reason = re.sub(r"^HTTPS?Connection\w*\(.*?\): ", "", str(getattr(inner, "reason", inner)))
    return textwrap.shorten(reason, 200, placeholder="…")
