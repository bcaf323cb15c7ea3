"""params.yaml -> typed, validated, frozen settings.

    settings = load_settings().of("cifar10")

Every stage begins with that line, so a mistyped key anywhere in the file stops every stage at once
with one line that names the key, its value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from vaelab.errors import UserError

Architecture = Literal["fc", "conv"]
ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)

RESERVED_NAMES = {"downloads"}  # data/downloads is the archives' folder
DATASET_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def _float_from_text(value: object) -> object:
    """YAML 1.1, which PyYAML reads, takes 1e-3 for text; DVC, on YAML 1.2, for a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Float = Annotated[float, BeforeValidator(_float_from_text), Field(allow_inf_nan=False)]
Fraction = Annotated[Float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def _matching(pattern: str, meaning: str) -> AfterValidator:
    """A text of this form; `meaning` is what a message says is allowed."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(meaning)
        return value

    return AfterValidator(check)


Device = Annotated[str, _matching(r"auto|cpu|cuda(:\d+)?|mps", "auto, cpu, cuda, cuda:N or mps")]
Url = Annotated[str, _matching(r"https?://\S+", "an address that begins with http:// or https://")]
ImageSize = Annotated[int, Field(ge=16, le=512, multiple_of=4)]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "64 of the digits 0-9 and a-f")]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# --- data sets -----------------------------------------------------------------------------------


class ShapesRecipe(Section):
    """Drawn by the program from known factors; needs no network."""

    source: Literal["shapes"]
    image_size: ImageSize = 32
    count: Annotated[int, Field(ge=20)] = 24_000  # all splits together
    val_fraction: Fraction = 0.1  # of what is not test
    test_fraction: Fraction = 0.1
    seed: Seed = 0


class TorchvisionRecipe(Section):
    """One of torchvision's sets, with its official test split."""

    source: Literal["cifar10", "cifar100", "svhn", "mnist", "fashion_mnist", "celeba"]
    image_size: ImageSize | None = None  # None: as published (CelebA: 64)
    limit: Annotated[int, Field(ge=10)] | None = None  # at most this many, train with val, and test
    val_fraction: Fraction = 0.1
    seed: Seed = 0


class ImageFolderRecipe(Section):
    """The person's own pictures: a folder, a zip, a tar, or the URL of an archive."""

    source: Literal["image_folder"]
    image_size: ImageSize
    path: str | None = None
    url: Url | None = None
    sha256: Sha256 | None = None  # of the archive
    channels: Literal[1, 3] = 3
    limit: Annotated[int, Field(ge=10)] | None = None
    val_fraction: Fraction = 0.1
    test_fraction: Fraction = 0.1  # used where there is no test/ inside
    seed: Seed = 0

    @model_validator(mode="after")
    def _one_place(self) -> ImageFolderRecipe:
        if (self.path is None) == (self.url is None):
            raise ValueError("needs exactly one of path and url")
        return self


Recipe = Annotated[
    ShapesRecipe | TorchvisionRecipe | ImageFolderRecipe, Field(discriminator="source")
]


# --- what is trained -----------------------------------------------------------------------------


class FCSettings(Section):
    hidden: Annotated[list[Positive], Field(min_length=1)]  # encoder's widths; decoder reversed


class ConvSettings(Section):
    width: Positive  # channels after the first halving; doubled at each one after


class ModelSettings(Section):
    latent_dim: Positive
    likelihood: Literal["bernoulli", "gaussian"]
    fc: FCSettings
    conv: ConvSettings


class ObjectiveSettings(Section):
    beta: Annotated[Float, Field(ge=0)]
    kl_warmup_epochs: Annotated[Float, Field(ge=0)]


class TrainSettings(Section):
    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[Float, Field(gt=0)]
    schedule: Literal["constant", "cosine"]
    seed: Seed
    device: Device
    precision: Literal["auto", "float32", "bfloat16"]


# --- what is reported ----------------------------------------------------------------------------


class CompareSettings(Section):
    elbo_samples: Positive  # draws of z for each test image
    images: Annotated[int, Field(ge=2, le=24)]  # columns of the reconstruction grid
    samples: Annotated[int, Field(ge=4, le=256)]
    seed: Seed


class InterpolateSettings(Section):
    pairs: (
        Annotated[int, Field(ge=1, le=12)]
        | Annotated[
            list[Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]],
            Field(min_length=1, max_length=12),
        ]
    )  # how many, or [[test image, test image], …]
    steps: Annotated[int, Field(ge=3, le=15)]  # images of a row, both ends included
    seed: Seed


