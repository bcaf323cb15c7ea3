"""`dvc repro` on tiny settings in a temporary repository: what runs, and what is left behind.

The repository is the project's with a third architecture: one file of nets, its settings, a stage.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import checkout
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

MODELS = ("fc", "conv", "toy")
TRAINING = {f"train_{model}" for model in MODELS}
STUDIES = {"compare", "interpolate", "latent_explore"}
AFTER_TRAINING = STUDIES | {"report"}
EVERY = {"download"} | TRAINING | AFTER_TRAINING
PARAMS = checkout.small_params()
PARAMS["datasets"] = {
    "shapes": {"source": "shapes", "image_size": 16, "count": 300},
    "pictures": {"source": "image_folder", "path": "pictures", "image_size": 16},
}
PARAMS["model"] |= {"latent_dim": 4, "likelihood": "discretized_logistic", "toy": {"depth": 1}}
PARAMS["train"] |= {"seeds": [0, 1], "batch_size": 16, "learning_rate": 1e-3}


TOY_NETS = """
from torch import nn

from vaelab.vae.model import VAE, VAEConfig


def configure(model, shape):
    return VAEConfig.of("toy", model, shape, model.toy.model_dump())


def build(config):
    channels, side, _ = config.shape
    middle = [nn.Linear(config.latent_dim, config.latent_dim) for _ in range(config.net["depth"])]
    encoder = nn.Sequential(
        nn.AvgPool2d(4), nn.Flatten(), nn.Linear(channels * (side // 4) ** 2, 2 * config.latent_dim)
    )
    decoder = nn.Sequential(
        *middle,
        nn.Linear(config.latent_dim, channels * (side // 4) ** 2),
        nn.Unflatten(1, (channels, side // 4, side // 4)),
        nn.Upsample(scale_factor=4),
    )
    return VAE(config, encoder, decoder)
"""
TOY_SETTINGS = """class ToySettings(NetSettings):
    label: ClassVar[str] = "Toy"

    depth: Annotated[int, Field(ge=0, le=8)]


class ModelSettings"""


def add_toy(root: Path) -> None:
    """What docs/architecture.md says that a third architecture takes, and nothing else."""
    (root / "src" / "vaelab" / "nets" / "toy.py").write_text(TOY_NETS)
    settings = root / "src" / "vaelab" / "settings" / "model.py"
    text = settings.read_text().replace("class ModelSettings", TOY_SETTINGS)
    settings.write_text(
        text.replace("conv: ConvSettings\n", "conv: ConvSettings\n    toy: ToySettings\n")
    )
    stages = root / "src" / "stages"
    script = (stages / "train_conv.py").read_text()
    (stages / "train_toy.py").write_text(script.replace('"conv"', '"toy"'))
    pipeline = (root / "dvc.yaml").read_text()
    stage = pipeline[pipeline.index("  train_conv:") : pipeline.index("  compare:")]
    (root / "dvc.yaml").write_text(
        pipeline.replace("  compare:", stage.replace("conv", "toy") + "  compare:", 1)
    )


class Repository:
    """A copy of the project with its own settings, git history and stores."""

    def __init__(self, root: Path) -> None:
        self.root = root
        checkout.copy_project(root, checkout.PIPELINE)
        add_toy(root)
        self.set_params()
        checkout.run(root, "git", "init", "--quiet")
        self.commit()

    def set_params(self, **sections: dict[str, object]) -> None:
        params = PARAMS | {name: PARAMS[name] | change for name, change in sections.items()}
        checkout.write_params(self.root, params)

    def repro(self, *arguments: str) -> set[str]:
        """Run `dvc repro`; returns the stages that ran."""
        output = self.dvc("repro", *arguments)
        return set(re.findall(r"^Running stage '(.+)':$", output, flags=re.MULTILINE))

    def dvc(self, *arguments: str) -> str:
        return checkout.run(self.root, sys.executable, "-m", "dvc", *arguments)

    def git_status(self) -> list[str]:
        return checkout.run(self.root, "git", "status", "--porcelain").splitlines()

    def commit(self) -> None:
        checkout.commit(self.root)


class Clone(Repository):
    """A colleague's, from git alone."""

    def __init__(self, root: Path, origin: Repository) -> None:
        self.root = root
        root.mkdir()
        checkout.run(root, "git", "clone", "--quiet", str(origin.root), ".")


def stages(names: set[str], *datasets: str) -> set[str]:
    return {f"{name}@{dataset}" for name in names for dataset in datasets}


OUTPUTS = [
    "data/shapes/meta.json",
    *(f"data/shapes/{split}.npy" for split in ("train", "val", "test")),
    *(
        f"models/shapes/{model}/seed_{seed}/{file}"
        for model in MODELS
        for seed in PARAMS["train"]["seeds"]
        for file in ("weights.safetensors", "config.json", "history.csv")
    ),
    *(f"reports/shapes/{model}/history.csv" for model in MODELS),
    *(f"metrics/shapes/{name}.json" for name in (*MODELS, *STUDIES)),
    *(f"reports/shapes/{name}/measures.csv" for name in STUDIES),
    *(f"reports/shapes/{name}/facts.json" for name in STUDIES),
    *(f"reports/shapes/{name}.md" for name in STUDIES),
    "reports/shapes/index.html",
]


def check_three_architectures(root: Path) -> None:
    """Every page, metrics file and frame of figures has all three."""
    reports = root / "reports" / "shapes"
    for study in STUDIES:
        figures = pd.read_csv(reports / study / "measures.csv")
        assert set(MODELS) <= set(figures["model"]), study
        page = (reports / f"{study}.md").read_text()
        assert all(re.search(rf"\b{label}\b", page) for label in ("FC", "Conv", "Toy")), study
        metrics = json.loads((root / "metrics" / "shapes" / f"{study}.json").read_text())
        assert set(MODELS) <= set(metrics), study
    page = (reports / "index.html").read_text()
    assert "Toy is not here: this page cannot run its layer <code>AvgPool2d</code>." in page


def mlflow_runs(root: Path) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("shapes")
    assert experiment is not None
    return client, client.search_runs([experiment.experiment_id])


def check_mlflow(root: Path) -> None:
    client, runs = mlflow_runs(root)
    trained = [f"{model}-z4-s{seed}" for model in MODELS for seed in PARAMS["train"]["seeds"]]
    names = {run.info.run_name: run for run in runs}
    assert sorted(names) == sorted([*trained, *(f"{study}-z4" for study in STUDIES)])
    assert len(runs) == len(names)
    for run in runs:
        assert run.info.status == "FINISHED"
        assert run.data.params["model.latent_dim"] == "4"
        assert run.data.metrics
        assert len(run.data.metrics) <= 30
        assert client.list_artifacts(run.info.run_id)
    for name in trained:
        history = client.get_metric_history(names[name].info.run_id, "val_elbo")
        assert [point.step for point in history] == [1, 2]
        assert names[name].data.params["seed"] == name[-1]
    for model in MODELS:
        newest = client.get_model_version_by_alias(f"vaelab-shapes-{model}", "newest")
        assert newest.run_id == names[f"{model}-z4-s0"].info.run_id


def test_the_pipeline_and_what_a_change_runs_again(tmp_path: Path) -> None:
    """Of the built-in set; test_tutorial.py runs it of a folder of pictures."""
    repository = Repository(tmp_path / "a repository")
    every = stages(EVERY, "shapes")

    assert repository.repro("--glob", "*@shapes") == every
    assert not [path for path in OUTPUTS if not (repository.root / path).is_file()]
    check_three_architectures(repository.root)
    check_mlflow(repository.root)
    kept_in_git = {"dvc.lock", "metrics/", "reports/"}
    assert {line.removeprefix("?? ") for line in repository.git_status()} == kept_in_git

    assert repository.repro("--glob", "*@shapes") == set()
    assert "up to date" in repository.dvc("status", *every)

    repository.set_params(model={"latent_dim": 3})
    assert repository.repro("train_conv@shapes") == {"train_conv@shapes"}
    config = json.loads((repository.root / "models/shapes/conv/seed_1/config.json").read_text())
    assert config["latent_dim"] == 3
    assert {"conv-z3-s0", "conv-z3-s1"} <= {
        run.info.run_name for run in mlflow_runs(repository.root)[1]
    }


def check_a_clone_that_pulls(repository: Repository, folder: Path) -> None:
    """It has models and pages without a stage's run."""
    remote, clone = folder / "remote", Clone(folder / "clone", repository)
    for each in (repository, clone):
        each.dvc("remote", "add", "--local", "--default", "team", str(remote))
    repository.dvc("push")
    clone.dvc("pull")
    assert (clone.root / "reports/shapes/index.html").is_file()
    assert (clone.root / "models/shapes/conv/file.txt").is_file()
    assert clone.repro() == set()
    assert clone.git_status() == []


def test_the_graph_of_every_kind_of_change(tmp_path: Path) -> None:
    """The pipeline as dvc.yaml has it, with stand-ins for the scripts, which take seconds each."""
    repository = Repository(tmp_path / "repository")
    checkout.stand_in(repository.root, EVERY)
    both = ("shapes", "pictures")
    assert repository.repro() == stages(EVERY, *both)
    repository.commit()
    assert repository.repro() == set()
    assert repository.git_status() == []
    check_a_clone_that_pulls(repository, tmp_path)

    repository.set_params(model={"latent_dim": 3})
    assert repository.repro() == stages(TRAINING | AFTER_TRAINING, *both)
    repository.set_params(model={"toy": {"depth": 2}})
    assert repository.repro("--glob", "*@shapes") == stages(
        {"train_toy"} | AFTER_TRAINING, "shapes"
    )
    repository.set_params(compare={"samples": 5})
    # The stand-in writes other samplers as well, which the true one does not.
    assert repository.repro("--glob", "*@shapes") == stages(AFTER_TRAINING, "shapes")

    repository.set_params()
    assert repository.repro() == set(), "earlier results come back from the cache"
    assert repository.git_status() == []

    recipes = PARAMS["datasets"]
    own_values = recipes["shapes"] | {"train": {"epochs": 3}}
    repository.set_params(datasets={"shapes": own_values})
    assert repository.repro() == stages(EVERY, "shapes")
    repository.set_params(datasets={"pictures": recipes["pictures"] | {"seed": 1}})
    assert repository.repro() == stages(EVERY, "pictures")
    repository.set_params(datasets={"more": {"source": "shapes"}})
    assert repository.repro() == stages(EVERY, "more")

    repository.set_params()
    for code, runs in (
        ("runtime/tracking/runs.py", set()),
        ("settings/load.py", set()),
        ("report/render.py", {"report@shapes"}),
        ("studies/compare/draw.py", {"compare@shapes"}),
        ("nets/toy.py", stages({"train_toy"} | AFTER_TRAINING, "shapes")),
        ("nets/conv.py", stages({"train_fc", "train_conv"} | AFTER_TRAINING, "shapes")),
    ):
        with (repository.root / "src" / "vaelab" / code).open("a") as file:
            file.write("# a change\n")
        assert repository.repro("--glob", "*@shapes") == runs, code
