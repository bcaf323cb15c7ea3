"""Files that strangers made, each among 24 good pictures: these are read, and what cannot be is
said in a line; nothing else is run, opened, waited for or filled.
"""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data import files as stored
from vaelab.data.pictures import FORMATS, read_picture
from vaelab.runtime.errors import UserError
from vaelab.settings import ImageFolderRecipe
from vaelab.sources.image_folder import open_image_folder

GOOD = 24
MEGABYTE = 2**20


def png(size: tuple[int, int] = (16, 16), *chunks: bytes) -> bytes:
    """A grey picture; chunks: put before its data."""
    file = io.BytesIO()
    Image.new("L", (16, 16), 9).save(file, "png")
    data = bytearray(file.getvalue())
    data[8:33] = chunk(b"IHDR", struct.pack(">2I5B", *size, 8, 0, 0, 0, 0))
    return bytes(data[:33]) + b"".join(chunks) + bytes(data[33:])


def chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def saved(format: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((64, 64), 99).convert(mode).save(file, format, **options)
    return file.getvalue()


def tiff_of(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "tiff")
    return file.getvalue()


def noisy_tiff() -> bytes:
    """Of which libtiff has something to say row by row."""
    data = bytearray(saved("TIFF", "1", compression="group4"))
    for at in range(12, 200, 3):
        data[at] ^= 0x5A
    return bytes(data)


def read(path: Path, **options: object) -> int:
    """How many of the pictures can be read."""
    recipe = ImageFolderRecipe(source="image_folder", path=str(path), image_size=16, **options)
    source = open_image_folder(recipe)
    return sum(len(part.read(np.arange(part.count))) for part in (source.train, source.test))


# --- one file in a folder ------------------------------------------------------------------------

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"
DOS = struct.pack("<8I", 0xC6D3D0C5, 32, len(POSTSCRIPT), 0, 0, 0, 0, 0)
PIXELS = "million pixels|exceeds limit"
CONTENTS = {
    "PostScript": (POSTSCRIPT, "not a picture"),
    "PostScript of DOS": (DOS + POSTSCRIPT, "not a picture"),
    "nothing": (b"", "not a picture"),
    "noise": (np.random.default_rng(0).bytes(999), "not a picture"),
    "a web page": (b"<!DOCTYPE html><html>log in", "not a picture"),
    "a pickle": (b"\x80\x04cos\nsystem\n(S'touch here'\ntR.", "not a picture"),
    "half a PNG": (png()[:50], "cut short"),
    "half a JPEG": (saved("JPEG")[:1500], "cut short"),
    "half a GIF": (saved("GIF", "P")[:1500], "cut short"),
    "half a TIFF": (saved("TIFF")[:5000], "left out"),
    "half a WebP": (saved("WEBP")[:1500], "left out"),
    "half an AVIF": (saved("AVIF")[:800], "left out"),
    "half a JPEG 2000": (saved("JPEG2000")[:800], "left out"),
    "a wrong checksum": (png().replace(b"IDAT", b"IDAT?"), "left out"),
    "100 million pixels": (png((20_000, 5_000)), PIXELS),
    "3,600 million pixels": (png((60_000, 60_000)), PIXELS),
    "a GIF of 65,535 squared": (b"GIF89a" + b"\xff" * 4 + saved("GIF", "P")[10:], PIXELS),
    "a text that unpacks to 99 MB": (
        png((16, 16), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(99 * MEGABYTE), 1))),
        "too large|left out",
    ),
    "no pixel that is a number": (tiff_of(np.full((16, 16), np.nan, np.float32)), "no numbers"),
    "a TIFF that libtiff complains of": (noisy_tiff(), ""),
    "a TIFF whose tags point nowhere": (saved("TIFF")[:8] + b"\xff" * 400, "left out"),
} | {
    f"{format}, which is not documented": (saved(format, mode), "not a picture")
    for format, mode in [
        *(("ICO", "RGB"), ("PCX", "RGB"), ("TGA", "RGB"), ("SGI", "RGB"), ("DDS", "RGB")),
        *(("XBM", "1"), ("MSP", "1"), ("SPIDER", "F"), ("PDF", "RGB")),
    ]
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of good pictures; and a Ghostscript that would leave a trace."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/ghostscript_was_run\n")
    (tools / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(GOOD):
        (pictures / f"{index:02}.png").write_bytes(png())
    return pictures


@pytest.mark.parametrize("what", CONTENTS)
def test_a_file_in_a_folder(what, folder, caplog, capfd):
    data, said = CONTENTS[what]
    bad = folder / "zz.png"
    bad.write_bytes(data)
    assert read(folder) == GOOD + (not said)
    if said:
        warned, counted = caplog.messages
        assert warned.startswith("zz.png cannot be read and is left out: ")
        assert any(each in warned for each in said.split("|"))
        assert counted.startswith("1 of ")
        with pytest.raises(UserError, match=r"zz\.png (cannot be read: |is not a picture)[^\n]*$"):
            read_picture(bad, (3, 16, 16))
    assert capfd.readouterr().err == ""
    assert not (folder.parent / "ghostscript_was_run").exists()


def test_every_documented_format_is_read(folder):
    for format in FORMATS:
        (folder / f"{format}.png").write_bytes(saved(format))
    assert read(folder) == GOOD + len(FORMATS)


PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "zeros without end": (lambda bad: bad.symlink_to("/dev/zero"), "no regular file"),
    "nothing, by a device": (lambda bad: bad.symlink_to("/dev/null"), "no regular file"),
    "a pipe that nobody fills": (os.mkfifo, "no regular file"),
    "a link to nothing": (lambda bad: bad.symlink_to("gone"), "No such file"),
    "a link to itself": (lambda bad: bad.symlink_to("zz.png"), "symbolic links"),
    "a file of 10 TB": (lambda bad: (bad.touch(), os.truncate(bad, 10 * 2**40)), "over 256 MB"),
}


