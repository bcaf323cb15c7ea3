"""Real SQLite stores in temporary folders."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import url2pathname

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from toys import seeded, small_vae

from vaelab.data.arrays import Meta
from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.settings import DatasetSettings, load_settings
from vaelab.vae.model import VAE

REPOSITORY = Path(__file__).parents[2]
META = Meta(
    name="shapes",
    source={"source": "shapes", "image_size": 32},
    shape=(3, 32, 32),
    counts={"train": 8, "val": 1, "test": 1},
    class_names=["one"],
    factor_names=[],
    split_seed=0,
    digest="0123456789abcdef" * 4,
)
TOKEN = "f" * 32
SAMPLES = {"val_elbo": -10.5, "val_kl": 2.0}


@pytest.fixture(scope="session")
def settings() -> DatasetSettings:
    return load_settings(REPOSITORY / "params.yaml").of("shapes")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at MLflow's present schema; to make one takes a second or two."""
    root = tmp_path_factory.mktemp("migrated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.prepare()
    return root / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Path) -> Path:
    """A repository's root with an empty store, far from the working folder."""
    place = tmp_path / "a repository"
    place.mkdir()
    (place / "mlflow.db").write_bytes(migrated.read_bytes())
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("DVC_ROOT", str(place))
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    return place


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root / 'mlflow.db'}")


def finished(settings: DatasetSettings, **options: Any) -> str:
    """The id of a run with two epochs."""
    options = {"name": "conv-z128", "model": "conv"} | options
    with tracking.run("train_conv", settings, META, **options) as run:
        run.log_metrics(SAMPLES, 1, 1_000)
        run.log_metrics(SAMPLES, 2, 2_000)
    return run.id


def read(root: Path, run_id: str) -> MlflowRun:
    return client_of(root).get_run(run_id)


def test_a_run_holds_settings_data_set_and_tags(
    root: Path, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "brave-newt")
    run = read(root, finished(settings))

    assert run.data.params["model.latent_dim"] == str(settings.model.latent_dim)
    assert run.info.run_name == "conv-z128"
    assert run.info.status == "FINISHED"
    expected = {
        "stage": "train_conv",
        "dataset": "shapes",
        "model": "conv",
        "dvc_exp": "brave-newt",
    }
    assert expected.items() <= run.data.tags.items()
    experiment = client_of(root).get_experiment(run.info.experiment_id)
    assert experiment.name == "shapes"
    (images,) = run.inputs.dataset_inputs
    assert images.dataset.name == "shapes"
    assert META.digest.startswith(images.dataset.digest)
    assert len(images.dataset.digest) >= 8
    assert {tag.key: tag.value for tag in images.tags} == {"mlflow.data.context": "training"}


def test_a_run_has_the_settings_that_decide_its_figures(
    root: Path, settings: DatasetSettings
) -> None:
    params = read(root, finished(settings, seed=3)).data.params
    assert (params["model"], params["seed"]) == ("conv", "3")
    assert {"model.conv.width", "objective.beta", "train.learning_rate"} <= set(params)
    assert not [key for key in params if key.startswith(("model.fc", "compare", "latent_explore"))]
    assert not {"train.seeds", "train.threads"} & set(params)
    with tracking.run("compare", settings, META, name="compare") as run:
        pass
    params = read(root, run.id).data.params
    assert {"compare.iw_samples", "model.fc.blocks", "model.conv.width", "train.seeds"} <= set(
        params
    )
    assert not [key for key in params if key.startswith(("interpolate", "tracking"))]


