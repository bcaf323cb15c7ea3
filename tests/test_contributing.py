"""The patches and the commands of CONTRIBUTING.md, in a copy of the project."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import checkout
import pandas as pd
import pytest
import yaml
from documents import blocks, commands

import quick

PAGE = "CONTRIBUTING.md"
COPIED = (*checkout.PIPELINE, "experiments", "params.yaml", "pyproject.toml", "scripts", "tests")
NAMES = ("source", "likelihood", "metric", "architecture")
PATCHES = dict(zip(NAMES, blocks(PAGE, "diff"), strict=True))
MOST = 40  # new lines of a patch
PYTEST, DVC = "python -m pytest ", "dvc "  # begin the commands that are run here
MODELS = ("fc", "conv", "linear")
TRAIN_AND_COMPARE = f"""
import compare
from vaelab.training.run import train_architecture

for name in {MODELS}:
    train_architecture("digits", name)
compare.main("digits")
"""


def patched(root: Path) -> Path:
    """A copy of the project with all that is added."""
    checkout.copy_project(root, COPIED)
    checkout.run(root, "git", "init", "--quiet")
    for patch in PATCHES.values():
        apply(root, patch)
    return root


def apply(root: Path, patch: str, *options: str) -> None:
    command = ["git", "apply", *options, "-"]
    done = subprocess.run(
        command, cwd=root, input=patch, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def run(root: Path, *command: str) -> None:
    places = (str(root / name) for name in ("src", "src/stages"))
    checkout.run(root, *command, PYTHONPATH=":".join(places))


@pytest.mark.parametrize("name", NAMES)
def test_a_patch_is_short_and_fits_by_itself(name: str, tmp_path: Path) -> None:
    added = [line for line in PATCHES[name].splitlines() if line[:1] == "+" != line[1:2]]
    assert 0 < len(added) <= MOST
    checkout.copy_project(tmp_path, COPIED)
    checkout.run(tmp_path, "git", "init", "--quiet")
    apply(tmp_path, PATCHES[name], "--check")


def test_what_is_added_is_clean_and_passes_the_tests_that_the_page_names(tmp_path: Path) -> None:
    root = patched(tmp_path)
    checkout.run(root, "ruff", "check", ".")
    checkout.run(root, "ruff", "format", "--check", ".")
    named = [each.removeprefix(PYTEST) for each in commands(PAGE) if each.startswith(PYTEST)]
    assert len(named) >= len(NAMES)
    files = dict.fromkeys(" ".join(named).split())  # at once, as imports take longest
    run(root, *PYTEST.split(), "-q", "-p", "no:cacheprovider", *files)


def test_what_is_added_is_trained_and_compared(tmp_path: Path) -> None:
    root = patched(tmp_path)
    params = quick.shrunk(yaml.safe_load((root / "params.yaml").read_text()))
    (recipe,) = blocks(PAGE, "yaml")
    params["datasets"] |= yaml.safe_load(recipe)["datasets"]
    params["model"]["likelihood"] = "laplace"
    checkout.write_params(root, params)
    named = [each for each in commands(PAGE) if each.startswith(DVC)]
    assert len(named) == 2
    for command in named:
        run(root, *command.split())
    assert (root / "models/shapes/linear/seed_0/weights.safetensors").is_file()
    run(root, sys.executable, "-c", TRAIN_AND_COMPARE)

    meta = json.loads((root / "data/digits/meta.json").read_text())
    assert meta["shape"] == [1, 16, 16]
    assert sum(meta["counts"].values()) == 1797
    study = root / "reports/digits/compare"
    assert json.loads((study / "facts.json").read_text())["likelihood"] == "laplace"
    figures = pd.read_csv(study / "measures.csv")
    ratios = figures[figures["measure"] == "participation"].set_index("model")["value"]
    assert set(ratios.index) == set(MODELS)
    assert ratios.between(1.0, quick.SMALL["latent_dim"]).all()
