"""Real SQLite stores in temporary folders."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from vaelab.data.arrays import Meta
from vaelab.runtime import tracking
from vaelab.runtime.errors import UserError
from vaelab.settings import DatasetSettings, load_settings

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

    assert run.data.params == {key: str(value) for key, value in settings.flat().items()}
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


def test_the_same_epoch_again_changes_nothing(root: Path, settings: DatasetSettings) -> None:
    with tracking.run("train_fc", settings, META, name="fc-z128", model="fc") as run:
        for _ in range(2):
            run.log_metrics({"val_elbo": -10.5, "val_kl": 2.0}, 1, 1_000)
            run.log_metrics({"val_elbo": -9.5, "val_kl": 3.0}, 2, 2_000)
    for key in SAMPLES:
        history = client_of(root).get_metric_history(run.id, key)
        assert [(point.step, point.timestamp) for point in history] == [(1, 1_000), (2, 2_000)]
    assert read(root, run.id).data.metrics["val_elbo"] == -9.5


def test_what_is_not_finite_is_left_out(root: Path, settings: DatasetSettings) -> None:
    with tracking.run("train_fc", settings, META, name="fc-z128-s0", model="fc") as run:
        run.log_metrics({"val_elbo": float("-inf"), "val_psnr": 20.0}, 1, 1_000)
        run.log_metrics({"kl": float("inf"), "mse": float("nan"), "psnr": 21.0})
    assert read(root, run.id).data.metrics == {"val_psnr": 20.0, "psnr": 21.0}


def test_final_figures_and_artifacts(root: Path, settings: DatasetSettings, tmp_path: Path) -> None:
    pictures = tmp_path / "some pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"a")
    (tmp_path / "report.md").write_text("# Report")
    with tracking.run("compare", settings, META, name="compare") as run:
        run.log_metrics({"fc.psnr": 20.5, "pca.elbo": None})
        run.log_artifact(tmp_path / "report.md")
        run.log_artifact(pictures, "compare")

    assert read(root, run.id).data.metrics == {"fc.psnr": 20.5}
    folder = root / "mlartifacts" / "shapes" / run.id / "artifacts"
    assert (folder / "report.md").read_text() == "# Report"
    assert (folder / "compare" / "a.png").read_bytes() == b"a"
    listed = client_of(root).list_artifacts(run.id, "compare")
    assert [item.path for item in listed] == ["compare/a.png"]


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


def test_resume_goes_on_in_the_same_run(root: Path, settings: DatasetSettings) -> None:
    first = finished(settings)
    other = settings.model_copy(
        update={"compare": settings.compare.model_copy(update={"images": 3})}
    )
    with tracking.run("train_conv", other, META, name="x", model="conv", resume=first) as run:
        assert run.id == first
        assert read(root, first).info.status == "RUNNING"
        run.log_metrics(SAMPLES, 2, 2_000)
        run.log_metrics(SAMPLES, 3, 3_000)
    history = client_of(root).get_metric_history(first, "val_elbo")
    assert [point.step for point in history] == [1, 2, 3]
    assert read(root, first).info.status == "FINISHED"


def trained(settings: DatasetSettings, seed: int, weights: bytes) -> tuple[str, Path]:
    """A model whose run is noted; its weights lie in the working folder."""
    file = settings.model_dir("conv") / f"seed_{seed}" / "weights.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(weights)
    name = f"conv-z4-s{seed}"
    with tracking.run("train_conv", settings, META, name=name, model="conv", seed=seed) as run:
        tracking.remember(run, file, {"seconds": 2.5})
    return run.id, file


def test_a_run_of_several_models_names_the_runs_that_trained_them(
    root: Path, settings: DatasetSettings
) -> None:
    ids = [trained(settings, seed, b"%d" % seed)[0] for seed in (2, 10)]
    assert [read(root, each).data.tags["seed"] for each in ids] == ["2", "10"]
    with tracking.run("compare", settings, META, name="compare-z4") as run:
        pass
    tags = read(root, run.id).data.tags
    assert tags["conv_run"] == ", ".join(ids)
    assert "fc_run" not in tags


def test_a_training_is_known_by_the_weights_own_bytes(
    root: Path, settings: DatasetSettings
) -> None:
    run_id, file = trained(settings, 0, b"weights")
    assert tracking.training_of(file) == {"mlflow_run_id": run_id, "seconds": 2.5}
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    elsewhere = file.rename(file.with_name("moved"))
    assert tracking.training_of(elsewhere) == {"mlflow_run_id": run_id, "seconds": 2.5}
    elsewhere.write_bytes(b"other weights")
    assert tracking.training_of(elsewhere) is None


def _leave(client: MlflowClient, run_id: str) -> str:
    return "f" * 32


def _delete(client: MlflowClient, run_id: str) -> str:
    client.delete_run(run_id)
    return run_id


@pytest.mark.parametrize("lose", [_leave, _delete])
def test_resume_of_a_run_that_is_gone_starts_another(
    root: Path, settings: DatasetSettings, lose: Callable[[MlflowClient, str], str]
) -> None:
    lost = lose(client_of(root), finished(settings))
    assert finished(settings, resume=lost) != lost


def test_an_experiment_deleted_in_the_ui_comes_back(root: Path, settings: DatasetSettings) -> None:
    first = read(root, finished(settings))
    client_of(root).delete_experiment(first.info.experiment_id)
    again = read(root, finished(settings))
    assert again.info.experiment_id == first.info.experiment_id
    assert client_of(root).get_experiment(again.info.experiment_id).lifecycle_stage == "active"


def test_the_environment_does_not_choose_the_run(
    root: Path, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finished(settings)
    monkeypatch.setenv("MLFLOW_RUN_ID", first)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    second = read(root, finished(settings))
    assert second.info.run_id != first
    assert client_of(root).get_experiment(second.info.experiment_id).name == "shapes"


def test_a_uri_in_the_environment_overrides(
    root: Path, settings: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "theirs"
    elsewhere.mkdir()
    (elsewhere / "mlflow.db").write_bytes((root / "mlflow.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere / 'mlflow.db'}")
    run = read(elsewhere, finished(settings))
    assert not client_of(root).search_runs(["1"])
    experiment = client_of(elsewhere).get_experiment(run.info.experiment_id)
    assert not experiment.artifact_location.startswith((root / "mlartifacts").as_uri())


def test_a_store_that_cannot_be_used_is_one_line(
    root: Path, settings: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://store")
    with pytest.raises(UserError, match="nonsense://store cannot be used") as caught:
        finished(settings)
    assert "\n" not in str(caught.value)


def test_artifacts_are_found_after_the_repository_moves(
    root: Path, settings: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracking.run("compare", settings, META, name="compare") as run:
        path = tmp_path / "report.md"
        path.write_text("# Report")
        run.log_artifact(path)
    moved = root.rename(tmp_path / "moved")
    monkeypatch.setenv("DVC_ROOT", str(moved))
    tracking.prepare()
    assert [item.path for item in client_of(moved).list_artifacts(run.id)] == ["report.md"]
    with tracking.run("compare", settings, META, name="compare") as run:
        run.log_artifact(path)
    assert (moved / "mlartifacts" / "shapes" / run.id / "artifacts" / "report.md").is_file()


FRESH_STORE = """
import sys
from pathlib import Path
from test_tracking import META, finished
from vaelab.settings import load_settings
print(finished(load_settings(sys.argv[1]).of("shapes")))
"""


def test_two_processes_make_a_store_at_once(root: Path) -> None:
    (root / "mlflow.db").unlink()
    command = [sys.executable, "-c", FRESH_STORE, str(REPOSITORY / "params.yaml")]
    processes = [
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
        )
        for _ in range(2)
    ]
    ids = []
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert errors == ""
        ids.append(output.strip())
    assert {read(root, run_id).info.status for run_id in ids} == {"FINISHED"}
    assert len(set(ids)) == 2