class LatentExploreSettings(Section):
    samples: Annotated[int, Field(ge=8, le=1024)]  # for each region
    shells: Annotated[list[Annotated[Float, Field(gt=0)]], Field(min_length=1, max_length=6)]
    temperatures: Annotated[list[Annotated[Float, Field(gt=0)]], Field(min_length=1, max_length=6)]
    traversals: Annotated[int, Field(ge=1, le=16)]
    seed: Seed


class Settings(Section):
    """The whole of params.yaml."""

    datasets: Annotated[dict[str, Recipe], Field(min_length=1)]
    model: ModelSettings
    objective: ObjectiveSettings
    train: TrainSettings
    compare: CompareSettings
    interpolate: InterpolateSettings
    latent_explore: LatentExploreSettings

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
        """The settings of one data set's stages.

        Raises UserError where params.yaml does not name the data set.
        """
        if dataset not in self.datasets:
            known = ", ".join(self.datasets)
            raise UserError(f"params.yaml has no data set {dataset!r}; it names: {known}")
        fields = {name: getattr(self, name) for name in Settings.model_fields if name != "datasets"}
        return DatasetSettings(dataset=dataset, recipe=self.datasets[dataset], **fields)


class DatasetSettings(Section):
    """What the stages of one data set read, and where they write.

    Paths are relative to the working folder, which DVC makes the workspace's root.
    """

    dataset: str
    recipe: Recipe
    model: ModelSettings
    objective: ObjectiveSettings
    train: TrainSettings
    compare: CompareSettings
    interpolate: InterpolateSettings
    latent_explore: LatentExploreSettings

    @property
    def data_dir(self) -> Path:
        return Path("data") / self.dataset

    def model_dir(self, architecture: Architecture) -> Path:
        return Path("models") / self.dataset / architecture

    @property
    def metrics_dir(self) -> Path:
        return Path("metrics") / self.dataset

    @property
    def report_dir(self) -> Path:
        return Path("reports") / self.dataset

    def flat(self) -> dict[str, Any]:
        """Every setting under its dotted name in params.yaml, the recipe's under `data.`."""
        tree = self.model_dump()
        tree["data"] = {"name": tree.pop("dataset"), **tree.pop("recipe")}
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


class _NoDuplicates(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys in silence; a person meant one of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise UserError(f"{node.start_mark.name}: line {line}: {key!r} stands here twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_settings(path: str | Path = "params.yaml") -> Settings:
    """Read and validate the whole file.

    Raises UserError (one line: file, key, value, what is allowed) where anything in it is wrong.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            tree = _NoDuplicates(file).get_single_data()
    except FileNotFoundError:
        raise UserError(f"{path} is not here; run from the repository's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path} holds no settings; `git checkout {path}` brings them back")
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None


RECIPES: dict[str, type[Section]] = {
    source: recipe
    for recipe in (ShapesRecipe, TorchvisionRecipe, ImageFolderRecipe)
    for source in get_args(recipe.model_fields["source"].annotation)
}


def _explain(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line, in the file's own terms."""
    complaints = error.errors(include_url=False)
    first = complaints[0]
    where = list(first["loc"])
    if len(where) >= 3 and where[0] == "datasets":
        del where[2]  # pydantic's mark of the recipe's kind
    if "pairs" in where:
        del where[where.index("pairs") + 1 :]  # the branches of a union
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
        case _ if "pairs" in where:
            text = (
                f"{found} a number of pairs from 1 to 12, "
                "or a list of 1 to 12 pairs of test image numbers such as [[3, 14], [15, 92]]"
            )
        case _:
            rule = first["msg"].removeprefix("Input should be ").removeprefix("a valid ")
            text = f"{found} {rule}"
    more = len({complaint["loc"][:3] for complaint in complaints}) - 1
    return f"{text} (and {more} more)" if more else text


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
