"""The sweep over latent dimensions: what is queued, what is collected, and its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from toys import PARAMS

import sweep
from vaelab.data.arrays import Split, save
from vaelab.report.render import render
from vaelab.runtime.errors import UserError
from vaelab.settings import Settings, load_settings

NAMES = {4: "sweep-shapes-z4-2e-2s", 8: "sweep-shapes-z8-2e-2s"}
STATUS = """Task     Name                   Created    Status
2ef9737  sweep-shapes-z4-2e-2s  12:57 PM   Queued
4466061  other                  12:57 PM   Running

Worker status: 2 active, 0 idle
"""


def runs() -> pd.DataFrame:
    """As MLflow has them; FC of seed 0 at 4 dimensions was trained twice."""
    rows = [
        {
            "start_time": dim + seed,
            "dvc_exp": NAMES[dim],
            "model": model,
            "seed": str(seed),
            "val_elbo": 100.0 * dim + seed + (50 if model == "conv" else 0),
            "val_kl": float(dim),
            "val_reconstruction": -100.0 * dim,
            "val_psnr": 20.0 + dim,
            "seconds": 3.0,
        }
        for dim in NAMES
        for model in ("fc", "conv")
        for seed in (0, 1)
    ]
    again = rows[0] | {"start_time": 99, "val_elbo": 410.0}
    other = rows[0] | {"dvc_exp": "another-sweep"}
    return pd.DataFrame([*rows, again, other])


def test_a_row_for_each_model_the_latest_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep.tracking, "finished_runs", lambda dataset: runs())
    rows = sweep.collect("shapes", NAMES)
    assert len(rows) == 8
    first = rows[(rows.model == "fc") & (rows.latent_dim == 4) & (rows.seed == 0)]
    assert first.elbo.tolist() == [410.0]
    assert sweep.cells(rows)["conv", 8]["elbo"] == (850.5, pytest.approx(0.7071, abs=1e-4))


@pytest.mark.parametrize("rows", [runs()[:4], pd.DataFrame()])
def test_experiments_whose_runs_are_gone_are_named(
    rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep.tracking, "finished_runs", lambda dataset: rows)
    with pytest.raises(UserError, match=f"no runs of .*{NAMES[8]}; `dvc exp remove` them"):
        sweep.collect("shapes", NAMES)


def test_only_what_has_not_been_trained_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []

    def dvc(*arguments: str) -> str:
        called.append(arguments)
        listed = f"{NAMES[8]}\n" + (f"{NAMES[4]}\n" if ("queue", "start") in starts(called) else "")
        answers = {("exp", "list"): listed, ("queue", "status"): "Worker status: 0 active\n"}
        return answers.get(arguments[:2], "")

    def starts(calls: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
        return [call[:2] for call in calls]

    monkeypatch.setattr(sweep, "dvc", dvc)
    sweep.train("shapes", NAMES, seeds=2, epochs=3, jobs=1)
    (queued,) = [call for call in called if "--queue" in call]
    assert NAMES[4] in queued
    assert {"++datasets.shapes.model.latent_dim=4", "++datasets.shapes.train.epochs=3"} <= {*queued}
    assert queued[-2:] == ("train_fc@shapes", "train_conv@shapes")


def test_what_a_dead_worker_had_begun_is_queued_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    status = STATUS.replace("Queued", "Running")

    def dvc(*arguments: str) -> str:
        called.append(arguments)
        return status if arguments == ("queue", "status") else ""

    monkeypatch.setattr(sweep, "dvc", dvc)
    monkeypatch.setattr(sweep, "working", lambda: False)
    monkeypatch.setattr(sweep, "GONE", 0.0)
    monkeypatch.setattr(sweep, "PAUSE", 0.0)
    with pytest.raises(UserError, match=f"workers are gone.* before {NAMES[4]} was trained; the s"):
        sweep.train("shapes", NAMES, seeds=1, epochs=1, jobs=1)
    assert [call for call in called if call[1] == "kill"] == [("queue", "kill", NAMES[4])]
    assert len([call for call in called if "--queue" in call]) == 2


def test_a_worker_is_seen_by_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not sweep.working()
    command = [sys.executable, "-c", "input()", "exp", "queue-worker", "name"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=tmp_path) as worker:
        assert sweep.working()
        worker.kill()
    assert not sweep.working()


def test_other_settings_are_other_experiments() -> None:
    tree = yaml.safe_load(PARAMS.read_text())
    names = []
    for section, key, value in (
        ("train", "seeds", [7]),  # what the sweep sets itself
        ("train", "epochs", 3),
        ("compare", "samples", 5),
        ("model", "likelihood", "bernoulli"),
        ("train", "learning_rate", 0.001),
    ):
        changed = tree | {section: tree[section] | {key: value}}
        settings = Settings.model_validate(changed).of("shapes")
        names.append(sweep.experiments(settings, [8], 3, 10)[8])
    assert names[0].startswith("sweep-shapes-z8-10e-3s-")
    assert names[0] == names[1] == names[2]
    assert len({*names}) == 3


@pytest.mark.parametrize("option", ["--dims", "--seeds", "--epochs", "--jobs"])
def test_impossible_counts_are_refused(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sweep.py", "shapes", option, "0"])
    with pytest.raises(SystemExit) as ended:
        sweep.main()
    assert ended.value.code == 2
    assert "0; allowed: 1 to 8192" in capsys.readouterr().err


def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(PARAMS.parent)
    monkeypatch.setattr(sys, "argv", ["sweep.py", "shapes"])
    monkeypatch.setattr(sweep, "pca_line", interrupted)
    with pytest.raises(SystemExit) as ended:
        sweep.main()
    assert ended.value.code == 130
    assert "the same command waits for them" in capsys.readouterr().err


def test_a_failed_experiment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "dvc", lambda *arguments: "")
    with pytest.raises(UserError, match=f"^{NAMES[4]}, {NAMES[8]} failed; `dvc queue logs"):
        sweep.train("shapes", NAMES, seeds=1, epochs=1, jobs=1)


def test_the_queues_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "dvc", lambda *arguments: STATUS)
    assert sweep.queue() == {NAMES[4]: "Queued", "other": "Running"}


def test_pca_of_few_components_is_that_of_many_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    splits = {
        name: Split(rng.integers(256, size=(40, 1, 8, 8), dtype=np.uint8), np.zeros(40, np.int64))
        for name in ("train", "val", "test")
    }
    settings = load_settings(Path(__file__).parents[1] / "params.yaml").of("shapes")
    save(
        settings.data_dir, splits, name="shapes", source={}, class_names=["noise"],
        factor_names=[], split_seed=0,
    )  # fmt: skip
    both, few = sweep.pca_line(settings, [2, 30]), sweep.pca_line(settings, [2])
    assert both[2] == pytest.approx(few[2], abs=0.05)
    assert both[30] > both[2]


def test_the_page_and_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep.tracking, "finished_runs", lambda dataset: runs())
    rows, pca = sweep.collect("shapes", NAMES), {4: 21.0, 8: 22.5}
    sweep.draw(rows, pca, tmp_path / "sweep.png")
    assert Image.open(tmp_path / "sweep.png").width > 800
    page = render(
        "sweep.md.j2", dataset="shapes", seeds=2, epochs=2, command="python scripts/sweep.py",
        models=["fc", "conv"], dims=[4, 8], cells=sweep.cells(rows), pca=pca,
    )  # fmt: skip
    assert "**Conv has its highest ELBO with 8 latent dimensions: 850.5 nats/image**" in page
    assert "Conv is ahead of FC by ELBO at every one of them." in page
    assert "| 8 | 800.5 ± 0.7 |" in page
