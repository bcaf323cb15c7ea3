"""Downloads, against a server with faults."""

import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from vaelab.runtime.errors import UserError
from vaelab.sources import fetch as fetch_module
from vaelab.sources.fetch import downloads_dir, fetch

BODY = os.urandom(100_000)
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
    assert "`make demo` needs no network" in message
    assert "\n" not in message
    return message


def test_a_file_is_fetched_checked_and_kept(server, target):
    url = server.put("/file.zip", BODY)
    assert fetch(url, target, checksum=MD5) == MD5
    assert target.read_bytes() == BODY
    assert fetch(url, target, checksum=SHA256) == SHA256
    assert len(server.requests) == 1
    assert {path.name for path in target.parent.iterdir()} <= {"file.zip", ".file.zip.lock"}


def test_without_a_checksum_the_sha256_is_given(server, target):
    assert fetch(server.put("/file.zip", BODY), target) == SHA256


def test_404(server, target):
    message = refused(server.url + "/file.zip", target)
    assert "HTTP 404" in message
    assert len(server.requests) == 1


def test_500_then_200(server, target):
    fetch(server.put("/file.zip", BODY, errors=[500, 503]), target, checksum=MD5)
    assert target.read_bytes() == BODY
    assert len(server.requests) == 3


def test_500_for_good(server, target):
    message = refused(server.put("/file.zip", BODY, errors=[500] * 99), target)
    assert "HTTP 500" in message
    assert "4 attempts" in message


def test_cut_off_half_way_is_resumed(server, target):
    fetch(server.put("/file.zip", BODY, cuts=[50_000, 20_000]), target, checksum=MD5)
    assert target.read_bytes() == BODY
    assert server.ranges == [None, "bytes=50000-", "bytes=70000-"]


def test_a_later_run_resumes(server, target):
    cut = server.put("/file.zip", BODY, cuts=[60_000, 0, 0, 0, 0])
    refused(cut, target, checksum=MD5)
    fetch(cut, target, checksum=MD5)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] == "bytes=60000-"


def test_as_long_as_there_is_progress_it_goes_on(server, target):
    fetch(server.put("/file.zip", BODY, cuts=[9000] * 10), target, checksum=MD5)
    assert target.read_bytes() == BODY


def test_a_server_without_ranges_starts_again(server, target):
    fetch(server.put("/file.zip", BODY, cuts=[50_000], ranges=False), target, checksum=MD5)
    assert target.read_bytes() == BODY


def test_a_server_without_ranges_that_always_breaks_ends(server, target):
    url = server.put("/file.zip", BODY, cuts=[50_000, 60_000] * 50, ranges=False)
    assert "4 attempts" in refused(url, target, checksum=MD5)


def test_a_changed_file_is_not_joined_to_the_old_one(server, target):
    """Without a checksum nothing that is there is gone on with; with one, a join is noticed."""
    old = b"old" * 40_000
    refused(server.put("/file.zip", old, cuts=[60_000, 0, 0, 0]), target)
    assert fetch(server.put("/file.zip", BODY, cuts=[60_000]), target) == SHA256
    assert server.ranges[-2:] == [None, None]
    target.unlink()
    refused(server.put("/file.zip", old, cuts=[60_000, 0, 0, 0]), target, checksum=MD5)
    url = server.put("/file.zip", BODY)
    assert "expected md5" in refused(url, target, checksum=MD5)
    assert fetch(url, target, checksum=MD5) == MD5


@pytest.mark.parametrize("more", [b"", b"more"])
def test_a_part_that_is_no_beginning_of_the_file(server, target, more):
    target.parent.mkdir(parents=True)
    target.with_name("file.zip.part").write_bytes(BODY + more)
    fetch(server.put("/file.zip", BODY), target, checksum=MD5)
    assert target.read_bytes() == BODY


def test_a_wrong_checksum(server, target):
    message = refused(server.put("/file.zip", b"something else"), target, checksum=MD5)
    assert f"md5:{hashlib.md5(b'something else').hexdigest()}" in message
    assert f"expected {MD5}" in message
    assert not target.with_name("file.zip.part").exists()


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/zip"])
def test_a_web_page(server, target, content_type):
    page = b"\n<!DOCTYPE html><title>Quota exceeded</title>"
    url = server.put("/file.zip", page, content_type=content_type)
    assert "web page instead of the file" in refused(url, target, checksum=MD5)


def test_a_web_page_does_not_cost_what_has_arrived(server, target):
    url = server.put("/file.zip", BODY, cuts=[60_000, 0, 0, 0])
    refused(url, target, checksum=MD5)
    server.put("/file.zip", b"<html>log in", content_type="text/html", ranges=False)
    refused(url, target, checksum=MD5)
    server.put("/file.zip", BODY)
    fetch(url, target, checksum=MD5)
    assert target.read_bytes() == BODY
    assert server.ranges[-1] == "bytes=60000-"


def test_an_unreachable_port(server, target):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.zip"
        message = refused(url, target)
    assert "the host cannot be reached (" in message
    assert "refused" in message


def test_an_unknown_host(server, target, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    message = refused("http://data.invalid/file.zip", target)
    assert "the host's name cannot be resolved" in message


def test_a_silent_host(server, target, monkeypatch):
    monkeypatch.setattr(fetch_module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        message = refused(f"http://127.0.0.1:{silent.getsockname()[1]}/file.zip", target)
    assert "does not answer" in message


def test_a_url_that_is_none(server, target):
    assert "http://[bad" in refused("http://[bad/file.zip", target)


def test_a_file_placed_by_hand_is_used_without_the_network(target):
    target.parent.mkdir(parents=True)
    target.write_bytes(BODY)
    assert fetch("http://data.invalid/file.zip", target, checksum=MD5) == MD5


def test_a_wrong_file_placed_by_hand_is_named_and_kept(target):
    target.parent.mkdir(parents=True)
    target.write_bytes(b"wrong")
    with pytest.raises(UserError) as error:
        fetch("http://data.invalid/file.zip", target, checksum=MD5)
    message = str(error.value)
    assert str(target) in message
    assert f"expected {MD5}" in message
    assert f"found md5:{hashlib.md5(b'wrong').hexdigest()}" in message
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
        assert url == "https://drive.google.com/uc?id=abc"
        assert options["resume"]
        progress(len(BODY), len(BODY))
        with open(output, "wb") as file:
            file.write(BODY)

    monkeypatch.setattr(gdown, "download", download)
    assert fetch("https://drive.google.com/uc?id=abc", target, checksum=MD5) == MD5
    assert target.read_bytes() == BODY


def test_google_drives_quota_page(target, gdown, monkeypatch):
    def download(*args, **kwargs):
        raise gdown.exceptions.FileURLRetrievalError("Too many users\n\nhave viewed")

    monkeypatch.setattr(gdown, "download", download)
    message = refused("https://drive.google.com/uc?id=abc", target, checksum=MD5)
    assert "Google Drive answered with a web page" in message
    assert "quota" in message


def test_where_archives_are_kept(monkeypatch, tmp_path):
    assert downloads_dir() == Path.cwd() / "data" / "downloads"
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert downloads_dir() == tmp_path / "data" / "downloads"
    monkeypatch.setenv("VAELAB_DOWNLOADS", "~/archives")
    assert downloads_dir() == tmp_path.home() / "archives"
