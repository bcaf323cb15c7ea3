"""Experiments side by side, from each one's figures."""

import pandas as pd

import results
from vaelab.metrics.frame import frame, rows


def figures(psnr: float) -> pd.DataFrame:
    return frame(
        rows("fc", {"psnr": psnr}, seed=0),
        rows("fc", {"psnr": psnr + 2}, seed=1),
        rows("fc", {"swd": 40.0}, seed=0, source="prior"),
        rows("pca", {"psnr": 20.0}),
        rows("data", {"swd": 30.25}, source="floor"),
    )


def test_each_experiments_models_and_pca_once() -> None:
    found = {"one": figures(23.0), "two": figures(24.0)}
    lines = results.measures(found).splitlines()
    assert [line.split("|")[1:3] for line in lines[2:]] == [
        [" one ", " FC "],
        [" two ", " FC "],
        ["  ", " PCA "],
    ]
    assert "24.00 ± 1.41" in lines[2]
    assert "25.00 ± 1.41" in lines[3]
    assert "20.00" in lines[4]
    distances = results.distances(found)
    assert distances.count(" 40.0 ") == 2
    assert distances.endswith("Real test images: 30.2.")
