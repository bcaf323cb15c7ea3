"""params.yaml: what is right is read, what is wrong is one line that names key, value and cure."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from vaelab.runtime.errors import UserError
from vaelab.settings import ShapesRecipe, load_settings

PICTURES = {"source": "image_folder", "image_size": 32}
PARAMS = Path(__file__).parents[2] / "params.yaml"


def write(folder: Path, *keys: str | None, value: Any = None) -> Path:
    """The project's own params.yaml with one value changed."""
    tree = yaml.safe_load(PARAMS.read_text())
    node = tree
    for key in keys[:-1]:
        node = node[key]
    if keys:
        node[keys[-1]] = value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_projects_own_file_is_valid() -> None:
    settings = load_settings(PARAMS)
    assert isinstance(settings.of("shapes").recipe, ShapesRecipe)
    assert settings.of("cifar10").model.latent_dim == 128


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        ("modle", 1, "modle: no such setting; allowed here: model, objective, train, compare"),
        ("model.latent_dm", 3, "model.latent_dm: no such setting; allowed here: latent_dim, like"),
        ("model.latent_dim", "64", "model.latent_dim is '64'; allowed: a whole number"),
        ("model.latent_dim", True, "model.latent_dim is True; allowed: a whole number"),
        ("model.latent_dim", 0, "model.latent_dim is 0; allowed: greater than or equal to 1"),
        ("model.latent_dim", 10**20, "allowed: less than or equal to 8192"),
        ("model.likelihood", "mse", "model.likelihood is 'mse'; allowed: 'bernoulli', 'con"),
        ("model.fc.width", "wide", "model.fc.width is 'wide'; allowed: match_conv, or a whole"),
        ("model.fc.width", 10**8, "model.fc.width is 100000000; allowed: match_conv"),
        ("model.conv.width", 2000, "model.conv.width is 2000; allowed: less than or equal"),
        ("model.sigma", 0.0, "model.sigma is 0.0; allowed: learned, or a number above 0"),
        ("model", None, "model is None; allowed: a mapping"),
        ("train.flip", "yes", "train.flip is 'yes'; allowed: true or false"),
        ("train.seeds", [], "train.seeds is []; allowed: 1 or more"),
        ("train.seeds", [*range(21)], "train.seeds is [0, 1, 2, 3, 4, 5, ...]; allowed: 20 or few"),
        ("train.seeds", [1, 0], "train.seeds is [1, 0]; allowed: different numbers in rising"),
        ("train.learning_rate", "fast", "train.learning_rate is 'fast'; allowed: a number"),
        ("train.learning_rate", float("nan"), "train.learning_rate is nan; allowed: a finite"),
        ("train.learning_rate", 1e300, "train.learning_rate is 1e+300; allowed: less than or"),
        ("train.device", "gpu", "train.device is 'gpu'; allowed: auto, cpu, cuda, cuda:N or"),
        ("train.device", "cuda:1000", "train.device is 'cuda:1000'; allowed: auto, cpu, cuda"),
        ("objective.kl_warmup_epochs", 11, "objective.kl_warmup_epochs is 11; allowed: up to 10"),
        ("objective.kl_cycles", 2, "objective.kl_cycles is 2; allowed: 1 where objective.kl"),
        ("datasets", {}, "datasets is {}; allowed: 1 or more"),
        ("datasets.shapes.size", 3, "datasets.shapes.size: no such setting; allowed here: model"),
        ("datasets.shapes.source", "mars", "datasets.shapes.source is 'mars'; allowed: shapes"),
        ("datasets.shapes.image_size", 30, "datasets.shapes.image_size is 30; allowed: a multiple"),
        ("datasets.shapes.count", 10**12, "datasets.shapes.count is 1000000000000; allowed: less"),
        ("datasets.mine", {"image_size": 32}, "datasets.mine.source is missing; allowed: shapes"),
        ("datasets.mine", PICTURES, "datasets.mine: needs exactly one of path and url"),
        ("datasets.mine", PICTURES | {"path": ""}, "datasets.mine.path is ''; allowed: the path"),
        (
            "datasets.mine",
            PICTURES | {"url": "ftp://a"},
            "allowed: an address that begins with http",
        ),
        ("datasets.downloads", {"source": "mnist"}, "'downloads' cannot be a data set's name"),
        ("datasets.a/b", {"source": "mnist"}, "datasets: 'a/b' cannot be a data set's name"),
        ("interpolate.pairs", [[1, 2, 3]], "interpolate.pairs is [[1, 2, 3]]; allowed: a number"),
        ("interpolate.pairs", 0, "interpolate.pairs is 0; allowed: a number of pairs from 1"),
        ("interpolate.pairs", [[1, -1]], "interpolate.pairs is [[1, -1]]; allowed: a number of"),
        ("interpolate.pairs", [[2, 2]], "interpolate.pairs is [[2, 2]]; allowed: pairs of two di"),
        ("interpolate.corners", [1, 2, 3], "is [1, 2, 3]; allowed: drawn, or four test image"),
        ("latent_explore.shells", [1.5], "latent_explore.shells.0 is 1.5; allowed: less than 1"),
        ("latent_explore.shells", [0.5, 0.50000001], "allowed: numbers that differ within their"),
        ("latent_explore.deciles", [5, 1], "is [5, 1]; allowed: different numbers in rising"),
        ("latent_explore.directions", ["a", "a"], "is ['a', 'a']; allowed: names that differ"),
        ("latent_explore.directions", 0, "is 0; allowed: a number from 1 to 12, or a list of"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, keys: str, value: object, message: str) -> None:
    told = refusal(write(tmp_path, *keys.split("."), value=value))
    assert message in told
    assert told.startswith(f"{tmp_path}/params.yaml: ")
    assert "more)" not in told


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    tree = yaml.safe_load(PARAMS.read_text())
    del tree["train"]["epochs"]
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(tree))
    assert "train.epochs is missing" in refusal(path)


