"""The settings of `make quick`, and what it asks of a run."""

from __future__ import annotations

from pathlib import Path

import yaml

import quick
from vaelab.settings import Settings, load_settings


def test_the_settings_are_made_small_and_stay_right(tmp_path: Path) -> None:
    quick.copy_project(tmp_path)
    settings = load_settings(tmp_path / "params.yaml")
    assert settings.train.epochs == quick.SMALL["epochs"]
    small = yaml.safe_load((tmp_path / "params.yaml").read_text())
    assert small["datasets"]["shapes"]["count"] == quick.SMALL["count"]
    assert (tmp_path / "src" / "stages" / "train_fc.py").is_file()
    quick.copy_project(tmp_path)


def test_settings_that_need_more_epochs_are_made_small_too() -> None:
    tree = yaml.safe_load((quick.PROJECT / "params.yaml").read_text())
    tree["objective"] |= {"kl_warmup_epochs": 5, "kl_cycles": 2}
    tree["interpolate"] |= {"corners": [1, 2, 3, 900]}
    Settings.model_validate(quick.shrunk(tree))


def test_a_key_is_made_small_wherever_it_stands() -> None:
    assert quick.shrunk({"a": {"epochs": 9, "b": [1]}}) == {"a": {"epochs": 2, "b": [1]}}


def test_what_was_not_written_is_named(tmp_path: Path) -> None:
    assert quick.missing(tmp_path) == list(quick.EXPECTED)
    (tmp_path / "mlflow.db").write_text("")
    assert "mlflow.db" in quick.missing(tmp_path)
    (tmp_path / "mlflow.db").write_text("x")
    assert "mlflow.db" not in quick.missing(tmp_path)
