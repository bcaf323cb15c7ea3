"""torchvision's sets, from small files in each set's own format on disk."""

import gzip
import hashlib
import io
import pickle
import struct
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from vaelab.runtime.errors import UserError
from vaelab.settings import TorchvisionRecipe
from vaelab.sources import torchvision_sets
from vaelab.sources.fetch import downloads_dir
from vaelab.sources.prepare import open_source

RNG = np.random.default_rng(0)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def opened(name: str, **options: object):
    return open_source(TorchvisionRecipe(source=name, **options))


def everything(part):
    return part.read(np.arange(part.count))


def expect(source, train, test, class_names):
    """train, test: (images, labels) as they were written."""
    for part, (images, labels) in ((source.train, train), (source.test, test)):
        split = everything(part)
        np.testing.assert_array_equal(split.images, images)
        np.testing.assert_array_equal(split.labels, labels)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        some = part.read(np.array([1, 3]))
        np.testing.assert_array_equal(some.images, images[[1, 3]])
        np.testing.assert_array_equal(some.labels, np.asarray(labels)[[1, 3]])
    assert source.class_names == class_names


# --- CIFAR ----------------------------------------------------------------------------------------


def serve_cifar(dataset, key, server, monkeypatch):
    """A tar of pickled batches; returns each part's (images, labels)."""
    archive, checksums, parts = io.BytesIO(), {}, {}
    names = [f"name {i}" for i in range(3)]
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:

        def add(name, content):
            data = pickle.dumps(content)
            checksums[name] = md5(data)
            member = tarfile.TarInfo(f"{dataset.base_folder}/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        for part, batches in (("train", dataset.train_list), ("test", dataset.test_list)):
            pixels = RNG.integers(0, 256, (4 * len(batches), 3072), np.uint8)
            labels = RNG.integers(0, 3, len(pixels)).tolist()
            parts[part] = (pixels.reshape(-1, 3, 32, 32), labels)
            for index, (name, _) in enumerate(batches):
                rows = slice(4 * index, 4 * index + 4)
                add(name, {"data": pixels[rows], key: labels[rows]})
        add(dataset.meta["filename"], {dataset.meta["key"]: names})
    for batches in ("train_list", "test_list"):
        now = [[name, checksums[name]] for name, _ in getattr(dataset, batches)]
        monkeypatch.setattr(dataset, batches, now)
    meta = dataset.meta | {"md5": checksums[dataset.meta["filename"]]}
    monkeypatch.setattr(dataset, "meta", meta)
    monkeypatch.setattr(dataset, "tgz_md5", md5(archive.getvalue()))
    url = server.put(f"/{dataset.filename}", archive.getvalue())
    monkeypatch.setattr(dataset, "url", url)
    return parts["train"], parts["test"], names


@pytest.mark.parametrize(
    ("name", "dataset", "key"),
    [("cifar10", datasets.CIFAR10, "labels"), ("cifar100", datasets.CIFAR100, "fine_labels")],
)
def test_cifar(name, dataset, key, server, monkeypatch):
    train, test, names = serve_cifar(dataset, key, server, monkeypatch)
    source = opened(name)
    expect(source, train, test, names)
    assert source.archives == {dataset.filename: f"md5:{dataset.tgz_md5}"}
    opened(name)
    assert len(server.requests) == 1


def test_resized(server, monkeypatch):
    serve_cifar(datasets.CIFAR10, "labels", server, monkeypatch)
    split = everything(opened("cifar10", image_size=16).train)
    assert split.images.shape == (20, 3, 16, 16)
    whole = everything(opened("cifar10").train).images
    averages = whole.reshape(20, 3, 16, 2, 16, 2).mean((3, 5))
    assert abs(split.images - averages).mean() < 25


# --- MNIST ----------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.tobytes())


@pytest.mark.parametrize(
    ("name", "dataset"), [("mnist", datasets.MNIST), ("fashion_mnist", datasets.FashionMNIST)]
)
def test_mnist(name, dataset, server, monkeypatch):
    parts, resources = {}, []
    for part, prefix, count in (("train", "train", 12), ("test", "t10k", 5)):
        images = RNG.integers(0, 256, (count, 28, 28), np.uint8)
        labels = RNG.integers(0, 10, count, np.uint8)
        parts[part] = (images[:, None], labels)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            file = f"{prefix}-{kind}-ubyte.gz"
            data = idx(array)
            server.put(f"/{file}", data)
            resources.append((file, md5(data)))
    monkeypatch.setattr(dataset, "mirrors", [f"{server.url}/"])
    monkeypatch.setattr(dataset, "resources", resources)

    expect(opened(name), parts["train"], parts["test"], dataset.classes)
    assert len(server.requests) == 4
    raw = downloads_dir() / name / dataset.__name__ / "raw"
    (raw / "train-images-idx3-ubyte").write_bytes(b"unpacked in part")
    expect(opened(name), parts["train"], parts["test"], dataset.classes)
    assert len(server.requests) == 4
    assert everything(opened(name, image_size=32).test).images.shape == (5, 1, 32, 32)


# --- SVHN -----------------------------------------------------------------------------------------


def test_svhn(server, monkeypatch):
    parts, split_list = {}, {}
    for part, count in (("train", 12), ("test", 5)):
        images = RNG.integers(0, 256, (count, 3, 32, 32), np.uint8)
        labels = np.arange(count) % 10
        parts[part] = (images, labels)
        buffer = io.BytesIO()
        on_disk = np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)
        scipy.io.savemat(buffer, {"X": images.transpose(2, 3, 1, 0), "y": on_disk})
        file = f"{part}_32x32.mat"
        url = server.put(f"/{file}", buffer.getvalue())
        split_list[part] = [url, file, md5(buffer.getvalue())]
    monkeypatch.setattr(datasets.SVHN, "split_list", split_list)
    source = opened("svhn")
    expect(source, parts["train"], parts["test"], [str(digit) for digit in range(10)])
    assert set(source.archives) == {"train_32x32.mat", "test_32x32.mat"}


