"""Every command in the blocks of README, tutorial and CONTRIBUTING is run, here or elsewhere."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import checkout
import pytest
import test_contributing
import test_tutorial
import torch
import yaml
from documents import PROJECT, blocks, commands
from PIL import Image
from toys import save_models, small_vae, toy_meta, write_params

import sweep
from vaelab.cli import main as vaelab
from vaelab.runtime import tracking
from vaelab.samplers import saved
from vaelab.samplers.flow import FlowRecipe, fit_flow
from vaelab.settings import load_settings
from vaelab.vae.model import Posterior, seed_dir

README = "README.md"
ELSEWHERE = {  # command -> what runs it, and what of it stands there
    "make test": (".ci/run", "make test"),
    "make lint": (".ci/run", "make lint"),
    "make quick": (".ci/run", "make quick"),
    ".ci/run": ("CONTRIBUTING.md", ".ci/run"),  # itself
    "make ui": ("tests/test_ui.py", "ui.py"),
    "make setup": ("docs/tutorial.md", "$ make setup"),
    "source .venv/bin/activate": ("docs/tutorial.md", "$ source .venv/bin/activate"),
}
PIPELINE = ("make demo", "dvc ", "python scripts/repro.py")
SERVING = ("export MLFLOW_TRACKING_URI", "mlflow models serve", "curl ")


def beginning(page: str, *beginnings: str) -> list[str]:
    """The page's commands that begin so."""
    return [command for command in commands(page) if command.startswith(beginnings)]


def test_every_command_is_run_by_a_test_or_in_ci() -> None:
    here = {
        *beginning(README, *PIPELINE, *SERVING, "vaelab "),
        *commands(test_tutorial.PAGE),
        *beginning(test_contributing.PAGE, test_contributing.PYTEST, test_contributing.DVC),
    }
    for page in (README, test_tutorial.PAGE, test_contributing.PAGE):
        assert commands(page)
        left = set(commands(page)) - here - ELSEWHERE.keys()
        assert not left, f"{page} has commands that nothing runs: {left}"
    for place, words in ELSEWHERE.values():
        assert words in (PROJECT / place).read_text("utf-8"), place


def test_the_pipelines_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the stages' scripts: what DVC, make and repro.py make of them is true."""
    names = ("Makefile", "pyproject.toml", "requirements.lock", "scripts")
    checkout.copy_project(tmp_path, (*checkout.PIPELINE, *names))
    checkout.link_environment(tmp_path)
    pipeline = yaml.safe_load((tmp_path / "dvc.yaml").read_text())
    checkout.stand_in(tmp_path, pipeline["stages"])
    params = checkout.small_params()
    for block in blocks(README, "yaml"):
        params["datasets"] |= yaml.safe_load(block)["datasets"]
    checkout.write_params(tmp_path, params)
    checkout.run(tmp_path, "git", "init", "--quiet")
    checkout.commit(tmp_path)
    monkeypatch.chdir(tmp_path)
    said = {}
    for command in dict.fromkeys(beginning(README, *PIPELINE)):
        named = command
        if "NAME" in command:  # an experiment's
            named = command.replace("NAME", sweep.dvc("exp", "list", "--name-only").split()[0])
        said[command] = checkout.run(tmp_path, "bash", "-c", named, PYTHONPATH="src")
    assert "Running stage 'report@shapes':" in said["make demo"]
    assert "Running stage 'report@my_photos':" in said["dvc repro"]
    (queued,) = [text for command, text in said.items() if "--queue" in command]
    assert queued.count("Queued experiment") == 2
    end = time.monotonic() + checkout.PATIENCE
    while set(sweep.queue().values()) & set(sweep.WAITING):
        assert time.monotonic() < end
        time.sleep(1)


def test_vaelabs_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params()
    save_models(latent_dim=8)
    posterior = Posterior(torch.randn(64, 8), torch.zeros(64, 8))
    flow = fit_flow(posterior, seed=0, device=torch.device("cpu"), recipe=FlowRecipe(steps=3))
    saved.save({"flow": flow}, seed_dir(Path("samplers/toys/conv"), 0))
    Path("holiday").mkdir()
    for name in ("cat.jpg", "dog.jpg", "holiday/sea.png"):
        Image.effect_noise((30, 20), 80.0).convert("RGB").save(name)
    for command in beginning(README, "vaelab "):
        assert vaelab(shlex.split(command, comments=True)[1:]) == 0, command
        written = Path(capsys.readouterr().out.partition(": ")[0])
        assert written.stat().st_size
        written.unlink()


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl on this machine")
def test_a_model_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    settings = load_settings(PROJECT / "params.yaml").of("shapes")
    small_vae("conv").eval().save(tmp_path / "model")
    with tracking.run("train_conv", settings, toy_meta(), name="conv", model="conv", seed=0) as run:
        run.register(tmp_path / "model", "shapes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    export, serve, curl = (each.replace("5001", port) for each in beginning(README, *SERVING))
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"{export} && exec {serve}"],
            start_new_session=True,
            env=checkout.environment(),
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + checkout.PATIENCE
        while not _answers(f"http://127.0.0.1:{port}/ping"):
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.5)
        said = json.loads(checkout.run(tmp_path, "bash", "-c", curl))
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    images = [row["image"] for row in said["predictions"]]
    assert torch.tensor(images).shape == (2, 3, 16, 16)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False
