"""Trained models in MLflow's registry, such as vaelab-shapes-conv, whose newest has an alias.

    mlflow.pyfunc.load_model("models:/vaelab-shapes-conv@newest")

A model holds its weights as safetensors, vaelab's own code, and the versions of the packages that
it was made with. Nothing in it is pickled: MLflow runs src/vaelab/served.py.
"""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.exceptions import MlflowException

NEWEST = "newest"
PACKAGE = Path(__file__).parents[2]  # vaelab
REQUIRED = (  # by what vaelab.served imports
    "mlflow",
    "numpy",
    "pandas",
    "pydantic",
    "pyyaml",
    "safetensors",
    "torch",
)


def registered_name(dataset: str, architecture: str) -> str:
    """Of a trained model in MLflow's registry."""
    return f"vaelab-{dataset}-{architecture}"


def register(client: MlflowClient, run_id: str, folder: Path, dataset: str) -> None:
    """Keep the model that a training run wrote into `folder` with the run, and make it the newest
    version of its data set and architecture. Does nothing where the run has its model already.
    """
    run = client.get_run(run_id)
    if run.outputs and run.outputs.model_outputs:
        return
    config = json.loads((folder / "config.json").read_text())
    architecture = config["architecture"]
    name = registered_name(dataset, architecture)
    model = client.create_logged_model(
        run.info.experiment_id, name=architecture, source_run_id=run_id, model_type="VAE"
    )
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "model"
        _write(place, folder, model.model_id, run_id, config["shape"], config["latent_dim"])
        client.log_model_artifacts(model.model_id, str(place))
    client.finalize_logged_model(model.model_id, "READY")
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    made = client.create_model_version(
        name, model.artifact_location, run_id, model_id=model.model_id
    )
    client.set_registered_model_alias(name, NEWEST, made.version)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])


def _write(
    place: Path, folder: Path, model_id: str, run_id: str, shape: list[int], latent_dim: int
) -> None:
    """A folder as MLflow's `pyfunc` reads it. shape: (C, H, W)."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import Array, ColSpec, ParamSchema, ParamSpec, Schema

    image = ColSpec(Array(Array(Array("double"))), "image", required=False)
    code, deviation = (
        ColSpec(Array("double"), name, required=False) for name in ("code", "deviation")
    )
    params = [
        ParamSpec("operation", "string", "reconstruct"),
        ParamSpec("count", "long", 1),
        ParamSpec("seed", "long", 0),
    ]
    grey = np.full(shape, 0.5).tolist()
    example = pd.DataFrame({"image": [grey], "code": [[0.0] * latent_dim]})
    pyfunc.save_model(
        place,
        mlflow_model=Model(run_id=run_id, model_id=model_id, model_uuid=model_id),
        python_model=str(PACKAGE / "served.py"),
        code_paths=[str(PACKAGE)],
        artifacts={"model": str(folder)},
        signature=ModelSignature(
            Schema([image, code]), Schema([image, code, deviation]), ParamSchema(params)
        ),
        input_example=(example, {"operation": "reconstruct"}),
        pip_requirements=[f"{each}=={version(each).partition('+')[0]}" for each in REQUIRED],
    )
