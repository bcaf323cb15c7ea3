"""A person's own pictures, in every layout, container and mode that is promised."""

import hashlib
import io
import logging
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.files import open_files
from vaelab.data.pictures import read_pictures
from vaelab.runtime.errors import UserError
from vaelab.settings import ImageFolderRecipe
from vaelab.sources.image_folder import open_image_folder


def encoded(colour: int | tuple[int, ...] = 128, mode: str = "L", **save: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (16, 16), colour).save(buffer, save.pop("format", "png"), **save)
    return buffer.getvalue()


def pictures(*patterns: str, count: int = 12) -> dict[str, bytes]:
    """`count` pictures for each pattern such as "train/cat/{}.png", all of different greys."""
    names = [pattern.format(f"{i:03}") for pattern in patterns for i in range(count)]
    return {name: encoded(2 * grey) for grey, name in enumerate(names)}


def as_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for name, data in reversed(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


CONTAINERS = {"pictures": as_folder, "pictures.zip": as_zip, "a.tar": as_tar, "a.tar.gz": as_tar}


def open_path(path: Path | str, **options: object):
    return open_image_folder(
        ImageFolderRecipe(
            source="image_folder", path=str(path), **{"image_size": 16, "channels": 1} | options
        )
    )


def everything(part):
    return part.read(np.arange(part.count))


def greys(split) -> list[int]:
    return (split.images[:, 0, 0, 0] // 2).tolist()


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("wrapper", ["", "a/b/"])
def test_train_and_test_with_classes(workspace, name, wrapper):
    files = pictures(*(f"{wrapper}{part}/{{}}.png" for part in ("train/cat", "train/dog")))
    files |= {
        f"{wrapper}test/{c}/{i}.png": encoded(200 + i) for c in ("dog", "cat") for i in range(3)
    }
    path = CONTAINERS[name](workspace / name, files)
    source = open_path(path)
    assert source.class_names == ["cat", "dog"]
    train, test = everything(source.train), everything(source.test)
    assert greys(train) == list(range(24))
    assert train.labels.tolist() == [0] * 12 + [1] * 12
    assert test.images[:, 0, 0, 0].tolist() == [200, 201, 202] * 2
    assert test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    if path.is_file():
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert source.archives == {name: f"sha256:{digest}"}
    else:
        assert source.archives == {}


def test_val_counts_as_train_and_a_missing_test_is_drawn(workspace):
    as_folder(workspace / "p", pictures("Train/{}.png", "val/{}.png", "test/{}.png"))
    source = open_path("p")
    assert (source.train.count, source.test.count) == (24, 12)
    as_folder(workspace / "q", pictures("train/cat/{}.png", "train/dog/{}.png"))
    source = open_path("q", test_fraction=0.25)
    assert source.class_names == ["cat", "dog"]
    assert (source.train.count, source.test.count) == (18, 6)


def test_a_split_by_seed(workspace):
    as_folder(workspace / "p", pictures("cat/{}.png", "dog/{}.png", "{}.png"))
    source = open_path("p", test_fraction=0.25, seed=1)
    assert source.class_names == ["cat", "dog", "image"]
    train, test = greys(everything(source.train)), greys(everything(source.test))
    assert len(test) == 9
    assert sorted(train + test) == list(range(36))
    again = open_path("p", test_fraction=0.25, seed=1)
    assert greys(everything(again.test)) == test
    other = open_path("p", test_fraction=0.25, seed=2)
    assert greys(everything(other.test)) != test


def test_pictures_outside_train_and_test_are_ignored_aloud(workspace, caplog):
    as_folder(workspace / "p", pictures("train/{}.png", "test/{}.png", "extra/{}.png"))
    source = open_path("p")
    assert (source.train.count, source.test.count) == (12, 12)
    assert "12 pictures outside train/ and test/ ignored" in caplog.text


def test_what_is_hidden_or_no_picture_or_a_loop_is_ignored(workspace):
    files = pictures("{}.png", count=24)
    files |= {".hidden.png": b"", "__MACOSX/._0.png": b"", ".git/a.png": b"", "read me.txt": b""}
    path = as_folder(workspace / "p", files)
    (path / "up").symlink_to(path)
    for source in (open_path(path), open_path(as_zip(workspace / "p.zip", files))):
        assert source.train.count + source.test.count == 24
        assert source.class_names == ["image"]


def test_names_that_point_outside_are_only_names(workspace):
    outside = workspace.parent / "outside.png"
    files = pictures("{}.png", count=24) | {"../outside.png": encoded(), str(outside): encoded()}
    before = sorted(workspace.parent.rglob("*"))
    for make, name in ((as_zip, "p.zip"), (as_tar, "p.tar")):
        source = open_path(make(workspace / name, files))
        everything(source.train), everything(source.test)
        (workspace / name).unlink()
    assert sorted(workspace.parent.rglob("*")) == before


def test_links_in_a_tar_are_not_followed(workspace):
    secret = workspace / "secret.png"
    secret.write_bytes(encoded())
    path = as_tar(workspace / "p.tar", pictures("{}.png", count=24))
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("link.png")
        member.type, member.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(member)
    source = open_path(path)
    assert source.train.count + source.test.count == 24


def test_a_url(server, workspace):
    path = as_zip(workspace / "p.zip", pictures("cat/{}.png", "dog/{}.png"))
    data = path.read_bytes()
    url = server.put("/some/p.zip?version=1", data)
    digest = hashlib.sha256(data).hexdigest()
    recipe = ImageFolderRecipe(source="image_folder", url=url, sha256=digest, image_size=16)
    source = open_image_folder(recipe)
    assert everything(source.train).images.shape[1:] == (3, 16, 16)
    assert source.archives == {"p.zip": f"sha256:{digest}"}
    other = server.put("/other/p.zip", data + b" ")
    recipe = ImageFolderRecipe(source="image_folder", url=other, image_size=16)
    assert open_image_folder(recipe).archives != source.archives
    page = server.put("/page.zip", b"<html>log in")
    recipe = ImageFolderRecipe(source="image_folder", url=page, image_size=16)
    with pytest.raises(UserError, match="a web page instead of the file; put the file at") as error:
        open_image_folder(recipe)
    placed = Path(str(error.value).partition("put the file at ")[2].partition(" by hand")[0])
    placed.write_bytes(b"<html>log in")
    with pytest.raises(UserError, match=r"is a web page, neither .*; delete it, and it is fetched"):
        open_image_folder(recipe)


def test_sha256_of_a_local_archive(workspace):
    path = as_zip(workspace / "p.zip", pictures("{}.png", count=24))
    with pytest.raises(UserError, match="is not the file that was asked for: expected sha256:00"):
        open_path(path, sha256="0" * 64)
    as_folder(workspace / "p", pictures("{}.png", count=24))
    with pytest.raises(UserError, match="sha256 is for an archive"):
        open_path("p", sha256="0" * 64)


def test_relative_paths_begin_at_the_repository_and_tilde_at_home(tmp_path, monkeypatch):
    as_folder(tmp_path / "repository" / "p", pictures("{}.png", count=24))
    with pytest.raises(UserError, match="p does not exist; correct `path`"):
        open_path("p")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    assert open_path("p").train.count == 22
    monkeypatch.setenv("HOME", str(tmp_path / "repository"))
    monkeypatch.delenv("DVC_ROOT")
    assert open_path("~/p").train.count == 22
    with pytest.raises(UserError, match="no home folder ~nosuchuser here; correct the path"):
        open_path("~nosuchuser/photos")


def test_too_few(workspace):
    as_folder(workspace / "p", pictures("{}.png", count=7) | {"a.heic": b"", "b.heic": b""})
    with pytest.raises(UserError, match=r"p holds 7 pictures .*\.heic.* at least 20 are needed"):
        open_path("p")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file, "),
        (b"Rar!\x1a\x07", ""),
        (b"\n<!DOCTYPE HTML><p>log in", "a web page, "),
        (b"<html>log in</html>", "a web page, "),
    ],
)
def test_no_archive(workspace, data, what):
    (workspace / "p.zip").write_bytes(data)
    with pytest.raises(UserError, match=rf"p\.zip is {what}neither a folder nor a zip nor a tar"):
        open_path("p.zip")


