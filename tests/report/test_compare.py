"""The comparison's report, from made-up figures: what it says must follow from them."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from vaelab.metrics.spread import paired_difference

from vaelab.report.common import ABSENT, format_number, markdown_table, write_csv, write_json
from vaelab.report.compare import MEASURES, Conditions, compare_report

Row = dict[str, float | None]
Rows = dict[str, list[Row]]

CONDITIONS = Conditions(
    dataset="made_up",
    shape=(3, 32, 32),
    test_images=10_000,
    latent_dim=128,
    pca_components=128,
    likelihood="bernoulli",
    sigma=None,
    proper=False,
    posterior="gaussian",
    beta=1.0,
    epochs=10,
    seeds=[0],
    elbo_samples=16,
    iw_samples=64,
    generated=2048,
    nearest_images=256,
    temperature=0.7,
    mixture_components=10,
    pixel_entropy=1685.0,
    saturation=None,
)
THREE = replace(CONDITIONS, seeds=[0, 1, 2])
PROBES = {"linear": 0.39, "knn": 0.33, "chance": 0.1}
FLOOR: Row = {
    "swd": 12.0,
    "swd_32": 14.0,
    "swd_16": 10.0,
    "nearest": 0.15,
    "fid": None,
    "kid": None,
}
INCEPTION = "FID and KID: not measured, because torch-fidelity is not installed."
ABSENT_OF_PCA = ("elbo", "iw_bound", "reconstruction", "kl", "mutual_information", "marginal_kl")
PROBED = ("probe_linear", "probe_knn")


def row(**changes: float | None) -> Row:
    figures: Row = {
        "elbo": -1868.2,
        "iw_bound": -1863.2,
        "bits_per_dim": None,
        "reconstruction": 1849.7,
        "kl": 18.5,
        "mutual_information": 8.1,
        "marginal_kl_low": 3.0,
        "marginal_kl": 10.4,
        "active_units": 21,
        "mse": 0.0209,
        "psnr": 16.8,
        "ssim": 0.35,
        "probe_linear": 0.35,
        "probe_knn": 0.36,
        "parameters": 4_000_000,
        "macs": 4_000_000,
        "seconds": 73.0,
        "images_per_second": 5000.0,
    }
    return figures | changes


def rows(pca_psnr: float = 23.26) -> Rows:
    conv = row(
        elbo=-1826.1,
        iw_bound=-1818.1,
        reconstruction=1784.0,
        kl=42.1,
        mutual_information=9.0,
        marginal_kl=33.1,
        mse=0.0102,
        psnr=19.9,
        ssim=0.52,
        active_units=40,
        probe_linear=0.45,
        probe_knn=0.4,
        parameters=1_000_000,
        macs=10_000_000,
        seconds=160.0,
        images_per_second=2500.0,
    )
    absent = dict.fromkeys((*ABSENT_OF_PCA, "active_units", "images_per_second"))
    pca = row(**absent, psnr=pca_psnr, mse=0.0047, ssim=0.7, parameters=396_288, macs=786_432)
    mean = row(**absent, **dict.fromkeys((*PROBED, "seconds")), psnr=12.1, mse=0.06, ssim=0.1)
    return {"fc": [row()], "conv": [conv], "pca": [pca], "mean_image": [mean]}


def over_seeds(rows: Rows, shifts: Sequence[float] = (-0.3, 0.0, 0.3)) -> Rows:
    """Three seeds of FC and Conv, whose PSNR and bounds differ a little from seed to seed."""

    def shifted(row: Row, by: float) -> Row:
        moved = {key: row[key] + by for key in ("elbo", "iw_bound", "psnr")}
        return row | moved

    of_seeds = {
        "fc": [shifted(rows["fc"][0], shift) for shift in (0.0, 0.1, 0.2)],
        "conv": [shifted(rows["conv"][0], shift) for shift in shifts],
    }
    return rows | of_seeds


def distances(swd: float, **changes: float | None) -> Row:
    return FLOOR | {"swd": swd, "swd_32": swd, "swd_16": swd} | changes


def judged(seeds: int = 1) -> dict[str, Rows]:
    swd = {
        "fc": [74.0, 190.0, 140.0, 102.0, 101.0, 51.0],
        "conv": [55.0, 150.0, 131.0, 83.0, 84.0, 36.0],
    }
    sources = ("reconstruction", "prior", "tempered", "mixture", "class", "flow")
    found = {
        model: {
            source: [distances(value, nearest=0.12)] * seeds
            for source, value in zip(sources, values, strict=True)
        }
        for model, values in swd.items()
    }
    found["pca"] = {"reconstruction": [distances(56.0)], "prior": [distances(153.0)]}
    return found


def report(
    conditions: Conditions = CONDITIONS,
    figures: Rows | None = None,
    images: dict[str, Rows] | None = None,
    floor: Row = FLOOR,
) -> str:
    images = images or judged(len(conditions.seeds))
    return compare_report(conditions, figures or rows(), PROBES, images, floor, INCEPTION)


def findings(report: str) -> dict[str, str]:
    """'The bound' -> its sentence."""
    section = report.split("## What the figures say\n\n")[1].split("\n\n##")[0]
    lines = " ".join(section.split()).removeprefix("- **").split(" - **")
    return dict(line.split(".** ", maxsplit=1) for line in lines)


def lines_of(report: str, start: str) -> dict[str, list[str]]:
    """The table whose heading starts so: a line's first cell -> its others."""
    page = report.replace("\\|", "/").splitlines()
    first = next(i for i, line in enumerate(page) if line.startswith(f"| {start}"))
    body = page[first : page.index("", first)]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in body]
    assert len({len(line) for line in cells}) == 1
    return {name: rest for name, *rest in cells}


