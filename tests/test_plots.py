"""`dvc plots show` in a browser without a network."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageColor

from vaelab.settings.model import PALETTE

PROJECT = Path(__file__).parents[1]
PICTURES = {  # that are shown at once
    *("compare_reconstructions", "compare_samples", "interpolate_pair_1"),
    *("latent_explore_encodings", "latent_explore_regions", "latent_explore_traversals_images"),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DVC's page of curves, of a table that is none, and of eight pictures."""
    vl_convert = pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    root = tmp_path_factory.mktemp("plots")
    shutil.copytree(PROJECT / ".dvc" / "plots", root / ".dvc" / "plots")
    shutil.copy(PROJECT / ".dvc" / "config", root / ".dvc" / "config")
    reports = root / "reports" / "toys"
    for name in (*PICTURES, "compare_swd", "interpolate_pair_2"):
        study = next(each for each in ("compare", "interpolate", "latent_explore") if each in name)
        (reports / study).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(reports / study / f"{name.removeprefix(f'{study}_')}.png")
    rows = [
        {"model": model, "seed": 0, "epoch": epoch, "measure": measure, "value": value * epoch}
        for measure in ("ELBO", "Rate", "Distortion", "PSNR")
        for model, value in (("FC", 1.5), ("Conv", 2.5))
        for epoch in (1, 2, 3)
    ]
    pd.DataFrame(rows).to_csv(reports / "curves.csv", index=False)
    pd.DataFrame(rows).to_csv(reports / "compare" / "measures.csv", index=False)
    plots = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["compare"]["do"]["plots"]
    stage = {"cmd": "true", "plots": json.loads(json.dumps(plots).replace("${key}", "toys"))}
    stage["plots"] += ["reports/toys/interpolate", "reports/toys/latent_explore"]
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"compare": stage}}))
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    show = [sys.executable, "-m", "dvc", "plots", "show"]
    subprocess.run(show, cwd=root, check=True, capture_output=True)
    (root / "dvc_plots" / "vega.js").write_text(vl_convert.javascript_bundle())
    return root / "dvc_plots" / "index.html"


def shown(tab: Any) -> set[str]:
    names = "(all) => all.filter((each) => each.offsetParent).map((each) => each.id)"
    return {str(name) for name in tab.locator("body > div").evaluate_all(names)}


def test_curves_of_all_models_and_six_pictures(page: Path, browser: Any) -> None:
    context = browser.new_context(offline=True)
    tab, requests = context.new_page(), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(page.as_uri())
    curves = tab.locator("#reports_toys_curves_csv .marks")
    curves.wait_for()
    assert shown(tab) == {
        "reports_toys_curves_csv",
        *(f"reports_toys_{name}_png" for name in PICTURES),
    }
    assert not [url for url in requests if not url.startswith("file://")]
    pixels = np.asarray(Image.open(io.BytesIO(curves.screenshot())).convert("RGB"))
    right = pixels[: len(pixels) // 2, pixels.shape[1] // 2 : -100]  # Rate, without the legend
    for colour in PALETTE[:2]:
        assert (right == ImageColor.getrgb(colour)).all(2).sum() > 200

    tab.locator("#more").check()
    assert {"reports_toys_compare_swd_png", "reports_toys_compare_measures_csv"} <= shown(tab)


def test_without_the_library_beside_it_the_page_asks_where_dvcs_own_does(
    page: Path, browser: Any, tmp_path: Path
) -> None:
    shutil.copy(page, tmp_path)
    context = browser.new_context(offline=True)
    tab, requests = context.new_page(), []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto((tmp_path / "index.html").as_uri())
    assert len([url for url in requests if url.startswith("https://") and "vega" in url]) == 3


def test_the_models_have_the_figures_colours() -> None:
    template = json.loads((PROJECT / ".dvc" / "plots" / "curves.json").read_text())
    assert tuple(template["spec"]["encoding"]["color"]["scale"]["range"]) == PALETTE
