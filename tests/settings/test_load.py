"""params.yaml: what is right is read, what is wrong is one line that names key, value and cure."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vaelab.runtime.errors import UserError
from vaelab.settings import ShapesRecipe, load_settings

PICTURES = {"source": "image_folder", "image_size": 32}
RANGE = {"path": "x", "value_range": [3, 2]}
PARAMS = Path(__file__).parents[2] / "params.yaml"


def written(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text)
    return path


def write(folder: Path, *keys: str, value: Any = None) -> Path:
    """The project's own params.yaml with one value changed."""
    tree = yaml.safe_load(PARAMS.read_text())
    node = tree
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    return written(folder, yaml.safe_dump(tree))


def edited(folder: Path, before: str, after: str) -> Path:
    text = PARAMS.read_text()
    assert before in text
    return written(folder, text.replace(before, after, 1))


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_projects_own_file_is_valid() -> None:
    settings = load_settings(PARAMS)
    assert isinstance(settings.of("shapes").recipe, ShapesRecipe)
    assert settings.model.latent_dim == 128
    flat = settings.of("shapes").flat()
    assert flat["model.latent_dim"] == 10
    assert flat["model.conv.width"] == 32
    assert flat["data.name"] == flat["data.source"] == "shapes"
    assert not any(isinstance(value, dict) for value in flat.values())


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("modle", 1, "modle: no such setting; allowed here: model, objective, train, compare"),
        ("model.latent_dm", 3, "model: latent_dm: no such setting; allowed here: latent_dim, lik"),
        ("model.latent_dim", "64", "model.latent_dim is '64'; allowed: a whole number"),
        ("model.latent_dim", True, "model.latent_dim is True; allowed: a whole number"),
        ("model.latent_dim", 10**20, "allowed: up to 8192"),
        ("model.likelihood", "mse", "model.likelihood is 'mse'; allowed: 'bernoulli', 'con"),
        ("model.fc.width", 10**8, "model.fc.width is 100000000; allowed: match_conv"),
        ("model.sigma", 0.0, "model.sigma is 0.0; allowed: learned, or a number above 0"),
        ("model", None, "model is None; allowed: settings with their"),
        ("train.flip", "yes", "train.flip is 'yes'; allowed: true or false"),
        ("train.seeds", [], "train.seeds is []; allowed: 1 item or more"),
        ("train.seeds", [1, 0], "train.seeds is [1, 0]; allowed: different numbers in rising"),
        ("train.learning_rate", float("nan"), "train.learning_rate is nan; allowed: a finite"),
        ("train.device", "cuda:1000", "train.device is 'cuda:1000'; allowed: auto, cpu, cuda"),
        ("objective.kl_warmup_epochs", 11, "objective.kl_warmup_epochs is 11; allowed: up to 10"),
        ("objective.kl_cycles", 2, "objective.kl_cycles is 2; allowed: 1 where objective.kl"),
        ("datasets", {}, "datasets: 1 item or more"),
        ("datasets.shapes.size", 3, "datasets.shapes: size: no such setting; allowed here: model"),
        (
            "datasets.shapes.source",
            "mars",
            "datasets.shapes: source is 'mars'; allowed: 'shapes', 'cifar10'",
        ),
        ("datasets.shapes.image_size", 30, "datasets.shapes.image_size is 30; allowed: a multiple"),
        ("datasets.mine", PICTURES, "datasets.mine: needs exactly one of path and url"),
        ("datasets.mine", PICTURES | {"path": ""}, "datasets.mine.path is ''; allowed: the path"),
        ("datasets.mine", PICTURES | {"url": "ftp://a"}, "an address that begins with http"),
        ("datasets.mine", PICTURES | RANGE, "value_range is [3, 2]; allowed: two numbers, the sma"),
        ("datasets.mine", PICTURES | {"path": "data/mine"}, "data/mine, where this data set is w"),
        ("datasets.mine", PICTURES | {"path": "./data/mine/cats"}, "which DVC empties first; move"),
        ("datasets.downloads", {"source": "mnist"}, "'downloads' cannot be a data set's name"),
        (
            f"datasets.{'a' * 65}",
            {"source": "mnist"},
            "aaa' cannot be a data set's name; use up to 64",
        ),
        ("train.seeds", [*range(21)], "train.seeds is [0, 1, 2, 3, 4, 5, ...]; allowed: up to 20"),
        ("datasets.mine", {"image_size": 32}, "datasets.mine: `source` is missing"),
        ("datasets.a/b", {"source": "mnist"}, "datasets: 'a/b' cannot be a data set's name"),
        ("interpolate.pairs", [[1, 2, 3]], "interpolate.pairs is [[1, 2, 3]]; allowed: a number"),
        ("interpolate.pairs", [[2, 2]], "interpolate.pairs is [[2, 2]]; allowed: pairs of two di"),
        ("interpolate.corners", [1, 2, 3], "is [1, 2, 3]; allowed: drawn, or four test image"),
        ("latent_explore.shells", [1.5], "latent_explore.shells.0 is 1.5; allowed: less than 1"),
        ("latent_explore.shells", [0.5, 0.50000001], "allowed: numbers that differ within their"),
        ("latent_explore.directions", ["a", "a"], "is ['a', 'a']; allowed: names that differ"),
        ("latent_explore.directions", 0, "is 0; allowed: a number from 1 to 12, or a list of"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, keys: str, value: object, message: str) -> None:
    told = refusal(write(tmp_path, *keys.split("."), value=value))
    assert message in told
    assert told.startswith(f"{tmp_path}/params.yaml: ")
    assert "more)" not in told


