"""The chapter on dimensions on made-up figures, and its pictures on made-up images."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from vaelab.plotting.style import save
from vaelab.report.dimensions import dimensions_chapter
from vaelab.studies.latent import draw_dimensions as figures

MAX_BYTES = 500_000
PAIRS = {"pixels": 0.857, "rmse": 0.224}


def model(**changes: Any) -> dict[str, Any]:
    return {
        "latent_dim": 16,
        "unit": "nats",
        "total": 27.5,
        "ninety": 7,
        "dimensions": [
            {"dimension": 3, "held": 4.2, "pixels": 0.238, "rmse": 0.05},
            {"dimension": 7, "held": 2.0, "pixels": 0.304, "rmse": 0.09},
        ],
        "readout": {},
        "scores": None,
        "factors": None,
        "classes": [],
        "accuracy": None,
    } | changes


def of_factors(**changes: Any) -> dict[str, Any]:
    told = {
        "dimension": 5, "information": 0.165, "next": 9, "next_information": 0.148,
        "chance": 0.012, "forest": 0.8,
    }  # fmt: skip
    return (
        model(
            readout={"x": 0.4, "background_hue": 0.99, "size": None},
            scores={
                "mig": 0.017,
                "dci_disentanglement": 0.3,
                "dci_completeness": None,
                "dci_informativeness": 0.6,
                "sap": 0.05,
            },
            factors=[{"factor": "x", **told}, {"factor": "background_hue", **told}],
        )
        | changes
    )


def of_classes(separation: float = -0.83) -> dict[str, Any]:
    row = {"class": "frog", "label": 1, "dimension": 7, "separation": separation, "error": 0.03}
    accuracy = {"dimension": 3, "one": 0.173, "every": 0.382, "chance": 0.1}
    return model(classes=[row, row | {"class": "cat", "label": 0}], accuracy=accuracy)


def chapter(fc: dict[str, Any], conv: dict[str, Any] | None = None, **pairs: Any) -> Any:
    return dimensions_chapter({"fc": fc, "conv": conv or fc}, pairs.get("pairs", PAIRS))


def test_findings_of_images_alone() -> None:
    found = chapter(model(), model(ninety=9))
    assert len(found.findings) == 3
    assert found.findings[0] == (
        "Of FC's 16 dimensions, 7 hold 90% of its KL of 27.5 nats; of Conv's 16 dimensions, 9 "
        "hold 90% of its KL of 27.5 nats."
    )
    assert found.findings[1] == (
        "FC's most informative dimension, z3, holds 4.20 nats. Moved from −2 to +2 standard "
        "deviations it changes 23.8% of the pixels by more than a tenth of their range (RMSE "
        "0.050); two different test images differ so in 85.7% (RMSE 0.224). Of the 1 traversed "
        "after it, z7 changes images most (30.4%, RMSE 0.090)."
    )
    assert "### Known factors" not in found.body
    assert "### Classes" not in found.body
    assert "|  | FC z | FC KL, nats | FC pixels | FC RMSE | Conv z |" in found.body
    assert "| 1 | z3 | 4.20 | 23.8% | 0.050 | z3 |" in found.body
    assert "All of it: [dimensions.csv](latent_explore/dimensions.csv)." in found.body


def test_an_autoencoder_has_a_variance() -> None:
    found = chapter(model(unit="variance"))
    assert "| FC z | FC variance | FC pixels |" in found.body
    assert "| 1 | z3 | 4.2 | 23.8% |" in found.body
    text = " ".join(found.findings)
    assert "90% of its variance of mu of 27.5;" in text
    assert "z3, has a variance of 4.2." in text
    assert "nats" not in text


def test_nothing_is_said_of_what_is_not_known() -> None:
    silent = [{"dimension": 0, "held": 0.0, "pixels": 0.0, "rmse": 0.0}]
    assert chapter(model(total=0.0, dimensions=silent), pairs=None).findings == []
    alone = chapter(model(latent_dim=1, ninety=1, dimensions=model()["dimensions"][:1]), pairs=None)
    assert len(alone.findings) == 2
    assert alone.findings[0].endswith("(RMSE 0.050).")


def test_findings_of_factors() -> None:
    found = chapter(of_factors())
    assert found.findings[0].startswith(
        "All of FC's dimensions together tell 1 of 2 factors with a linear R² of at least 0.5, "
        "while its MIG, which would be 1 with a dimension to each factor, is 0.017 (SAP: 0.050); "
        "all of Conv's"
    )
    assert "beta-TCVAE" not in " ".join(found.findings)
    assert "a beta-TCVAE, which is trained for" in " ".join(found.body.split())
    assert (
        "FC: the factor that a linear map of all dimensions reads best is *background hue*, with "
        "an R² of 0.99; the single dimension that tells most of it, z5, tells 16.5% of its "
        "entropy, the next, z9, 14.8% (any one dimension by chance: about 1.2%)." in found.findings
    )
    assert "| FC | 0.40 | 0.99 | – |" in found.body
    assert "| FC | 0.017 | 0.300 | – | 0.600 | 0.050 |" in found.body
    assert "| background hue | z5: 16.5% | z9: 14.8% | 0.80 | z5: 16.5% |" in found.body


def test_too_few_images_for_the_scores() -> None:
    found = chapter(of_factors(scores=None, factors=None))
    assert "The splits hold too few images for MIG, DCI and SAP." in found.body
    assert "dimensions_factors.png" not in found.body
    assert "MIG" not in " ".join(found.findings)
    assert "beta-TCVAE" not in found.body


def test_a_single_dimension_has_no_next() -> None:
    rows = [row | {"next": None, "next_information": None} for row in of_factors()["factors"]]
    found = chapter(of_factors(factors=rows))
    assert "tells 16.5% of its entropy (any one dimension by chance" in " ".join(found.findings)
    assert "| x | z5: 16.5% | – |" in found.body


def test_findings_of_classes() -> None:
    found = chapter(of_classes(), of_classes(separation=0.05))
    assert found.findings[0].startswith(
        "A linear classifier on FC's best single dimension, z3, names the class of 17.3% of the "
        "test images, on all 16 that of 38.2% (always the commonest: 10.0%); a linear classifier"
    )
    fc, conv = found.findings[-2:]
    assert "*frog*; in test images that dimension, z7, does so by d = −0.83 (standard error" in fc
    assert "chance" not in fc
    assert "d = +0.05 (standard error 0.03, no more than chance gives)" in conv
    assert "| Class | FC z | FC d | Conv z | Conv d | standard error |" in found.body
    cat, frog = (
        found.body.index(f"| {name} | z7 | −0.83 | z7 | +0.05 | 0.03 |") for name in ("cat", "frog")
    )
    assert cat < frog
    assert "A frame marks each class's best dimension in training" in found.body


def test_classes_that_one_model_alone_tells() -> None:
    found = chapter(of_classes(), model())
    assert "| cat | z7 | −0.83 | – | – | 0.03 |" in found.body


def test_of_many_classes_those_set_apart_most_in_their_own_order() -> None:
    (row, *_) = of_classes()["classes"]
    ranked = [5, 11, 4, 3, 2, 1, 0, 10, 9, 8, 7, 6]
    classes = [row | {"class": f"c{label}", "label": label} for label in ranked]
    body = chapter(of_classes() | {"classes": classes}).body
    shown = re.findall(r"^\| (c\d+) \|", body, re.MULTILINE)
    assert shown == [f"c{label}" for label in sorted(ranked[:10])]
    assert "The 10 set apart most of 12." in body


@pytest.mark.parametrize("figures", [model(), of_factors(), of_classes()])
def test_prose_is_wrapped(figures: dict[str, Any]) -> None:
    lines = chapter(figures).body.splitlines()
    assert max(len(line) for line in lines if not line.startswith("|")) <= 100


def test_links() -> None:
    body = chapter(of_factors()).body + chapter(of_classes()).body
    assert set(re.findall(r"\]\((.*?)\)", body)) == {
        f"latent_explore/{name}"
        for name in (
            "traversals.png",
            "traversals_images.png",
            "dimensions.csv",
            "dimensions_factors.png",
            "dimensions_classes.png",
        )
    }


# --- figures -------------------------------------------------------------------------------------


def saved(figure: Figure, path: Path) -> None:
    save(figure, path)
    assert 0 < path.stat().st_size < MAX_BYTES
    with Image.open(path) as picture:
        assert picture.width <= 910


def photographs(count: int, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Smooth patches with a little noise: about as hard to compress as decoded photographs."""
    rng = np.random.default_rng(count)
    coarse = rng.random((count, shape[0], 4, 4), dtype=np.float32)
    smooth = coarse.repeat(shape[1] // 4, axis=2).repeat(shape[2] // 4, axis=3)
    return smooth + rng.normal(0.0, 0.02, smooth.shape).astype(np.float32)


@pytest.mark.parametrize(("shape", "rows"), [((1, 16, 16), 1), ((3, 64, 64), 16)])
def test_traversals_are_small(shape: tuple[int, int, int], rows: int, tmp_path: Path) -> None:
    steps = [-2.0, 0.0, 2.0]
    images = dict.fromkeys(("fc", "conv"), photographs(3 * rows, shape).reshape(rows, 3, *shape))
    labels = {name: [f"z{i} · 0.50 nats\n12% of pixels" for i in range(rows)] for name in images}
    saved(figures.draw_traversals(images, labels, steps), tmp_path / "traversals.png")
    original = np.zeros((1, *shape), np.uint8)
    figure = figures.draw_traversals(images, labels, steps, original)
    saved(figure, tmp_path / "from_image.png")
    ticks = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert ticks == ["image", "−2", "mean", "+2"]


def test_originals_stand_before_their_rows() -> None:
    images = np.full((4, 2, 1, 4, 4), 0.5, np.float32)
    originals = np.stack([np.zeros((1, 4, 4), np.uint8), np.full((1, 4, 4), 9, np.uint8)])
    figure = figures.draw_traversals(
        {"fc": images}, {"fc": ["a", "b", "c", "d"]}, [0.0, 1.0], originals
    )
    sheet = np.asarray(figure.axes[0].images[0].get_array())
    assert sheet[[1, 7, 13, 19], 1, 0].tolist() == [0, 255, 9, 255]
    assert (sheet[[1, 7, 13, 19], 7, 0] == 128).all()


def texts(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in axes.texts] for axes in figure.axes]


