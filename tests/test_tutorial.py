"""The commands of docs/tutorial.md, typed by a person whose photos are noise."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import checkout
import numpy as np
import yaml
from documents import blocks, commands
from PIL import Image

import quick

PAGE = "docs/tutorial.md"
COPIED = (*checkout.PIPELINE, "Makefile", "pyproject.toml", "requirements.lock", "scripts")


def make_photos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for name in ("first", "second", *range(38)):
        pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg")


def test_the_tutorial_leads_to_where_it_says(tmp_path: Path) -> None:
    root, home = tmp_path / "clone", tmp_path / "home"
    make_photos(home / "photos")
    checkout.copy_project(root, COPIED)
    checkout.link_environment(root)
    params = checkout.small_params()
    checkout.write_params(root, params)
    checkout.run(root, "git", "init", "--quiet")
    checkout.commit(root)

    (recipe,) = blocks(PAGE, "yaml")
    params["datasets"] |= quick.shrunk(yaml.safe_load(recipe))["datasets"]
    checkout.write_params(root, params)
    typed = "\n".join(["set -e", "exec 2>&1", *commands(PAGE)])
    said = checkout.run(root, "bash", "-c", typed, HOME=str(home), PYTHONPATH=str(root / "src"))

    for line in ("data/my_photos: ", "Open in a browser: reports/my_photos/index.html", "val_elbo"):
        assert line in said
    for written in ("reconstruction.png", "way.gif", "samples.png"):
        assert f"{written}: " in said
        assert (root / written).stat().st_size
    (last,) = [shlex.split(each) for each in commands(PAGE) if each.startswith("dvc exp run")]
    config = root / "models/my_photos/conv/seed_0/config.json"
    assert str(json.loads(config.read_text())["latent_dim"]) == last[4].rpartition("=")[2]
