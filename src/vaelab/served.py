"""A trained model as MLflow loads and serves it. MLflow runs this file; vaelab.runtime.tracking
makes the rest of the model around it.

    model = mlflow.pyfunc.load_model("models:/vaelab-shapes-conv@newest")
    model.predict(pandas.DataFrame({"image": images.tolist()}))["image"]    # reconstructions
    model.predict(pandas.DataFrame({"image": images.tolist()}), {"operation": "encode"})["code"]
    model.predict(pandas.DataFrame({"code": codes.tolist()}), {"operation": "decode"})["image"]
    model.predict(None, {"operation": "sample", "count": 4, "seed": 1})["image"]

An image is (C, H, W) in [0, 1], a code has latent_dim numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext
from torch import Tensor

from vaelab.nets.saved import load_vae

MOST = 4096  # samples in one answer


class ServedVAE(PythonModel):
    def load_context(self, context: PythonModelContext) -> None:
        self._vae = load_vae(Path(context.artifacts["model"]), torch.device("cpu"))

    @torch.inference_mode()
    def predict(
        self,
        context: PythonModelContext,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """A row for each image: `image`; of `encode`, `code` and `deviation`, the mean and standard
        deviation of q(z|x).
        """
        chosen = params or {}
        match chosen.get("operation", "reconstruct"):
            case "encode":
                mu, logvar = self._vae.encode(self._images(model_input))
                return pd.DataFrame({"code": mu.tolist(), "deviation": (logvar / 2).exp().tolist()})
            case "decode":
                return self._decoded(self._codes(model_input))
            case "reconstruct":
                return self._decoded(self._vae.encode(self._images(model_input)).mu)
            case "sample":
                count, generator = chosen.get("count", 1), torch.Generator()
                if not 0 < count <= MOST:
                    raise _refused(f"count is {count}; allowed: 1 to {MOST}")
                generator.manual_seed(chosen.get("seed", 0))
                return self._decoded(torch.randn(count, self._vae.latent_dim, generator=generator))
            case other:
                raise _refused(
                    f"operation is {other!r}; allowed: encode, decode, reconstruct, sample"
                )

    def _decoded(self, z: Tensor) -> pd.DataFrame:
        return pd.DataFrame({"image": self._vae.decode_mean(z).tolist()})

    def _images(self, rows: pd.DataFrame) -> Tensor:
        return _column(rows, "image", self._vae.shape)

    def _codes(self, rows: pd.DataFrame) -> Tensor:
        return _column(rows, "code", (self._vae.latent_dim,))


def _column(rows: pd.DataFrame, name: str, shape: tuple[int, ...]) -> Tensor:
    """One of the input's columns, (N, *shape)."""
    if not isinstance(rows, pd.DataFrame) or name not in rows or rows[name].isna().any():
        raise _refused(f"every row needs {name!r}, of the shape {shape}")
    cells = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in rows[name]]
    try:
        values = torch.tensor(cells, dtype=torch.float32)
    except (TypeError, ValueError):
        values = torch.empty(0)
    if values.shape[1:] != shape:
        raise _refused(f"{name!r} has to be of the shape {shape}")
    return values


def _refused(reason: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(reason)


set_model(ServedVAE())
