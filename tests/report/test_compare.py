"""The page of `compare` from made-up figures: what it says must follow from them."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vaelab.metrics.frame import frame, rows
from vaelab.report.compare import page
from vaelab.runtime.outputs import write_csv, write_json

SNAPSHOT = Path(__file__).parent / "snapshots" / "compare.md"
VALIDATION = {
    **{"first": -2000.0, "before_last": -1850.0, "last": -1849.0},
    **{"best": -1849.0, "best_epoch": 10},
}
FACTS: dict[str, Any] = {
    "dataset": "made_up",
    "shape": [3, 32, 32],
    "images": {"train": 45_000, "test": 10_000},
    "latent_dim": 128,
    "likelihood": "bernoulli",
    "sigma": None,
    "posterior": "gaussian",
    "proper": False,
    "beta": 1.0,
    "epochs": 10,
    "steps": 3520,
    "seeds": [0],
    "elbo_samples": 16,
    "iw_samples": 64,
    "iw_images": 1000,
    "temperature": 0.7,
    "mixture_components": 10,
    "pixel_entropy": 1685.0,
    "saturation": None,
    "chance": 0.1,
    "validation": {"fc": VALIDATION, "conv": VALIDATION},
    "generated": 2048,
    "inception": {"reason": "torch-fidelity is not installed"},
}
FC = {
    "elbo": -1868.2,
    "iw_bound": -1863.2,
    "iw_error": 0.1,
    "reconstruction": 1849.7,
    "kl": 18.5,
    "mutual_information": 8.1,
    "marginal_kl_lower": 3.0,
    "marginal_kl_upper": 10.4,
    "active_units": 21.0,
    "mse": 0.0209,
    "psnr": 16.8,
    "ssim": 0.35,
    "probe_linear": 0.35,
    "probe_knn": 0.36,
    "parameters": 4_000_000.0,
    "macs": 4_000_000.0,
}
CONV = FC | {
    "elbo": -1826.1,
    "iw_bound": -1818.1,
    "reconstruction": 1784.0,
    "kl": 42.1,
    "active_units": 40.0,
    "psnr": 19.9,
    "ssim": 0.52,
    "parameters": 1_000_000.0,
    "macs": 10_000_000.0,
}
BOUND = (
    "elbo",
    "iw_bound",
    "iw_error",
    "kl",
    "mutual_information",
    "active_units",
    "marginal_kl_lower",
)
PCA = {
    "psnr": 23.26,
    "ssim": 0.7,
    "mse": 0.0047,
    "probe_linear": 0.39,
    "probe_knn": 0.33,
    "parameters": 396_288.0,
    "macs": 786_432.0,
}
SWD = {
    "fc": {"reconstruction": 74.0, "prior": 190.0, "mixture": 102.0, "flow": 51.0},
    "conv": {"reconstruction": 55.0, "prior": 150.0, "mixture": 83.0, "flow": 36.0},
    "third": {"reconstruction": 55.0, "prior": 150.0, "mixture": 148.0, "flow": 149.0},
}


def write(folder: Path, models: dict[str, list[dict[str, float]]], **changes: Any) -> str:
    """models: name -> a row for each seed. Returns the page."""
    facts = FACTS | {"validation": dict.fromkeys(models, VALIDATION)} | changes
    parts = [
        rows(model, row, seed=seed)
        for model, every in models.items()
        for seed, row in enumerate(every)
    ]
    parts += [rows("pca", PCA), rows("mean_image", {"psnr": 12.1, "mse": 0.06})]
    parts.append(rows("data", {"swd": 12.0, "nearest": 0.15}, source="floor"))
    parts += [
        rows(model, {"swd": swd, "nearest": 0.16}, seed=seed, source=source)
        for model, every in models.items()
        for source, swd in SWD[model].items()
        for seed in range(len(every))
    ]
    parts += [rows("pca", {"swd": 60.0}, source="reconstruction")]
    figures: pd.DataFrame = frame(*parts)
    write_csv(folder / "compare" / "measures.csv", figures)
    write_json(folder / "compare" / "facts.json", facts)
    for name in ("reconstructions", "samples", "errors", "swd"):
        (folder / "compare" / f"{name}.png").touch()
    return page(folder)


def first_line(text: str) -> str:
    return text.split("\n\n")[1]


def test_the_page(tmp_path: Path) -> None:
    text = write(tmp_path, {"fc": [FC], "conv": [CONV]})
    assert text == SNAPSHOT.read_text("utf-8")
    assert len(text.split()) < 900
    assert len(re.findall(r"^\| [A-Z].*better\)|^\| Rate|^\| Active", text, re.M)) <= 12


def test_pictures_that_are_not_there_are_not_shown(tmp_path: Path) -> None:
    shown = set(re.findall(r"compare/(\w+)\.png", write(tmp_path, {"fc": [FC], "conv": [CONV]})))
    assert shown == {"reconstructions", "samples", "errors", "swd"}


def test_several_seeds_are_tested(tmp_path: Path) -> None:
    def seeds(row: dict[str, float], psnr: list[float]) -> list[dict[str, float]]:
        return [row | {"psnr": each, "elbo": row["elbo"] + i} for i, each in enumerate(psnr)]

    models = {"fc": seeds(FC, [16.8, 16.9, 16.7]), "conv": seeds(CONV, [16.9, 16.8, 16.9])}
    text = write(tmp_path, models, seeds=[0, 1, 2])
    assert "the difference in ELBO is more than chance (p < 0.001)" in text
    assert "the difference in PSNR may be chance" in text
    assert "one seed" not in text
    assert "−1,825.1 ± 1.0" in text


def test_the_winner_goes_by_rank_and_not_by_name(tmp_path: Path) -> None:
    third = CONV | {"elbo": -1700.0, "psnr": 18.0}
    text = write(tmp_path, {"fc": [FC], "conv": [CONV], "third": [third]})
    assert first_line(text).startswith(
        "**third has the higher ELBO, by 126.1 nats/image, but Conv reconstructs 1.90 dB better**"
    )
    assert "third: no sampler is clearly nearer to real images than the prior" in text
    swapped = write(tmp_path, {"fc": [CONV], "conv": [FC]})
    assert first_line(swapped).startswith("**FC has the higher ELBO")


def test_one_architecture(tmp_path: Path) -> None:
    text = write(tmp_path, {"conv": [CONV]})
    assert first_line(text).startswith("**Conv reconstructs test images at 19.90 dB**")
    assert "FC" not in text


def test_autoencoders_have_no_bound(tmp_path: Path) -> None:
    def point(row: dict[str, float]) -> dict[str, float]:
        return {key: value for key, value in row.items() if key not in BOUND}

    models = {"fc": [point(FC)], "conv": [point(CONV)]}
    text = write(tmp_path, models, posterior="point")
    assert first_line(text).startswith("**Conv reconstructs best: 19.90 dB, 3.10 dB more than FC**")
    for absent in ("ELBO", "Active units", "latent units", "own entropy"):
        assert absent not in text
    worse = {"before_last": -1900.0, "last": -1905.0, "best": -1850.0, "best_epoch": 4}
    course = {"fc": VALIDATION | {"last": -1800.0}, "conv": VALIDATION | worse}
    text = write(tmp_path, models, posterior="point", validation=course)
    assert "The validation distortion of FC still falls steeply" in text
    assert "its validation distortion was 1,850.0 after epoch 4 of 10 and is 1,905.0" in text
    assert "ELBO" not in text


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({}, "try `model.likelihood: gaussian`"),
        ({"beta": 4.0}, "With beta 4 a nat"),
        ({"likelihood": "gaussian", "pixel_entropy": None, "sigma": 0.1}, "`model.sigma: learned`"),
        ({"likelihood": "gaussian", "pixel_entropy": None}, "more epochs or a wider net"),
    ],
)
def test_advice_where_pca_reconstructs_better(
    changes: dict[str, Any], advice: str, tmp_path: Path
) -> None:
    text = write(tmp_path, {"fc": [FC], "conv": [CONV]}, **changes)
    assert advice in text
    good = write(
        tmp_path, {"fc": [FC | {"psnr": 30.0}], "conv": [CONV | {"psnr": 30.0}]}, **changes
    )
    assert advice not in good


def test_bits_per_dimension_of_a_proper_likelihood(tmp_path: Path) -> None:
    models = {"fc": [FC | {"bits_per_dim": 5.123}], "conv": [CONV | {"bits_per_dim": 4.321}]}
    text = write(
        tmp_path, models, likelihood="discretized_logistic", proper=True, pixel_entropy=None
    )
    assert "| **4.321** |" in text
    assert "density" not in text


@pytest.mark.parametrize(
    ("row", "changes", "reason"),
    [
        ({"psnr": 12.5}, {}, "no better than the mean image's"),
        ({}, {"validation": {"fc": VALIDATION | {"last": -1800.0}}}, "still rises steeply"),
        ({}, {"steps": 40}, "40 steps of training are few"),
    ],
)
def test_what_is_not_trained_says_so_first(
    row: dict[str, float], changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    text = write(tmp_path, {"fc": [FC | row], "conv": [CONV]}, **changes)
    assert first_line(text).startswith("**Not trained to the end:**")
    assert reason in first_line(text)
    assert "`train.min_steps`" in first_line(text)
    assert "Not trained" not in write(tmp_path, {"fc": [FC], "conv": [CONV]})


def test_what_is_overfitted_says_so_with_the_verdict(tmp_path: Path) -> None:
    worse = {"before_last": -1900.0, "last": -1905.0, "best": -1850.0, "best_epoch": 4}
    course = {"fc": VALIDATION, "conv": VALIDATION | worse}
    changes = {"likelihood": "gaussian", "pixel_entropy": None, "validation": course}
    text = write(tmp_path, {"fc": [FC], "conv": [CONV | {"psnr": 14.0}]}, **changes)
    said = "its validation ELBO was −1,850.0 after epoch 4 of 10 and is −1,905.0"
    assert f"**Conv is overfitted:** {said}" in first_line(text)
    assert "FC is overfitted" not in text
    assert "Conv overfitted, as is said at the top: train for fewer steps" in text
    assert "more epochs" not in text
    course["conv"] = VALIDATION | worse | {"last": -1866.0}  # chance moves it by as much
    assert "overfitted" not in write(tmp_path, {"fc": [FC], "conv": [CONV]}, **changes)
