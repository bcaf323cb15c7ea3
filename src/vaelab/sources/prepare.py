"""A recipe -> the data set's arrays on disk.

Every source gives a train and a test part; here, and nowhere else, `limit` is applied and the
validation split is held out of train. Only the images that were chosen are read, and the splits are
drawn from those that can be.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np

from vaelab.data.arrays import Meta, Split, SplitName, save
from vaelab.runtime.errors import UserError
from vaelab.settings import OVERRIDES, DatasetSettings, Recipe, ShapesRecipe, TorchvisionRecipe
from vaelab.sources.source import FEWEST_IN_SPLIT, Source, held_out, shuffled


def prepare(settings: DatasetSettings) -> Meta:
    """Make the data set that the recipe describes, in `settings.data_dir`.

    Raises UserError where it cannot be fetched or read, where a split is left with too few images,
    or where all training images are alike.
    """
    recipe = settings.recipe
    source = open_source(recipe)
    limit = None if isinstance(recipe, ShapesRecipe) else recipe.limit
    chosen = shuffled(source.train.count, recipe.seed, "train")[:limit]
    val_count = held_out(len(chosen), recipe.val_fraction)
    test = shuffled(source.test.count, recipe.seed, "test")[:limit]

    splits: dict[SplitName, Split] = {
        "train": source.train.read(np.sort(chosen[val_count:])),
        "val": source.train.read(np.sort(chosen[:val_count])),
        "test": source.test.read(np.sort(test)),
    }
    if sum(map(len, splits.values())) < len(chosen) + len(test):
        _make_good(splits, recipe, source.test_is_drawn)
    for name, split in splits.items():
        if len(split) < FEWEST_IN_SPLIT:
            knobs = ("count", "limit", "val_fraction", "test_fraction")
            raise UserError(
                f"{settings.dataset}: {name} has {len(split)} readable images and needs at least "
                f"{FEWEST_IN_SPLIT}; add images, or change "
                f"{', '.join(knob for knob in knobs if hasattr(recipe, knob))} in its recipe"
            )
    first = splits["train"].images[0]
    if all(np.array_equal(image, first) for image in splits["train"].images):  # ends at the second
        raise UserError(f"{settings.dataset}: all training images are alike; add others")
    return save(
        settings.data_dir,
        splits,
        name=settings.dataset,
        source={**described(recipe), "archives": source.archives},
        class_names=source.class_names,
        factor_names=source.factor_names,
        attribute_names=source.attribute_names,
        split_seed=recipe.seed,
    )


def _make_good(splits: dict[SplitName, Split], recipe: Recipe, test_is_drawn: bool) -> None:
    """Held-out splits that lost unreadable images get others of train: their share of what is left.

    Changes `splits`. A test split that was given stays as it is.
    """
    train = splits["train"]
    shares: dict[SplitName, float] = {"val": recipe.val_fraction}
    if test_is_drawn and not isinstance(recipe, TorchvisionRecipe):
        shares = {"test": recipe.test_fraction, **shares}
    for name, share in shares.items():
        there = splits[name]
        left = len(train) + len(there) + (len(splits["val"]) if name == "test" else 0)
        lacking = max(0, held_out(left, share) - len(there))
        moved = np.sort(shuffled(len(train), recipe.seed, f"{name}, made good")[:lacking])
        splits[name] = there.joined(train[moved])
        train = train.without(moved)
    splits["train"] = train


def open_source(recipe: Recipe) -> Source:
    """Fetch what the recipe needs, and list its images without reading them.

    A source is imported when it is asked for: torchvision alone takes seconds.
    """
    if isinstance(recipe, ShapesRecipe):
        from vaelab.sources.shapes import open_shapes

        return open_shapes(recipe)
    if isinstance(recipe, TorchvisionRecipe):
        from vaelab.sources.torchvision_sets import open_torchvision_set

        return open_torchvision_set(recipe)
    from vaelab.sources.image_folder import open_image_folder

    return open_image_folder(recipe)


def described(recipe: Recipe) -> dict[str, Any]:
    """The recipe for meta.json: a path by its last name, so that machines agree on the file."""
    fields = recipe.model_dump(exclude=set(OVERRIDES))
    if fields.get("path"):
        fields["path"] = PurePath(fields["path"]).name
    return fields
