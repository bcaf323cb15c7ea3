"""Downloads, against a server with faults."""

import hashlib
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from vaelab.runtime.errors import UserError
from vaelab.sources import transfer
from vaelab.sources.fetch import Archive, downloads_dir, fetch, fetch_all

BODY = np.random.default_rng(0).bytes(100_000)
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def target(workspace):
    return downloads_dir() / "set" / "file.zip"


def refused(url, target, **options):
    """The message of a fetch that fails; it never leaves a file in place."""
    with pytest.raises(UserError) as error:
        fetch(url, target, **options)
    message = str(error.value)
    assert not target.exists()
    assert url in message
    assert f"put the file at {target} by hand" in message
    assert "\n" not in message
    return message


def test_a_file_is_fetched_checked_and_kept(server, target):
    url = server.put("/file.zip", BODY)
    assert fetch(url, target, checksum=MD5) == MD5
    assert target.read_bytes() == BODY
    assert fetch(url, target) == SHA256
    assert len(server.requests) == 1
    assert {path.name for path in target.parent.iterdir()} <= {"file.zip", ".file.zip.lock"}


@pytest.mark.parametrize(
    ("faults", "checksum", "ranges"),
    [
        ({"errors": [500, 503]}, MD5, [None, None, None]),
        ({"cuts": [50_000, 20_000]}, MD5, [None, "bytes=50000-", "bytes=70000-"]),
        ({"cuts": [50_000], "ranges": False}, MD5, [None, "bytes=50000-"]),
        ({"cuts": [50_000]}, None, [None, None]),  # nothing would tell that two were joined
    ],
)
def test_what_breaks_is_tried_again_and_resumed(server, target, faults, checksum, ranges):
    fetch(server.put("/file.zip", BODY, **faults), target, checksum=checksum)
    assert target.read_bytes() == BODY
    assert server.ranges == ranges


@pytest.mark.parametrize(
    ("faults", "said", "requests"),
    [
        ({"errors": [500] * 99}, "HTTP 500", transfer.ATTEMPTS),
        ({"cuts": [50_000, 60_000] * 50, "ranges": False}, "", transfer.ATTEMPTS),
        ({"errors": [404]}, "HTTP 404", 1),
    ],
)
def test_what_fails_for_good(server, target, faults, said, requests):
    assert said in refused(server.put("/file.zip", BODY, **faults), target, checksum=MD5)
    assert len(server.requests) == requests


def test_a_later_run_resumes_whatever_came_between(server, target):
    url = server.put("/file.zip", BODY, cuts=[60_000, 0, 0, 0, 0])
    refused(url, target, checksum=MD5)
    server.put("/file.zip", b"<html>log in", content_type="text/html", ranges=False)
    assert "web page instead of the file" in refused(url, target, checksum=MD5)
    server.put("/file.zip", BODY)
    fetch(url, target, checksum=MD5)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] == "bytes=60000-"


@pytest.mark.parametrize("part", [b"old" * 20_000, BODY, BODY + b"more"])
def test_a_part_that_is_no_beginning_of_the_file(server, target, part):
    target.parent.mkdir(parents=True)
    target.with_name("file.zip.part").write_bytes(part)
    url = server.put("/file.zip", BODY)
    assert fetch(url, target, checksum=MD5) == MD5


def test_a_web_page_that_calls_itself_a_file(server, target):
    url = server.put("/file.zip", b"\n<!DOCTYPE html><title>Quota exceeded</title>")
    assert "web page instead of the file" in refused(url, target, checksum=MD5)
    assert not target.with_name("file.zip.part").exists()


def test_hosts_that_do_not_answer(server, target, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.zip"
        assert "fetched: the host refuses the connection; put" in refused(url, target)
    monkeypatch.setattr(transfer, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = refused(f"http://127.0.0.1:{silent.getsockname()[1]}/file.zip", target)
    assert "fetched: the host does not answer in time; put" in message

    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    no_network = "fetched: there is no network here, or no host of that name; put"
    assert no_network in refused("http://data.invalid/file.zip", target)
    assert "http://[bad" in refused("http://[bad/file.zip", target)


def test_a_file_placed_by_hand_is_checked_and_kept(target):
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY)
    assert fetch("http://data.invalid/file.zip", target, checksum=MD5) == MD5
    for data, what in ((b"", "an empty file, "), (b"<html>log in", "a web page, ")):
        target.write_bytes(data)
        with pytest.raises(UserError, match=rf"file\.zip is {what}not the file that was asked for"):
            fetch("http://data.invalid/file.zip", target, checksum=MD5)
    target.write_bytes(b"wrong")
    with pytest.raises(UserError, match=f"file.zip is not .* expected {MD5}, found md5:"):
        fetch("http://data.invalid/file.zip", target, checksum=MD5)
    assert target.read_bytes() == b"wrong"


def test_a_place_that_cannot_be_written(server, target):
    target.parent.parent.mkdir(parents=True)
    target.parent.write_text("a file where the folder should be")
    with pytest.raises(UserError, match=r"file\.zip cannot be written: "):
        fetch(server.put("/file.zip", BODY), target)


def test_two_at_once_fetch_once(server, target):
    url = server.put("/file.zip", BODY)
    threads = [threading.Thread(target=fetch, args=(url, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == BODY
    assert len(server.requests) == 1


def test_google_drive_goes_through_gdown(target, gdown, monkeypatch):
    def download(url, output, progress, **options):
        assert options["resume"] == (checksum is not None)
        progress(len(BODY), len(BODY))
        Path(output).write_bytes(BODY)

    def quota(*args, **kwargs):
        raise gdown.exceptions.FileURLRetrievalError("Too many users\n\nhave viewed")

    url = "https://drive.google.com/uc?id=abc"
    monkeypatch.setattr(gdown, "download", quota)
    assert "most often its daily quota" in refused(url, target, checksum=MD5)
    monkeypatch.setattr(gdown, "download", download)
    for checksum in (MD5, None):  # without one nothing would tell that two files had been joined
        assert fetch(url, target, checksum=checksum) == (checksum or SHA256)
        assert target.read_bytes() == BODY
        target.unlink()


def test_all_that_is_wrong_or_missing_is_named_at_once(server, target):
    names = ["a.zip", "b.zip", "c.txt", "d.txt"]
    wanted = [Archive(f"{server.url}/{name}", target.parent / name, MD5) for name in names]
    target.parent.mkdir(parents=True)
    server.put("/a.zip", BODY)
    with pytest.raises(UserError) as error:
        fetch_all(wanted)
    assert str(error.value).endswith(
        "/b.zip could not be fetched: HTTP 404 Not Found; put these files there by hand and run "
        "again (`make demo` needs no network): "
        + ", ".join(str(target.parent / name) for name in names[1:])
    )
    assert (target.parent / "a.zip").read_bytes() == BODY
    (target.parent / "b.zip").write_bytes(b"<html>log in")
    (target.parent / "c.txt").mkdir()
    with pytest.raises(
        UserError, match=r"b\.zip is a web page, not .*; .*c\.txt cannot be read: Is a"
    ):
        fetch_all(wanted)


def test_where_archives_are_kept(monkeypatch, tmp_path):
    assert downloads_dir() == Path.cwd() / "data" / "downloads"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert downloads_dir() == tmp_path / "data" / "downloads"
    monkeypatch.setenv("VAELAB_DOWNLOADS", "~/archives")
    assert downloads_dir() == tmp_path.home() / "archives"
