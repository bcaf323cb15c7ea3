"""Mean, spread and the paired test over seeds, by hand and from tables of Student's t."""

import math

import pytest

from vaelab.metrics.spread import mean_and_sd, paired_difference


def rows(*values: float | None) -> list[dict[str, float | None]]:
    return [{"psnr": value} for value in values]


def test_mean_and_sd_by_hand() -> None:
    spread = mean_and_sd(rows(1.0, 2.0, 6.0))["psnr"]
    assert spread is not None
    assert spread.mean == 3.0
    assert spread.sd == pytest.approx(math.sqrt((4 + 1 + 9) / 2))


def test_one_seed_has_no_sd() -> None:
    spread = mean_and_sd(rows(5.0))["psnr"]
    assert spread is not None
    assert spread.mean == 5.0
    assert spread.sd is None


def test_what_one_row_lacks_has_no_mean() -> None:
    assert mean_and_sd(rows(1.0, None))["psnr"] is None


def test_the_paired_difference_by_hand() -> None:
    """Differences 1, 2, 3: t = 2 / (1 / sqrt(3)); two-sided p with 2 degrees of freedom."""
    found = paired_difference(rows(11.0, 22.0, 33.0), rows(10.0, 20.0, 30.0), "psnr")
    assert found is not None
    assert found.mean == pytest.approx(2.0)
    assert found.sd == pytest.approx(1.0)
    t = 2.0 * math.sqrt(3.0)
    assert found.p_value == pytest.approx(1.0 - t / math.sqrt(2.0 + t * t))  # the cdf for 2 d.o.f.
    assert not found.exceeds_chance


def test_pairing_sees_what_the_seeds_have_in_common() -> None:
    """The seeds differ by far more than the models do."""
    found = paired_difference(rows(10.1, 50.12, 90.09), rows(10.0, 50.0, 90.0), "psnr")
    assert found is not None
    assert found.exceeds_chance


def test_differences_without_spread() -> None:
    found = paired_difference(rows(2.0, 3.0), rows(1.0, 2.0), "psnr")
    assert found is not None
    assert found.p_value == 0.0
    same = paired_difference(rows(2.0, 3.0), rows(2.0, 3.0), "psnr")
    assert same is not None
    assert not same.exceeds_chance


@pytest.mark.parametrize("other", [rows(1.0), rows(None)])
def test_one_seed_tells_nothing(other: list[dict[str, float | None]]) -> None:
    assert paired_difference(rows(2.0), other, "psnr") is None


def test_a_missing_figure_leaves_nothing_to_test() -> None:
    assert paired_difference(rows(2.0, 3.0, 4.0), rows(1.0, None, 2.0), "psnr") is None
