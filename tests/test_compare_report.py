"""The comparison's report, from made-up figures: what it says must follow from them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from vaelab.reports.common import ABSENT, format_number, markdown_table, write_csv, write_json
from vaelab.reports.compare import MEASURES, Conditions, compare_report

CONDITIONS = Conditions(
    dataset="made_up",
    shape=(3, 32, 32),
    test_images=10_000,
    latent_dim=128,
    pca_components=128,
    likelihood="bernoulli",
    beta=1.0,
    epochs=10,
    elbo_samples=4,
    pixel_entropy=1685.0,
)


def row(**changes: float | None) -> dict[str, float | None]:
    figures: dict[str, float | None] = {
        "elbo": -1868.2,
        "reconstruction": 1849.7,
        "kl": 18.5,
        "mse": 0.0209,
        "psnr": 16.8,
        "ssim": 0.35,
        "active_units": 21,
        "parameters": 4_000_000,
        "macs": 4_000_000,
        "seconds": 73.0,
    }
    return figures | changes


def table(pca_psnr: float = 23.26) -> dict[str, dict[str, float | None]]:
    conv = row(
        elbo=-1826.1,
        reconstruction=1784.0,
        kl=42.1,
        mse=0.0102,
        psnr=19.9,
        ssim=0.52,
        active_units=40,
        parameters=1_000_000,
        macs=10_000_000,
        seconds=160.0,
    )
    absent = dict.fromkeys(("elbo", "reconstruction", "kl", "active_units"))
    pca = row(**absent, psnr=pca_psnr, mse=0.0047, ssim=0.7, parameters=396_288, macs=786_432)
    return {"fc": row(), "conv": conv, "pca": pca}


def findings(report: str) -> dict[str, str]:
    """'The bound' -> its sentence."""
    section = report.split("## What the figures say\n\n")[1].split("\n\n##")[0]
    lines = " ".join(section.split()).removeprefix("- **").split(" - **")
    return dict(line.split(".** ", maxsplit=1) for line in lines)


def test_bound() -> None:
    said = findings(compare_report(CONDITIONS, table()))["The bound"]
    assert said == (
        "Conv gains 42.1 nats/image over FC (−1,826.1 against −1,868.2): it reconstructs 65.7 nats "
        "better and spends 23.6 nats more on the KL term."
    )


def test_bound_where_conv_loses() -> None:
    figures = table()
    figures["fc"], figures["conv"] = figures["conv"], figures["fc"]
    said = findings(compare_report(CONDITIONS, figures))
    assert said["The bound"].startswith("Conv loses 42.1 nats/image to FC")
    assert "65.7 nats worse and spends 23.6 nats less" in said["The bound"]
    assert "3.10 dB below FC's (16.80 against 19.90 dB" in said["Pixels"]
    assert said["The price"].startswith("Conv has 4.0 times as many parameters as FC;")


def test_pca_wins_with_bernoulli() -> None:
    said = findings(compare_report(CONDITIONS, table()))["The linear floor"]
    assert "23.26 dB, 6.46 dB better than FC and 3.36 dB better than Conv" in said
    assert "`likelihood: gaussian`" in said


def test_pca_beats_one_of_them() -> None:
    said = findings(compare_report(CONDITIONS, table(pca_psnr=18.0)))["The linear floor"]
    assert "1.20 dB better than FC; Conv is above it" in said
    assert "`likelihood: gaussian`" in said


def test_pca_loses() -> None:
    said = findings(compare_report(CONDITIONS, table(pca_psnr=15.0)))["The linear floor"]
    assert said == "PCA with 128 components reaches 15.00 dB; both nets reconstruct better."
    assert "gaussian" not in said


def test_the_mend_fits_the_conditions() -> None:
    gaussian = replace(CONDITIONS, likelihood="gaussian", pixel_entropy=None)
    said = findings(compare_report(gaussian, table()))
    assert "likelihood: gaussian" not in said["The linear floor"]
    assert "The entropy floor" not in said
    heavy = findings(compare_report(replace(CONDITIONS, beta=4.0), table()))
    assert "`objective.beta: 1.0`" in heavy["The linear floor"]


def test_entropy_floor() -> None:
    said = findings(compare_report(CONDITIONS, table()))["The entropy floor"]
    assert "1,685.0 nats/image" in said
    assert "183.2 (FC) and 141.1 (Conv) nats/image above" in said
    assert "at most this part" in said


def test_nothing_is_said_of_an_infinite_psnr() -> None:
    figures = table(pca_psnr=math.inf)
    report = compare_report(CONDITIONS, figures)
    assert "The linear floor" not in findings(report)
    assert "**∞**" in report
    assert "inf" not in report.replace("information", "")
    figures["conv"]["psnr"] = figures["fc"]["psnr"] = math.inf
    assert "Pixels" not in findings(compare_report(CONDITIONS, figures))


def test_beta_is_rounded() -> None:
    report = compare_report(replace(CONDITIONS, beta=0.99934), table())
    assert "beta 0.999," in " ".join(report.split())


def test_latent_units() -> None:
    said = findings(compare_report(CONDITIONS, table()))["Latent units"]
    assert "Of 128, 21 are active in FC and 40 in Conv" in said
    assert "0.14 (FC) and 0.33 (Conv) nats on average" in said
    figures = table()
    for model in ("fc", "conv"):
        figures[model]["active_units"] = 128
    full = findings(compare_report(CONDITIONS, figures))["Latent units"]
    assert full.startswith("All 128 are active in both")


def test_price() -> None:
    said = findings(compare_report(CONDITIONS, table()))["The price"]
    assert said == (
        "FC has 4.0 times as many parameters as Conv; Conv has 2.5 times as many "
        "multiply-accumulates for an image as FC. Training took 73.0 s (FC) and 160.0 s (Conv)."
    )


def test_price_of_nets_of_one_size() -> None:
    figures = table()
    figures["fc"]["parameters"] = figures["conv"]["parameters"]
    said = findings(compare_report(CONDITIONS, figures))["The price"]
    assert said.startswith("FC and Conv have about equally many parameters; Conv has 2.5 times")


def test_page() -> None:
    """Everything that a figure needs beside it, and links that work from reports/D/."""
    report = compare_report(CONDITIONS, table())
    prose = " ".join(report.split())
    assert report.startswith("# FC against Conv: `made_up`, 128 latent dimensions\n")
    for fact in ("10 epochs", "`bernoulli`", "10,000 test images", "3 × 32 × 32", "4 draws"):
        assert fact in prose
    for figure in ("reconstructions", "samples", "training_curves", "kl_by_dimension"):
        assert f"](compare/{figure}.png)" in report


def test_page_counts_one_as_one() -> None:
    report = compare_report(replace(CONDITIONS, epochs=1, elbo_samples=1), table())
    prose = " ".join(report.split())
    assert "for 1 epoch with" in prose
    assert "over 1 draw of z" in prose


def test_table() -> None:
    report = compare_report(CONDITIONS, table())
    lines = [line for line in report.splitlines() if line.startswith("|")]
    assert lines[0] == "|  | FC | Conv | PCA |"
    assert len(lines) == 2 + len(MEASURES)
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
    cells = [line.replace("\\|", "").split(" | ") for line in lines[2:]]
    elbo, *_, psnr = (next(c for c in cells if key in c[0]) for key in ("ELBO", "PSNR"))
    assert elbo[1:] == ["−1,868.2", "**−1,826.1**", f"{ABSENT} |"]
    assert psnr[1:] == ["16.80", "19.90", "**23.26** |"]
    assert "higher is better" in psnr[0]


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (None, 2, "–"),
        (1234567, 2, "1,234,567"),
        (-1826.14, 1, "−1,826.1"),
        (0.5, 3, "0.500"),
        (math.inf, 2, "∞"),
    ],
)
def test_format_number(value: float | None, decimals: int, expected: str) -> None:
    assert format_number(value, decimals) == expected


def test_files_have_no_value_that_is_not_finite(tmp_path: Path) -> None:
    row = {"a": math.inf, "b": math.nan, "c": 1.0}
    write_json(tmp_path / "x.json", {"row": [row]})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"row": [{"a": None, "b": None, "c": 1.0}]}
    write_csv(tmp_path / "x.csv", [row])
    assert (tmp_path / "x.csv").read_text() == "a,b,c\n,,1.0\n"


def test_markdown_table() -> None:
    text = markdown_table([["a", "1"], ["b", "2"]], ["name", "count"])
    assert text.splitlines() == ["| name | count |", "| --- | ---: |", "| a | 1 |", "| b | 2 |"]