def test_a_locked_zip(workspace):
    path = as_zip(workspace / "p.zip", pictures("{}.png", count=24))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="locked with a password"):
        open_path(path)


@pytest.mark.parametrize("name", CONTAINERS)
def test_broken_pictures_are_named_and_left_out(workspace, caplog, name):
    files = pictures("train/a/{}.png", "train/b/{}.png", "test/a/{}.png")
    files["train/a/005.png"] = b"no picture"
    files["train/b/002.png"] = files["train/b/002.png"][:45]
    path = CONTAINERS[name](workspace / name, files)
    with caplog.at_level(logging.WARNING):
        train = everything(open_path(path).train)
    assert greys(train) == [grey for grey in range(24) if grey not in (5, 14)]
    assert train.labels.tolist() == [0] * 11 + [1] * 11
    lines = caplog.text.splitlines()
    assert lines[0].endswith("train/a/005.png cannot be read and is left out: not a picture")
    assert "train/b/002.png cannot be read and is left out: " in lines[1]
    assert lines[2].endswith("2 of 24 pictures left out")


def test_a_damaged_zip_member_is_left_out(workspace, caplog):
    path = as_zip(workspace / "p.zip", pictures("train/{}.png", "test/{}.png"))
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(data)
    assert len(everything(open_path(path).train)) == 11
    assert "train/000.png cannot be read" in caplog.text


