"""A web server on this machine that serves what a test puts there, with the faults it asks for;
and a stand-in for gdown, which need not be installed.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from vaelab.sources import transfer


@dataclass
class Page:
    """What a path answers with. Each fault is used up by one request."""

    body: bytes
    content_type: str = "application/octet-stream"
    ranges: bool = True
    errors: list[int] = field(default_factory=list)  # statuses to answer with first
    cuts: list[int] = field(default_factory=list)  # bytes after which to break the connection


@dataclass
class Server:
    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def put(self, path: str, body: bytes, **options: object) -> str:
        self.pages[path] = Page(body, **options)
        return self.url + path

    @property
    def ranges(self) -> list[str | None]:
        """The Range header of each request so far."""
        return [headers.get("Range") for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    site: Server

    def do_GET(self) -> None:
        self.site.requests.append((self.path, dict(self.headers)))
        page = self.site.pages.get(self.path)
        if page is None:
            return self.send_error(404)
        if page.errors:
            return self.send_error(page.errors.pop(0))
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and page.ranges else 0
        beyond = start >= len(page.body)
        body = b"" if beyond else page.body[start:]
        self.send_response(416 if beyond else 206 if start else 200)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(body)))
        if start and not beyond:
            last, whole = len(page.body) - 1, len(page.body)
            self.send_header("Content-Range", f"bytes {start}-{last}/{whole}")
        self.end_headers()
        self.wfile.write(body[: page.cuts.pop(0)] if page.cuts else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(transfer, "BACKOFF", 0.0)
    monkeypatch.setenv("NO_PROXY", "*")
    handler = type("Handler", (Handler,), {})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.site = Server(f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler.site
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with nothing of the environment's own."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("VAELAB_DOWNLOADS", raising=False)
    return folder


@pytest.fixture
def gdown(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    errors = {
        name: type(name, (Exception,), {}) for name in ("DownloadError", "FileURLRetrievalError")
    }
    module = SimpleNamespace(download=None, exceptions=SimpleNamespace(**errors))
    monkeypatch.setitem(sys.modules, "gdown", module)
    return module
