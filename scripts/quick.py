"""The whole pipeline on a few hundred shapes, in .vaelab/quick: for those who change the code.

    python scripts/quick.py

The code is the working tree's, the settings are those of params.yaml made small. Nothing of the
project's own data, reports or runs is touched. A second call runs what a change of code reaches.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
PLACE = PROJECT / ".vaelab" / "quick"
COPIED = ("src", "dvc.yaml", ".dvc/config", ".dvc/plots", ".dvcignore", ".gitignore")
SMALL: dict[str, Any] = {
    "image_size": 16,
    "count": 300,
    "latent_dim": 8,
    "epochs": 2,
    "min_steps": 0,
    "kl_warmup_epochs": 0,
    "kl_cycles": 1,
    "seeds": [0],
    "elbo_samples": 2,
    "iw_samples": 4,
    "iw_images": 50,
    "generated": 64,
    "mixture_components": 2,
    "flow_steps": 50,
    "samples": 24,
    "pairs": 2,
    "corners": "drawn",
    "measured": 8,
    "relaxation": 5,
    "traversals": 3,
    "directions": 2,
    "mapped": 50,
}
EXPECTED = (
    "data/shapes/meta.json",
    "models/shapes/*/seed_0/weights.safetensors",
    "metrics/shapes/*.json",
    "reports/shapes/compare.md",
    "reports/shapes/interpolate.md",
    "reports/shapes/latent_explore.md",
    "reports/shapes/index.html",
    "mlflow.db",
)


def shrunk(settings: Any) -> Any:
    """The settings with every key that SMALL names at its value, in whichever section it is."""
    if not isinstance(settings, dict):
        return settings
    return {key: SMALL.get(key, shrunk(value)) for key, value in settings.items()}


def copy_project(place: Path) -> None:
    """The code and the settings into `place`, over those of an earlier call."""
    for name in COPIED:
        source, target = PROJECT / name, place / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    settings = yaml.safe_load((PROJECT / "params.yaml").read_text("utf-8"))
    (place / "params.yaml").write_text(yaml.safe_dump(shrunk(settings), sort_keys=False), "utf-8")
    if shutil.which("git"):
        subprocess.run(["git", "init", "--quiet", place], check=True)


def missing(place: Path) -> list[str]:
    """Those of EXPECTED that no file with anything in it fits."""
    return [
        pattern
        for pattern in EXPECTED
        if not any(path.stat().st_size for path in place.glob(pattern))
    ]


def main() -> int:
    copy_project(PLACE)
    environment = {key: text for key, text in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    environment |= {
        "OMP_NUM_THREADS": "1",  # threads that wait for each other are slow on a busy machine
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PLACE / "src"),
    }
    repro = [sys.executable, str(PROJECT / "scripts" / "repro.py"), "*@shapes"]
    status = subprocess.run(repro, cwd=PLACE, env=environment, check=False).returncode
    if status == 0 and (absent := missing(PLACE)):
        sys.stderr.write(f"{PLACE}: not written: {', '.join(absent)}\n")
        return 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
