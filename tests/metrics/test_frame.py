"""The long frame: means, spreads and the paired test, by hand and from Student's t."""

import math
from pathlib import Path

import pandas as pd
import pytest

from vaelab.metrics.frame import (
    difference,
    flat,
    frame,
    mean,
    models_of,
    paired_difference,
    read_frame,
    rows,
    spread,
)
from vaelab.runtime.outputs import write_csv


def of_seeds(model: str, *values: float | None) -> pd.DataFrame:
    return frame(*(rows(model, {"psnr": value}, seed=seed) for seed, value in enumerate(values)))


def test_mean_and_sd_by_hand() -> None:
    found = spread(of_seeds("fc", 1.0, 2.0, 6.0), "fc", "psnr")
    assert found.mean == 3.0
    assert found.sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2))
    assert mean(of_seeds("fc", 0.1, 0.1, 0.1), "fc", "psnr") == 0.1  # to the last digit
    assert spread(of_seeds("fc", 5.0), "fc", "psnr") == (5.0, None)


def test_what_one_seed_lacks_has_no_mean() -> None:
    assert mean(of_seeds("fc", 1.0, None), "fc", "psnr") is None
    assert mean(of_seeds("fc", 1.0), "conv", "psnr") is None


def test_the_paired_difference_by_hand() -> None:
    """Differences 1, 2, 3: t = 2 / (1 / sqrt(3)); two-sided p with 2 degrees of freedom."""
    figures = pd.concat([of_seeds("conv", 11.0, 22.0, 33.0), of_seeds("fc", 10.0, 20.0, 30.0)])
    found = difference(figures, "conv", "fc", "psnr")
    assert found.mean == pytest.approx(2.0)
    assert found.sd == pytest.approx(1.0)
    t = 2.0 * math.sqrt(3.0)
    assert found.p_value == pytest.approx(1.0 - t / math.sqrt(2.0 + t * t))  # the cdf for 2 d.o.f.
    assert not found.exceeds_chance


def test_differences_without_spread() -> None:
    assert paired_difference([2.0, 3.0], [1.0, 2.0]).p_value == 0.0
    assert not paired_difference([2.0, 3.0], [2.0, 3.0]).exceeds_chance


@pytest.mark.parametrize("other", [[1.0, math.nan], [math.nan, math.nan]])
def test_one_pair_tells_nothing(other: list[float]) -> None:
    assert paired_difference([2.0, 3.0], other) is None


def test_to_a_file_and_back(tmp_path: Path) -> None:
    figures = frame(
        rows("fc", {"elbo": -1.5, "kl": math.inf}, seed=0),
        rows("pca", {"psnr": 23.0}),
        rows("pca", {"swd": 12.5}, source="prior"),
    )
    write_csv(tmp_path / "measures.csv", figures)
    again = read_frame(tmp_path / "measures.csv")
    assert mean(again, "fc", "kl") is None
    assert mean(again, "pca", "swd", "prior") == 12.5
    assert again["seed"].isna().tolist() == [False, False, True, True]
    assert models_of(again) == ["fc", "pca"]


def test_a_headline_by_dotted_names() -> None:
    headline = {"fc": {"elbo": -1.5, "kl": None}, "pca": {"psnr": 23.0}}
    assert flat(headline) == {"fc.elbo": -1.5, "fc.kl": None, "pca.psnr": 23.0}
