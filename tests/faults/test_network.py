"""Servers and networks that fail, each in a way of its own: the file comes whole and right, or a
line says why not. Nothing else gets its name, and a later run has the file, once a server works.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from vaelab.data.files import check_whole
from vaelab.runtime.errors import UserError
from vaelab.sources import transfer
from vaelab.sources.fetch import fetch

NOISE = np.random.default_rng(0).bytes(60_000)


def a_zip(content: bytes = NOISE) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.png", content)
    return file.getvalue()


def a_tar(mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name in ("1.png", "2.png"):
            member = tarfile.TarInfo(name)
            member.size = len(NOISE)
            archive.addfile(member, io.BytesIO(NOISE))
    return file.getvalue()


ZIP, OTHER, TAR, TGZ = a_zip(), a_zip(NOISE[::-1]), a_tar(), a_tar("w:gz")
MEMBER = 512 + 60_416  # bytes of TAR up to its second header
PAGE = b"<!DOCTYPE html><title>log in</title>"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# --- a server that sends what it is told ---------------------------------------------------------

Answer = Callable[[socket.socket, int], None]  # connection, first byte asked for


def answer(
    body: bytes = ZIP,
    *headers: str,
    status: str = "200 OK",
    length: object = "right",
    sent: int | None = None,
    pause: float = 0.0,
    ranges: bool = True,
) -> Answer:
    """sent: bytes after which the connection ends; pause: seconds between two bytes."""

    def send(connection: socket.socket, start: int) -> None:
        rest, line, more = body, status, list(headers)
        if start and ranges and status == "200 OK":
            line, rest = "206 Partial Content", body[start:]
            more.append(f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}")
        told = len(rest) if length == "right" else length
        if told is not None:
            more.append(f"Content-Length: {told}")
        connection.sendall(
            "\r\n".join([f"HTTP/1.1 {line}", *more, "Connection: close", "", ""]).encode()
        )
        for at in range(0, len(rest[:sent]), 1 if pause else 2**20):
            connection.sendall(rest[:sent][at : at + (1 if pause else 2**20)])
            time.sleep(pause)

    return send


def raw(data: bytes) -> Answer:
    return lambda connection, start: connection.sendall(data)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> Answer:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end)


class Server:
    """Answers one connection after the other; the last answer is that of all further ones."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/p.zip"
        self.answers: list[Answer] = []
        self.asked = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            request = b""
            while b"\r\n\r\n" not in request:
                if not (more := connection.recv(4096)):
                    return
                request += more
            start = request.partition(b"Range: bytes=")[2].partition(b"-")[0]
            send = self.answers[min(self.asked, len(self.answers) - 1)]
            self.asked += 1
            with suppress(OSError):  # the client has gone
                send(connection, int(start or 0))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)
    monkeypatch.setattr(transfer, "TIMEOUT", (1.0, 0.3))
    monkeypatch.setattr(transfer, "PATIENCE", 0.2)
    monkeypatch.setenv("NO_PROXY", "*")
    started = Server()
    yield started
    started.socket.close()


# --- what goes wrong -----------------------------------------------------------------------------


class Case(NamedTuple):
    answers: list[Answer]
    expected: bytes | str  # the file, or what the message says
    checksum: str | None = None  # where the recipe knows it
    asked: int | None = None  # how often, at most


def redirect(to: str) -> Answer:
    return answer(b"", f"Location: {to}", status="302 Found")


NOBODY = "http://bob:PASSWORD@127.0.0.1:1/x"
KNOWN, CUT = sha256(ZIP), len(ZIP) // 2
BUSY = "503 Service Unavailable"
SOON = formatdate(time.time() - 5, usegmt=True)
LATE = formatdate(time.time() + 86_400, usegmt=True)