def swapped(figures: Rows) -> Rows:
    return figures | {"fc": figures["conv"], "conv": figures["fc"]}


# --- the bound and its terms ---------------------------------------------------------------------


def test_bound() -> None:
    assert findings(report())["The bound"] == (
        "Conv's ELBO is 42.1 nats/image above FC's (−1,826.1 against −1,868.2): its distortion is "
        "65.7 nats lower and its rate 23.6 nats higher."
    )


def test_where_fc_wins() -> None:
    said = findings(report(figures=swapped(rows())))
    assert said["The bound"].startswith("FC's ELBO is 42.1 nats/image above Conv's (−1,826.1")
    assert said["Pixels"].startswith(
        "FC's reconstructions are 3.10 dB better than Conv's (19.90 against 16.80 dB; SSIM 0.520"
    )
    assert said["The price"].startswith("Conv has 4.0 times as many parameters as FC;")
    assert "FC is 45.1 nats/image above Conv" in said["What the ELBO leaves out"]


def test_distortion_and_rate_of_the_winner_may_go_either_way() -> None:
    figures = rows()
    figures["conv"][0] |= {"reconstruction": 1859.7, "kl": 8.5}
    said = findings(report(figures=figures))["The bound"]
    assert "distortion is 10.0 nats higher and its rate 10.0 nats lower" in said


def test_importance_weighted_bound() -> None:
    said = findings(report())["What the ELBO leaves out"]
    assert "With 64 draws" in said
    assert "lies 5.0 (FC) and 8.0 (Conv) nats/image above the ELBO" in said
    assert "Conv is 45.1 nats/image above FC" in said


def test_entropy_floor() -> None:
    said = findings(report())["The entropy floor"]
    assert "1,685.0 nats/image" in said
    assert "183.2 (FC) and 141.1 (Conv) nats/image above" in said
    assert "at most this part" in said


def test_information() -> None:
    said = findings(report())["Information"]
    assert "Of rates of 18.5 (FC) and 42.1 (Conv) nats, 8.1 (FC) and 9.0 (Conv) tell" in said
    assert "the rest, 10.4 (FC) and 33.1 (Conv)," in said
    assert "at least" not in " ".join(lines_of(report(), " |"))


