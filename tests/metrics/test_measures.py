from vaelab.metrics.frame import Spread
from vaelab.metrics.measures import MEASURES, best_bold, measure_rows, show


def test_each_key_is_declared_once() -> None:
    assert all(key == measure.key for key, measure in MEASURES.items())


def test_show_takes_the_declared_decimals() -> None:
    assert show(1234.567, "elbo") == "1,234.6"
    assert show(Spread(23.456, 0.123), "psnr") == "23.46 ± 0.12"
    assert show(Spread(40.0, None), "active_units") == "40"
    assert show(None, "psnr") == "–"


def test_the_best_cell_is_bold() -> None:
    cells = [Spread(1.0, None), None, Spread(2.0, 0.5)]
    assert best_bold("psnr", cells) == ["1.00", "–", "**2.00 ± 0.50**"]
    assert best_bold("mse", cells) == ["**1.00000**", "–", "2.00000 ± 0.50000"]
    assert best_bold("kl", cells) == ["1.0", "–", "2.0 ± 0.5"]


def test_rows_of_measures_that_no_model_has_are_left_out() -> None:
    cells = {"psnr": {"fc": Spread(1.0, None)}, "elbo": {"fc": None}}
    assert measure_rows(["elbo", "psnr"], cells) == [["PSNR, dB (higher is better)", "**1.00**"]]
