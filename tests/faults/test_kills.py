"""Training that is stopped five times, in five ways; kills.py has every stage, and counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import kills

from vaelab.training.run import IN_GIT

STOPS = (
    ("KILL", "before the first epoch"),
    ("TERM", "in an epoch"),
    ("INT", "in a checkpoint's write"),
    ("HUP", "before the first epoch"),  # of those that are left
    ("dvc", "in the final save"),
)


def test_stopped_in_every_way_training_ends_in_the_same_bytes_and_one_run(tmp_path: Path) -> None:
    whole = kills.made(tmp_path / "whole", 0, ["download", "train_conv"])
    place = tmp_path / "stopped"
    shutil.copytree(whole, place)
    known = kills.runs(place)
    for kind, moment in STOPS:
        assert kills.run(place, "train_conv", moment, kind) not in (0, 1), moment
        assert not (place / "metrics/toys/conv.json").exists()
    assert kills.run(place, "train_conv") == 0
    assert (place / "stages.log").read_text().count("goes on after epoch") == 4
    assert not list((place / ".vaelab" / "checkpoints").rglob("*.pt"))
    assert kills.contents(place) == kills.contents(whole)
    assert tuple(json.loads((place / "metrics/toys/conv.json").read_text())["conv"]) == IN_GIT
    (new,) = [run for key, run in kills.runs(place).items() if key not in known]
    assert new == ("FINISHED", [*range(1, kills.EPOCHS + 1)])


def test_a_stop_after_all_was_done_is_done_again(tmp_path: Path) -> None:
    whole = kills.made(tmp_path / "whole", 1, ["download", "train_conv"])
    assert kills.fault_after(whole, tmp_path / "ended", kills.ENDED, "KILL") == ""
    moment = "between two files of the data set"
    assert kills.fault_after(whole, tmp_path / "cut", moment, "KILL") == ""
