import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Recorder, save_models, write_params

from vaelab.runtime import tracking
from vaelab.samplers import gaussians

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
torch.set_num_threads(1)  # tests run side by side, and their nets are too small to share out
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it


@pytest.fixture
def recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A folder with params.yaml and untrained models, and what stands there for MLflow's run."""
    monkeypatch.chdir(tmp_path)
    recorder = Recorder()
    monkeypatch.setattr(tracking, "run", recorder.run)
    monkeypatch.setattr(gaussians, "DRAWS", 500)  # a mixture is fitted in less time
    write_params()
    save_models()
    return recorder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        pytest.skip("there is no Chromium on this machine: apt install chromium")
    with driver.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