def test_saturated_information_is_a_bound() -> None:
    page = report(replace(CONDITIONS, saturation=9.2103))
    said = findings(page)["Information"]
    assert "10,000 images can show at most log N = 9.2 nats" in said
    assert "8.1 (FC) and 9.0 (Conv), are therefore lower bounds" in said
    assert "10.4 (FC) and 33.1 (Conv) nats of KL(q(z) ‖ p(z)), upper bounds" in said
    measures = " ".join(lines_of(page, " |"))
    assert "I(x; z), nats/image, at least" in measures
    assert "KL(q(z) ‖ p(z)), nats/image, at most" in measures


def test_a_deterministic_autoencoder_has_no_bound() -> None:
    figures = rows()
    absent = ("elbo", "iw_bound", "kl", "mutual_information", "marginal_kl")
    for model in ("fc", "conv"):
        figures[model][0] |= dict.fromkeys(absent)
    page = report(replace(CONDITIONS, posterior="point"), figures)
    said = findings(page)
    for finding in ("The bound", "What the ELBO leaves out", "The entropy floor", "Information"):
        assert finding not in said
    assert "Latent units" not in said
    assert not [name for name in lines_of(page, " |") if name.startswith(("ELBO", "Rate"))]
    assert "kl_by_dimension" not in page
    assert "VAE" not in page


# --- pixels and PCA ------------------------------------------------------------------------------


def test_pca_wins_with_bernoulli() -> None:
    said = findings(report())["The linear floor"]
    assert "23.26 dB, 6.46 dB better than FC and 3.36 dB better than Conv" in said
    assert "`likelihood: gaussian`" in said


def test_pca_beats_one_of_them() -> None:
    said = findings(report(figures=rows(pca_psnr=18.0)))["The linear floor"]
    assert "1.20 dB better than FC; Conv is above it" in said
    assert "`likelihood: gaussian`" in said


def test_pca_loses() -> None:
    assert findings(report(figures=rows(pca_psnr=15.0)))["The linear floor"] == (
        "PCA with 128 components reaches 15.00 dB; both nets reconstruct better, by 1.80 dB (FC) "
        "and 4.90 dB (Conv)."
    )


def test_the_mend_fits_the_conditions() -> None:
    said = findings(report(replace(CONDITIONS, likelihood="gaussian", pixel_entropy=None)))
    assert "likelihood: gaussian" not in said["The linear floor"]
    assert "The entropy floor" not in said
    heavy = findings(report(replace(CONDITIONS, beta=4.0)))
    assert "`objective.beta: 1.0`" in heavy["The linear floor"]


def test_nothing_is_said_of_an_infinite_psnr() -> None:
    figures = rows(pca_psnr=math.inf)
    page = report(figures=figures)
    assert "The linear floor" not in findings(page)
    assert "**∞**" in page
    assert " inf" not in page.replace(" information", "")
    figures["conv"][0]["psnr"] = figures["fc"][0]["psnr"] = math.inf
    assert "Pixels" not in findings(report(figures=figures))


def test_latent_units() -> None:
    said = findings(report())["Latent units"]
    assert "Of 128, 21 are active in FC and 40 in Conv" in said
    assert "0.14 (FC) and 0.33 (Conv) nats on average" in said
    figures = rows()
    for model in ("fc", "conv"):
        figures[model][0]["active_units"] = 128
    full = findings(report(figures=figures))["Latent units"]
    assert full.startswith("All 128 are active in both")


# --- generated images ----------------------------------------------------------------------------


def test_judged_tables() -> None:
    page = report()
    swd = lines_of(page, "Sliced Wasserstein distance (lower is better)")
    assert swd["Reconstructions"] == ["74.0", "**55.0**", "56.0"]
    assert swd["Flow"] == ["51.0", "**36.0**", ABSENT]
    assert swd["*Real test images*"] == ["12.0"] * 3
    assert list(swd)[2:] == [
        *("Reconstructions", "Prior", "Tempered prior", "Gaussian mixture"),
        *("Gaussian of each class", "Flow", "*Real test images*"),
    ]
    assert lines_of(page, "Distance to the nearest")["Flow"] == ["0.120", "0.120", ABSENT]
    assert INCEPTION in " ".join(page.split())
    assert "| FID" not in page