# --- CelebA ---------------------------------------------------------------------------------------


@pytest.fixture
def celeba(monkeypatch) -> dict[str, bytes]:
    """Twenty faces: 12 train, 3 valid, 5 test; every second one smiles; a frame to be cropped."""
    names = [f"{i:06}.jpg" for i in range(1, 21)]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index, name in enumerate(names):
            face = Image.new("RGB", (178, 218), (255, 0, 0))
            face.paste((10 * index, 10 * index, 10 * index), (15, 35, 163, 183))
            picture = io.BytesIO()
            face.save(picture, "jpeg", quality=95)
            archive.writestr(f"img_align_celeba/{name}", picture.getvalue())
    partition = [0] * 12 + [1] * 3 + [2] * 5

    def table(row: Callable[[int], object], header: str = "") -> bytes:
        return (header + "".join(f"{name} {row(i)}\n" for i, name in enumerate(names))).encode()

    files = {
        "img_align_celeba.zip": buffer.getvalue(),
        "list_attr_celeba.txt": table(
            lambda i: f"{' 1' if i < 3 else '-1'} {' 1' if i % 2 else '-1'}",
            "20\nYoung Smiling \n",
        ),
        "identity_CelebA.txt": table(lambda i: 1),
        "list_bbox_celeba.txt": table(lambda i: "1 2 3 4", "20\nimage_id x_1 y_1 width height\n"),
        "list_landmarks_align_celeba.txt": table(lambda i: "1 2", "20\nlefteye_x lefteye_y\n"),
        "list_eval_partition.txt": table(lambda i: partition[i]),
    }
    dataset = torchvision_sets.SETS["celeba"].dataset
    monkeypatch.setattr(dataset, "file_list", [(n, md5(data), n) for n, data in files.items()])
    return files


def test_celeba(celeba, gdown, monkeypatch):
    fetched = []

    def download(url, output, **options):
        name = url.partition("id=")[2]
        fetched.append(name)
        Path(output).write_bytes(celeba[name])

    monkeypatch.setattr(gdown, "download", download)
    source = opened("celeba")
    assert sorted(fetched) == sorted(celeba)
    assert source.class_names == ["not smiling", "smiling"]
    train, test = everything(source.train), everything(source.test)
    assert train.images.shape == (12, 3, 64, 64)
    assert test.images.shape == (5, 3, 64, 64)
    assert train.labels.tolist() == [0, 1] * 6
    assert test.labels.tolist() == [1, 0, 1, 0, 1]
    assert source.attribute_names == ["Young", "Smiling"]
    assert train.attributes.dtype == np.uint8
    assert train.attributes.tolist() == [[int(i < 3), i % 2] for i in range(12)]
    assert test.attributes.tolist() == [[0, 1], [0, 0], [0, 1], [0, 0], [0, 1]]
    assert source.train.read(np.array([1, 4])).attributes.tolist() == [[1, 1], [0, 0]]
    grey = np.arange(12)[:, None, None, None] * 10
    assert abs(train.images[:, :, 2:-2, 2:-2].astype(int) - grey).max() <= 3
    assert not (downloads_dir() / "celeba" / "celeba" / "img_align_celeba").exists()
    assert everything(opened("celeba", image_size=32).test).images.shape == (5, 3, 32, 32)
    assert len(fetched) == 6


def test_celeba_without_gdown_and_placed_by_hand(celeba, monkeypatch):
    monkeypatch.setitem(sys.modules, "gdown", None)
    folder = downloads_dir() / "celeba" / "celeba"
    with pytest.raises(UserError, match=r"gdown, .*, is not installed: make extras; put") as error:
        opened("celeba")
    assert str(error.value).endswith(": " + ", ".join(str(folder / name) for name in celeba))
    (folder / "img_align_celeba.zip").write_bytes(b"<!DOCTYPE html>quota")
    with pytest.raises(UserError, match=r"img_align_celeba\.zip is a web page, not the file that"):
        opened("celeba")
    for name, data in celeba.items():
        (folder / name).write_bytes(data)
    assert opened("celeba").train.count == 12
