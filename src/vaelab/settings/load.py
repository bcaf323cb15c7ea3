"""params.yaml -> typed, validated, frozen settings.

    settings = load_settings().of("cifar10")

Every stage begins with that line, so a mistyped key anywhere in the file stops every stage at once
with one line that names the key, its value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from vaelab.runtime.errors import UserError
from vaelab.settings.compare import CompareSettings
from vaelab.settings.datasets import (
    OVERRIDES,
    ImageFolderRecipe,
    Recipe,
    ShapesRecipe,
    TorchvisionRecipe,
)
from vaelab.settings.fields import Section
from vaelab.settings.interpolate import InterpolateSettings
from vaelab.settings.latent_explore import LatentExploreSettings
from vaelab.settings.model import ModelSettings
from vaelab.settings.training import ObjectiveSettings, TrainSettings

RESERVED_NAMES = {"downloads"}  # data/downloads is the archives' folder
DATASET_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


class Sections(Section):
    """What is set for every data set, and may be overridden by one."""

    model: ModelSettings
    objective: ObjectiveSettings
    train: TrainSettings
    compare: CompareSettings
    interpolate: InterpolateSettings
    latent_explore: LatentExploreSettings

    @model_validator(mode="after")
    def _warmup(self) -> Sections:
        cycle = self.train.epochs / self.objective.kl_cycles
        warmup = self.objective.kl_warmup_epochs
        if warmup > cycle:
            raise ValueError(
                f"objective.kl_warmup_epochs is {warmup:g}; allowed: up to {cycle:g}, what "
                "train.epochs leaves to each of objective.kl_cycles, or beta would not be reached"
            )
        if self.objective.kl_cycles > 1 and not warmup:
            raise ValueError(
                f"objective.kl_cycles is {self.objective.kl_cycles}; allowed: 1 where "
                "objective.kl_warmup_epochs is 0, as there is nothing to repeat"
            )
        return self


class Settings(Sections):
    """The whole of params.yaml."""

    datasets: Annotated[dict[str, Recipe], Field(min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name in self.datasets:
            if not DATASET_NAME.fullmatch(name) or name in RESERVED_NAMES:
                raise ValueError(
                    f"datasets: {name!r} cannot be a data set's name; use small letters, digits, "
                    f"'-' and '_' (and not {', '.join(sorted(RESERVED_NAMES))!r})"
                )
        return self

    def of(self, dataset: str) -> DatasetSettings:
        """The settings of one data set's stages: the file's, with the recipe's own before them.

        Raises UserError where params.yaml does not name the data set.
        """
        if dataset not in self.datasets:
            known = ", ".join(self.datasets)
            raise UserError(f"params.yaml has no data set {dataset!r}; it names: {known}")
        recipe = self.datasets[dataset]
        tree = self.model_dump(exclude={"datasets"})
        for section in OVERRIDES:
            tree[section] = _overlaid(tree[section], getattr(recipe, section))
        return DatasetSettings.model_validate({"dataset": dataset, "recipe": recipe, **tree})


def _overlaid(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`tree` with the values that `changes` names, down to single settings."""
    result = {**tree, **changes}
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(tree.get(key), Mapping):
            result[key] = _overlaid(tree[key], value)
    return result


