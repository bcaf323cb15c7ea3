"""From a folder that a training stage wrote back to VAEs, and what is said of a broken one."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from toys import small_vae as build

from vaelab import nets
from vaelab.nets.saved import load_all, load_first, load_seeds, load_vae
from vaelab.runtime.errors import UserError
from vaelab.settings import ARCHITECTURES
from vaelab.vae.likelihoods import LIKELIHOODS
from vaelab.vae.model import CONFIG, WEIGHTS, seed_dir

CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_save_and_load(architecture: str, likelihood: str, tmp_path: Path) -> None:
    vae = build(architecture, likelihood=likelihood)
    vae.save(seed_dir(tmp_path / "model", 0))
    loaded = load_vae(tmp_path / "model", CPU)
    assert loaded.config == vae.config
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    saved = vae.state_dict()
    assert list(loaded.state_dict()) == list(saved)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in loaded.state_dict().items())


def test_the_models_of_all_seeds_in_their_order_and_any_folder_that_holds_one(
    tmp_path: Path,
) -> None:
    for seed in (10, 2):
        build("conv", latent_dim=seed).save(seed_dir(tmp_path, seed))
    loaded = load_seeds(tmp_path, CPU)
    assert [(seed, vae.latent_dim) for seed, vae in loaded.items()] == [(2, 2), (10, 10)]
    assert load_vae(tmp_path, CPU).latent_dim == 2
    assert load_vae(seed_dir(tmp_path, 10).rename(tmp_path / "mine"), CPU).latent_dim == 10


def test_all_that_is_trained_in_the_settings_order(tmp_path: Path) -> None:
    for architecture in ("conv", "fc"):
        for seed in (0, 1):
            build(architecture).save(seed_dir(tmp_path / architecture, seed))
    (tmp_path / "not_an_architecture").mkdir()
    assert list(load_all(tmp_path, CPU)) == ["fc", "conv"]
    assert load_first(tmp_path, CPU)["fc"].config == build("fc").config


def test_seeds_that_differ_are_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "shapes"
    with pytest.raises(UserError, match="holds no model; `dvc repro train_fc@shapes` makes one"):
        load_all(folder, CPU)
    for architecture, seed in (("fc", 0), ("conv", 1)):
        build(architecture).save(seed_dir(folder / architecture, seed))
    with pytest.raises(
        UserError, match=r"fc of seeds \[0\], conv of seeds \[1\]; `dvc repro -f train_fc@shapes tr"
    ):
        load_all(folder, CPU)


def changed(**fields: object) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | fields))

    return change


def without_version(folder: Path) -> None:
    """As weights were written that take images in [-1, 1]."""
    config = json.loads((folder / CONFIG).read_text())
    del config["version"]
    (folder / CONFIG).write_text(json.dumps(config))


NOT_OURS = "(config.json is not what this version writes: "
NO_FIT = "(config.json and weights.safetensors do not fit together)"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / CONFIG).unlink(), "No such file or directory"),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"not weights"), "header"),
        (lambda folder: (folder / CONFIG).write_text("{"), f"{NOT_OURS}Invalid JSON"),
        (changed(colour="blue"), f"{NOT_OURS}colour: Extra inputs are"),
        (changed(version=1), f"{NOT_OURS}version: Input should be 2"),
        (without_version, NO_FIT),
        (changed(latent_dim=7), NO_FIT),
    ],
)
def test_a_broken_model_is_one_line(
    damage: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    folder = seed_dir(tmp_path / "models" / "cifar10" / "conv", 3)
    build("conv").save(folder)
    damage(folder)
    with pytest.raises(UserError) as caught:
        load_vae(folder.parent, CPU)
    message = str(caught.value)
    assert message.startswith(f"{folder} holds no readable model (")
    assert reason in message
    assert "; `dvc repro` makes those of params.yaml" in message
    assert "\n" not in message


def test_a_lack_of_memory_is_no_broken_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build("conv").save(seed_dir(tmp_path, 0))
    monkeypatch.setattr(nets, "build", lambda config: torch.empty(10**17))
    with pytest.raises(RuntimeError, match="memory"):
        load_vae(tmp_path, CPU)
