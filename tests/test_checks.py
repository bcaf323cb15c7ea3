"""What is refused before DVC removes anything, and what is not looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from toys import PARAMS

from vaelab.checks import check
from vaelab.data.arrays import Meta
from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.settings import DatasetSettings, load_settings
from vaelab.sources.prepare import described

EVERY = ("download", "train_fc", "train_conv", "compare", "interpolate", "latent_explore", "report")
PICTURES = {"source": "image_folder", "path": "pictures", "image_size": 32}


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often MLflow's store has been looked at."""
    asked: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(tracking, "check", lambda: asked.append("store"))
    return asked


def settings(**changes: Any) -> DatasetSettings:
    """changes: of sections; `recipe` stands for the data set's."""
    tree = yaml.safe_load(PARAMS.read_text())
    tree["datasets"] = {"mine": changes.pop("recipe", {"source": "shapes", "image_size": 16})}
    for section, values in changes.items():
        tree[section] |= values
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    return load_settings().of("mine")


def make_data(of: DatasetSettings, **changes: Any) -> None:
    """meta.json of 30 test images, as if `download` had run."""
    fields: dict[str, Any] = {
        "name": "mine",
        "source": {**described(of.recipe), "archives": {}},
        "shape": (3, 16, 16),
        "counts": {"train": 90, "val": 10, "test": 30},
        "class_names": ["cat", "dog"],
        "factor_names": [],
        "attribute_names": ["dog", "smiling"],
        "split_seed": 0,
        "digest": "",
    }
    of.data_dir.mkdir(parents=True)
    (of.data_dir / "meta.json").write_text(Meta(**fields | changes).model_dump_json())


REFUSED = [
    ({"train": {"device": "cuda:9"}}, "train_fc", "device is 'cuda:9', which this machine lacks"),
    ({"compare": {"inception_weights": "none.pth"}}, "compare", "none.pth, the Inception net's w"),
    ({"interpolate": {"pairs": [[0, "none.jpg"]]}}, "interpolate", "none.jpg cannot be read: No"),
    ({"interpolate": {"pairs": [[0, "params.yaml"]]}}, "interpolate", "params.yaml is not a pic"),
    ({"interpolate": {"pairs": [[0, 30]]}}, "interpolate", "pairs names test image 30; allowed: 0"),
    ({"interpolate": {"corners": [0, 1, 2, 99]}}, "interpolate", "corners names test image 99; "),
    (
        {"interpolate": {"corners": [0, 1, 2, "~no_such_user/a.jpg"]}},
        "interpolate",
        "~no_such_user/a.jpg ca",
    ),
    ({"latent_explore": {"directions": ["cats"]}}, "latent_explore", "names 'cats'; allowed: dog"),
    (
        {"compare": {"inception_weights": "~no_such_user/a"}},
        "compare",
        "no home folder ~no_such_user here",
    ),
    ({"recipe": PICTURES}, "download", "pictures does not exist; correct `path` in params.yaml"),
]


@pytest.mark.parametrize(("changes", "stage", "message"), REFUSED)
def test_what_a_stage_would_refuse_is_refused_for_it_alone(
    changes: dict[str, Any], stage: str, message: str
) -> None:
    mine = settings(**changes)
    if stage != "download":
        make_data(mine)
    with pytest.raises(UserError) as caught:
        check(mine, EVERY)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    needless = {"device": {"download", "report"}}.get(str(caught.value).split()[0])
    check(mine, needless or {*EVERY} - {stage})


def test_the_store_is_looked_at_for_stages_that_write_to_it(store: list[str]) -> None:
    check(settings(), {"download", "report"})
    assert store == []
    check(settings(), {"report", "interpolate"})
    assert store == ["store"]


def test_what_is_there_is_right() -> None:
    Path("pictures").mkdir()
    Image.new("L", (5, 3)).save("pictures/a.png")
    torch.save({"a": torch.zeros(1)}, "weights.pth")
    mine = settings(
        recipe=PICTURES,
        train={"device": "cpu"},
        compare={"inception_weights": "weights.pth"},
        interpolate={"pairs": [[0, "pictures/a.png"]], "corners": [29, 1, 2, 3]},
        latent_explore={"directions": ["cat", "class dog", "dog", "smiling"]},
    )
    check(mine, EVERY)
    make_data(mine)
    check(mine, EVERY)


@pytest.mark.parametrize("found", [None, "{", '{"name": "mine"}', "another recipe"])
def test_numbers_and_names_are_not_judged_by_another_data_set(found: str | None) -> None:
    mine = settings(
        interpolate={"pairs": [[0, 30]]}, latent_explore={"directions": ["by nobody known"]}
    )
    if found:
        make_data(mine, source={"source": "shapes", "image_size": 64})
    if found and found[0] == "{":
        (mine.data_dir / "meta.json").write_text(found)
    check(mine, EVERY)


def test_pictures_that_have_been_read_may_be_gone() -> None:
    mine = settings(recipe=PICTURES)
    make_data(mine)
    check(mine, EVERY)
