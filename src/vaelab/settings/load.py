"""params.yaml -> typed, validated, frozen settings.

    settings = load_settings().of("cifar10")

Every stage begins with that line, so a mistyped key anywhere in the file stops every stage at once
with one line that names the key, its value and what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from vaelab.runtime.errors import UserError
from vaelab.settings.compare import CompareSettings
from vaelab.settings.datasets import OVERRIDES, Recipe
from vaelab.settings.fields import Section
from vaelab.settings.interpolate import InterpolateSettings
from vaelab.settings.latent_explore import LatentExploreSettings
from vaelab.settings.model import ModelSettings
from vaelab.settings.tracking import TrackingSettings
from vaelab.settings.training import ObjectiveSettings, TrainSettings


class Sections(Section):
    """What is set for every data set, and may be overridden by one."""

    model: ModelSettings
    objective: ObjectiveSettings
    train: TrainSettings
    compare: CompareSettings
    interpolate: InterpolateSettings
    latent_explore: LatentExploreSettings
    tracking: TrackingSettings

    @model_validator(mode="after")
    def _warmup(self) -> Sections:
        warmup, cycles = self.objective.kl_warmup_epochs, self.objective.kl_cycles
        if warmup > self.train.epochs / cycles:
            raise ValueError(
                f"objective.kl_warmup_epochs is {warmup:g}; allowed: up to "
                f"{self.train.epochs / cycles:g}, what train.epochs leaves to each of "
                "objective.kl_cycles (epochs that train.min_steps adds do not count)"
            )
        if cycles > 1 and not warmup:
            raise ValueError(
                f"objective.kl_cycles is {cycles}; allowed: 1 where objective.kl_warmup_epochs "
                "is 0, as there is nothing to repeat"
            )
        return self


class Settings(Sections):
    """The whole of params.yaml."""

    datasets: Annotated[dict[str, Recipe], Field(min_length=1)]

    @model_validator(mode="after")
    def _names(self) -> Settings:
        for name, recipe in self.datasets.items():
            if name == "downloads" or not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
                raise ValueError(
                    f"datasets: {short(name)} cannot be a data set's name; use up to 64 small "
                    "letters, digits, '-' and '_' (and not 'downloads', the archives' folder)"
                )
            path, output = getattr(recipe, "path", None), Path("data", name).resolve()
            if path and Path(os.path.expanduser(path)).resolve().is_relative_to(output):
                raise ValueError(
                    f"datasets.{name}.path is {path}, where this data set is written and which "
                    "DVC empties first; move the pictures, or rename the data set"
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

    def own_values(self) -> dict[str, dict[str, Any]]:
        """Section -> what the data set's entry has other than the rest of the file."""
        own = {section: getattr(self.recipe, section) for section in OVERRIDES}
        return {section: values for section, values in own.items() if values}

    def flat(self) -> dict[str, Any]:
        """Every setting under its dotted name in params.yaml, the recipe's under `data.`."""
        tree = self.model_dump(exclude={"dataset": True, "recipe": set(OVERRIDES)})
        tree["data"] = {"name": self.dataset, **tree.pop("recipe")}
        return dict(_flatten(tree))


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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


def _number(loader: _Loader, node: yaml.ScalarNode) -> object:
    text = node.value
    if re.fullmatch(r"[-+]?(0|[1-9][0-9]*)", text):
        return int(text)
    if ":" in text or "_" in text or node.tag.endswith(":int"):
        return text
    return loader.construct_yaml_float(node)


# As YAML 1.2, by which DVC reads the same file: 010 is no 8, 1:30 no 90 and 1_000 no 1000. Such an
# integer stays a text, as a date does, which the message that refuses it names.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: node.value)
_Loader.add_constructor("tag:yaml.org,2002:int", _number)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


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
    section = ""
    try:
        settings = Settings.model_validate(tree)
        for dataset in settings.datasets:
            section = f"datasets.{dataset}"
            settings.of(dataset)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error, section)}") from None
    return settings


SETTINGS = "settings with their values, each on a line below"
RULES = {  # pydantic's kind of complaint -> what may stand there
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": SETTINGS,
    "model_type": SETTINGS,
    "model_attributes_type": SETTINGS,
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "up to {le}",
    "less_than": "less than {lt}",
    "too_short": "{min_length} item or more",
    "too_long": "up to {max_length} items",
    "missing": "a value is missing",
    "union_tag_invalid": "source is {tag!r}; allowed: {expected_tags}",
    "union_tag_not_found": "`source` is missing",
}


def _explain(error: ValidationError, section: str) -> str:
    """The first of pydantic's complaints as one line, in the file's own terms.

    section: where in the file the settings stand that were refused, such as "datasets.mine".
    """
    complaints = error.errors(include_url=False)
    first = complaints[0]
    where = [str(part) for part in first["loc"] if part != "[key]"]
    if where[:1] == ["datasets"]:
        del where[2:3]  # pydantic's mark of the recipe's kind
    key = ".".join(filter(None, [section, *where]))
    rule = re.sub(r"^(Value error, |Input should be )", "", first["msg"])
    if first["type"] in RULES:
        rule = RULES[first["type"]].format(**first.get("ctx", {}))
    if isinstance(first["input"], Mapping):  # what is wrong is not one value
        text = ": ".join(filter(None, [key, rule]))
    else:
        value = first["input"]
        if isinstance(value, str):  # of an address not even what may be a password
            value = re.sub(r"(?<=://).+", "…", value)
        text = f"{key} is {short(value)}; allowed: {rule}"
    return f"{text} (and {len(complaints) - 1} more)" if len(complaints) > 1 else text
