"""What can be refused before a stage begins: DVC removes a stage's outputs before it starts it.

    check(load_settings().of("shapes"), {"train_fc", "train_conv"})

Quick: torch, which takes seconds, is imported where a device or weights are named, and only there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from vaelab.data.arrays import Meta
from vaelab.data.pictures import read_picture
from vaelab.runtime import repository, tracking
from vaelab.runtime.errors import UserError
from vaelab.settings import DatasetSettings, ImageFolderRecipe
from vaelab.sources.fetch import expanded
from vaelab.sources.prepare import described

SMALLEST = (3, 16, 16)  # as which a picture is read to see that it can be


def check(settings: DatasetSettings, stages: Collection[str]) -> None:
    """Whether MLflow's store, the device and the files that the settings name are there.

    stages: those that are to run, such as compare. Test images and classes are looked up where the
    data set is there, and of this recipe.
    Raises UserError for the first that is not.
    """
    made = _made(settings)
    recipe = settings.recipe
    if "download" in stages and not made and isinstance(recipe, ImageFolderRecipe) and recipe.path:
        _check_path(recipe.path)
    if not {"download", "report"}.issuperset(stages):
        tracking.check()
        _check_device(settings.train.device)
    if "compare" in stages and settings.compare.inception_weights:
        from vaelab.metrics.inception import check_weights

        check_weights(expanded(settings.compare.inception_weights))
    if "interpolate" in stages:
        pairs, corners = settings.interpolate.pairs, settings.interpolate.corners
        ends = [] if isinstance(pairs, int) else [end for pair in pairs for end in pair]
        _check_pictures("pairs", ends, made)
        _check_pictures("corners", [] if corners == "drawn" else corners, made)
    if "latent_explore" in stages and made:
        directions = settings.latent_explore.directions
        _check_names([] if isinstance(directions, int) else directions, made)


def _made(settings: DatasetSettings) -> Meta | None:
    """The data set's, if it is there and was made by this recipe."""
    try:
        meta = Meta.model_validate_json((settings.data_dir / "meta.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return meta if described(settings.recipe).items() <= meta.source.items() else None


def _check_path(path: str) -> None:
    if not (repository.root() / expanded(path)).exists():
        raise UserError(f"{path} does not exist; correct `path` in params.yaml")


def _check_device(name: str) -> None:
    if name not in ("auto", "cpu"):
        from vaelab.vae.device import select_device

        select_device(name)


def _check_pictures(key: str, members: Iterable[int | str], made: Meta | None) -> None:
    """members: of interpolate.`key`, test images' numbers and files."""
    for member in members:
        if isinstance(member, str):
            read_picture(member, SMALLEST)
        elif made and member >= made.counts["test"]:
            raise UserError(
                f"interpolate.{key} names test image {member}; allowed: 0 to "
                f"{made.counts['test'] - 1}, the test split's images"
            )


def _check_names(directions: Iterable[str], made: Meta) -> None:
    """Those of latent_explore; the stage may still find that all images have an attribute."""
    attributes = made.attribute_names
    classes = [f"class {name}" if name in attributes else name for name in made.class_names]
    for name in directions:
        if name not in (known := [*attributes, *classes]):
            raise UserError(
                f"latent_explore.directions names {name!r}; allowed: {', '.join(known)}"
            )