def test_a_mistyped_key_goes_before_the_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("\nmodel:", "\nmodle:"))
    assert "modle: no such setting; allowed here: model, " in refusal(path)


def test_a_merge_may_repeat_what_it_overrides(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(
        PARAMS.read_text()
        .replace("  shapes: ", "  shapes: &shapes ")
        .replace("  cifar10: ", "  few: &few {<<: *shapes, count: 90}\n  cifar10: ")
        .replace("  celeba: ", "  small: {<<: *few, image_size: 16}\n  celeba: ")
    )
    datasets = load_settings(path).datasets
    assert datasets["few"] == ShapesRecipe(source="shapes", count=90)
    assert datasets["small"] == ShapesRecipe(source="shapes", count=90, image_size=16)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("  epochs: 10", "  epochs: 10\n  epochs: 20"))
    assert re.search(r"line \d+: 'epochs' stands here twice", refusal(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no settings"),
        ("a: [1", "is not YAML"),
        ("- 1", "holds no settings"),
        ("[" * 5000, "is not YAML"),
        ("a: !!int x", "is not YAML"),
        ("a: !!bool x", "is not YAML"),
        ("<<: 3", "is not YAML"),
        ("? [a, b]\n: 3", "line 1: a key is a list or a mapping; allowed: a name in letters"),
        ("a: 1\n5: 3", "line 2: a key is 5; allowed: a name in letters; quote it"),
        ("datasets:\n  10: {source: mnist}", "line 2: a key is 10; allowed: a name in letters"),
    ],
)
def test_a_file_that_holds_no_settings(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert message in refusal(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "run from the repository's root" in refusal(tmp_path / "params.yaml")
    assert "cannot be read: Is a directory" in refusal(tmp_path)


def test_a_date_is_no_seed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("  seed: 0", "  seed: 2020-13-41", 1))
    assert "seed is '2020-13-41'; allowed: a whole number" in refusal(path)


def test_only_a_gaussian_has_a_sigma_to_fix(tmp_path: Path) -> None:
    model = yaml.safe_load(PARAMS.read_text())["model"] | {"sigma": 0.1}
    path = write(tmp_path, "model", value=model | {"likelihood": "gaussian"})
    assert load_settings(path).model.sigma == 0.1
    path = write(tmp_path, "model", value=model | {"likelihood": "bernoulli"})
    assert "model: sigma can be fixed for gaussian only, not for bernoulli" in refusal(path)


def test_scientific_notation_means_a_number(tmp_path: Path) -> None:
    """PyYAML reads 1e-3 as text, DVC as a number; a person means the number."""
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("learning_rate: 0.005", "learning_rate: 1e-3"))
    assert load_settings(path).train.learning_rate == 1e-3


