"""params.yaml -> typed, validated, frozen settings.

    settings = load_settings().of("cifar10")

Every stage begins with that line, so a mistyped key anywhere in the file stops every stage at once
with one line that names the key, its value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
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

LikelihoodName = Literal["bernoulli", "continuous_bernoulli", "gaussian", "discretized_logistic"]
PosteriorName = Literal["gaussian", "point"]

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
Seed = Annotated[int, Field(ge=0, lt=2**31)]
ImageNumber = Annotated[int, Field(ge=0, lt=2**31)]


def _matching(pattern: str, meaning: str) -> AfterValidator:
    """A text of this form; `meaning` is what a message says is allowed."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(meaning)
        return value

    return AfterValidator(check)


def _told_apart(values: list[float]) -> list[float]:
    if len({f"{value:g}" for value in values}) < len(values):  # as the outputs name them
        raise ValueError("numbers that differ within their first six digits")
    return values


def _rising(numbers: list[int]) -> list[int]:
    if any(before >= after for before, after in pairwise(numbers)):
        raise ValueError("different numbers in rising order")
    return numbers


def _named_once(directions: int | list[str]) -> int | list[str]:
    if not isinstance(directions, int) and len(set(directions)) < len(directions):
        raise ValueError("names that differ")
    return directions


def _of_two_images(pairs: int | list[list[int | str]]) -> int | list[list[int | str]]:
    if not isinstance(pairs, int) and any(first == second for first, second in pairs):
        raise ValueError("pairs of two different images")
    return pairs


Device = Annotated[
    str, _matching(r"auto|cpu|cuda(:([0-9]|[1-9][0-9]))?|mps", "auto, cpu, cuda, cuda:N or mps")
]
Url = Annotated[str, _matching(r"https?://\S+", "an address that begins with http:// or https://")]
PicturesPath = Annotated[str, _matching(r"(?s).*\S.*", "the path of a folder or an archive")]
PicturePath = Annotated[str, _matching(r"(?s).*\S.*", "the path of a picture")]
ImageSize = Annotated[int, Field(ge=16, le=512, multiple_of=4)]
Sha256 = Annotated[str, _matching(r"[0-9a-f]{64}", "64 of the digits 0-9 and a-f")]
Multiples = Annotated[
    list[Annotated[Float, Field(gt=0, le=100)]],
    Field(min_length=1, max_length=6),
    AfterValidator(_told_apart),
]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# --- data sets -----------------------------------------------------------------------------------


class ShapesRecipe(Section):
    """Drawn by the program from known factors; needs no network."""

    source: Literal["shapes"]
    image_size: ImageSize = 32
    count: Annotated[int, Field(ge=20, le=10_000_000)] = 24_000  # all splits together
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
    path: PicturesPath | None = None
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
    # match_conv: what gives FC as many parameters as Conv
    width: Literal["match_conv"] | Annotated[int, Field(ge=1, le=16_384)]
    blocks: Annotated[int, Field(ge=0, le=16)]  # residual blocks in each net


class ConvSettings(Section):
    # channels after the first halving; doubled at each one after
    width: Annotated[int, Field(ge=1, le=1024)]


class ModelSettings(Section):
    latent_dim: Annotated[int, Field(ge=1, le=8192)]
    likelihood: LikelihoodName
    sigma: Literal["learned"] | Annotated[Float, Field(gt=0, le=100)]  # of `gaussian`
    posterior: PosteriorName
    fc: FCSettings
    conv: ConvSettings

    @model_validator(mode="after")
    def _sigma_of_gaussian(self) -> ModelSettings:
        if self.sigma != "learned" and self.likelihood != "gaussian":
            raise ValueError(f"sigma can be fixed for gaussian only, not for {self.likelihood}")
        return self


class ObjectiveSettings(Section):
    beta: Annotated[Float, Field(ge=0, le=1_000_000)]
    free_bits: Annotated[Float, Field(ge=0, le=1000)]  # nats for each latent dimension
    kl_warmup_epochs: Annotated[Float, Field(ge=0, le=100_000)]
    kl_cycles: Annotated[int, Field(ge=1, le=1000)]


class TrainSettings(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    flip: bool  # mirror every other image at random
    optimiser: Literal["adam", "muon"]
    learning_rate: Annotated[Float, Field(gt=0, le=1)]
    schedule: Literal["constant", "cosine"]
    seeds: Annotated[
        list[Seed], Field(min_length=1, max_length=20), AfterValidator(_rising)
    ]  # a model is trained from each
    device: Device
    precision: Literal["auto", "float32", "bfloat16"]


# --- what is reported ----------------------------------------------------------------------------


class CompareSettings(Section):
    elbo_samples: Annotated[int, Field(ge=1, le=10_000)]  # draws of z for each test image
    iw_samples: Annotated[int, Field(ge=1, le=10_000)]
    generated: Annotated[int, Field(ge=64, le=100_000)]  # images judged, of each sampler
    temperature: Annotated[Float, Field(gt=0, le=10)]
    mixture_components: Annotated[int, Field(ge=1, le=1000)]
    flow_steps: Annotated[int, Field(ge=1, le=10_000_000)]
    inception_weights: str | None
    images: Annotated[int, Field(ge=2, le=24)]  # columns of the reconstruction grid
    samples: Annotated[int, Field(ge=4, le=256)]
    seed: Seed


class InterpolateSettings(Section):
    pairs: Annotated[
        Annotated[int, Field(ge=1, le=12)]
        | Annotated[
            list[Annotated[list[ImageNumber | PicturePath], Field(min_length=2, max_length=2)]],
            Field(min_length=1, max_length=12),
        ],
        AfterValidator(_of_two_images),
    ]  # shown: how many, or [[test image or file, test image or file], …]
    corners: (
        Literal["drawn"]
        | Annotated[list[ImageNumber | PicturePath], Field(min_length=4, max_length=4)]
    )  # of the grid between four images
    measured: Annotated[int, Field(ge=2, le=10_000)]  # pairs that the figures are of
    relaxation: Annotated[int, Field(ge=1, le=10_000)]  # steps of the data-following paths' descent
    steps: Annotated[int, Field(ge=3, le=15)]  # images of a path, both ends included
    seed: Seed


class LatentExploreSettings(Section):
    samples: Annotated[int, Field(ge=8, le=1024)]  # for each region
    shells: Annotated[
        list[Annotated[Float, Field(gt=0, lt=1)]],
        Field(min_length=1, max_length=6),
        AfterValidator(_told_apart),
    ]  # quantiles of the encodings' radius
    temperatures: Multiples
    deciles: Annotated[
        list[Annotated[int, Field(ge=1, le=10)]],
        Field(min_length=1, max_length=10),
        AfterValidator(_rising),
    ]  # of the encodings by their density; 1 is the rarest tenth
    far: Annotated[Float, Field(gt=0, le=100)]  # a radius, in units of sqrt(latent_dim)
    traversals: Annotated[int, Field(ge=1, le=16)]
    directions: Annotated[
        Annotated[int, Field(ge=1, le=12)]
        | Annotated[list[str], Field(min_length=1, max_length=12)],
        AfterValidator(_named_once),
    ]  # how many, or the names of classes or attributes
    mapped: Annotated[int, Field(ge=50, le=5_000)]  # test images on the map
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

    @model_validator(mode="after")
    def _warmup(self) -> Settings:
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
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{path}: {_explain(error)}") from None


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
