"""A copy of the project in a folder of its own, and commands that run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

import quick

PROJECT = Path(__file__).parents[1]
PIPELINE = (
    *("src", "dvc.yaml", ".dvcignore", ".gitignore"),
    *(".dvc/config", ".dvc/plots", ".dvc/.gitignore"),
)
PATIENCE = 300  # seconds, of what has to come at all, also on a slow and busy machine
UNWANTED = ("DVC_", "MLFLOW_", "GIT_", "VAELAB_")  # variables that steer what is started
QUIET = {"DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
USER = {
    f"GIT_{who}_{what}": text
    for who in ("AUTHOR", "COMMITTER")
    for what, text in (("NAME", "test"), ("EMAIL", "test@example.com"))
}

STAND_IN = """
import hashlib, json, sys
from pathlib import Path
import yaml

name, key = Path(sys.argv[0]).stem, sys.argv[1]
stage = yaml.safe_load(Path("dvc.yaml").read_text().replace("${key}", key))["stages"][name]["do"]
params = yaml.safe_load(Path("params.yaml").read_text())
if name == "download":
    for section in ("model", "objective", "train"):
        params["datasets"][key].pop(section, None)
digest = hashlib.sha256()
for path in stage.get("params", []):
    value = params
    for part in path.split("."):
        value = value[part]
    digest.update(repr(value).encode())
for path in stage["deps"]:
    if not path.startswith("src/"):
        for file in sorted(Path(path).rglob("*.txt")):
            digest.update(file.read_bytes())
for entry in [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]:
    path = Path(entry if isinstance(entry, str) else next(iter(entry)))
    path = path if path.suffix else path / "file.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = int(digest.hexdigest()[:12], 16)
    table = f"model,seed,epoch,measure,value,val_elbo\\nFC,0,1,ELBO,{figure},{figure}\\n"
    path.write_text(table if path.suffix == ".csv" else json.dumps({"figure": figure}))
"""


def stand_in(root: Path, stages: Iterable[str]) -> None:
    """Scripts for the stages that take no time: what they write depends on the settings and the
    files that dvc.yaml names, and on nothing else.
    """
    for stage in stages:
        (root / "src" / "stages" / f"{stage}.py").write_text(STAND_IN)


def copy_project(root: Path, names: Iterable[str]) -> None:
    """names: of files and folders of the project."""
    for name in names:
        source, target = PROJECT / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


def link_environment(root: Path) -> None:
    """A .venv with what this Python's has, which `make` takes for complete."""
    own = root / ".venv"
    own.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (own / name).symlink_to(Path(sys.prefix) / name)
    (own / ".installed").touch()


def small_params() -> dict[str, Any]:
    """params.yaml as `make quick` has it, and a little smaller."""
    params: dict[str, Any] = quick.shrunk(yaml.safe_load((PROJECT / "params.yaml").read_text()))
    params["compare"] |= {"flow_steps": 5}
    params["model"] |= {"fc": {"width": 8, "blocks": 1}, "conv": {"width": 4, "blocks": 0}}
    params["train"] |= {"device": "cpu"}
    return params


def write_params(root: Path, params: Any) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def commit(root: Path) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "state")


def environment(**variables: str) -> dict[str, str]:
    """Of a command: this Python first, one thread, no telemetry, a user for git."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith(UNWANTED)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path} | QUIET | USER | variables


def run(root: Path, *command: str, **variables: str) -> str:
    """What it writes to stdout; it has to end well. variables: of its environment."""
    done = subprocess.run(
        command,
        cwd=root,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