CASES = {
    "nothing is wrong": Case([answer()], ZIP, asked=1),
    "cut, of known length": Case([answer(sent=CUT), answer()], ZIP),
    "cut, of known length and checksum": Case([answer(sent=CUT), answer()], ZIP, KNOWN),
    "cut each time": Case([answer(sent=CUT)], "", None, transfer.ATTEMPTS),
    "cut without a length: a zip": Case([answer(sent=CUT, length=None)], "neither a folder nor"),
    "cut without a length: a tar": Case([answer(TAR, sent=CUT, length=None)], "unexpected end"),
    "cut without a length: a tar between two files": Case(
        [answer(TAR, sent=MEMBER, length=None)], "p.zip is cut short"
    ),
    "cut without a length: a compressed tar": Case(
        [answer(TGZ, sent=len(TGZ) - 9_000, length=None)], "cut short"
    ),
    "cut without a length, of known checksum": Case(
        [answer(sent=CUT, length=None)], "expected sha256:", KNOWN
    ),
    "a length that is too short": Case([answer(length=CUT)], "neither a folder nor a zip"),
    "a length that is too short, of known checksum": Case([answer(length=CUT)], "expected", KNOWN),
    "a length that is too long": Case([answer(length=10**6)], "", None, transfer.ATTEMPTS),
    "a length of 10^30": Case([answer(length=10**30)], "", None, transfer.ATTEMPTS),
    "a length that is no number": Case([answer(length="abc")], ZIP),
    "a length below zero": Case([answer(length=-5)], ZIP),
    "an empty length": Case([answer(length="")], ZIP),
    "two lengths": Case([answer(ZIP, "Content-Length: 5")], ""),
    "no length": Case([answer(length=None)], ZIP),
    "a length of zero": Case([answer(length=0)], "what arrived is an empty file"),
    "nothing at all": Case([answer(b"")], "what arrived is an empty file"),
    "gzip that nobody asked for": Case([answer(gzip.compress(ZIP), "Content-Encoding: gzip")], ZIP),
    "gzip that nobody asked for, of known checksum": Case(
        [answer(gzip.compress(ZIP), "Content-Encoding: gzip")], ZIP, KNOWN
    ),
    "gzip that is cut": Case(
        [answer(gzip.compress(ZIP), "Content-Encoding: gzip", sent=CUT, length=None)], "neither"
    ),
    "gzip that is no gzip": Case([answer(NOISE, "Content-Encoding: gzip")], "neither a folder"),
    "a tar.gz that is said to be packed": Case([answer(TGZ, "Content-Encoding: gzip")], TGZ),
    "in chunks": Case([chunked(ZIP[:CUT], ZIP[CUT:])], ZIP),
    "chunks without an end": Case([chunked(ZIP[:CUT], end=b"")], "", None, transfer.ATTEMPTS),
    "chunks of no number": Case([chunked(ZIP[:CUT], end=b"xyz\r\n")], "", None, transfer.ATTEMPTS),
    "two versions joined": Case([answer(sent=CUT), answer(OTHER)], OTHER, sha256(OTHER)),
    "two versions, the checksum unknown": Case([answer(sent=CUT), answer(OTHER)], OTHER),
    "two versions, and the right one gone": Case(
        [answer(sent=CUT), answer(OTHER)], "expected sha256:", KNOWN
    ),
    "another part than was asked for": Case(
        [
            answer(sent=CUT),
            answer(ZIP[9:], "Content-Range: bytes 9-99/99", status="206 Partial Content"),
            answer(),
        ],
        ZIP,
        KNOWN,
    ),
    "a part of no place": Case(
        [answer(sent=CUT), answer(status="206 Partial Content"), answer()], ZIP, KNOWN
    ),
    "a part that nobody asked for": Case(
        [answer(ZIP[9:], "Content-Range: bytes 9-99/99", status="206 Partial Content")],
        "another part of the file",
    ),
    "less than the rest": Case(
        [
            answer(sent=CUT),
            answer(ZIP[CUT:-9], f"Content-Range: bytes {CUT}-{len(ZIP) - 10}/{len(ZIP)}",
                   status="206 Partial Content"),
            answer(),
        ],
        ZIP,
        KNOWN,
    ),
    "no parts": Case([answer(sent=CUT), answer(ranges=False)], ZIP, KNOWN),
    "busy for a moment": Case([answer(PAGE, status=BUSY), answer()], ZIP),
    "busy, and says until when": Case(
        [answer(PAGE, f"Retry-After: {SOON}", status=BUSY), answer()], ZIP
    ),
    "busy until tomorrow": Case(
        [answer(PAGE, f"Retry-After: {LATE}", status=BUSY)], "the server asks to wait 86", None, 1
    ),
    "too many requests, for an hour": Case(
        [answer(PAGE, "Retry-After: 3600", status="429 Too Many")], "to wait 3600 s", None, 1
    ),
    "busy, and nobody knows until when": Case(
        [answer(PAGE, "Retry-After: soon", status=BUSY), answer()], ZIP
    ),
    "not there": Case([answer(PAGE, status="404 Not Found")], "HTTP 404 Not Found", None, 1),
    "not allowed": Case([answer(PAGE, status="401 Unauthorized")], "HTTP 401", None, 1),
    "a web page": Case([answer(PAGE, "Content-Type: text/html")], "a web page instead", None, 1),
    "a web page that says it is a zip": Case([answer(PAGE)], "a web page instead", None, 1),
    "an error in JSON": Case([answer(b'{"error": "quota"}')], "neither a folder nor a zip"),
    "one byte at a time": Case([answer(pause=0.01)], "bytes a second arrive"),
    "silence before the answer": Case([lambda *_: time.sleep(9)], "does not answer in time"),
    "silence within the file": Case(
        [lambda c, s: (answer(sent=CUT)(c, s), time.sleep(9))], "does not answer in time"
    ),
    "the line goes dead": Case([raw(b"")], "", None, transfer.ATTEMPTS),
    "no HTTP": Case([raw(b"SSH-2.0-OpenSSH_9.6\r\n")], ""),
    "headers without end": Case([raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9999)], ""),
    "round in circles": Case([redirect("/p.zip")], "redirects"),
    "to a file of this machine": Case([redirect("file:///etc/passwd")], "file:///etc/passwd"),
    "to nowhere": Case([redirect("http://[bad")], ""),
    "to a host that is not there": Case([redirect("http://data.invalid/")], "no host of that name"),
    "to a page with a key": Case([redirect(f"{NOBODY}?token=PASSWORD")], "refuses the connection"),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_a_server(what, server, tmp_path):
    answers, expected, checksum, asked = CASES[what]
    target = tmp_path / "downloads" / "p.zip"
    server.answers = answers
    if isinstance(expected, bytes):
        assert fetch(server.url, target, checksum=checksum, check=check_whole) == sha256(expected)
        assert target.read_bytes() == expected
    else:
        with pytest.raises(UserError) as error:
            fetch(server.url, target, checksum=checksum, check=check_whole)
        message = str(error.value)
        assert message.startswith(f"{server.url} could not be fetched: ")
        assert message.endswith(
            f"; put the file at {target} by hand and run again (`make demo` needs no network)"
        )
        assert expected in message
        assert "\n" not in message
        assert len(message) < 600
        assert "PASSWORD" not in message
        assert not target.exists()
        server.answers, server.asked = [answer()], 0
        assert fetch(server.url, target, checksum=KNOWN, check=check_whole) == KNOWN
    assert server.asked <= (asked or 99)
    assert {path.name for path in target.parent.iterdir()} <= {"p.zip", ".p.zip.lock"}