def test_an_unknown_data_set_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="no data set 'cifar'; it names: shapes, cifar10, celeba"):
        load_settings(PARAMS).of("cifar")


def test_flat_names_every_setting_once() -> None:
    flat = load_settings(PARAMS).of("shapes").flat()
    assert flat["model.latent_dim"] == 128
    assert flat["model.conv.width"] == 32
    assert flat["data.name"] == "shapes"
    assert flat["data.source"] == "shapes"
    assert not any(isinstance(value, dict) for value in flat.values())


# --- a data set's own values ----------------------------------------------------------------------


def overriding(folder: Path, **sections: Any) -> Path:
    return write(folder, "datasets", "mnist", value={"source": "mnist", **sections})


def test_a_data_sets_own_values_go_before_the_files(tmp_path: Path) -> None:
    path = overriding(
        tmp_path,
        model={"latent_dim": 16, "conv": {"width": 16}},
        objective={"beta": 4},
        train={"flip": False, "learning_rate": "1e-3"},
    )
    settings, plain = load_settings(path), load_settings(PARAMS)
    mine, others = settings.of("mnist"), settings.of("shapes")
    assert (mine.model.latent_dim, mine.model.conv.width) == (16, 16)
    assert mine.objective.beta == 4.0
    assert (mine.train.flip, mine.train.learning_rate) == (False, 1e-3)
    assert mine.flat()["model.latent_dim"] == 16
    assert not [key for key in mine.flat() if key.startswith("data.model")]
    # what is not named stays, and so do the other data sets
    assert mine.model.fc == plain.model.fc
    assert mine.model.likelihood == plain.model.likelihood
    assert mine.train.model_dump(exclude={"flip", "learning_rate"}) == plain.train.model_dump(
        exclude={"flip", "learning_rate"}
    )
    assert others == plain.of("shapes")


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"latent": 2}}, ".model.latent: no such setting; allowed here: latent_dim, "),
        ({"model": {"conv": {"w": 2}}}, ".model.conv.w: no such setting; allowed here: width"),
        ({"model": {"conv": 2}}, ".model.conv is 2; allowed: a mapping of names to values"),
        ({"model": 2}, ".model is 2; allowed: a mapping of names to values"),
        ({"model": {"latent_dim": 0}}, ".model.latent_dim is 0; allowed: greater than or equal"),
        ({"model": {"fc": {"width": "a"}}}, ".model.fc.width is 'a'; allowed: match_conv, or a"),
        ({"model": {"sigma": 0.1, "likelihood": "bernoulli"}}, ".model: sigma can be fixed for"),
        ({"train": {"seeds": [0, 0]}}, ".train.seeds is [0, 0]; allowed: different numbers in"),
        (
            {"objective": {"kl_warmup_epochs": 11}},
            ": objective.kl_warmup_epochs is 11; allowed: up",
        ),
        ({"compare": {"seed": 1}}, ".compare: no such setting; allowed here: model, objective, t"),
    ],
)
def test_a_mistake_in_a_data_sets_own_values_is_one_line(
    tmp_path: Path, sections: dict[str, Any], message: str
) -> None:
    assert f"params.yaml: datasets.mnist{message}" in refusal(overriding(tmp_path, **sections))