def test_fid_and_kid_where_they_are_measured() -> None:
    images = judged()
    for sources in images.values():
        for found in sources.values():
            found[0] |= {"fid": 80.0, "kid": 0.05}
    images["conv"]["flow"][0]["fid"] = 61.23
    page = report(images=images, floor=FLOOR | {"fid": 9.0, "kid": 0.0})
    assert lines_of(page, "FID (lower is better)")["Flow"] == ["80.0", "**61.2**", ABSENT]
    assert lines_of(page, "KID (lower is better)")["*Real test images*"] == ["0.0000"] * 3


def test_best_sampler() -> None:
    said = findings(report())["Samplers"]
    assert "FC: nearest to real images are those of *Flow*, at an SWD of 51.0, 73% below" in said
    assert "the prior's 150.0 and 24.0 above the 12.0 of real test images" in said
    assert said.endswith("A Gaussian in PCA's codes has 153.0.")


def test_the_prior_may_be_the_best() -> None:
    images = judged()
    images["fc"]["prior"] = [distances(11.0)]
    said = findings(report(images=images))["Samplers"]
    assert (
        "FC: no sampler comes clearly nearer to real images than the prior (by 5%), at an SWD of "
        "11.0, 1.0 below the 12.0 of real test images; its reconstructions have 74.0"
    ) in said


@pytest.mark.parametrize(
    ("distance", "verdict"),
    [
        (0.16, "no nearer than unseen real images."),
        (0.12, "no sign of copying by itself"),
        (0.05, "look for copies"),
    ],
)
def test_memorising(distance: float, verdict: str) -> None:
    images = judged()
    for model, nearest in (("fc", 0.2), ("conv", distance)):
        images[model]["flow"] = [distances(40.0, nearest=nearest)]
    said = findings(report(images=images))["Memorising"]
    assert f"0.200 (FC) and {distance:.3f} (Conv) from" in said
    assert "test images 0.150" in said
    assert verdict in said


def test_images_without_classes() -> None:
    images = {
        model: {source: found for source, found in sources.items() if source != "class"}
        for model, sources in judged().items()
    }
    figures = {
        model: [row | dict.fromkeys(PROBED) for row in seeds] for model, seeds in rows().items()
    }
    page = compare_report(CONDITIONS, figures, None, images, FLOOR, INCEPTION)
    assert "Gaussian of each class" not in page
    assert "classes.png" not in page
    assert "probe" not in page
    assert "Usefulness of the codes" not in findings(page)


def test_probes_are_ranked() -> None:
    assert findings(report())["Usefulness of the codes"] == (
        "A linear probe names the class of 45.0% from Conv's codes, 39.0% from the raw pixels, "
        "35.0% from FC's codes, 35.0% from PCA's codes. The vote of nearest neighbours names the "
        "class of 40.0% from Conv's codes, 36.0% from FC's codes, 36.0% from PCA's codes, 33.0% "
        "from the raw pixels. Always naming the commonest class is right for 10.0%."
    )


# --- seeds ---------------------------------------------------------------------------------------


def test_one_seed_tests_nothing() -> None:
    page = " ".join(report().split())
    assert "Nothing was tested" in page
    assert "`train.seeds: [0, 1, 2]`" in page
    assert "Over" not in findings(report())["The bound"]


def test_seeds_show_their_spread() -> None:
    measures = lines_of(report(THREE, over_seeds(rows())), " |")
    psnr = measures["PSNR, dB (higher is better)"]
    assert psnr == ["16.90 ± 0.10", "19.90 ± 0.30", "**23.26**", "12.10"]
    assert measures["Parameters"][0] == "4,000,000"


def test_differences_beyond_the_seeds() -> None:
    figures = over_seeds(rows())
    page = report(THREE, figures)
    tested = lines_of(page, "Conv − FC over 3 seeds")
    expected = paired_difference(figures["conv"], figures["fc"], "psnr")
    assert expected is not None
    assert tested["PSNR, dB (higher is better)"] == [
        "3.00 ± 0.20",
        f"p = {expected.p_value:.3f}",
        "yes, Conv is better",
    ]
    assert tested["SWD of *Flow* (lower is better)"] == [
        "−15.0",
        "p < 0.001",
        "yes, Conv is better",
    ]
    said = findings(page)["Pixels"]
    assert f"exceeds what the seeds explain (paired t-test, p = {expected.p_value:.3f})" in said