def test_a_server_that_says_how_long_to_wait(server, tmp_path, monkeypatch):
    waited = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=waited.append)
    monkeypatch.setattr(transfer, "time", clock)
    server.answers = [answer(PAGE, "Retry-After: 7", status=BUSY), answer()]
    fetch(server.url, tmp_path / "p.zip")
    assert waited[0] == 7.0


def test_a_full_disk(server, tmp_path, monkeypatch):
    server.answers = [answer()]
    target = tmp_path / "p.zip"

    def full(*args, **options):
        (tmp_path / "p.zip.part").write_bytes(NOISE)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_transfer", full)
        message = rf"{target} cannot be written: No space left on device; [\d,]+ MB are free there$"
        with pytest.raises(UserError, match=message):
            fetch(server.url, target)
        assert not (tmp_path / "p.zip.part").exists()
    assert fetch(server.url, target) == KNOWN


# --- secrets -------------------------------------------------------------------------------------


def test_a_key_from_the_environment_is_shown_nowhere(server, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    monkeypatch.setenv("DATA_KEY", "s3cr3t/+")
    asked = []
    server.answers = [
        lambda connection, start: asked.append(1) or answer(status="403 Forbidden")(connection, 0)
    ]
    address = server.url.replace("//", "//${DATA_KEY}@") + "?token=${DATA_KEY}&part=1"
    for url in (server.url + "?token=${DATA_KEY}", server.url + "?x=${DATA_KEY}", address):
        with pytest.raises(UserError) as error:
            fetch(url, tmp_path / "p.zip")
        assert "${DATA_KEY}" in str(error.value)
        assert "s3cr3t" not in str(error.value) + caplog.text
    assert asked
    with pytest.raises(UserError, match=r"the environment variable NO_SUCH is not set$"):
        fetch(server.url + "?token=${NO_SUCH}", tmp_path / "p.zip")
