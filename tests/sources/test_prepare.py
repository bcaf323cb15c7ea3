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
        return Split(np.zeros((len(indices), 1, 16, 16), np.uint8), indices, attributes=attributes)

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