@pytest.mark.parametrize("what", PLACES)
def test_what_is_no_file_of_pixels(what, folder, caplog):
    make, said = PLACES[what]
    make(folder / "zz.png")
    assert read(folder) == GOOD
    assert said in caplog.messages[0]
    with pytest.raises(UserError, match=r"zz\.png cannot be read: .*"):
        read_picture(folder / "zz.png", (3, 16, 16))


def test_a_folder_that_may_not_be_read(folder, caplog, monkeypatch):
    (folder / "closed").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read whatever the mode says
    assert read(folder) == GOOD
    assert caplog.messages == [
        "the folder closed cannot be read and is left out: Permission denied"
    ]


def test_many_broken_files_are_few_lines(folder, caplog):
    for index in range(200):
        (folder / f"z{index}.png").write_bytes(b"?")
    assert read(folder, test_fraction=0.01) == GOOD
    assert len(caplog.messages) <= 2 * (stored.WARNED + 2)
    assert any(message.startswith("and 1") for message in caplog.messages)
    assert sum(int(line.split()[0]) for line in caplog.messages if " pictures left " in line) == 200


def test_too_many_files(folder, monkeypatch):
    monkeypatch.setattr(stored, "MOST_FILES", 10)
    for path in (folder, as_tar(folder)):
        with pytest.raises(UserError, match="holds over 10 files; take fewer"):
            read(path)
    monkeypatch.setattr(stored, "MOST_CONTENTS", 100)
    with pytest.raises(UserError, match="holds too many files; split it"):
        read(as_zip(folder))


NAMES = {
    "line\nbreak": r"line\nbreak",
    "\x1b[31mred": r"\x1b[31mred",
    "\u202egnp": r"\u202egnp",
    os.fsdecode(b"bad\xff"): r"bad\xff",
    "日本　犬": "日本　犬",
    "a|b <b> $x$": "a|b <b> $x$",
}


def test_names_are_shown_on_a_line(folder, caplog):
    for name in NAMES:
        (folder / f"{name}.png").write_bytes(b"?")
        (folder / name).mkdir()
        (folder / name / "1.png").write_bytes(png())
    assert read(folder) == GOOD + len(NAMES)
    named = {line.partition(".png cannot be read")[0] for line in caplog.messages}
    assert named >= set(NAMES.values())


def test_class_names_are_text(folder):
    recipe = {"source": "image_folder", "image_size": 16}
    for name in NAMES:
        (folder / name).mkdir()
        (folder / name / "1.png").write_bytes(png())
    for path in (folder, as_tar(folder)):
        source = open_image_folder(ImageFolderRecipe(path=str(path), **recipe))
        assert sorted(source.class_names) == sorted([*NAMES.values(), "image"])
        assert "".join(source.class_names).encode()


# --- one file in an archive ----------------------------------------------------------------------


def as_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for file in folder.iterdir():
            archive.write(file, file.name)
    return folder.with_suffix(".zip")