class DatasetSettings(Sections):
    """What the stages of one data set read, and where they write.

    Paths are relative to the working folder, which DVC makes the workspace's root.
    """

    dataset: str
    recipe: Recipe

    @property
    def data_dir(self) -> Path:
        return Path("data") / self.dataset

    @property
    def models_dir(self) -> Path:
        return Path("models") / self.dataset

    def model_dir(self, architecture: str) -> Path:
        return self.models_dir / architecture

    @property
    def samplers_dir(self) -> Path:
        return Path("samplers") / self.dataset

    @property
    def metrics_dir(self) -> Path:
        return Path("metrics") / self.dataset

    @property
    def report_dir(self) -> Path:
        return Path("reports") / self.dataset

    def flat(self) -> dict[str, Any]:
        """Every setting under its dotted name in params.yaml, the recipe's under `data.`."""
        tree = self.model_dump(exclude={"dataset": True, "recipe": set(OVERRIDES)})
        tree["data"] = {"name": self.dataset, **tree.pop("recipe")}
        return dict(_flatten(tree))


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            pairs += _flatten(value, f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", value))
    return pairs


# --- reading -------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """Keys are names, each once: PyYAML keeps the last of two equal keys in silence, where a person
    meant one of them. Looked at before `<<` merges other mappings in, which may repeat keys.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            where = f"{key.start_mark.name}: line {key.start_mark.line + 1}"
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                found = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise UserError(f"{where}: a key is {found}; allowed: a name in letters; quote it")
            if key.value in seen:
                raise UserError(f"{where}: {key.value!r} stands here twice")
            seen.add(key.value)
        return node


# No setting is a date: as text, it is named by the message that refuses it.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate the whole file.

    Raises UserError (one line: file, key, value, what is allowed) where anything in it is wrong.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            tree = _Loader(file).get_single_data()
    except FileNotFoundError:
        raise UserError(f"{path} is not here; run from the repository's root") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds no settings; `git checkout {path}` brings them back")
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None
    for dataset in settings.datasets:
        try:
            settings.of(dataset)
        except ValidationError as error:
            raise UserError(f"{path}: datasets.{dataset}.{_explain(error)}") from None
    return settings


RECIPES: dict[str, type[Section]] = {
    source: recipe
    for recipe in (ShapesRecipe, TorchvisionRecipe, ImageFolderRecipe)
    for source in get_args(recipe.model_fields["source"].annotation)
}


EITHER = {  # settings of one kind or another, and what is allowed
    "model.sigma": "learned, or a number above 0 and up to 100",
    "model.fc.width": "match_conv, or a whole number from 1 to 16384",
    "interpolate.pairs": "a number of pairs from 1 to 12, or a list of 1 to 12 pairs of test image "
    "numbers or files such as [[3, 14], [15, photo.jpg]]",
    "interpolate.corners": "drawn, or four test image numbers or files such as [3, 14, 15, a.jpg]",
    "latent_explore.directions": "a number from 1 to 12, or a list of 1 to 12 names of classes or "
    "attributes",
}


def _explain(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line, in the file's own terms.

    A name that is unknown goes first: mistyped, it is also the reason why another is missing.
    """
    complaints = error.errors(include_url=False)
    first = min(complaints, key=lambda complaint: complaint["type"] != "extra_forbidden")
    where = list(first["loc"])
    if len(where) >= 3 and where[0] == "datasets":
        del where[2]  # pydantic's mark of the recipe's kind
    either = _either(where)
    if either:
        where = list(either.split("."))  # without pydantic's branches of the union
    key = ".".join(str(part) for part in where)
    found = f"{key} is {_short(first['input'])}; allowed:"
    match first["type"]:
        case "extra_forbidden":
            text = f"{key}: no such setting; allowed here: {', '.join(_allowed(first['loc']))}"
        case "missing":
            text = f"{key} is missing"
        case "union_tag_not_found":
            text = f"{key}.source is missing; allowed: {', '.join(RECIPES)}"
        case "union_tag_invalid":
            text = f"{key}.source is {first['input']['source']!r}; allowed: {', '.join(RECIPES)}"
        case "value_error" if not isinstance(first["input"], Mapping):
            text = f"{found} {first['ctx']['error']}"
        case "value_error":
            reason = str(first["ctx"]["error"])
            text = f"{key}: {reason}" if key else reason
        case "model_type" | "dict_type" | "model_attributes_type":
            text = f"{found} a mapping of names to values"
        case "too_short":
            text = (
                f"{key} is {_short(first['input'])}; allowed: {first['ctx']['min_length']} or more"
            )
        case "too_long":
            text = (
                f"{key} has {first['ctx']['actual_length']}; allowed: {first['ctx']['max_length']}"
            )
        case _ if either:
            text = f"{found} {EITHER[either]}"
        case _:
            rule = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            text = f"{found} {rule}"
    more = len({_either(complaint["loc"]) or complaint["loc"][:3] for complaint in complaints}) - 1
    return f"{text} (and {more} more)" if more else text


def _either(location: Sequence[int | str]) -> str:
    """Which of EITHER a complaint is about; pydantic has one for each branch of the union."""
    parts = [str(part) for part in location]
    return next((path for path in EITHER if parts[: path.count(".") + 1] == path.split(".")), "")


def _allowed(location: tuple[int | str, ...]) -> list[str]:
    """The names of the settings that may stand where an unknown one stands."""
    section: type[BaseModel] = Settings
    parts = list(location[:-1])
    if parts and parts[0] == "datasets":
        section = RECIPES[str(parts[2])]
        parts = []
    for part in parts:
        annotation = section.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        section = annotation
    return list(section.model_fields)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