def test_the_better_one_may_be_fc() -> None:
    tested = lines_of(report(THREE, swapped(over_seeds(rows()))), "Conv − FC")
    assert tested["PSNR, dB (higher is better)"][::2] == ["−3.00 ± 0.20", "yes, FC is better"]
    assert tested["MSE, pixels in [0, 1] (lower is better)"][2] == "yes, FC is better"


def test_differences_within_the_seeds() -> None:
    figures = over_seeds(rows() | {"conv": rows()["fc"]}, shifts=(-0.4, 0.3, 0.5))
    page = report(THREE, figures)
    assert lines_of(page, "Conv − FC")["PSNR, dB (higher is better)"][2] == "no"
    assert "does not exceed what the seeds explain" in findings(page)["Pixels"]


# --- the price, and the page ---------------------------------------------------------------------


def test_price() -> None:
    assert findings(report())["The price"] == (
        "FC has 4.0 times as many parameters as Conv; Conv has 2.5 times as many "
        "multiply-accumulates for an image as FC. Training took 73.0 s (FC) and 160.0 s (Conv), at "
        "5,000 and 2,500 images/s."
    )


def test_price_of_nets_of_one_size() -> None:
    figures = rows()
    figures["fc"][0]["parameters"] = figures["conv"][0]["parameters"]
    said = findings(report(figures=figures))["The price"]
    assert said.startswith("FC and Conv have about equally many parameters; Conv has 2.5 times")


def test_page() -> None:
    """Everything that a figure needs beside it, and links that work from reports/D/."""
    page = report()
    prose = " ".join(page.split())
    assert page.startswith("# FC against Conv: `made_up`, 128 latent dimensions\n")
    for fact in (
        *("10 epochs", "`bernoulli`", "10,000 test images", "3 × 32 × 32", "one seed (0)"),
        *("16 draws", "64 draws", "2,048 mean images", "T = 0.7", "10 Gaussians"),
    ):
        assert fact in prose
    for figure in (
        *("reconstructions", "samples", "classes", "nearest", "swd"),
        *("training_curves", "kl_by_dimension"),
    ):
        assert f"](compare/{figure}.png)" in page
    assert "seeds 0, 1, 2" in " ".join(report(THREE).split())


def test_page_counts_one_as_one() -> None:
    prose = " ".join(report(replace(CONDITIONS, epochs=1, elbo_samples=1)).split())
    assert "for 1 epoch with" in prose
    assert "over 1 draw of z" in prose


def test_beta_is_rounded() -> None:
    prose = " ".join(report(replace(CONDITIONS, beta=0.99934)).split())
    assert "beta 0.999," in prose


def test_table() -> None:
    measures = lines_of(report(), " |")
    assert next(iter(measures.values())) == ["FC", "Conv", "PCA", "Mean image"]
    assert len(measures) == 2 + len(MEASURES) - 1  # no bits per dimension
    elbo = measures["ELBO, nats/image (higher is better)"]
    assert elbo == ["−1,868.2", "**−1,826.1**", ABSENT, ABSENT]
    psnr = measures["PSNR, dB (higher is better)"]
    assert psnr == ["16.80", "19.90", "**23.26**", "12.10"]


def test_bits_per_dimension_of_a_proper_likelihood() -> None:
    figures = rows()
    figures["fc"][0]["bits_per_dim"], figures["conv"][0]["bits_per_dim"] = 5.1234, 4.9
    page = report(replace(CONDITIONS, likelihood="discretized_logistic", proper=True), figures)
    bits = lines_of(page, " |")["Bits per dimension, by that bound (lower is better)"]
    assert bits == ["5.123", "**4.900**", ABSENT, ABSENT]
    assert "compare with no other likelihood" not in " ".join(page.split())


# --- common ---------------------------------------------------------------------------------------


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