@pytest.mark.parametrize(
    "url",
    [
        *("http://bob:PW@a/x.zip", "https://PW@a/x.zip", "http://bob:P/W@a/x", "http://b:P@W@a/x"),
        *("https://a/x?token=PW", "https://a/x?n=1&X-Amz-Signature=PW", "https://a?api_key=PW"),
        *("https://a/x?sig=PW", "https://${USER}:PW@a/x", "https://a/x?password=PW${NAME}"),
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    told = refusal(write(tmp_path, "datasets", "mine", value=PICTURES | {"url": url}))
    assert "datasets.mine.url is 'http" in told
    assert "PW" not in told.replace("${", "")
    assert "P/W" not in told
    assert "~/.netrc or, with ${NAME} in its place here, into the environment variable" in told


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://a/x.zip",
            "https://a:8080/b@c/x:y.zip?id=1",
            "http://[::1]:80/x.zip",
            "http://a",
        ),
        *("https://${USER}:${PW}@a/x", "https://a/x?token=${TOKEN}", "https://${TOKEN}@a/x"),
        "https://drive.google.com/uc?id=abc&export=download",
    ],
)
def test_addresses(tmp_path: Path, url: str) -> None:
    path = write(tmp_path, "datasets", "mine", value=PICTURES | {"url": url})
    assert load_settings(path).datasets["mine"].url == url


@pytest.mark.parametrize(
    "text", ["010", "1:30", "1_0", "0x10", "0b11", "0o10", "1:30.5", "2020-01-02"]
)
@pytest.mark.parametrize("line", ["epochs: 10", "learning_rate: 0.005", "threads: auto"])
def test_a_number_that_yaml_versions_read_differently_is_refused_as_its_text(
    tmp_path: Path, line: str, text: str
) -> None:
    key = line.partition(":")[0]
    told = refusal(edited(tmp_path, line, f"{key}: {text}"))
    assert f"train.{key} is '{text}'; allowed: " in told


def test_pictures_beside_the_data_sets_folder_are_right(tmp_path: Path) -> None:
    path = write(tmp_path, "datasets", "mine", value=PICTURES | {"path": "data/mine_too"})
    assert "mine" in load_settings(path).datasets


def test_a_mistyped_key_goes_before_the_missing_one(tmp_path: Path) -> None:
    path = edited(tmp_path, "\nmodel:", "\nmodle:")
    assert "modle: no such setting; allowed here: model, " in refusal(path)
    assert "train.epochs: a value is missing" in refusal(edited(tmp_path, "  epochs: 10", " "))


