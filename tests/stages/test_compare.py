"""The whole stage on toys, for kinds of models that differ, and the page made of it."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from toys import Recorder, assert_links_work, contents, save_models, write_data, write_params

import compare
import report
from vaelab.metrics.frame import mean, models_of, read_frame
from vaelab.metrics.measures import MEASURES
from vaelab.settings import ARCHITECTURES, load_settings
from vaelab.studies.compare.measure import CURVES
from vaelab.vae.model import seed_dir

KEYS = ["elbo", "kl", "psnr", "swd"]
HISTORY = (
    "epoch,train_elbo,train_reconstruction,train_kl,beta,"
    "val_elbo,val_reconstruction,val_kl,val_psnr\n"
)


def prepare(architectures: list[str], seeds: int = 1, **model: str) -> None:
    """Untrained models of these architectures, as the settings say, and histories beside them."""
    write_params()
    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree["model"] |= model
    tree["compare"] |= {"generated": 64, "mixture_components": 2, "flow_steps": 3}
    tree["compare"] |= {
        "elbo_samples": 2,
        "iw_samples": 3,
        "iw_images": 9,
        "samples": 4,
        "images": 3,
    }
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    shutil.rmtree("models")
    save_models(**model)
    for name in ARCHITECTURES:
        folder = load_settings().of("toys").model_dir(name)
        for seed in range(1, seeds):
            shutil.copytree(seed_dir(folder, 0), seed_dir(folder, seed))
        for seed in range(seeds):
            line = "-9,8,1,1.0,-9,8,1,20\n"
            (seed_dir(folder, seed) / "history.csv").write_text(f"{HISTORY}1,{line}2,{line}")
        if name not in architectures:
            shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def its_page_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PAGES", {"compare": report.compare})
    monkeypatch.setattr(report.index, "page", lambda settings: "")


def test_two_architectures(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=True)
    prepare(["fc", "conv"], seeds=2, likelihood="bernoulli", sigma="learned")
    compare.main("toys")
    assert recorder.names == ["compare-z4"]
    metrics = json.loads(Path("metrics/toys/compare.json").read_text())
    assert list(metrics) == ["fc", "conv", "pca"]
    assert list(metrics["fc"]) == list(metrics["conv"]) == KEYS
    folder = Path("reports/toys/compare")
    figures = read_frame(folder / "measures.csv")
    assert models_of(figures) == ["fc", "conv", "pca", "mean_image", "data"]
    assert metrics["conv"]["swd"] == pytest.approx(mean(figures, "conv", "swd", "mixture"))
    assert recorder.metrics["fc.elbo"] == pytest.approx(metrics["fc"]["elbo"], rel=1e-5)
    assert len(recorder.metrics) <= 30
    assert not any("seconds" in key for key in recorder.metrics)
    curves = pd.read_csv("reports/toys/curves.csv")
    assert curves["measure"].unique().tolist() == [MEASURES[key].heading for key in CURVES]
    (drawn,) = {len(rows) for _, rows in curves.groupby(["measure", "model", "seed"])}
    assert (drawn, len(curves)) == (2, 4 * 2 * 2 * 2)  # epochs; measures, models, seeds
    facts = json.loads((folder / "facts.json").read_text())
    assert (facts["seeds"], facts["epochs"]) == ([0, 1], 2)
    assert facts["pixel_entropy"] > 0
    assert {file.stem for file in folder.glob("*.png")} == {
        *("reconstructions", "errors", "samples", "nearest", "swd", "training_curves"),
        *("classes", "kl_by_dimension"),
    }
    for seed in (0, 1):
        kept = {file.stem for file in Path(f"samplers/toys/conv/seed_{seed}").iterdir()}
        assert kept >= {"mixture", "class", "flow"}
    report.main("toys")
    page = Path("reports/toys/compare.md")
    assert_links_work(page)
    assert page.read_text().startswith("# FC against Conv: `toys`")

    before = contents("reports", "metrics", "samplers")
    compare.main("toys")
    report.main("toys")
    assert contents("reports", "metrics", "samplers") == before


def test_one_architecture_of_autoencoders_without_labels(recorder: Recorder) -> None:
    write_data(Path("data/toys"), known_factors=False)
    prepare(["conv"], posterior="point")
    compare.main("toys")
    metrics = json.loads(Path("metrics/toys/compare.json").read_text())
    assert list(metrics) == ["conv", "pca"]
    assert list(metrics["conv"]) == KEYS
    assert metrics["conv"]["elbo"] is None
    names = {file.stem for file in Path("reports/toys/compare").glob("*.png")}
    assert not names & {"classes", "kl_by_dimension"}
    report.main("toys")
    assert Path("reports/toys/compare.md").read_text().startswith("# Conv: `toys`")


def test_unusable_weights_end_the_stage_before_its_work(recorder: Recorder) -> None:
    from vaelab.runtime.errors import UserError

    write_data(Path("data/toys"), known_factors=True)
    prepare(["fc", "conv"])
    tree = yaml.safe_load(Path("params.yaml").read_text())
    tree["compare"]["inception_weights"] = "missing.pth"
    Path("params.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(UserError, match="cannot be read"):
        compare.main("toys")
    assert recorder.names == []