def test_factor_matrix(tmp_path: Path) -> None:
    matrix = np.array([[0.123, 0.0, 0.3], [0.02, 0.05, 0.01]])
    numbers = {"fc": [3, 1, 9], "conv": [3, 1, 9]}
    figure = figures.draw_factor_matrix(
        {"fc": matrix, "conv": 0.0 * matrix}, numbers, 2, ["x", "background_hue"]
    )
    saved(figure, tmp_path / "factors.png")
    assert texts(figure)[0] == ["12", "0", "30", "2", "5", "1"]
    frames = [patch.get_xy() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert [(round(x), round(y)) for x, y in np.array(frames) + 0.5] == [(2, 0), (1, 1)]


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_class_matrix(classes: int, tmp_path: Path) -> None:
    matrix = np.linspace(-0.9, 0.8, 3 * classes).reshape(3, classes)
    matrix[2, -1] = np.nan
    names = [f"a long name {i}" for i in range(classes)]
    figure = figures.draw_class_matrix(
        {"fc": matrix}, {"fc": [8, 4, 0]}, {"fc": names}, {"fc": [1] * classes}
    )
    saved(figure, tmp_path / "classes.png")
    cells, _ = texts(figure)
    assert len(cells) == 3 * classes - 1
    assert cells[0] == "−0.90"
    frames = [patch.get_bbox() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert len(frames) == classes
    assert all(one.x1 < other.x0 for one, other in pairwise(frames))
    ticks = [text.get_text() for text in figure.axes[1].get_xticklabels()]
    assert ticks == ["−0.90", "0.00", "+0.90"]


def test_what_is_weak_looks_weak() -> None:
    matrix = {"fc": np.array([[0.08, -0.001, 0.001]])}
    figure = figures.draw_class_matrix(
        matrix, {"fc": [0]}, {"fc": ["a", "b", "c"]}, {"fc": [0] * 3}
    )
    assert figure.axes[0].images[0].get_clim() == (-0.5, 0.5)
    assert texts(figure)[0] == ["+0.08", "0.00", "0.00"]


def test_the_same_figure_gives_the_same_bytes(tmp_path: Path) -> None:
    matrix = {"fc": np.array([[0.1, 0.2]])}
    for name in "ab":
        saved(figures.draw_factor_matrix(matrix, {"fc": [0, 1]}, 2, ["x"]), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
