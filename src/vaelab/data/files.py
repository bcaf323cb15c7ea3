"""The files of a folder, a zip or a tar, read one by one where they lie; nothing is unpacked.

Whoever made them is a stranger: how much is listed and read is bounded, and only regular files are
opened.
"""

from __future__ import annotations

import logging
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from vaelab.runtime.errors import UserError, printable

log = logging.getLogger("vaelab")

MOST_BYTES = 2**28  # of one file
MOST_FILES = 2_000_000
MOST_CONTENTS = 160 * 2**20  # bytes of a zip's table of contents: as many files, or fewer
MOST_HEADER = 2**20  # bytes of a tar's long name, or of its further headers
PIECE = 4096  # bytes: a piece that was packed as bzip2 can be 20,000 times as large
TAR_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
WARNED = 10  # lines about files that are left out

# What a broken, hostile or unsupported file raises, from the folder or the archive.
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)

Reader = Callable[[str], bytes]


class Files(NamedTuple):
    """Files by name, such as `train/cat/1.jpg`, and what opens a reader of them."""

    names: list[str]  # in the order in which they are quickest to read
    reader: Callable[[], AbstractContextManager[Reader]]


def open_files(path: Path) -> Files:
    """The files of a folder, a zip or a tar, told apart by their contents.

    Raises UserError where it is none of these, a broken archive, or holds too much.
    """
    if path.is_dir():
        return folder_files(path)
    try:
        with path.open("rb") as file:
            in_gzip = file.read(2) == b"\x1f\x8b"  # through which a zip's end would show
        if zipfile.is_zipfile(path) and not in_gzip:
            return zip_files(path)
        if _is_tar(path):
            return tar_files(path)
    except BROKEN as error:
        raise UserError(f"{path} cannot be read: {reason(error)}") from None
    what = f"{what}, " if (what := what_it_is(path)) else ""
    raise UserError(f"{path} is {what}neither a folder nor a zip nor a tar archive")


def check_whole(path: Path) -> None:
    """Raises UserError where the file is no archive or ends too early, which a tar would hide."""
    open_files(path)
    with path.open("rb") as file, suppress(tarfile.ReadError):
        tarfile.open(fileobj=file, mode="r:", tarinfo=_Member).close()  # one that is not compressed
        file.seek(-tarfile.BLOCKSIZE, os.SEEK_END)
        if any(file.read()):
            raise UserError(f"{path} is cut short")


def folder_files(path: Path) -> Files:
    names: list[str] = []
    closed: dict[str, str] = {}
    seen = set()  # a link may lead back to a folder above it

    def unreadable(error: OSError) -> None:
        closed[f"the folder {os.path.relpath(error.filename, path)}"] = reason(error)

    for folder, subfolders, files in os.walk(path, onerror=unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders.sort()
        names += [(Path(folder) / name).relative_to(path).as_posix() for name in files]
        _check_count(len(names), path)
    say_left_out(closed)
    return Files(sorted(names), lambda: nullcontext(lambda name: read_file(path / name)))


def zip_files(path: Path) -> Files:
    if _contents_size(path) > MOST_CONTENTS:
        raise UserError(f"{path} holds too many files; split it, or unpack it into a folder")
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
    if any(member.flag_bits & 1 for member in members):
        raise UserError(f"{path} is locked with a password; unlock it first")
    members.sort(key=lambda member: member.header_offset)
    by_name = {member.filename.replace("\\", "/"): member for member in members}

    @contextmanager
    def reader() -> Iterator[Reader]:
        with zipfile.ZipFile(path) as archive:

            def read(name: str) -> bytes:
                with archive.open(by_name[name]) as file:
                    return _bounded(file, by_name[name].file_size)

            yield read

    return Files(list(by_name), reader)


def _contents_size(path: Path) -> int:
    """Bytes of a zip's table of contents, which zipfile reads at once, by the record at its end."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16 - 100))
        tail = file.read()
    end, end64 = tail.rfind(b"PK\5\6"), tail.rfind(b"PK\6\6")
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    if size == 2**32 - 1 and end64 >= 0:
        size = int.from_bytes(tail[end64 + 40 : end64 + 48], "little")
    return size


class _Member(tarfile.TarInfo):
    """tarfile reads a long name and further headers at once, as long as they claim to be."""

    @classmethod
    def frombuf(cls, *args: Any, **options: Any) -> _Member:
        member = super().frombuf(*args, **options)
        if member.type in TAR_HEADERS and member.size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {member.size:,} bytes")
        return member


def _is_tar(path: Path) -> bool:
    try:
        tarfile.open(path, tarinfo=_Member).close()
    except tarfile.TarError:
        return False
    return True


def tar_files(path: Path) -> Files:
    """A hard link is the file that it links to, if that is in the archive. Symbolic links, which
    could lead out of it, are not followed.
    """
    by_name: dict[str, tarfile.TarInfo] = {}
    links: dict[str, str] = {}
    with tarfile.open(path, tarinfo=_Member) as archive:
        for count, member in enumerate(archive):
            _check_count(count, path)
            if member.isreg():
                by_name[member.name] = member
            elif member.islnk() and member.linkname in by_name:
                by_name[member.name] = by_name[member.linkname]
            elif member.islnk() or member.issym():
                links[member.name] = f"a link to {member.linkname}"
    say_left_out(links)

    @contextmanager
    def reader() -> Iterator[Reader]:
        with tarfile.open(path, tarinfo=_Member) as archive:

            def read(name: str) -> bytes:
                file = cast("IO[bytes]", archive.extractfile(by_name[name]))
                return _bounded(file, by_name[name].size)

            yield read

    return Files(list(by_name), reader)


def read_file(path: Path) -> bytes:
    """Raises OSError where it is no regular file, such as a device or a pipe, and ValueError where
    it is too large.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError("it is no regular file")
    with path.open("rb") as file:
        return _bounded(file, found.st_size)


def _bounded(file: IO[bytes], claimed: int) -> bytes:
    """The whole of a file, if that is not too much, whatever size it claims to have."""
    content = bytearray()
    while claimed <= MOST_BYTES and (piece := file.read(PIECE)):
        content += piece
        claimed = max(claimed, len(content))
    if claimed > MOST_BYTES:
        raise ValueError(f"the file has over {MOST_BYTES // 2**20} MB")
    return bytes(content)


def _check_count(count: int, path: Path) -> None:
    if count > MOST_FILES:
        raise UserError(f"{path} holds over {MOST_FILES:,} files; take fewer")


def what_it_is(path: Path) -> str | None:
    """In words, where it is what often stands in an archive's place."""
    with path.open("rb") as file:
        begins = file.read(512).lstrip().lower()
    if begins.startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return None if begins else "an empty file"


def say_left_out(reasons: dict[str, str]) -> None:
    """A warning for each of the first few, by name, and then how many more there are."""
    for name, why in list(reasons.items())[:WARNED]:
        log.warning("%s cannot be read and is left out: %s", printable(name), printable(why))
    if len(reasons) > WARNED:
        log.warning("and %d more", len(reasons) - WARNED)


def reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or " ".join(str(error).split())
    cut = isinstance(error, EOFError) or "truncated" in text.lower()
    return "the file is cut short" if cut else text or type(error).__name__
