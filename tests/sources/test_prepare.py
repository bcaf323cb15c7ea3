"""From a recipe to arrays on disk: limits, splits, and what meta.json says."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaelab.data.arrays import SPLITS, ImageArrays, Split
from vaelab.runtime.errors import UserError
from vaelab.settings import (
    OVERRIDES,
    DatasetSettings,
    ImageFolderRecipe,
    ShapesRecipe,
    TorchvisionRecipe,
)
from vaelab.sources import prepare as prepare_module
from vaelab.sources.prepare import prepare
from vaelab.sources.source import Part, Source


def settings(recipe, name="set") -> DatasetSettings:
    return DatasetSettings.model_construct(dataset=name, recipe=recipe)


def numbered(count: int, first: int = 0) -> Part:
    """Images whose label is their number."""

    def read(indices):
        assert (np.diff(indices) > 0).all()
        images = np.zeros((len(indices), 1, 16, 16), np.uint8)
        images[:, 0, 0, 0] = indices
        return Split(images, indices + first)

    return Part(count, read)


@pytest.fixture
def prepared(monkeypatch):
    """A function that prepares 200 train images, labels 0 to 199, and 60 test, from 1000 on."""
    source = Source(numbered(200), numbered(60, first=1000), ["image"])
    monkeypatch.setattr(prepare_module, "open_source", lambda recipe: source)

    def labels(**options):
        recipe = TorchvisionRecipe(source="cifar10", **options)
        prepare(settings(recipe))
        arrays = ImageArrays.open(Path("data/set"))
        return {name: getattr(arrays, name).labels.tolist() for name in SPLITS}

    return labels


def test_val_is_held_out_of_train_and_test_stays(prepared):
    splits = prepared(val_fraction=0.25)
    assert len(splits["val"]) == 50
    assert sorted(splits["train"] + splits["val"]) == list(range(200))
    assert splits["test"] == list(range(1000, 1060))
    limited = prepared(limit=40)
    assert [len(limited[name]) for name in SPLITS] == [36, 4, 40]
    chosen = set(limited["train"] + limited["val"])
    assert len(chosen) == 40
    assert 100 < max(chosen) < 200


def test_the_seed_decides_the_splits(prepared):
    first = prepared(limit=40, seed=1)
    assert prepared(limit=40, seed=1) == first
    second = prepared(limit=40, seed=2)
    assert all(second[name] != first[name] for name in SPLITS)


@pytest.mark.parametrize("readable", [0, 1])
def test_a_split_of_fewer_than_two_images_is_refused(monkeypatch, readable):
    few = Part(20, lambda indices: numbered(20).read(indices)[:readable])
    source = Source(numbered(20), few, ["image"])
    monkeypatch.setattr(prepare_module, "open_source", lambda recipe: source)
    message = (
        f"^set: test has {readable} readable images and needs at least 2; "
        "add images, or change limit, val_fraction in its recipe$"
    )
    with pytest.raises(UserError, match=message):
        prepare(settings(TorchvisionRecipe(source="cifar10")))
    assert not Path("data/set/meta.json").exists()


@pytest.fixture
def prepared_folder(workspace):
    """A function that prepares pictures 0 to 59, each of the grey of its number, some broken."""
    (workspace / "p").mkdir()

    def numbers(broken, **options):
        for i in range(60):
            file = workspace / "p" / f"{i:02}.png"
            Image.new("L", (16, 16), i).save(file)
            if i in broken:
                file.write_bytes(file.read_bytes()[:40])
        fields = {"path": str(workspace / "p"), "image_size": 16, "channels": 1} | options
        prepare(settings(ImageFolderRecipe(source="image_folder", **fields)))
        arrays = ImageArrays.open(Path("data/set"))
        return {name: getattr(arrays, name).images[:, 0, 0, 0].tolist() for name in SPLITS}

    return numbers


def test_splits_are_drawn_from_what_can_be_read(prepared_folder):
    whole = prepared_folder([])
    assert [len(whole[name]) for name in SPLITS] == [49, 5, 6]
    broken = [*whole["test"][1:], *whole["val"][:4], *whole["train"][:9]]
    splits = prepared_folder(broken)
    assert [len(splits[name]) for name in SPLITS] == [34, 4, 4]
    assert {i for split in splits.values() for i in split} == set(range(60)) - set(broken)
    assert splits["test"][0] == whole["test"][0]
    assert splits["train"] == sorted(splits["train"])
    assert prepared_folder(broken) == splits
    limited = prepared_folder(broken, limit=12)
    assert min(len(split) for split in limited.values()) >= 2


def test_one_broken_picture_of_a_small_set(prepared_folder, workspace):
    for broken in range(60):
        if broken % 7 == 0:
            splits = prepared_folder([broken], test_fraction=0.03, val_fraction=0.03)
            assert [len(splits[name]) for name in SPLITS] == [55, 2, 2]


def test_a_test_part_that_was_given_stays_as_it_is(workspace):
    for part in ("train", "test"):
        (workspace / "p" / part).mkdir(parents=True)
        for i in range(20):
            Image.new("L", (16, 16), i).save(workspace / "p" / part / f"{i:02}.png")
    for i in range(18):
        (workspace / "p" / "test" / f"{i:02}.png").write_bytes(b"?")
    recipe = ImageFolderRecipe(source="image_folder", path=str(workspace / "p"), image_size=16)
    assert prepare(settings(recipe)).counts == {"train": 18, "val": 2, "test": 2}


def test_shapes_on_disk():
    recipe = ShapesRecipe(source="shapes", count=200, image_size=16)
    meta = prepare(settings(recipe))
    arrays = ImageArrays.open(Path("data/set"))
    assert arrays.meta == meta
    assert meta.counts == {"train": 162, "val": 18, "test": 20}
    assert meta.shape == (3, 16, 16)
    assert meta.source == {**recipe.model_dump(exclude=set(OVERRIDES)), "archives": {}}
    everything = np.concatenate([getattr(arrays, name).factors for name in SPLITS])
    assert everything.shape == (200, 7)
    assert len(np.unique(everything, axis=0)) == 200
    digest = hashlib.sha256()
    for name in SPLITS:
        for suffix in ("", "_labels", "_factors"):
            array = np.load(f"data/set/{name}{suffix}.npy")
            digest.update(f"{name}{suffix} {array.dtype} {array.shape}".encode() + array.tobytes())
    assert digest.hexdigest() == meta.digest
    assert prepare(settings(recipe.model_copy(update={"model": {"latent_dim": 3}}))) == meta
    assert prepare(settings(recipe.model_copy(update={"seed": 1}))).digest != meta.digest


def test_attributes_on_disk(monkeypatch):
    def read(indices):
        attributes = np.stack([indices % 2, indices < 9], axis=1).astype(np.uint8)
        images = np.zeros((len(indices), 1, 16, 16), np.uint8)
        images[:, 0, 0, 0] = indices
        return Split(images, indices, attributes=attributes)

    plain = Source(numbered(40), numbered(20), ["image"])
    source = Source(Part(40, read), Part(20, read), ["image"], attribute_names=["odd", "small"])
    recipe = settings(TorchvisionRecipe(source="cifar10"))
    monkeypatch.setattr(prepare_module, "open_source", lambda recipe: plain)
    digest = prepare(recipe).digest
    monkeypatch.setattr(prepare_module, "open_source", lambda recipe: source)
    assert prepare(recipe).digest != digest
    arrays = ImageArrays.open(Path("data/set"))
    assert arrays.meta.attribute_names == ["odd", "small"]
    for name in SPLITS:
        split = getattr(arrays, name)
        assert split.attributes.dtype == np.uint8
        np.testing.assert_array_equal(split.attributes[:, 0], split.labels % 2)
        np.testing.assert_array_equal(split.attributes[:, 1], split.labels < 9)
        np.testing.assert_array_equal(split[::2].attributes, split.attributes[::2])


def test_images_that_are_all_alike_are_refused(monkeypatch, workspace):
    def read(indices):
        return Split(np.full((len(indices), 1, 16, 16), 255, np.uint8), indices)

    source = Source(Part(40, read), Part(20, read), ["image"])
    monkeypatch.setattr(prepare_module, "open_source", lambda recipe: source)
    with pytest.raises(UserError, match=r"^set: all training images are alike; add others$"):
        prepare(settings(TorchvisionRecipe(source="cifar10")))
    assert not Path("data/set").exists()


def test_meta_knows_nothing_of_the_machine(workspace):
    pictures = workspace / "private" / "photos.zip"
    pictures.parent.mkdir()
    with zipfile.ZipFile(pictures, "w") as archive:
        for index in range(30):
            with archive.open(f"{index}.png", "w") as file:
                Image.new("L", (20, 20), index).save(file, "png")
    recipe = ImageFolderRecipe(source="image_folder", path=str(pictures), image_size=16)
    meta = prepare(settings(recipe))
    assert meta.source["path"] == "photos.zip"
    assert meta.source["archives"]["photos.zip"].startswith("sha256:")
    assert "private" not in Path("data/set/meta.json").read_text()
    text = Path("data/set/meta.json").read_text()
    moved = pictures.rename(workspace / "photos.zip")
    prepare(settings(recipe.model_copy(update={"path": str(moved)})))
    assert Path("data/set/meta.json").read_text() == text