def test_a_merge_may_repeat_what_it_overrides(tmp_path: Path) -> None:
    path = edited(tmp_path, "  shapes:  ", "  shapes: &shapes  ")
    few = "model: {latent_dim: 10}\n  few: {<<: *shapes, count: 90}\n"
    path.write_text(re.sub(r"model: \{latent_dim: 10\}.*\n", few, path.read_text(), count=1))
    datasets = load_settings(path).datasets
    assert datasets["few"] == datasets["shapes"].model_copy(update={"count": 90})


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("  epochs: 10", "  epochs: 10\n  epochs: 20", r"line \d+: 'epochs' stands here twice"),
        ("  seed: 0", "  seed: 2020-13-41", "seed is '2020-13-41'; allowed: a whole number"),
    ],
)
def test_yaml_that_means_something_else(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert re.search(message, refusal(edited(tmp_path, before, after)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no settings"),
        ("- 1", "holds no settings"),
        ("a: [1", "is not YAML"),
        ("[" * 5000, "is not YAML"),
        ("a: !!bool x", "is not YAML"),
        ("? [a, b]\n: 3", "line 1: a key is a list or a mapping; allowed: a name in letters"),
        ("datasets:\n  10: {source: mnist}", "line 2: a key is 10; allowed: a name in letters"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "run from the repository's root" in refusal(tmp_path / "params.yaml")
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_only_a_gaussian_has_a_sigma_to_fix(tmp_path: Path) -> None:
    model = yaml.safe_load(PARAMS.read_text())["model"] | {"sigma": 0.1}
    assert load_settings(write(tmp_path, "model", value=model)).model.sigma == 0.1
    path = write(tmp_path, "model", value=model | {"likelihood": "bernoulli"})
    assert "model: sigma can be fixed for gaussian only, not for bernoulli" in refusal(path)


def test_scientific_notation_means_a_number(tmp_path: Path) -> None:
    """PyYAML reads 1e-3 as text, DVC as a number; a person means the number."""
    path = edited(tmp_path, "learning_rate: 0.005", "learning_rate: 1e-3")
    assert load_settings(path).train.learning_rate == 1e-3


def test_an_unknown_data_set_names_the_known_ones(tmp_path: Path) -> None:
    settings = load_settings(overriding(tmp_path))
    with pytest.raises(UserError, match="no data set 'cifar'; it names: shapes, mnist"):
        settings.of("cifar")


# --- a data set's own values ----------------------------------------------------------------------


def overriding(folder: Path, **sections: Any) -> Path:
    tree = yaml.safe_load(PARAMS.read_text())
    tree["datasets"]["mnist"] = {"source": "mnist", **sections}
    return written(folder, yaml.safe_dump(tree, sort_keys=False))


def test_a_data_sets_own_values_go_before_the_files(tmp_path: Path) -> None:
    path = overriding(
        tmp_path,
        model={"latent_dim": 16, "conv": {"width": 16}},
        objective={"beta": 4},
        train={"flip": False, "learning_rate": "1e-3"},
    )
    settings, plain = load_settings(path), load_settings(PARAMS)
    mine = settings.of("mnist")
    assert (mine.model.latent_dim, mine.model.conv.width) == (16, 16)
    assert mine.objective.beta == 4.0
    assert (mine.train.flip, mine.train.learning_rate) == (False, 1e-3)
    assert mine.flat()["model.latent_dim"] == 16
    assert not [key for key in mine.flat() if key.startswith("data.model")]
    # what is not named stays, and so do the other data sets
    assert mine.model.fc == plain.model.fc
    assert mine.train.model_dump(exclude={"flip", "learning_rate"}) == plain.train.model_dump(
        exclude={"flip", "learning_rate"}
    )
    assert settings.of("shapes") == plain.of("shapes")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        (
            {"model": {"conv": {"w": 2}}},
            ".model.conv: w: no such setting; allowed here: width, blocks",
        ),
        ({"model": {"conv": 2}}, ".model.conv is 2; allowed: settings with"),
        ({"model": {"latent_dim": 0}}, ".model.latent_dim is 0; allowed: 1 or more"),
        ({"model": {"sigma": 0.1, "likelihood": "bernoulli"}}, ".model: sigma can be fixed for"),
        ({"objective": {"kl_warmup_epochs": 11}}, ": objective.kl_warmup_epochs is 11; allowed"),
        ({"compare": {"seed": 1}}, ": compare: no such setting; allowed here: model, objective, t"),
    ],
)
def test_a_mistake_in_a_data_sets_own_values_is_one_line(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    assert f"params.yaml: datasets.mnist{message}" in refusal(overriding(tmp_path, **sections))