def as_tar(folder: Path) -> Path:
    with tarfile.open(folder.with_suffix(".tar"), "w") as archive:
        archive.add(folder, ".")
    return folder.with_suffix(".tar")


def zipped(method: int, size: int = 64 * MEGABYTE) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = as_zip(folder)
        with zipfile.ZipFile(path, "a", method) as archive:
            archive.writestr("zz.png", bytes(size))
        return path

    return make


def patched(
    offset: int, value: bytes, method: int = zipfile.ZIP_DEFLATED
) -> Callable[[Path], Path]:
    """A zip of 64 MB of zeros whose entry in the table of contents is changed."""

    def make(folder: Path) -> Path:
        path = zipped(method)(folder)
        data = bytearray(path.read_bytes())
        at = data.rindex(b"PK\1\2") + offset
        data[at : at + len(value)] = value
        path.write_bytes(data)
        return path

    return make


def in_tar(name: str = "./zz.png", **fields: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = as_tar(folder)
        with tarfile.open(path, "a") as archive:
            member = tarfile.TarInfo(name)
            for field, value in fields.items():
                setattr(member, field, value)
            archive.addfile(member)
        return path

    return make


def header_bomb(folder: Path) -> Path:
    """A tar in gzip whose first header says that more headers follow, of 300 MB."""
    member = tarfile.TarInfo("zz.png")
    member.type, member.size = tarfile.XHDTYPE, 300 * MEGABYTE
    path = folder.with_suffix(".tgz")
    path.write_bytes(zlib.compress(member.tobuf() + bytes(300 * MEGABYTE), 1, 31))
    return path


def cut_tar(folder: Path) -> Path:
    path = as_tar(folder)
    path.write_bytes(path.read_bytes()[:5000])
    return path


ARCHIVES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zeros by deflate": (zipped(zipfile.ZIP_DEFLATED), "zz.png cannot .* over 1 MB"),
    "zeros by bzip2": (zipped(zipfile.ZIP_BZIP2), "zz.png cannot .* over 1 MB"),
    "zeros by lzma": (zipped(zipfile.ZIP_LZMA), "zz.png cannot .* over 1 MB"),
    "zeros that claim to be few": (patched(24, b"\1\0\0\0"), "zz.png cannot .*CRC"),
    "zeros by bzip2 that claim to be few": (
        patched(24, b"\1\0\0\0", zipfile.ZIP_BZIP2),
        "zz.png cannot .*CRC",
    ),
    "a method that nobody knows": (patched(10, b"\x63\0"), "zz.png cannot .* not supported"),
    "an offset beyond the end": (patched(42, b"\xff\xff\xff\x0f"), "cannot be read|Bad offset"),
    "locked": (patched(8, b"\1\0"), "locked with a password"),
    "a sparse file of 10 TB": (
        in_tar(pax_headers={"GNU.sparse.major": "1"}, size=0), "zz.png cannot be read"),
    "a link out of it": (in_tar(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "a link to /etc"),
    "a hard link out of it": (in_tar(type=tarfile.LNKTYPE, linkname="/etc/passwd"), "a link to"),
    "a device": (in_tar(type=tarfile.CHRTYPE, devmajor=1, devminor=5), ""),
    "a pipe": (in_tar(type=tarfile.FIFOTYPE), ""),
    "a name that leads out": (in_tar("../../zz.png"), ""),
    "a header that unpacks to 300 MB": (header_bomb, "neither a folder nor a zip nor a tar"),
    "a tar that is cut short": (cut_tar, "unexpected end|cut short|0 pictures|and at least"),
}  # fmt: skip


@pytest.mark.parametrize("what", ARCHIVES)
def test_an_archive(what, folder, caplog, monkeypatch):
    make, said = ARCHIVES[what]
    path = make(folder)
    monkeypatch.setattr(stored, "MOST_BYTES", MEGABYTE)
    there = sorted(folder.parent.iterdir())
    tracemalloc.start()
    try:
        assert read(path) == GOOD
    except UserError as error:
        caplog.clear()
        logging.getLogger("vaelab").warning("%s", error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 160 * MEGABYTE
    assert sorted(folder.parent.iterdir()) == there
    if said:
        assert re.search(said, caplog.messages[0])
        assert "\n" not in caplog.messages[0]
    else:
        assert not caplog.messages


def test_hard_links_inside_a_tar_are_taken(folder):
    os.link(folder / "00.png", folder / "zz.png")
    assert read(as_tar(folder)) == GOOD + 1