# --- attributes.csv -------------------------------------------------------------------------------


def attributed(*patterns: str, count: int = 12, wrapper: str = "") -> dict[str, bytes]:
    """Pictures and their attributes: odd greys are `odd`, and greys of 6 and more `large`."""
    files = pictures(*patterns, count=count)
    rows = [f"{int(i > 5)},{name},{i % 2}" for i, name in enumerate(files)]
    table = "\ufefflarge,file,odd one\r\n" + "\r\n".join(reversed(rows))
    files = {wrapper + name: data for name, data in files.items()}
    return files | {f"{wrapper}attributes.csv": table.encode()}


@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("wrapper", ["", "a/b/"])
def test_attributes(workspace, name, wrapper):
    files = attributed("train/cat/{}.png", "train/dog/{}.png", "test/cat/{}.png", wrapper=wrapper)
    files[f"{wrapper}train/cat/003.png"] = b"no picture"
    source = open_path(CONTAINERS[name](workspace / name, files))
    assert source.attribute_names == ["large", "odd one"]
    for part, first in ((source.train, 0), (source.test, 24)):
        split = everything(part)
        assert split.attributes.dtype == np.uint8
        shown = np.array(greys(split))
        assert shown[0] == first
        np.testing.assert_array_equal(split.attributes, np.stack([shown > 5, shown % 2], axis=1))


def test_attributes_as_celebas_and_none(workspace):
    files = attributed("{}.png", count=24)
    files["attributes.csv"] = files["attributes.csv"].replace(b"0,", b"-1,", 3)
    source = open_path(as_folder(workspace / "p", files))
    train, test = everything(source.train), everything(source.test)
    shown = np.array(greys(train) + greys(test))
    found = np.concatenate([train.attributes, test.attributes])
    np.testing.assert_array_equal(found, np.stack([shown > 5, shown % 2], axis=1))
    source = open_path(as_folder(workspace / "q", pictures("{}.png", count=24)))
    assert source.attribute_names == []
    assert everything(source.train).attributes is None


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "0,000.png,0",
            "0,0.png,0",
            "row 24 below the header names no picture; `file` is",
        ),
        ("0,000.png,0", "0", "row 24 below the header names no picture"),
        (
            "0,000.png,0",
            "0,001.png,0",
            "row 24 below the header names a picture that",
        ),
        ("0,000.png,0", "", "has no row for 1 of 24 pictures, the first 000.png; add them"),
        (
            "0,000.png,0",
            "0,000.png,2",
            "row 24 below the header needs 2 values",
        ),
        (
            "0,000.png,0",
            "0,000.png",
            "row 24 below the header needs 2 values",
        ),
        ("0,000.png,0", "0,000.png,0,1", "cannot be read: "),
        ("large,file", "large;file", "needs a column `file`, and a column for each attribute"),
        ("odd one", "\xff", "cannot be read: 'utf-8' codec"),
    ],
)
def test_what_is_wrong_with_attributes(workspace, before, after, message):
    files = attributed("{}.png", count=24)
    table = files["attributes.csv"].replace(before.encode(), after.encode("latin-1"))
    as_folder(workspace / "p", files | {"attributes.csv": table})
    with pytest.raises(UserError) as error:
        open_path("p")
    assert message in str(error.value)
    assert "attributes.csv in " in str(error.value)
    assert "\n" not in str(error.value)


def test_an_empty_attributes_file_and_two(workspace):
    files = pictures("cat/{}.png", "dog/{}.png") | {"attributes.csv": b""}
    with pytest.raises(UserError, match=r"attributes\.csv in .* cannot be read: No columns"):
        open_path(as_folder(workspace / "p", files))
    as_folder(workspace / "p", {"cat/attributes.csv": b""})
    with pytest.raises(UserError, match=r"holds attributes\.csv and cat/attributes\.csv; leave"):
        open_path("p")


def test_pictures_come_in_the_order_asked_for(workspace):
    files = open_files(as_tar(workspace / "p.tar", pictures("{}.png", count=24)))
    names = ["017.png", "003.png", "021.png"]
    images, kept = read_pictures(files, names, size=16, channels=1)
    assert (images[:, 0, 0, 0] // 2).tolist() == [17, 3, 21]
    assert kept.tolist() == [0, 1, 2]