def test_a_training_run_is_coloured_described_and_watched(
    root: Path, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    colours = set()
    for model in ("fc", "conv"):
        with tracking.run("train", settings, META, name=model, model=model, seed=0) as run:
            deadline = time.monotonic() + 300
            while not (metrics := read(root, run.id).data.metrics):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert {
            "system/cpu_utilization_percentage",
            "system/system_memory_usage_percentage",
        } <= set(metrics)
        tags = read(root, run.id).data.tags
        colours.add(tags["mlflow.runColor"])
        note = tags["mlflow.note.content"]
        assert "reports/shapes/compare.md" in note
        assert f"(#/models/vaelab-shapes-{model})" in note
    assert len(colours) == 2


def test_pictures_by_step(root: Path, settings: DatasetSettings) -> None:
    with tracking.run("train_conv", settings, META, name="conv", model="conv", seed=0) as run:
        for step in (0, 3):
            run.log_image("samples", np.full((4, 8, 3), 9, np.uint8), step)
    kept = [item.path for item in client_of(root).list_artifacts(run.id, "images")]
    names = sorted(path for path in kept if path.endswith(".png"))
    assert [name.split("+")[:3] for name in names] == [
        ["images/samples", "step", "0"],
        ["images/samples", "step", "3"],
    ]


def test_the_table_that_the_ui_opens(root: Path, settings: DatasetSettings) -> None:
    best = read(root, finished(settings)).info
    with tracking.run("compare", settings, META, name="compare"):
        pass
    (address,) = tracking.views().values()
    page, _, query = address.partition("?")
    assert page == f"/#/experiments/{best.experiment_id}/runs"
    asked = dict(parse_qsl(query))
    assert asked["workflowType"] == "machine_learning"
    tags = client_of(root).get_experiment(best.experiment_id).tags
    view = json.loads(tags[f"mlflow.sharedViewState.{asked['viewStateShareKey']}"])
    shown = client_of(root).search_runs(
        [best.experiment_id], view["searchFilter"], order_by=[f"{view['orderByKey']} DESC"]
    )
    assert [run.info.run_id for run in shown] == [best.run_id]
    known = {f"metrics.`{key}`" for key in shown[0].data.metrics} | {
        f"params.`{key}`" for key in shown[0].data.params
    }
    assert "metrics.`val_elbo`" in known & set(view["selectedColumns"])


@pytest.fixture
def registered(root: Path, settings: DatasetSettings) -> VAE:
    """The newest of two versions, another net than the first."""
    for seed in (0, 1):
        torch.manual_seed(seed)
        vae = small_vae("conv").eval()
        folder = settings.model_dir("conv") / "seed_0"
        vae.save(folder)
        with tracking.run("train_conv", settings, META, name="conv", model="conv", seed=0) as run:
            run.register(folder, "shapes")
    return vae


def test_a_registered_model_does_what_the_net_does(
    root: Path, registered: VAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())  # which loading a model adds to
    previous = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    try:
        model = mlflow.pyfunc.load_model("models:/vaelab-shapes-conv@newest")
    finally:
        mlflow.set_tracking_uri(previous)
    images = torch.rand(2, 3, 16, 16, generator=seeded())
    rows = pd.DataFrame({"image": images.tolist()})
    with torch.no_grad():
        posterior = registered.encode(images)
        expected = registered.decode_mean(posterior.mu)

    def said(rows: pd.DataFrame, column: str, **params: Any) -> torch.Tensor:
        return torch.tensor(model.predict(rows, params=params)[column].tolist())

    torch.testing.assert_close(said(rows, "image"), expected)
    torch.testing.assert_close(said(rows, "code", operation="encode"), posterior.mu)
    codes = pd.DataFrame({"code": posterior.mu.tolist()})
    torch.testing.assert_close(said(codes, "image", operation="decode"), expected)
    drawn = said(pd.DataFrame(), "image", operation="sample", count=3, seed=1)
    assert drawn.shape == (3, 3, 16, 16)
    assert torch.equal(drawn, said(codes, "image", operation="sample", count=3, seed=1))
    with pytest.raises(MlflowException, match="allowed: encode, decode, reconstruct, sample"):
        model.predict(rows, params={"operation": "dream"})
    with pytest.raises(MlflowException, match=r"'image' has to be of the shape \(3, 16, 16\)"):
        model.predict(pd.DataFrame({"image": images[:, :, :8].tolist()}))


def test_a_registered_model_is_found_also_after_the_repository_moves(
    root: Path, registered: VAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = root.rename(tmp_path / "moved")
    monkeypatch.setenv("DVC_ROOT", str(moved))
    tracking.prepare()
    newest = client_of(moved).get_model_version_by_alias("vaelab-shapes-conv", "newest")
    place = client_of(moved).get_model_version_download_uri(newest.name, newest.version)
    assert (Path(url2pathname(urlsplit(place).path)) / "MLmodel").is_file()
    assert place == newest.source


def test_what_a_registered_model_holds(root: Path, registered: VAE) -> None:
    client = client_of(root)
    assert len(client.search_model_versions("name = 'vaelab-shapes-conv'")) == 2
    newest = client.get_model_version_by_alias("vaelab-shapes-conv", "newest")
    place = Path(url2pathname(urlsplit(newest.source).path))
    assert place.is_relative_to(root / "mlartifacts" / "shapes")
    suffixes = {path.suffix for path in place.rglob("*") if path.is_file()}
    assert ".safetensors" in suffixes
    assert not suffixes & {".pkl", ".pickle", ".pt", ".pyc", ".so"}
    assert (place / "input_example.json").is_file()
    pinned = (place / "requirements.txt").read_text().split()
    assert all("==" in each for each in pinned)
    assert f"torch=={torch.__version__.partition('+')[0]}" in pinned
    sizes = sum(path.stat().st_size for path in place.rglob("*"))
    assert sizes < 5_000_000


def test_the_same_epoch_again_changes_nothing_and_what_is_not_finite_is_left_out(
    root: Path, settings: DatasetSettings
) -> None:
    with tracking.run("train_fc", settings, META, name="fc-z128", model="fc") as run:
        for _ in range(2):
            run.log_metrics({"val_elbo": -10.5, "val_kl": float("inf")}, 1, 1_000)
            run.log_metrics({"val_elbo": -9.5, "mse": float("nan"), "elbo": None}, 2, 2_000)
    history = client_of(root).get_metric_history(run.id, "val_elbo")
    assert [(point.step, point.timestamp) for point in history] == [(1, 1_000), (2, 2_000)]
    assert read(root, run.id).data.metrics == {"val_elbo": -9.5}


def test_artifacts_are_found_also_after_the_repository_moves(
    root: Path, settings: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tmp_path / "some pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"a")
    with tracking.run("compare", settings, META, name="compare") as run:
        run.log_artifact(pictures / "a.png")
        run.log_artifact(pictures, "compare")
    folder = root / "mlartifacts" / "shapes" / run.id / "artifacts"
    assert (folder / "a.png").read_bytes() == (folder / "compare" / "a.png").read_bytes() == b"a"

    moved = root.rename(tmp_path / "moved")
    monkeypatch.setenv("DVC_ROOT", str(moved))
    tracking.prepare()
    listed = client_of(moved).list_artifacts(run.id, "compare")
    assert [item.path for item in listed] == ["compare/a.png"]
    with tracking.run("compare", settings, META, name="compare") as run:
        run.log_artifact(pictures / "a.png")
    assert (moved / "mlartifacts" / "shapes" / run.id / "artifacts" / "a.png").is_file()


@pytest.mark.parametrize(
    ("exception", "status"),
    [(KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED"), (ZeroDivisionError, "FAILED")],
)
def test_status_when_it_does_not_end_well(
    root: Path, settings: DatasetSettings, exception: type[BaseException], status: str
) -> None:
    ids = []

    def stage() -> None:
        with tracking.run("train_fc", settings, META, name="fc-z128", model="fc") as run:
            ids.append(run.id)
            raise exception

    with pytest.raises(exception):
        stage()
    assert read(root, ids[0]).info.status == status


def test_a_token_goes_on_in_the_same_run(root: Path, settings: DatasetSettings) -> None:
    first = finished(settings, token=TOKEN)
    options = {"name": "x", "model": "conv", "token": TOKEN}
    with tracking.run("train_conv", settings, META, **options) as run:
        assert run.id == first
        assert run.resumed
        assert read(root, first).info.status == "RUNNING"
        run.log_metrics(SAMPLES, 2, 2_000)
        run.log_metrics(SAMPLES, 3, 3_000)
    history = client_of(root).get_metric_history(first, "val_elbo")
    assert [point.step for point in history] == [1, 2, 3]
    assert read(root, first).info.status == "FINISHED"


def test_a_run_of_several_models_names_the_runs_that_trained_them(
    root: Path, settings: DatasetSettings
) -> None:
    """By the weights' own bytes, wherever they lie."""
    ids = []
    for seed in (2, 10):
        file = settings.model_dir("conv") / f"seed_{seed}" / "weights.safetensors"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights of seed %d" % seed)
        options = {"name": f"conv-z4-s{seed}", "model": "conv", "seed": seed}
        with tracking.run("train_conv", settings, META, **options) as run:
            tracking.remember(run, file)
        ids.append(run.id)
        assert read(root, run.id).data.tags["seed"] == str(seed)
        assert [each.name for each in file.parent.iterdir()] == [file.name]

    def tags() -> dict[str, str]:
        with tracking.run("compare", settings, META, name="compare-z4") as run:
            pass
        return read(root, run.id).data.tags

    assert tags()["conv_run"] == ", ".join(ids)
    assert "fc_run" not in tags()
    file.write_bytes(b"weights of another")
    assert tags()["conv_run"] == ids[0]


def test_the_token_of_a_run_that_is_gone_starts_another(
    root: Path, settings: DatasetSettings
) -> None:
    lost = finished(settings, token=TOKEN)
    client_of(root).delete_run(lost)
    assert finished(settings, token=TOKEN) != lost


def test_an_experiment_deleted_in_the_ui_comes_back(root: Path, settings: DatasetSettings) -> None:
    first = read(root, finished(settings))
    client_of(root).delete_experiment(first.info.experiment_id)
    again = read(root, finished(settings))
    assert again.info.experiment_id == first.info.experiment_id
    assert client_of(root).get_experiment(again.info.experiment_id).lifecycle_stage == "active"


def test_a_uri_in_the_environment_overrides(
    root: Path, settings: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And MLflow's other variables choose nothing."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    (elsewhere / "mlflow.db").write_bytes((root / "mlflow.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere / 'mlflow.db'}")
    run = read(elsewhere, finished(settings))
    assert not client_of(root).search_runs(["1"])
    experiment = client_of(elsewhere).get_experiment(run.info.experiment_id)
    assert experiment.name == "shapes"
    assert experiment.artifact_location == (root / "mlartifacts" / "shapes").as_uri()


def test_a_store_that_cannot_be_used_is_one_line(
    root: Path, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://store")
    with pytest.raises(UserError, match="nonsense://store cannot be used") as caught:
        finished(settings)
    assert "\n" not in str(caught.value)


FRESH_STORE = """
import sys
sys.path[:0] = sys.argv[2:]
from test_tracking import finished
from vaelab.settings import load_settings
print(finished(load_settings(sys.argv[1]).of("shapes")))
"""


def test_two_processes_make_a_store_at_once(root: Path) -> None:
    (root / "mlflow.db").unlink()
    folders = (REPOSITORY / "src", *Path(__file__).parents[:2])
    arguments = (REPOSITORY / "params.yaml", *folders)
    command = [sys.executable, "-c", FRESH_STORE, *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    ids = set()
    for process in [subprocess.Popen(command, **pipes) for _ in range(2)]:
        output, errors = process.communicate(timeout=300)
        assert (process.returncode, errors) == (0, "")
        ids.add(output.strip())
    assert len(ids) == 2
    assert {read(root, run_id).info.status for run_id in ids} == {"FINISHED"}
