"""MLflow: one run for each stage execution, one experiment for each data set.

    with tracking.run("train_conv", settings, meta, name="conv-z128", model="conv") as run:
        run.log_metrics({"val_elbo": -1840.2}, step=1)

The only package that knows MLflow, beside vaelab.served, which MLflow loads: runs.py writes them,
outbox.py sends what they say, registry.py registers trained models, views.py says how the UI shows
them, store.py opens the store.
"""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read once, when MLflow is imported
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # it may hold a password

from vaelab.runtime.tracking.runs import Run, finished_runs, remember, run
from vaelab.runtime.tracking.store import check, prepare, uri
from vaelab.runtime.tracking.views import views
