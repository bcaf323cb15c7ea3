"""params.yaml: what is right is read, what is wrong is one line that names key, value and cure."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from vaelab.runtime.errors import UserError
from vaelab.settings import ShapesRecipe, load_settings

PARAMS = Path(__file__).parents[1] / "params.yaml"


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


def test_the_projects_own_file_is_valid() -> None:
    settings = load_settings(PARAMS)
    assert isinstance(settings.of("shapes").recipe, ShapesRecipe)
    assert settings.of("cifar10").model.latent_dim == 128


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("modle",), 1, "modle: no such setting; allowed here: datasets, model, objective, train"),
        (("model", "latent_dm"), 3, "model.latent_dm: no such setting; allowed here: latent_dim"),
        (("model", "latent_dim"), "64", "model.latent_dim is '64'; allowed: integer"),
        (("model", "latent_dim"), True, "model.latent_dim is True; allowed: integer"),
        (("model", "latent_dim"), 0, "model.latent_dim is 0; allowed: greater than or equal to 1"),
        (("model", "likelihood"), "mse", "model.likelihood is 'mse'; allowed: 'bernoulli', 'con"),
        (
            ("model", "fc", "width"),
            "wide",
            "model.fc.width is 'wide'; allowed: match_conv, or a whole",
        ),
        (("model", "sigma"), 0.0, "model.sigma is 0.0; allowed: learned, or a number above 0"),
        (("train", "seeds"), [], "train.seeds is []; allowed: 1 or more"),
        (("train", "seeds"), [1, 0], "train.seeds is [1, 0]; allowed: different numbers in ri"),
        (("model",), None, "model is None; allowed: a mapping"),
        (("objective", "kl_warmup_epochs"), 11, "objective.kl_warmup_epochs is 11; allowed: up to"),
        (("objective", "kl_cycles"), 2, "objective.kl_cycles is 2; allowed: 1 where objective.kl"),
        (("train", "learning_rate"), "fast", "train.learning_rate is 'fast'; allowed: number"),
        (("train", "learning_rate"), float("nan"), "train.learning_rate is nan; allowed: a finite"),
        (("train", "device"), "gpu", "train.device is 'gpu'; allowed: auto, cpu, cuda, cuda:N or"),
        (("datasets",), {}, "datasets is {}; allowed: 1 or more"),
        (("datasets", "shapes", "size"), 3, "datasets.shapes.size: no such setting; allowed here"),
        (("datasets", "shapes", "source"), "mars", "datasets.shapes.source is 'mars'; allowed: sh"),
        (
            ("datasets", "shapes", "image_size"),
            30,
            "datasets.shapes.image_size is 30; allowed:",
        ),
        (("datasets", "mine"), {"source": "image_folder", "image_size": 32}, "exactly one of path"),
        (("datasets", "mine"), {"image_size": 32}, "datasets.mine.source is missing; allowed: sha"),
        (("datasets", "downloads"), {"source": "mnist"}, "'downloads' cannot be a data set's name"),
        (("datasets", "a/b"), {"source": "mnist"}, "'a/b' cannot be a data set's name"),
        (("interpolate", "pairs"), [[1, 2, 3]], "interpolate.pairs is [[1, 2, 3]]; allowed: a num"),
        (("interpolate", "pairs"), 0, "interpolate.pairs is 0; allowed: a number of pairs from 1"),
        (("interpolate", "pairs"), [[0, 10**20]], "allowed: a number of pairs from 1"),
        (
            ("interpolate", "pairs"),
            [[1, 2], [2, 2]],
            "interpolate.pairs is [[1, 2], [2, 2]]; allowed: pairs of two different images",
        ),
        (
            ("latent_explore", "shells"),
            [0.5, 0.50000001],
            "latent_explore.shells is [0.5, 0.50000001]; allowed: numbers that differ within their",
        ),
        (("latent_explore", "shells"), [1.5], "latent_explore.shells.0 is 1.5; allowed: less than"),
        (("latent_explore", "deciles"), [5, 1], "is [5, 1]; allowed: different numbers in rising"),
        (("latent_explore", "directions"), ["a", "a"], "is ['a', 'a']; allowed: names that differ"),
        (("latent_explore", "directions"), 0, "is 0; allowed: a number from 1 to 12, or a list of"),
        (("interpolate", "corners"), [1, 2, 3], "is [1, 2, 3]; allowed: drawn, or four test image"),
        (("latent_explore", "temperatures"), [0.5, 0.5], "latent_explore.temperatures is [0.5, 0."),
        (("model", "latent_dim"), 10**20, "allowed: less than or equal to 8192"),
        (("model", "fc", "width"), 10**8, "model.fc.width is 100000000; allowed: match_conv"),
        (("model", "conv", "width"), 2000, "model.conv.width is 2000; allowed: less than or equal"),
        (("train", "learning_rate"), 1e300, "train.learning_rate is 1e+300; allowed: less than or"),
        (("train", "device"), "cuda:1000", "train.device is 'cuda:1000'; allowed: auto, cpu, cuda"),
        (
            ("datasets", "shapes", "count"),
            10**12,
            "datasets.shapes.count is 1000000000000; allow",
        ),
        (
            ("datasets", "mine"),
            {"source": "image_folder", "image_size": 32, "path": ""},
            "datasets.mine.path is ''; allowed: the path of a folder or an archive",
        ),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, keys: tuple[str, ...], value: object, message: str
) -> None:
    path = write(tmp_path, *keys, value=value)
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_choice_of_two_kinds_is_one_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, "interpolate", "pairs", value=[[1, -1]])
    with pytest.raises(UserError) as caught:
        load_settings(path)
    assert "more)" not in str(caught.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    tree = yaml.safe_load(PARAMS.read_text())
    del tree["train"]["epochs"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match=r"train\.epochs is missing"):
        load_settings(tmp_path / "params.yaml")


def test_a_mistyped_key_goes_before_the_missing_one(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("\nmodel:", "\nmodle:"))
    with pytest.raises(UserError, match="modle: no such setting; allowed here: datasets, model, "):
        load_settings(path)


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
    with pytest.raises(UserError, match=r"line \d+: 'epochs' stands here twice"):
        load_settings(path)


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
    with pytest.raises(UserError, match=message) as caught:
        load_settings(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run from the repository's root"):
        load_settings(tmp_path / "params.yaml")


def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_settings(tmp_path)


def test_a_date_is_no_seed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(PARAMS.read_text().replace("  seed: 0", "  seed: 2020-13-41", 1))
    with pytest.raises(UserError, match="seed is '2020-13-41'; allowed: integer"):
        load_settings(path)


def test_only_a_gaussian_has_a_sigma_to_fix(tmp_path: Path) -> None:
    model = yaml.safe_load(PARAMS.read_text())["model"] | {"sigma": 0.1}
    path = write(tmp_path, "model", value=model | {"likelihood": "gaussian"})
    assert load_settings(path).model.sigma == 0.1
    path = write(tmp_path, "model", value=model | {"likelihood": "bernoulli"})
    with pytest.raises(UserError, match="model: sigma can be fixed for gaussian only, not for ber"):
        load_settings(path)


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
