"""How MLflow's UI shows a data set's training runs: what a person compares, the best first."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from vaelab.runtime.tracking.store import readable_errors, store

KEY = "vaelab"  # of the view among those that the UI's Share button makes
COLUMNS = (
    "params.`model`",
    "params.`model.latent_dim`",
    "params.`seed`",
    "metrics.`val_elbo`",
    "metrics.`val_kl`",
    "metrics.`val_psnr`",
    "metrics.`seconds`",
)
VIEW: dict[str, Any] = {
    "searchFilter": "tags.stage LIKE 'train_%'",
    "orderByKey": "metrics.`val_elbo`",
    "orderByAsc": False,
    "selectedColumns": COLUMNS,
}


def views() -> dict[str, str]:
    """Data set -> the address of its table in the UI, behind the server's own.

    The table's columns are a tag of the experiment, as the UI's Share button keeps them.
    """
    with readable_errors(), store() as client:
        found = {}
        for experiment in client.search_experiments(order_by=["name"]):
            if experiment.name != "Default":
                client.set_experiment_tag(
                    experiment.experiment_id, f"mlflow.sharedViewState.{KEY}", json.dumps(VIEW)
                )
                query = urlencode({"workflowType": "machine_learning", "viewStateShareKey": KEY})
                found[experiment.name] = f"/#/experiments/{experiment.experiment_id}/runs?{query}"
        return found
